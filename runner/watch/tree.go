package watch

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/cuepod/cuepod/runner/ignore"
)

// tree is a directory with all that counts beneath it. What a look costs follows
// from the hints, not from the size: a branch of which nothing was heard is not
// looked at.
type tree struct {
	in       Input
	arm      func(dir string) // watch a directory; a watch comes before a look, so that what changes after gives a hint
	disarm   func(dir string)
	notice   func(dir string, err error) // a directory may not be read
	branches map[string]*branch          // by real path
	stirred  map[*branch]bool            // of which something was heard
	top      *branch                     // nil where there is no directory
	now      time.Time                   // of the look under way
	since    time.Time                   // in the first look: what is younger counts as changed
	first    bool
	polled   bool            // nothing was heard: what is looked at may be all as it was
	unsure   map[string]bool // the group's: paths of the last report
	changed  []string
}

// branch is one directory of a tree.
type branch struct {
	name    string // relative to the tree, slash-separated; "." is the top
	real    string
	node    uint64
	entries map[string]print // that count, as last reported
	subs    map[string]*branch
	heard   map[string]bool // entries of which something was heard
	anew    bool            // something was heard of the directory itself
}

// hint takes an event and reports whether it matters.
func (t *tree) hint(name string) (hit bool) {
	if b := t.branches[name]; b != nil {
		b.anew = true // made, moved or made readable: its watch may be dead
		t.stirred[b], hit = true, true
	}
	b := t.branches[filepath.Dir(name)]
	base := filepath.Base(name)
	if b == nil || ignore.Name(base) || t.in.Ignore.Prunes(path.Join(b.name, base)) {
		return hit
	}
	if b.heard == nil {
		b.heard = map[string]bool{}
	}
	b.heard[base] = true
	t.stirred[b] = true
	return true
}

// begin looks at a tree for the first time.
func (t *tree) begin(real string, since, now time.Time) []string {
	t.first, t.since = true, since
	defer func() { t.first = false }()
	return t.replant(real, now)
}

// replant looks at the whole tree, whose directory is at real; "" when there is
// none.
func (t *tree) replant(real string, now time.Time) []string {
	was := t.top
	t.now, t.changed, t.top = now, nil, nil
	clear(t.stirred)
	if was != nil {
		t.close(was)
	}
	if (was == nil) != (real == "") && !t.first {
		t.tell(".")
	}
	if real == "" {
		t.gone(was)
		return t.changed
	}
	t.top = t.open(".", real, was)
	return t.changed
}

// moved reports whether the tree's directory is another one than it was.
func (t *tree) moved(real string) bool {
	if t.top == nil || real == "" {
		return (t.top == nil) != (real == "")
	}
	info, err := os.Stat(real)
	return t.top.real != real || err != nil || nodeOf(info) != t.top.node
}

// look looks where something was heard.
func (t *tree) look(now time.Time) []string {
	t.now, t.changed = now, nil
	stirred := slices.SortedFunc(maps.Keys(t.stirred), func(a, b *branch) int { return len(a.name) - len(b.name) })
	clear(t.stirred)
	for _, b := range stirred {
		if t.branches[b.real] != b {
			continue // it went with one above it
		}
		if above := t.branches[filepath.Dir(b.real)]; b.anew && above != nil && b != t.top {
			t.check(above, path.Base(b.name), b.subAt(above))
			continue
		}
		for name := range b.heard {
			t.check(b, name, b.subs[name])
		}
		b.heard = nil
	}
	return t.changed
}

func (b *branch) subAt(above *branch) *branch { return above.subs[path.Base(b.name)] }

// open watches a directory and looks at everything in it. was is what was there
// before, or nil.
func (t *tree) open(name, real string, was *branch) *branch {
	b := &branch{name: name, real: real, entries: map[string]print{}, subs: map[string]*branch{}}
	t.branches[real] = b
	t.arm(real)
	if info, err := os.Stat(real); err == nil {
		b.node = nodeOf(info)
	}
	if was == nil {
		was = &branch{}
	}
	maps.Copy(b.entries, was.entries)
	for _, entry := range list(real) {
		t.check(b, entry.Name(), was.subs[entry.Name()])
		delete(was.entries, entry.Name())
		delete(was.subs, entry.Name())
	}
	for entry := range was.entries {
		t.check(b, entry, was.subs[entry])
		delete(was.subs, entry)
	}
	for _, sub := range was.subs { // of excluded directories, which are no entries
		t.check(b, path.Base(sub.name), sub)
	}
	return b
}

// close ends the watches of a branch and those beneath it.
func (t *tree) close(b *branch) {
	for _, sub := range b.subs {
		t.close(sub)
	}
	if t.branches[b.real] == b {
		delete(t.branches, b.real)
		t.disarm(b.real)
	}
}

// check compares an entry of a directory with what was last reported of it. was
// is its branch as it was, open or not.
func (t *tree) check(b *branch, name string, was *branch) {
	rel, real := path.Join(b.name, name), filepath.Join(b.real, name)
	before := b.entries[name]
	now, node, enter := t.print(rel, real, before)
	if now.kind == absent {
		delete(b.entries, name)
	} else {
		b.entries[name] = now
	}
	switch {
	case t.first && now.isNews(t.since), !t.first && (!now.sameContent(before) || t.mayDiffer(rel, before, now)):
		t.tell(rel)
	}
	at := b.subs[name]
	if enter && at != nil && at == was && at.node == node && !at.anew {
		return
	}
	if at != nil {
		delete(b.subs, name)
		t.close(at)
	}
	if enter {
		b.subs[name] = t.open(rel, real, was)
	} else {
		t.gone(was)
	}
}

// mayDiffer is as for a root. An entry that is checked was heard of, or one
// above it was.
func (t *tree) mayDiffer(rel string, before, now print) bool {
	return len(t.unsure) > 0 && (!t.polled || !now.sameInstance(before)) && t.unsure[t.path(rel)]
}

// print is an entry as it counts: one that is excluded is absent, and yet may
// be a directory to enter.
func (t *tree) print(rel, real string, before print) (p print, node uint64, enter bool) {
	if ignore.Name(path.Base(rel)) || t.in.Ignore.Prunes(rel) {
		return print{}, 0, false
	}
	info, err := os.Lstat(real)
	if err == nil {
		enter, node = info.IsDir(), nodeOf(info)
	}
	switch {
	case t.in.Ignore.Excludes(rel):
		return print{}, node, enter
	case err != nil:
		if !errors.Is(err, fs.ErrNotExist) { // such as a path that is too long for the kernel
			t.notice(real, err)
		}
		return because(err), 0, false
	}
	p = printEntry(real, info, before, t.now)
	if enter {
		if err := t.listable(real); err != nil {
			p.sum = sha256.Sum256([]byte(err.Error()))
		}
	}
	return p, node, enter
}

// listable tells of a directory that may not be read: once it may be, that is a
// change of the directory.
func (t *tree) listable(dir string) error {
	f, err := os.Open(dir)
	if err == nil {
		return f.Close()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	t.notice(dir, err)
	return err
}

func (t *tree) tell(rel string) {
	t.changed = append(t.changed, t.path(rel))
}

// path is an entry's as the input names it.
func (t *tree) path(rel string) string {
	return filepath.Join(filepath.Clean(t.in.Path), filepath.FromSlash(rel))
}

// gone tells that everything in a branch went.
func (t *tree) gone(b *branch) {
	if b == nil {
		return
	}
	for name := range b.entries {
		t.tell(path.Join(b.name, name))
	}
	for _, sub := range b.subs {
		t.gone(sub)
	}
}

// differs reports whether a look would find something, for where no hints come.
// What it learns about files that hold what they held saves reading them again.
func (t *tree) differs(b *branch, now time.Time) bool {
	if b == t.top {
		t.now = now
	}
	seen := 0
	for _, entry := range list(b.real) {
		name := entry.Name()
		p, _, enter := t.print(path.Join(b.name, name), filepath.Join(b.real, name), b.entries[name])
		before, known := b.entries[name]
		sub := b.subs[name]
		switch {
		case known != (p.kind != absent) || known && (!p.sameContent(before) || !p.sameInstance(before) && t.unsure[t.path(path.Join(b.name, name))]), enter != (sub != nil):
			return true
		case enter && t.differs(sub, now):
			return true
		}
		if known {
			b.entries[name] = p
			seen++
		}
	}
	return seen != len(b.entries)
}
