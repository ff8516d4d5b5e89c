package mirror

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Delta is what has to be done to a copy.
type Delta struct {
	Remove []string          // what is in a directory comes before it
	Put    []api.MirrorEntry // a directory comes before what is in it
}

// Empty reports whether there is nothing to do.
func (d Delta) Empty() bool { return len(d.Remove)+len(d.Put) == 0 }

// count is how many files and links are brought, and how many things removed.
func (d Delta) count() (put, removed int) {
	for _, e := range d.Put {
		if e.Kind != api.MirrorDir {
			put++
		}
	}
	return put, len(d.Remove)
}

// String lists what is done, a line each.
func (d Delta) String() string {
	var b strings.Builder
	for _, name := range d.Remove {
		fmt.Fprintf(&b, "remove %s\n", name)
	}
	for _, e := range d.Put {
		switch e.Kind {
		case api.MirrorDir:
			fmt.Fprintf(&b, "put %s/ %o\n", e.Path, e.Mode)
		case api.MirrorLink:
			fmt.Fprintf(&b, "put %s -> %s\n", e.Path, e.Link)
		default:
			fmt.Fprintf(&b, "put %s %o %d bytes\n", e.Path, e.Mode, e.Size)
		}
	}
	return b.String()
}

// Compare says what makes a copy what a manifest says. there is what was brought
// before: of the rest, nothing is removed. Both are sorted by path.
//
// What changes its kind is removed first.
func Compare(m *Manifest, there []api.MirrorEntry) Delta {
	var d Delta
	have := make(map[string]*api.MirrorEntry, len(there))
	for i := range there {
		have[there[i].Path] = &there[i]
	}
	want := make(map[string]api.MirrorKind, len(m.Entries))
	for _, e := range m.Entries {
		want[e.Path] = e.Kind
		if !same(&e, have[e.Path]) {
			d.Put = append(d.Put, e)
		}
	}
	for i := range slices.Backward(there) {
		e := &there[i]
		if kind, wanted := want[e.Path]; (!wanted || kind != e.Kind) && !m.unknown(e.Path) {
			d.Remove = append(d.Remove, e.Path)
		}
	}
	return d
}

func same(e, have *api.MirrorEntry) bool {
	switch {
	case have == nil || e.Kind != have.Kind:
		return false
	case e.Kind == api.MirrorLink:
		return e.Link == have.Link
	case e.Kind == api.MirrorDir:
		return have.Found || e.Mode == have.Mode
	}
	return e.Mode == have.Mode && e.Hash == have.Hash
}

// unknown reports whether a path could not be read, or is beneath one.
func (m *Manifest) unknown(name string) bool {
	return slices.ContainsFunc(m.Unread, func(u string) bool { return name == u || strings.HasPrefix(name, u+"/") })
}
