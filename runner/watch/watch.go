// Package watch tells when the content of files changes.
//
// Events from the kernel are hints and nothing more: they may be lost, doubled
// or name a temporary file. A hint starts the pacer (pace.go), which waits for
// a quiet moment; then the watcher surveys its inputs (survey.go), reads what
// they hold now, and the gate (gate.go) says which of them differ from what was
// last reported. A lost watch, an overflowing queue, an atomic save and a
// network filesystem are therefore one case: look again.
//
// Directories are watched, never files: an editor that saves by renaming a
// temporary file over the old one takes the old file's watch away with it.
package watch

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options tune a Watcher. The zero value is right for definitions.
type Options struct {
	Quiet time.Duration // no hint for this long means a save is over; default 100 ms
	Cap   time.Duration // look after this long even if hints keep coming; default 1 s
	Hold  time.Duration // wait at most this long while git holds its index; default 5 s
	Poll  time.Duration // how often to look where the kernel cannot tell; default 1 s
	// Notice gets a sentence for a person, once per cause, from the watcher's
	// goroutine. nil means nobody listens.
	Notice func(string)

	blind bool // do not ask the kernel; for tests of polling
}

// Change is a set of inputs whose content differs from the last report.
type Change struct {
	Paths []string // sorted; a file that came or went is in it too
}

// Watcher watches one set of inputs. Its methods are safe for concurrent use.
type Watcher struct {
	opts    Options
	kernel  *fsnotify.Watcher // nil when the machine has none left
	out     chan Change
	sets    chan setRequest
	closing chan struct{}
	closed  chan struct{}
	once    sync.Once
}

type setRequest struct {
	inputs []string
	done   chan struct{}
}

// New starts a watcher with no inputs. Call it before the inputs are first
// read: an input that is younger than New when Set names it counts as changed,
// as whoever read it may have read it before.
func New(opts Options) (*Watcher, error) {
	opts.Quiet = orDefault(opts.Quiet, 100*time.Millisecond)
	opts.Cap = orDefault(opts.Cap, time.Second)
	opts.Hold = orDefault(opts.Hold, 5*time.Second)
	opts.Poll = orDefault(opts.Poll, time.Second)
	if opts.Notice == nil {
		opts.Notice = func(string) {}
	}
	kernel, err := newKernel(opts.blind)
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		opts.Notice(fmt.Sprintf("no file watcher left on this machine, looking every %v instead: raise fs.inotify.max_user_instances (sysctl)", opts.Poll))
	case err != nil:
		return nil, fmt.Errorf("file watcher: %w", err)
	}
	w := &Watcher{
		opts:    opts,
		kernel:  kernel,
		out:     make(chan Change),
		sets:    make(chan setRequest),
		closing: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	go w.run(time.Now())
	return w, nil
}

// newKernel asks the kernel for a watcher; a blind one never gets any.
func newKernel(blind bool) (*fsnotify.Watcher, error) {
	if blind {
		return nil, syscall.EMFILE
	}
	return fsnotify.NewWatcher()
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// Set replaces the whole set of inputs, absolute paths that may or may not
// exist. A file counts by its content. A directory counts for the .cue files
// directly in it, those to come included. A directory with "/*" behind it counts
// for the names in it. A path that ends in "/..." counts for
// every file beneath it, except what version control and package managers keep
// (.git, node_modules) and what editors leave behind.
//
// When Set returns, the inputs are watched. An input that stays in the set is
// still compared with what was last reported of it, so nothing is missed
// between a read and Set. After Close it does nothing.
func (w *Watcher) Set(inputs []string) {
	req := setRequest{inputs: inputs, done: make(chan struct{})}
	select {
	case w.sets <- req:
		<-req.done
	case <-w.closed:
	}
}

// Changes delivers what changed. A slow reader gets later changes merged into
// one. The channel is closed by Close.
func (w *Watcher) Changes() <-chan Change { return w.out }

// Close ends the watcher and waits for it. It is idempotent.
func (w *Watcher) Close() error {
	w.once.Do(func() { close(w.closing) })
	<-w.closed
	return nil
}

// run owns all state.
func (w *Watcher) run(born time.Time) {
	defer close(w.closed)
	defer close(w.out)
	eyes := newEyes(w.kernel, w.opts, born)
	defer eyes.close()
	l := loop{
		pace:   pacer{quiet: w.opts.Quiet, cap: w.opts.Cap, hold: w.opts.Hold},
		poll:   poller{every: w.opts.Poll},
		eyes:   eyes,
		out:    w.out,
		sets:   w.sets,
		ending: w.closing,
	}
	if w.kernel != nil {
		l.events, l.errors = w.kernel.Events, w.kernel.Errors
	}
	l.run()
}

// looker is what the loop asks about the filesystem.
type looker interface {
	set(inputs []string) (changed []string)
	look() (changed []string)
	relevant(path string) bool
	stirred() bool // would look find something
	polling() bool // hints are not to be had for some input
	locked() bool  // version control is at work on the inputs
	reported(now time.Time)
}

// loop is the watcher's single event loop, apart from the filesystem.
type loop struct {
	pace   pacer
	poll   poller
	eyes   looker
	events <-chan fsnotify.Event
	errors <-chan error
	sets   <-chan setRequest
	out    chan<- Change
	ending <-chan struct{}

	found   []string // changed, to be told after a quiet moment
	pending []string // changed, to be told now
}

func (l *loop) run() {
	for {
		var out chan<- Change
		if len(l.pending) > 0 {
			out = l.out
		}
		select {
		case <-l.ending:
			return
		case req := <-l.sets:
			if found := l.eyes.set(req.inputs); len(found) > 0 {
				l.found = append(l.found, found...)
				l.pace.hint(time.Now()) // perhaps in the middle of a save
			}
			close(req.done)
		case ev := <-l.events:
			if l.eyes.relevant(ev.Name) {
				l.pace.hint(time.Now())
			}
		case <-l.errors: // the queue overflowed, or worse: look at everything
			l.pace.hint(time.Now())
		case <-after(l.poll.next(time.Now(), l.eyes.polling())):
			l.poll.done(time.Now())
			if !l.pace.waiting() && l.eyes.stirred() {
				l.pace.hint(time.Now())
			}
		case <-after(l.pace.next()):
			if l.pace.due(time.Now(), l.eyes.locked) {
				l.add(append(l.found, l.eyes.look()...))
				l.found = nil
			}
		case out <- Change{Paths: l.pending}:
			l.pending = nil
			l.eyes.reported(time.Now())
		}
	}
}

func (l *loop) add(changed []string) {
	l.pending = append(l.pending, changed...)
	slices.Sort(l.pending)
	l.pending = slices.Compact(l.pending)
}

func after(at time.Time, ok bool) <-chan time.Time {
	if !ok {
		return nil
	}
	return time.After(time.Until(at))
}

// eyes is the looker on the real filesystem.
type eyes struct {
	kernel *fsnotify.Watcher
	opts   Options
	inputs []string
	view   survey
	gate   gate
	armed  map[string]bool
	deaf   map[string]bool // directories the kernel gives no hints about
	told   map[string]bool // notices already given
	asked  time.Time       // new inputs younger than this may have been read too early
}

var _ looker = (*eyes)(nil)

func newEyes(kernel *fsnotify.Watcher, opts Options, born time.Time) *eyes {
	return &eyes{
		kernel: kernel, opts: opts, asked: born,
		gate: gate{}, armed: map[string]bool{}, deaf: map[string]bool{}, told: map[string]bool{},
	}
}

func (e *eyes) close() {
	if e.kernel != nil {
		e.kernel.Close()
	}
}

// set first settles the old inputs, so that what changed in them is not taken
// for their first state.
func (e *eyes) set(inputs []string) []string {
	changed := e.look()
	e.inputs = nil
	for _, in := range inputs {
		e.inputs = append(e.inputs, filepath.Clean(in))
	}
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
	if e.kernel == nil {
		return false
	}
	for dir := range e.armed {
		if e.view.dirs[dir] == nil {
			_ = e.kernel.Remove(dir) // it fails for a directory that is gone, which is what we want
			delete(e.armed, dir)
			delete(e.deaf, dir)
		}
	}
	for dir := range e.view.dirs {
		if !e.armed[dir] {
			grew = true
		}
		e.armed[dir] = true
		e.heard(dir, e.kernel.Add(dir), remoteFilesystem(dir))
	}
	return grew
}

// heard notes how adding a directory on filesystem fs went: whether hints are
// to be had from it, and if not, what a person should know.
func (e *eyes) heard(dir string, err error, fs string) {
	delete(e.deaf, dir)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		e.tell(fmt.Sprintf("no file watches left, looking every %v instead: raise fs.inotify.max_user_watches (sysctl)", e.opts.Poll))
	case errors.Is(err, syscall.ENOENT): // it just went away: its parent tells
		return
	case !e.view.dirs[dir].needed: // such as an ancestor that may not be listed
		return
	case err != nil:
		e.tell(fmt.Sprintf("cannot watch %s, looking every %v instead: %v", dir, e.opts.Poll, err))
	case fs != "":
		e.tell(fmt.Sprintf("%s is on %s, where changes made elsewhere go unannounced: looking every %v", dir, fs, e.opts.Poll))
	default:
		return
	}
	e.deaf[dir] = true
}

func (e *eyes) tell(notice string) {
	if !e.told[notice] {
		e.told[notice] = true
		e.opts.Notice(notice)
	}
}

func (e *eyes) relevant(path string) bool { return e.view.relevant(path) }

func (e *eyes) stirred() bool { return e.gate.stirred(surveyOf(e.inputs).files, read) }

func (e *eyes) polling() bool {
	return len(e.inputs) > 0 && (e.kernel == nil || len(e.deaf) > 0)
}

func (e *eyes) locked() bool { return gitLocked(e.view.dirs) }

// reported notes that a reader begins to read the inputs anew. The kernel
// stamps files with a clock that may lag by a scheduler tick.
func (e *eyes) reported(now time.Time) { e.asked = now.Add(-10 * time.Millisecond) }
