package watch

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// eyes is the looker on the real filesystem: the inputs of one group.
type eyes struct {
	ears   *ears
	box    *inbox
	opts   Options
	notice *notices
	asked  time.Time // new inputs younger than this may have been read too early

	roots  map[key]*root
	unsure map[string]bool    // paths of the last report
	places map[string][]*root // by watched directory: who wants it, as often as they do
}

var _ looker = (*eyes)(nil)

func newEyes(ears *ears, box *inbox, opts Options, notice *notices, born time.Time) *eyes {
	return &eyes{
		ears: ears, box: box, opts: opts, notice: notice, asked: born,
		roots: map[key]*root{}, unsure: map[string]bool{}, places: map[string][]*root{},
	}
}

func (e *eyes) close() {
	for dir := range e.places {
		e.ears.remove(dir, e.box)
	}
}

// set replaces the inputs. Those that stay keep what is known of them.
func (e *eyes) set(inputs []Input) (changed []string) {
	wanted := map[key]bool{}
	var fresh []*root
	for _, in := range inputs {
		k := in.key()
		wanted[k] = true
		if at := e.roots[k]; at != nil {
			at.in.Why = in.Why
			continue
		}
		r := &root{in: in, unsure: e.unsure, deaf: map[string]bool{}, gate: gate{}}
		if in.Kind == Tree {
			r.tree = e.newTree(r)
		}
		e.roots[k] = r
		fresh = append(fresh, r)
	}
	known := gate{}
	if len(fresh) > 0 {
		known = e.known()
	}
	for k, r := range e.roots {
		if !wanted[k] {
			e.drop(r)
			delete(e.roots, k)
		}
	}
	for _, r := range fresh {
		e.survey(r)
		changed = append(changed, r.begin(known, e.asked, time.Now())...)
	}
	return changed
}

// known is the content of all paths, as last reported: a file that comes to be
// an input of its own may have been one of a directory's.
func (e *eyes) known() gate {
	all := gate{}
	for _, r := range e.roots {
		if r.in.Kind == Content {
			maps.Copy(all, r.gate)
		}
	}
	return all
}

func (e *eyes) newTree(r *root) *tree {
	return &tree{
		in:       r.in,
		unsure:   e.unsure,
		branches: map[string]*branch{},
		stirred:  map[*branch]bool{},
		arm:      func(dir string) { e.arm(dir, r, true, true) },
		disarm:   func(dir string) { e.disarm(dir, r) },
		notice: func(dir string, err error) {
			e.notice.once(fmt.Sprintf("cannot read %s, so what is in it does not count: %v", dir, reason(err)))
		},
	}
}

// drop ends all watches of an input.
func (e *eyes) drop(r *root) {
	for dir := range r.dirs() {
		e.disarm(dir, r)
	}
	if r.tree != nil && r.tree.top != nil {
		r.tree.close(r.tree.top)
	}
}

// look returns which inputs changed since the last report. A file that was not
// there before is one of them, however old it is.
func (e *eyes) look() (changed []string) {
	e.hints()
	for _, r := range e.roots {
		if !r.waits() {
			continue
		}
		if r.heard {
			e.survey(r)
		}
		changed = append(changed, r.look(time.Now())...)
	}
	return changed
}

// survey finds the way to an input and arms its watches. Watches come before
// reading: what changes after the reading gives a hint.
func (e *eyes) survey(r *root) {
	const rounds = 16 // each arms one more level of new directories; a hint follows for anything deeper
	for range rounds {
		before := r.view.dirs
		r.view = surveyOf(r.in)
		for dir := range before {
			if r.view.dirs[dir] == nil {
				e.disarm(dir, r)
			}
		}
		grew := false
		for dir, in := range r.view.dirs {
			grew = grew || before[dir] == nil
			e.arm(dir, r, in.needed, before[dir] == nil)
		}
		if !grew {
			return
		}
	}
}

// arm watches a directory for an input, which does so for the first time or
// again: one that was removed and made again has lost its watch without a word.
func (e *eyes) arm(dir string, r *root, needed, first bool) {
	if first {
		e.places[dir] = append(e.places[dir], r)
	}
	e.heard(dir, r, needed, e.ears.add(dir, e.box), e.opts.remote(dir))
}

func (e *eyes) disarm(dir string, r *root) {
	at := e.places[dir]
	if i := slices.Index(at, r); i >= 0 {
		at = slices.Delete(at, i, i+1)
	}
	if !slices.Contains(at, r) {
		delete(r.deaf, dir)
	}
	e.places[dir] = at
	if len(at) == 0 {
		delete(e.places, dir)
		e.ears.remove(dir, e.box)
	}
}

// heard notes how adding a directory on filesystem fs went: whether hints are
// to be had from it, and if not, what a person should know.
func (e *eyes) heard(dir string, r *root, needed bool, err error, fs string) {
	delete(r.deaf, dir)
	switch {
	case errors.Is(err, syscall.ENOSPC): // no word of disks: the error's own text says that one is full
		e.notice.once(fmt.Sprintf("no file watches left, looking every %v instead: raise fs.inotify.max_user_watches (sysctl)", e.opts.Poll))
	case errors.Is(err, syscall.ENOENT): // it just went away: its parent tells
		return
	case !needed: // such as an ancestor that may not be listed
		return
	case errors.Is(err, os.ErrPermission) && r.tree != nil: // its parent tells when it may be read
		return
	case errors.Is(err, syscall.ENAMETOOLONG): // nothing can be read there either
		e.notice.once(fmt.Sprintf("the path of a directory is too long to be watched, so what is in it does not count: %s", dir))
		return
	case err != nil:
		e.notice.once(fmt.Sprintf("cannot watch %s, looking every %v instead: %v", dir, e.opts.Poll, reason(err)))
	case fs != "":
		e.notice.once(fmt.Sprintf("%s is on %s, where changes made elsewhere go unannounced: looking every %v", dir, fs, e.opts.Poll))
	default:
		return
	}
	r.deaf[dir] = true
}

// reason is an error without the path, which the message has already.
func reason(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// hints takes what was heard and reports whether any of it is about an input.
func (e *eyes) hints() (hit bool) {
	paths, all := e.box.take()
	if all {
		for _, r := range e.roots {
			r.forget()
		}
		return true
	}
	for path := range paths {
		for _, dir := range []string{filepath.Dir(path), path} {
			for _, r := range e.places[dir] {
				hit = r.hint(path) || hit
			}
		}
	}
	return hit
}

func (e *eyes) deaf(r *root) bool { return e.ears.kernel == nil || len(r.deaf) > 0 }

// stirred looks where no hints come. What it finds is looked at again after a
// quiet moment.
func (e *eyes) stirred() (any bool) {
	for _, r := range e.roots {
		if e.deaf(r) && r.stirred(time.Now()) {
			r.forget()
			r.polled = true
			any = true
		}
	}
	return any
}

func (e *eyes) polling() bool {
	if e.ears.kernel == nil {
		return len(e.roots) > 0
	}
	for _, r := range e.roots {
		if len(r.deaf) > 0 {
			return true
		}
	}
	return false
}

func (e *eyes) locked() bool {
	var dirs []string
	for _, r := range e.roots {
		for dir := range r.dirs() {
			dirs = append(dirs, dir)
		}
		if dir := r.view.real; dir != "" {
			dirs = append(dirs, dir)
		}
	}
	return gitLocked(dirs)
}

// reported notes that a reader begins to read the inputs anew. The kernel
// stamps files with a clock that may lag by a scheduler tick.
//
// What the reader finds may be newer than what was looked at, and may be undone
// before the next look: then all is as it was last reported, and yet the reader
// has something else. So a path that was just reported is reported again when
// anything at all happens to it, until the next report.
func (e *eyes) reported(paths []string, now time.Time) {
	e.asked = now.Add(-10 * time.Millisecond)
	clear(e.unsure)
	for _, p := range paths {
		e.unsure[p] = true
	}
}
