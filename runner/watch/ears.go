package watch

import (
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// ears share the one watcher that the kernel gives us among the groups: a
// directory is watched for as long as one of them asks for it, and what is
// heard of it goes to each of those.
type ears struct {
	kernel *fsnotify.Watcher // nil when the machine has none left

	mu    sync.Mutex
	armed map[string]map[*inbox]bool // by directory
}

// add watches a directory for a group. It is added each time, as one that was
// removed and made again has lost its watch without a word.
func (e *ears) add(dir string, to *inbox) error {
	if e.kernel == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.armed[dir] == nil {
		e.armed[dir] = map[*inbox]bool{}
	}
	e.armed[dir][to] = true
	return e.kernel.Add(dir)
}

// remove ends a group's watch of a directory.
func (e *ears) remove(dir string, to *inbox) {
	if e.kernel == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.armed[dir], to)
	if len(e.armed[dir]) == 0 {
		delete(e.armed, dir)
		_ = e.kernel.Remove(dir) // it fails for a directory that is gone, which is what we want
	}
}

// hear gives an event to the groups that watch its directory, or that watch
// the path itself.
func (e *ears) hear(ev fsnotify.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, dir := range []string{filepath.Dir(ev.Name), ev.Name} {
		for to := range e.armed[dir] {
			to.put(ev.Name)
		}
	}
}

// lost tells all groups that events are missing.
func (e *ears) lost() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, groups := range e.armed {
		for to := range groups {
			to.putAll()
		}
	}
}

// run hands on what the kernel says until it is closed.
func (e *ears) run() {
	if e.kernel == nil {
		return
	}
	for events, errs := e.kernel.Events, e.kernel.Errors; events != nil; {
		select {
		case ev, ok := <-events:
			if !ok {
				return
			}
			e.hear(ev)
		case _, ok := <-errs: // the queue overflowed, or worse
			if !ok {
				errs = nil
				continue
			}
			e.lost()
		}
	}
}

// inbox holds the hints for a group until it takes them: it never makes the
// kernel's events wait.
type inbox struct {
	ready chan struct{} // has a value when there is something to take

	mu    sync.Mutex
	paths map[string]bool
	all   bool // too many paths to tell, or some are missing
}

func newInbox() *inbox {
	return &inbox{ready: make(chan struct{}, 1), paths: map[string]bool{}}
}

// mostPaths is where looking at everything is cheaper than remembering.
const mostPaths = 1 << 14

func (b *inbox) put(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.all {
		b.paths[path] = true
	}
	if len(b.paths) > mostPaths {
		b.all = true
		clear(b.paths)
	}
	b.ring()
}

func (b *inbox) putAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = true
	clear(b.paths)
	b.ring()
}

func (b *inbox) ring() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take empties the box.
func (b *inbox) take() (paths map[string]bool, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	paths, all = b.paths, b.all
	b.paths, b.all = map[string]bool{}, false
	return paths, all
}
