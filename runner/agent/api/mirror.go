package api

// RoleMirror is the role of the agent's program that keeps copies of directories
// for a supervisor: what it is told on standard input, it does, and answers on
// standard output. It ends with its input.
//
// A round is about one copy. In it, lines of JSON go back and forth, and behind
// the line of a file follow so many bytes of content:
//
//	supervisor  Open                   agent  There
//	supervisor  Remove..., Put..., Close    agent  Done
const RoleMirror = "mirror"

// MirrorLine is one line to the agent; one of its fields is set.
type MirrorLine struct {
	Open   *MirrorOpen  `json:"open,omitempty"`
	Remove string       `json:"remove,omitempty"` // the path of what the supervisor brought before; what is in a directory comes first
	Put    *MirrorEntry `json:"put,omitempty"`    // a directory comes before what is in it
	Close  *MirrorClose `json:"close,omitempty"`
}

// MirrorOpen begins a round.
type MirrorOpen struct {
	// Dir holds a copy and what is known of it. It is made if need be: the copy
	// itself, MirrorData in it, is empty then.
	Dir string `json:"dir"`
	// User and Group own what is written; nil stands for who owns the copy.
	User  *int64 `json:"user,omitempty"`
	Group *int64 `json:"group,omitempty"`
}

// MirrorData is the directory with the copy in MirrorOpen.Dir.
const MirrorData = "data"

// MirrorThere is what a copy has of what was brought there before, as it is now.
// What an image or a program put there is not in it.
type MirrorThere struct {
	Entries []MirrorEntry `json:"entries,omitempty"` // by path
	Acted   string        `json:"acted,omitempty"`   // see MirrorClose
	Error   string        `json:"error,omitempty"`
}

// MirrorEntry is a file, a directory or a symbolic link of a copy.
type MirrorEntry struct {
	Path string     `json:"path"` // clean, relative, slash-separated
	Kind MirrorKind `json:"kind,omitempty"`
	Mode uint32     `json:"mode,omitempty"` // permissions, but of a link
	Hash string     `json:"hash,omitempty"` // of a file's content: SHA-256 in hexadecimal; "" is not known
	Link string     `json:"link,omitempty"` // where a link points
	Size int64      `json:"size,omitempty"` // of a file, in bytes; with Put, what follows the line
	Time int64      `json:"time,omitempty"` // of a file's last change, in nanoseconds; only with Put
	// Found, of what is there, says that the directory was before: its rights are
	// the container's own.
	Found bool `json:"found,omitempty"`
}

// MirrorKind is the sort of an entry.
type MirrorKind string

const (
	MirrorFile MirrorKind = ""
	MirrorDir  MirrorKind = "directory"
	MirrorLink MirrorKind = "link"
)

// MirrorClose ends a round.
type MirrorClose struct {
	// Acted is remembered with the copy: the content on which the container has
	// acted. "" leaves it as it is.
	Acted string `json:"acted,omitempty"`
	// Keep, where it is set, has what is beside the copy removed: the directories in
	// Dir's own whose name begins with it, but for Dir itself.
	Keep string `json:"keep,omitempty"`
}

// MirrorDone says what became of a round.
type MirrorDone struct {
	Put     int      `json:"put,omitempty"`
	Removed int      `json:"removed,omitempty"`
	Errors  []string `json:"errors,omitempty"` // what could not be done, by path
}
