package runner

import (
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/reconcile"
)

// clocks tell how much of a grace period is left. It begins with the first step
// of what ends, and goes on when a plan is dropped and another carries on; for
// a supervisor that comes later it begins anew, as for a kubelet.
type clocks struct {
	mu    sync.Mutex
	began map[string]time.Time // by Step.Clock
}

func newClocks() *clocks { return &clocks{began: map[string]time.Time{}} }

// left is what a step has of its grace period. Time that has passed counts in
// whole seconds, as in Kubernetes.
func (c *clocks) left(s reconcile.Step) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	began, ok := c.began[s.Clock]
	if !ok {
		began = time.Now()
		c.began[s.Clock] = began
	}
	return max(0, time.Duration(s.Grace)*time.Second-time.Since(began).Truncate(time.Second))
}

// forget drops the clocks of what is gone.
func (c *clocks) forget(gone func(id string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.began {
		if gone(id) {
			delete(c.began, id)
		}
	}
}
