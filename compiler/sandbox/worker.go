package sandbox

import (
	"context"
	"sync"

	"github.com/cuepod/cuepod/compiler"
)

// Worker compiles one definition again and again as Apart does, in a child that
// lives on and keeps a compiler.Cache. A compile that reaches a limit or whose
// context ends takes the child with it, and the next one begins anew. The zero
// value is not usable; it is safe for concurrent use, one compile at a time.
type Worker struct {
	self    string
	environ []string
	limits  Limits

	mu    sync.Mutex
	child *child // nil when there is none
}

// NewWorker makes a worker; the arguments are as for Apart. It has to be closed.
func NewWorker(limits Limits, self string, environ []string) *Worker {
	return &Worker{self: self, environ: environ, limits: limits}
}

// Compile is like compiler.Compile.
func (w *Worker) Compile(ctx context.Context, opts compiler.Options) (*compiler.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c := w.child; c != nil {
		result, err := w.compile(ctx, opts)
		if !c.died {
			return result, err
		}
		// Perhaps it was ended while it was idle. A new one tells why, if not.
	}
	return w.compile(ctx, opts)
}

func (w *Worker) compile(ctx context.Context, opts compiler.Options) (*compiler.Result, error) {
	if w.child == nil {
		c, err := startChild(w.self, w.environ)
		if err != nil {
			return nil, err
		}
		w.child = c
	}
	c := w.child
	result, err := c.compile(ctx, request{Options: opts, Limits: w.limits, Keep: true})
	if c.ended {
		w.child = nil
	}
	return result, err
}

// Close ends the child, when no compile is under way.
func (w *Worker) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.child != nil {
		w.child.stop()
		w.child = nil
	}
}
