package watch

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// eyes is the looker on the real filesystem.
type eyes struct {
	ears   *ears
	box    *inbox
	opts   Options
	notice *notices
	inputs []Input
	view   survey
	gate   gate
	armed  map[string]bool
	deaf   map[string]bool // directories the kernel gives no hints about
	asked  time.Time       // new inputs younger than this may have been read too early
}

var _ looker = (*eyes)(nil)

func newEyes(ears *ears, box *inbox, opts Options, notice *notices, born time.Time) *eyes {
	return &eyes{
		ears: ears, box: box, opts: opts, notice: notice, asked: born,
		gate: gate{}, armed: map[string]bool{}, deaf: map[string]bool{},
	}
}

func (e *eyes) close() {
	for dir := range e.armed {
		e.ears.remove(dir, e.box)
	}
}

// set first settles the old inputs, so that what changed in them is not taken
// for their first state.
func (e *eyes) set(inputs []Input) []string {
	changed := e.look()
	e.inputs = inputs
	e.survey()
	return append(changed, e.gate.learn(e.view.files, e.asked, read)...)
}

// look returns which inputs changed since the last report. A file that was not
// there before is one of them, however old it is.
func (e *eyes) look() []string {
	e.survey()
	return e.gate.update(e.view.files, read)
}

// survey finds the inputs and arms their watches. Watches come before reading:
// what changes after the reading gives a hint.
func (e *eyes) survey() {
	const rounds = 16 // each arms one more level of new directories; a hint follows for anything deeper
	for range rounds {
		e.view = surveyOf(e.inputs)
		if !e.arm() {
			return
		}
	}
}

// arm makes the armed directories those of the view and says whether there
// were new ones. Every directory is added each time, as one that was removed
// and made again has lost its watch without a word.
func (e *eyes) arm() (grew bool) {
	if e.ears.kernel == nil {
		return false
	}
	for dir := range e.armed {
		if e.view.dirs[dir] == nil {
			e.ears.remove(dir, e.box)
			delete(e.armed, dir)
			delete(e.deaf, dir)
		}
	}
	for dir := range e.view.dirs {
		if !e.armed[dir] {
			grew = true
		}
		e.armed[dir] = true
		e.heard(dir, e.ears.add(dir, e.box), remoteFilesystem(dir))
	}
	return grew
}

// heard notes how adding a directory on filesystem fs went: whether hints are
// to be had from it, and if not, what a person should know.
func (e *eyes) heard(dir string, err error, fs string) {
	delete(e.deaf, dir)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		e.notice.once(fmt.Sprintf("no file watches left, looking every %v instead: raise fs.inotify.max_user_watches (sysctl)", e.opts.Poll))
	case errors.Is(err, syscall.ENOENT): // it just went away: its parent tells
		return
	case !e.view.dirs[dir].needed: // such as an ancestor that may not be listed
		return
	case err != nil:
		e.notice.once(fmt.Sprintf("cannot watch %s, looking every %v instead: %v", dir, e.opts.Poll, err))
	case fs != "":
		e.notice.once(fmt.Sprintf("%s is on %s, where changes made elsewhere go unannounced: looking every %v", dir, fs, e.opts.Poll))
	default:
		return
	}
	e.deaf[dir] = true
}

func (e *eyes) hints() bool {
	paths, all := e.box.take()
	for path := range paths {
		all = all || e.view.relevant(path)
	}
	return all
}

func (e *eyes) stirred() bool { return e.gate.stirred(surveyOf(e.inputs).files, read) }

func (e *eyes) polling() bool {
	return len(e.inputs) > 0 && (e.ears.kernel == nil || len(e.deaf) > 0)
}

func (e *eyes) locked() bool { return gitLocked(e.view.dirs) }

// reported notes that a reader begins to read the inputs anew. The kernel
// stamps files with a clock that may lag by a scheduler tick.
func (e *eyes) reported(now time.Time) { e.asked = now.Add(-10 * time.Millisecond) }
