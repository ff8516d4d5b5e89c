package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// ears share the one watcher that the kernel gives us among the groups: a
// directory is watched for as long as one of them asks for it, and what is
// heard of it goes to each of those.
type ears struct {
	kernel *fsnotify.Watcher // nil when the machine has none left

	// asking is held while the kernel is asked, which must not keep what it says
	// from being heard. It is taken before mu.
	asking sync.Mutex
	names  map[node]string // of watched directories: the kernel knows them by node
	nodes  map[string]node // the same the other way
	most   int             // watches, for tests; 0 means as many as the kernel has

	mu    sync.Mutex
	armed map[string]map[*inbox]bool // by directory
}

func newEars(kernel *fsnotify.Watcher) *ears {
	return &ears{kernel: kernel, names: map[node]string{}, nodes: map[string]node{}, armed: map[string]map[*inbox]bool{}}
}

// add watches a directory for a group. It is added each time, as one that was
// removed and made again has lost its watch without a word.
func (e *ears) add(dir string, to *inbox) error {
	if e.kernel == nil {
		return nil
	}
	e.asking.Lock()
	defer e.asking.Unlock()
	e.put(dir, to)
	e.forget(dir)
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	n := fullNode(info)
	// The kernel has one watch for a directory, which goes by its first name: the
	// old one, if it was moved.
	if other := e.names[n]; other != "" {
		if at, err := os.Stat(other); err == nil && fullNode(at) == n {
			return fmt.Errorf("it is %s as well, as a bind mount", other)
		}
		_ = e.kernel.Remove(other)
		e.forget(other)
	}
	if e.most > 0 && len(e.nodes) >= e.most {
		return syscall.ENOSPC
	}
	if n != (node{}) {
		e.names[n], e.nodes[dir] = dir, n
	}
	return e.kernel.Add(dir)
}

// forget drops what is known of a directory's node.
func (e *ears) forget(dir string) {
	if n, known := e.nodes[dir]; known {
		delete(e.nodes, dir)
		delete(e.names, n)
	}
}

// remove ends a group's watch of a directory.
func (e *ears) remove(dir string, to *inbox) {
	if e.kernel == nil {
		return
	}
	e.asking.Lock()
	defer e.asking.Unlock()
	if e.take(dir, to) {
		e.forget(dir)
		_ = e.kernel.Remove(dir) // it fails for a directory that is gone, which is what we want
	}
}

func (e *ears) put(dir string, to *inbox) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.armed[dir] == nil {
		e.armed[dir] = map[*inbox]bool{}
	}
	e.armed[dir][to] = true
}

// take reports whether nobody is left.
func (e *ears) take(dir string, to *inbox) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.armed[dir], to)
	if len(e.armed[dir]) > 0 {
		return false
	}
	delete(e.armed, dir)
	return true
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
