package mirror_test

import (
	"testing"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/mirror"
)

func TestCompare(t *testing.T) {
	file := func(name, hash string, mode uint32) api.MirrorEntry {
		return api.MirrorEntry{Path: name, Hash: hash, Mode: mode, Size: 1}
	}
	dir := func(name string) api.MirrorEntry {
		return api.MirrorEntry{Path: name, Kind: api.MirrorDir, Mode: 0o755}
	}
	link := func(name, to string) api.MirrorEntry {
		return api.MirrorEntry{Path: name, Kind: api.MirrorLink, Link: to}
	}
	found := dir("a")
	found.Found, found.Mode = true, 0o700
	for _, tc := range []struct {
		name        string
		want, there []api.MirrorEntry
		unread      []string
		delta       string
	}{
		{name: "nothing"},
		{name: "all is new", want: []api.MirrorEntry{dir("a"), file("a/x", "1", 0o644), link("l", "a")},
			delta: "put a/ 755\nput a/x 644 1 bytes\nput l -> a\n"},
		{name: "equal", want: []api.MirrorEntry{dir("a"), file("a/x", "1", 0o644)}, there: []api.MirrorEntry{dir("a"), file("a/x", "1", 0o644)}},
		{name: "content and mode", want: []api.MirrorEntry{file("x", "2", 0o644), file("y", "1", 0o755)}, there: []api.MirrorEntry{file("x", "1", 0o644), file("y", "1", 0o644)},
			delta: "put x 644 1 bytes\nput y 755 1 bytes\n"},
		{name: "all goes, what is in a directory first", there: []api.MirrorEntry{dir("a"), file("a.b", "1", 0o644), dir("a/b"), file("a/b/c", "1", 0o644)},
			delta: "remove a/b/c\nremove a/b\nremove a.b\nremove a\n"},
		{name: "a file becomes a directory", want: []api.MirrorEntry{dir("a"), file("a/x", "1", 0o644)}, there: []api.MirrorEntry{file("a", "1", 0o644)},
			delta: "remove a\nput a/ 755\nput a/x 644 1 bytes\n"},
		{name: "a directory becomes a link", want: []api.MirrorEntry{link("a", "b")}, there: []api.MirrorEntry{dir("a"), file("a/x", "1", 0o644)},
			delta: "remove a/x\nremove a\nput a -> b\n"},
		{name: "a link turns", want: []api.MirrorEntry{link("a", "c")}, there: []api.MirrorEntry{link("a", "b")}, delta: "put a -> c\n"},
		{name: "the image's directory keeps its rights", want: []api.MirrorEntry{dir("a")}, there: []api.MirrorEntry{found}},
		{name: "what cannot be read stays", there: []api.MirrorEntry{dir("a"), file("a/x", "1", 0o644), file("ab", "1", 0o644)}, unread: []string{"a"},
			delta: "remove ab\n"},
		{name: "what the program changed", want: []api.MirrorEntry{file("x", "1", 0o644)}, there: []api.MirrorEntry{file("x", "", 0o644)}, delta: "put x 644 1 bytes\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := mirror.Compare(&mirror.Manifest{Entries: tc.want, Unread: tc.unread}, tc.there)
			if d.String() != tc.delta {
				t.Errorf("got:\n%swant:\n%s", d, tc.delta)
			}
			if d.Empty() != (tc.delta == "") {
				t.Error("Empty is wrong")
			}
		})
	}
}
