package runner

import (
	"context"
	"sync"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// view is what the steps of a plan wait for: the last look at the engine and
// the gateway's last word. It is never changed, only replaced.
type view struct {
	seen   *observation
	status api.Status
	sent   int64 // generation of the last snapshot given to the gateway
	linked bool  // the gateway is on the line
}

// board hands the view from the loop, which writes it, to the steps, which
// wait for it to become what they need.
type board struct {
	mu      sync.Mutex
	view    view
	changed chan struct{} // closed and replaced on every change
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

func (b *board) get() view {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.view
}

func (b *board) update(f func(*view)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.view)
	close(b.changed)
	b.changed = make(chan struct{})
}

// wait returns nil once cond holds, its error once it fails, or the context's
// cause.
func (b *board) wait(ctx context.Context, cond func(view) (bool, error)) error {
	for {
		b.mu.Lock()
		v, changed := b.view, b.changed
		b.mu.Unlock()
		if ok, err := cond(v); ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
