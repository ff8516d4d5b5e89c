package watch

import (
	"path/filepath"
	"time"
)

// root is one input at work.
type root struct {
	in   Input
	view survey
	gate gate
	tree *tree // of a Tree; nil for other kinds
	// heard is whether there was a hint about the input itself, or about the way
	// to it.
	heard bool
	// named are the names of files in the directory that were heard of; way is
	// whether something else was. polled is whether a look found something where
	// nothing is heard.
	named       map[string]bool
	way, polled bool

	unsure map[string]bool // the group's
	deaf   map[string]bool // directories of which no hints come
}

// dirs are the directories that the way to the input needs.
func (r *root) dirs() map[string]*interest { return r.view.dirs }

// read prints one of the paths in the gate.
func (r *root) read(path string, prev print) print {
	if r.in.Kind == Names && path == filepath.Clean(r.in.Path) {
		return printNames(path)
	}
	return printContent(path, prev)
}

// hint takes an event and reports whether it matters.
func (r *root) hint(path string) (hit bool) {
	if r.view.relevant(path) {
		r.heard, hit = true, true
		if filepath.Dir(path) != r.view.real {
			r.way = true
		} else {
			if r.named == nil {
				r.named = map[string]bool{}
			}
			r.named[filepath.Base(path)] = true
		}
	}
	if r.tree != nil && r.tree.hint(path) {
		hit = true
	}
	return hit
}

// forget has the next look look at everything.
func (r *root) forget() {
	r.heard, r.way = true, true
	if r.tree != nil && r.tree.top != nil {
		r.tree.top.anew = true
	}
}

// waits reports whether a look could find something.
func (r *root) waits() bool { return r.heard || r.tree != nil && len(r.tree.stirred) > 0 }

// look returns what changed since the last report. The view is of now.
func (r *root) look(now time.Time) []string {
	heard := r.heard
	defer func() { r.heard, r.way, r.polled, r.named = false, false, false, nil }()
	if r.tree == nil {
		return r.gate.update(r.view.files, r.read, r.mayDiffer)
	}
	r.tree.polled = r.polled
	var changed []string
	if heard {
		changed = r.gate.update(r.view.files, r.read, r.mayDiffer)
	}
	if top, real := r.tree.top, r.treeDir(); r.tree.moved(real) || top != nil && top.anew {
		return append(changed, r.tree.replant(real, now)...)
	}
	return append(changed, r.tree.look(now)...)
}

// mayDiffer reports whether the reader of the last report may have found
// something else at a path than is there, and was then.
func (r *root) mayDiffer(path string, before, now print) bool {
	return r.unsure[path] && (r.way || r.named[filepath.Base(path)] || !now.sameInstance(before))
}

// treeDir is where the tree's directory is; "" when there is none.
func (r *root) treeDir() string {
	if len(r.view.files) > 0 {
		return ""
	}
	return r.view.real
}

// begin looks for the first time. known are paths of other inputs.
func (r *root) begin(known gate, since, now time.Time) []string {
	changed := r.gate.learn(r.view.files, known, since, r.read)
	if r.tree != nil {
		changed = append(changed, r.tree.begin(r.treeDir(), since, now)...)
	}
	return changed
}

// stirred reports whether a look at everything would find something.
func (r *root) stirred(now time.Time) bool {
	view := surveyOf(r.in)
	if r.gate.stirred(view.files, r.read, r.unsure) {
		return true
	}
	if r.tree == nil {
		return false
	}
	if len(view.files) > 0 {
		return r.tree.top != nil
	}
	return r.tree.moved(view.real) || r.tree.differs(r.tree.top, now)
}
