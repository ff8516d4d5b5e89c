package watch

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/cuepod/cuepod/runner/ignore"
)

// Input is one path that a result depends on.
type Input struct {
	Path string // absolute; it need not exist yet
	Kind Kind
	Why  string // for a person: "CUE file", "build context of web/api"
	// Ignore says what of a Tree does not count, beside what never does
	// (ignore.Name): what it prunes is not even opened.
	Ignore *ignore.Matcher
}

// Kind is what counts of a path.
type Kind byte

const (
	// Content is what is in a file. A directory counts for the .cue files directly
	// in it, those to come included. Symbolic links are followed.
	Content Kind = iota
	// Names are those of a directory's entries.
	Names
	// Tree is everything beneath a directory: content and permissions of files,
	// where symbolic links point, and directories, by being there. The path itself
	// may be a link; links beneath it are not followed. A file in place of the
	// directory counts as one.
	Tree
)

func (k Kind) String() string { return [...]string{"content", "names", "tree"}[k] }

// key tells inputs apart.
type key struct {
	path   string
	kind   Kind
	ignore string
}

func (in Input) key() key {
	return key{filepath.Clean(in.Path), in.Kind, in.Ignore.String()}
}

// Group is a set of inputs with a pace of its own. The same path may be in
// several groups; each is told.
type Group struct {
	Name   string
	Pace   Pace // zero is that of definitions
	Inputs []Input
}

// Definitions and Builds are the names of two groups; those of synced
// directories have the names of their containers.
const (
	Definitions = "definitions"
	Builds      = "builds"
)

// Inputs are the groups of inputs that all count as definitions.
func Inputs(inputs []Input) []Group {
	return []Group{{Name: Definitions, Pace: DefinitionPace(), Inputs: inputs}}
}

// Pace is how long to wait before a look.
type Pace struct {
	Quiet time.Duration // no hint for this long means that a save is over
	Cap   time.Duration // look after this long even if hints keep coming
}

// DefinitionPace is for what is compiled: an editor's save of several files is
// one reload.
func DefinitionPace() Pace { return Pace{50 * time.Millisecond, time.Second} }

// SyncPace is for what is copied: a file is small work, and somebody waits.
func SyncPace() Pace { return Pace{50 * time.Millisecond, 500 * time.Millisecond} }

// BuildPace is for what is built, which takes seconds: better once.
func BuildPace() Pace { return Pace{300 * time.Millisecond, 2 * time.Second} }

func (p Pace) orDefault() Pace {
	d := DefinitionPace()
	if p.Quiet > 0 {
		d.Quiet = p.Quiet
	}
	if p.Cap > 0 {
		d.Cap = p.Cap
	}
	return d
}

// Union is groups with those of another list: for a result that could not be
// had, which depends on what the last good one was made of as well as on what
// is known of the new one.
func Union(a, b []Group) []Group {
	out := slices.Clone(a)
	for _, g := range b {
		i := slices.IndexFunc(out, func(o Group) bool { return o.Name == g.Name })
		if i < 0 {
			out = append(out, g)
			continue
		}
		have := map[key]bool{}
		for _, in := range out[i].Inputs {
			have[in.key()] = true
		}
		g.Inputs = slices.DeleteFunc(slices.Clone(g.Inputs), func(in Input) bool { return have[in.key()] })
		out[i].Inputs = slices.Concat(out[i].Inputs, g.Inputs)
	}
	return out
}
