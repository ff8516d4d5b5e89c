// Package watch tells when the content of files changes.
//
// Events from the kernel are hints and nothing more: they may be lost, doubled
// or name a temporary file. A hint starts the pacer (pace.go), which waits for
// a quiet moment; then the watcher surveys its inputs (survey.go), reads what
// they hold now, and the gate (gate.go) says which of them differ from what was
// last reported. A lost watch, an overflowing queue, an atomic save and a
// network filesystem are therefore one case: look again.
//
// Inputs come in groups, each with a goroutine, a pace and a channel of its own:
// neither a slow reader nor a long look at a large tree of one group makes
// another wait. All share one watcher of the kernel's (ears.go), of which a
// machine has few.
//
// Directories are watched, never files: an editor that saves by renaming a
// temporary file over the old one takes the old file's watch away with it.
package watch

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options tune a Watcher. The zero value is right.
type Options struct {
	Hold time.Duration // wait at most this long while git holds its index; default 5 s
	Poll time.Duration // how often to look where the kernel cannot tell; default 1 s
	// Notice gets a sentence for a person, once per cause, never two at a time.
	// nil means nobody listens.
	Notice func(string)

	// For tests: do not ask the kernel; how many watches it has, 0 for enough; and
	// the name of a directory's filesystem if it is a remote one.
	blind   bool
	watches int
	remote  func(dir string) string
}

// Change is a set of inputs of a group whose content differs from the last
// report.
type Change struct {
	Group string
	Paths []string // sorted, beneath the inputs' own; what came or went is in it too
}

// Watcher watches groups of inputs. Its methods are safe for concurrent use.
type Watcher struct {
	opts    Options
	ears    *ears
	notices notices
	born    time.Time
	ending  chan struct{}
	once    sync.Once
	setting sync.Mutex // one Set at a time

	mu     sync.Mutex
	outs   map[string]chan Change // by group
	groups map[string]*group
	closed bool
}

// group is a group at work.
type group struct {
	sets   chan setRequest
	ending chan struct{}
	ended  chan struct{}
}

// New starts a watcher with no inputs. Call it before the inputs are first
// read: an input that is younger than New when Set names it counts as changed,
// as whoever read it may have read it before.
func New(opts Options) (*Watcher, error) {
	opts.Hold = orDefault(opts.Hold, 5*time.Second)
	opts.Poll = orDefault(opts.Poll, time.Second)
	if opts.Notice == nil {
		opts.Notice = func(string) {}
	}
	if opts.remote == nil {
		opts.remote = remoteFilesystem
	}
	w := &Watcher{
		opts:    opts,
		notices: notices{tell: opts.Notice, told: map[string]bool{}},
		born:    time.Now(),
		ending:  make(chan struct{}),
		outs:    map[string]chan Change{},
		groups:  map[string]*group{},
	}
	kernel, err := newKernel(opts.blind)
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		w.notices.once(fmt.Sprintf("no file watcher left on this machine, looking every %v instead: raise fs.inotify.max_user_instances (sysctl)", opts.Poll))
	case err != nil:
		return nil, fmt.Errorf("file watcher: %w", err)
	}
	w.ears = newEars(kernel)
	w.ears.most = opts.watches
	go w.ears.run()
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

// Set replaces all groups. When it returns, their inputs are watched.
//
// An input that stays in its group is still compared with what was last
// reported of it, so nothing is missed between a read and Set. Of a tree whose
// files are many, setting it again costs nothing. After Close, Set does nothing.
func (w *Watcher) Set(groups []Group) {
	w.setting.Lock()
	defer w.setting.Unlock()
	wanted := map[string]bool{}
	var waits []chan struct{}
	for _, g := range groups {
		if wanted[g.Name] {
			continue // the caller's mistake; the first one counts
		}
		wanted[g.Name] = true
		g.Pace = g.Pace.orDefault()
		at := w.group(g.Name)
		if at == nil {
			return // closed
		}
		req := setRequest{group: g, done: make(chan struct{})}
		select {
		case at.sets <- req:
			waits = append(waits, req.done)
		case <-at.ended:
		}
	}
	for _, done := range waits {
		<-done
	}
	w.end(func(name string) bool { return !wanted[name] })
}

// group gives a group by name, which begins if it is new. nil after Close.
func (w *Watcher) group(name string) *group {
	out := w.out(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	if g := w.groups[name]; g != nil {
		return g
	}
	g := &group{sets: make(chan setRequest), ending: make(chan struct{}), ended: make(chan struct{})}
	w.groups[name] = g
	go func() {
		defer close(g.ended)
		box := newInbox()
		eyes := newEyes(w.ears, box, w.opts, &w.notices, w.born)
		defer eyes.close()
		l := loop{
			name: name, pace: pacer{hold: w.opts.Hold}, poll: poller{every: w.opts.Poll},
			eyes: eyes, hinted: box.ready, out: out, sets: g.sets, ending: g.ending,
		}
		l.run()
	}()
	return g
}

// end ends the groups that which names, and waits for them.
func (w *Watcher) end(which func(name string) bool) {
	w.mu.Lock()
	var ending []*group
	for name, g := range w.groups {
		if which(name) {
			delete(w.groups, name)
			close(g.ending)
			ending = append(ending, g)
		}
	}
	w.mu.Unlock()
	for _, g := range ending {
		<-g.ended
	}
}

// Changes delivers what changed in a group, which need not be set yet. A slow
// reader gets later changes merged into one, and delays nobody but itself. The
// channel stays the same for as long as the watcher lives, whether the group is
// set or not, and is closed by Close.
func (w *Watcher) Changes(group string) <-chan Change { return w.out(group) }

func (w *Watcher) out(group string) chan Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.outs[group]
	switch {
	case out != nil:
	case w.closed:
		out = make(chan Change)
		close(out)
	default:
		out = make(chan Change)
		w.outs[group] = out
	}
	return out
}

// Close ends the watcher and waits for it. It is idempotent.
func (w *Watcher) Close() error {
	w.once.Do(func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		w.end(func(string) bool { return true })
		if w.ears.kernel != nil {
			w.ears.kernel.Close()
		}
		for _, out := range w.outs {
			close(out)
		}
		close(w.ending)
	})
	<-w.ending
	return nil
}

// notices are told once each.
type notices struct {
	mu   sync.Mutex
	tell func(string)
	told map[string]bool
}

func (n *notices) once(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.told[text] {
		n.told[text] = true
		n.tell(text)
	}
}
