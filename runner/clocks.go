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
	mu     sync.Mutex
	began  map[string]time.Time // by Step.Clock
	hooked map[string]bool      // IDs of containers whose preStop hook was run
}

func newClocks() *clocks { return &clocks{began: map[string]time.Time{}, hooked: map[string]bool{}} }

// once reports whether a container's preStop hook is still to be run, and notes
// that it is.
func (c *clocks) once(container string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hooked[container] {
		return false
	}
	c.hooked[container] = true
	return true
}

// runs reports whether a grace period has begun and is not settled.
func (c *clocks) runs(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.began[key]
	return ok
}

// settle ends the grace periods of a plan whose stops are all done. A pod whose
// containers all start anew may end once more.
func (c *clocks) settle(steps []reconcile.Step, errs []error) {
	open := map[string]bool{}
	for i, s := range steps {
		if s.Op == reconcile.StopContainer {
			open[s.Clock] = open[s.Clock] || errs[i] != nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, open := range open {
		if !open {
			delete(c.began, key)
		}
	}
}

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
	for id := range c.hooked {
		if gone(id) {
			delete(c.hooked, id)
		}
	}
}
