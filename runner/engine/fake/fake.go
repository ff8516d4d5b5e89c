// Package fake is a container engine in memory that really works: containers
// run Go functions, volumes hold files, networks hand out addresses, ports and
// names clash, and everybody who watches is told. It passes the same
// conformance suite as the real engine (package enginetest).
//
// For tests of what goes wrong it can fail the next call of a kind, call a
// hook before and after each call, crash a container, take a host port, break
// the event streams, and be unreachable altogether.
//
// It knows no time of its own: under testing/synctest it runs in fake time.
package fake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"

	"github.com/cuepod/cuepod/runner/engine"
)

// Image is an image and what its containers do.
type Image struct {
	engine.Image         // ID is made up when empty
	Run          Program // nil blocks until it is stopped, then exits 143
	Exec         Program // nil knows no command: it exits 127
	// Refuse is why a container of the image cannot be started, "" when it can;
	// nil refuses none.
	Refuse func(engine.ContainerSpec) string
	// Files are what the image holds, by path; a build copies into it.
	Files map[string]string
}

// Phase is when a hook is called.
type Phase string

const (
	Before Phase = "before"
	After  Phase = "after" // the call has had its effect
)

// Hook is called around each call of an engine method, named as in Go
// ("CreateContainer"), on an object (a name, an ID or ""). No lock is held: it
// may block, call the engine or cancel a context. An error that it returns
// becomes the call's: before, instead of any effect; after, as if the answer
// had been lost.
type Hook func(ctx context.Context, phase Phase, op, object string) error

// Engine is the fake. All methods are safe for concurrent use.
type Engine struct {
	running sync.WaitGroup // programs

	mu         sync.Mutex // guards all below
	serial     int        // of the last object made
	down       bool
	old        bool // see SetOld
	hook       Hook
	failNext   map[string][]error
	local      map[string]Image // by reference
	remote     map[string]Image // by reference: what a pull or load gives
	networks   map[string]*netw // by ID
	volumes    map[string]*vol  // by name
	hostDirs   map[string]*vol  // of the machine: those that a mount has made
	boxes      map[string]*box  // by ID
	hostPorts  map[int]bool     // taken by others on the host
	watchers   map[*watcher]bool
	lastHostPt int
}

var _ engine.Engine = (*Engine)(nil)

// memory is what the machine has, in bytes: any number would do.
const memory = 8 << 30

// New returns an engine with nothing on it.
func New() *Engine {
	return &Engine{
		failNext:  map[string][]error{},
		local:     map[string]Image{},
		remote:    map[string]Image{},
		networks:  map[string]*netw{},
		volumes:   map[string]*vol{},
		hostDirs:  map[string]*vol{},
		boxes:     map[string]*box{},
		hostPorts: map[int]bool{},
		watchers:  map[*watcher]bool{},
	}
}

// AddImage puts an image on the engine.
func (e *Engine) AddImage(ref string, img Image) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.local[ref] = withID(ref, img)
}

// AddRemote says what PullImage gives for a reference, and what the containers
// of an image do that comes through LoadImage.
func (e *Engine) AddRemote(ref string, img Image) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remote[ref] = withID(ref, img)
}

func withID(ref string, img Image) Image {
	if img.ID == "" {
		img.ID = digestOf([]byte(ref))
	}
	return img
}

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// LoseImage takes an image off the engine, whoever uses it.
func (e *Engine) LoseImage(ref string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.local, ref)
}

// SetHook sets the hook; nil removes it.
func (e *Engine) SetHook(h Hook) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hook = h
}

// FailNext makes the next call of the method op fail with err, with no effect.
// Several wait in line. An err that is no *engine.Error gets the kind Other.
func (e *Engine) FailNext(op string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failNext[op] = append(e.failNext[op], err)
}

// SetOld makes the engine one without Info.SubPaths, or a new one again.
func (e *Engine) SetOld(old bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.old = old
}

// SetDown makes the engine unreachable, or reachable again. Containers keep
// running; event streams break.
func (e *Engine) SetDown(down bool) {
	e.mu.Lock()
	e.down = down
	e.mu.Unlock()
	if down {
		e.BreakEvents(errDown)
	}
}

var errDown = errors.New("no container engine answers: the fake is down")

// TakePort makes another program of the host hold a port on all addresses.
func (e *Engine) TakePort(port int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hostPorts[port] = true
}

// FreePort undoes TakePort.
func (e *Engine) FreePort(port int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.hostPorts, port)
}

// Crash ends a running container as if by itself.
func (e *Engine) Crash(nameOrID string, exitCode int, oom bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.find(nameOrID)
	if b == nil || b.proc == nil {
		return fmt.Errorf("crash %s: not a running container", nameOrID)
	}
	e.finish(b, b.proc, exitCode, oom)
	return nil
}

// Disconnect takes a running container out of its network, as somebody may by
// hand. It runs on without an address.
func (e *Engine) Disconnect(nameOrID string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.find(nameOrID)
	if b == nil || b.net == nil {
		return fmt.Errorf("disconnect %s: not a container that runs in a network", nameOrID)
	}
	delete(b.net.taken, b.ip)
	b.net, b.ip, b.publish = nil, netip.Addr{}, nil
	return nil
}

// SetPaused pauses a running container, or lets it go on. Its program is not
// held up.
func (e *Engine) SetPaused(nameOrID string, paused bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.find(nameOrID)
	if b == nil || b.proc == nil {
		return fmt.Errorf("pause %s: not a running container", nameOrID)
	}
	b.state = engine.Running
	if paused {
		b.state = engine.Paused
	}
	return nil
}

// Shutdown kills all containers and waits until their programs have returned.
// A program that ignores Process.Killed keeps it waiting.
func (e *Engine) Shutdown() {
	e.mu.Lock()
	for _, b := range e.boxes {
		if b.proc != nil {
			e.finish(b, b.proc, exitKilled, false)
		}
	}
	e.mu.Unlock()
	e.running.Wait()
}

// Close implements engine.Engine. The engine goes on: it is only the caller
// that leaves.
func (e *Engine) Close() error { return nil }

// Info implements engine.Engine.
func (e *Engine) Info(ctx context.Context) (info engine.Info, err error) {
	err = e.call(ctx, "Info", "ask the container engine", "", func() error {
		info = engine.Info{
			Name: "docker", Version: "fake", APIVersion: "1.51", OS: "linux", Arch: runtime.GOARCH,
			Endpoint: "fake", NumCPU: runtime.NumCPU(), Memory: memory, SubPaths: !e.old, Images: !e.old,
		}
		return nil
	})
	return info, err
}

// call runs one engine call: do has the lock and is the call's whole effect.
// method names the call for hooks and FailNext, op for people.
func (e *Engine) call(ctx context.Context, method, op, object string, do func() error) error {
	if err := e.enter(ctx, method, object); err != nil {
		return wrap(op, object, err)
	}
	e.mu.Lock()
	err := do()
	e.mu.Unlock()
	return e.leave(ctx, method, op, object, err)
}

// enter is everything that can stop a call before it has any effect.
func (e *Engine) enter(ctx context.Context, method, object string) error {
	e.mu.Lock()
	hook := e.hook
	var planned error
	if line := e.failNext[method]; len(line) > 0 {
		planned, e.failNext[method] = line[0], line[1:]
	}
	e.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, Before, method, object); err != nil {
			return err
		}
	}
	if planned != nil {
		return planned
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return &kindError{engine.Unreachable, errDown}
	}
	return nil
}

// leave calls the hook after the effect.
func (e *Engine) leave(ctx context.Context, method, op, object string, err error) error {
	e.mu.Lock()
	hook := e.hook
	e.mu.Unlock()
	if hook != nil {
		if lost := hook(ctx, After, method, object); lost != nil {
			err = lost
		}
	}
	return wrap(op, object, err)
}

// kindError is an error that knows its kind, before op and object are known.
type kindError struct {
	kind engine.Kind
	error
}

func (k *kindError) Unwrap() error { return k.error }

func failf(kind engine.Kind, format string, args ...any) error {
	return &kindError{kind, fmt.Errorf(format, args...)}
}

// wrap makes an *engine.Error of any error.
func wrap(op, object string, err error) error {
	if err == nil {
		return nil
	}
	var done *engine.Error
	if errors.As(err, &done) {
		return err
	}
	out := &engine.Error{Op: op, Object: object, Err: err}
	var k *kindError
	if errors.As(err, &k) {
		out.Kind = k.kind
	}
	return out
}

// newID makes an ID that looks like the real thing.
func (e *Engine) newID(kind string) string {
	e.serial++
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, e.serial)))
}

// carries tells whether labels hold all of want.
func carries(labels, want map[string]string) bool {
	for k, v := range want {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}
