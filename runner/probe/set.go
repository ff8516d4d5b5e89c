package probe

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Set runs the network probes of one pod's containers, each in a goroutine of
// its own, and keeps what they found. All methods are safe for concurrent use.
type Set struct {
	do      func(ctx context.Context, ip string, p api.Probe) Outcome
	changed func()
	ctx     context.Context // ends with Close; only for the Set's own goroutines
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu         sync.Mutex
	containers map[string]*container // by name
}

// container is one container under probes. A new ID is a new container.
type container struct {
	id       string
	since    time.Time     // first seen running: initial delays count from here
	started  chan struct{} // closed when liveness and readiness may run
	open     bool          // started is closed
	spec     api.Container
	ip       string
	draining bool
	workers  map[string]*running // by kind
}

// running is one probe at work.
type running struct {
	probe  api.Probe
	ip     string
	worker Worker
	cancel context.CancelFunc // nil once stopped
}

// NewSet makes an empty Set. do carries out one attempt; Do is the real one.
// changed is called after a state changed, from the goroutine that changed it,
// and must not block.
func NewSet(do func(ctx context.Context, ip string, p api.Probe) Outcome, changed func()) *Set {
	ctx, cancel := context.WithCancel(context.Background())
	return &Set{do: do, changed: changed, ctx: ctx, cancel: cancel, containers: map[string]*container{}}
}

// Close stops every probe and waits for it.
func (s *Set) Close() {
	s.cancel()
	s.wg.Wait()
}

// Apply puts a pod's containers under their probes. What is the same goes on
// undisturbed; a changed probe goes on from the verdict there was; a container
// with a new ID starts anew.
func (s *Set) Apply(pod api.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, spec := range pod.Containers {
		seen[spec.Name] = true
		c := s.containers[spec.Name]
		if c == nil || c.id != spec.ID || !spec.Running {
			c.stop()
			c = &container{id: spec.ID, since: time.Now(), started: make(chan struct{}), workers: map[string]*running{}}
			s.containers[spec.Name] = c
		}
		c.spec, c.ip, c.draining = spec, pod.IP, pod.Draining
		s.arrange(c)
	}
	for name, c := range s.containers {
		if !seen[name] {
			c.stop()
			delete(s.containers, name)
		}
	}
}

// arrange starts, restarts and stops a container's workers as its spec says.
// The caller holds the lock.
func (s *Set) arrange(c *container) {
	wanted := map[string]bool{}
	startup := false
	for _, p := range c.spec.Probes {
		startup = startup || p.Kind == api.Startup
		network := p.HTTP != nil || p.TCP != nil || p.GRPC != nil
		// A pod on its way out is not to be restarted: only readiness goes on.
		if network && c.spec.Running && c.ip != "" && (!c.draining || p.Kind == api.Readiness) {
			wanted[p.Kind] = true
			s.start(c, p)
		}
	}
	for kind, r := range c.workers {
		if !wanted[kind] {
			r.stop()
			delete(c.workers, kind)
		}
	}
	if c.spec.Running && (!startup || c.spec.Exec[api.Startup]) {
		c.release()
	}
}

func (s *Set) start(c *container, p api.Probe) {
	old := c.workers[p.Kind]
	r := &running{probe: p, ip: c.ip, worker: NewWorker(p.Kind)}
	if old != nil {
		if reflect.DeepEqual(old.probe, p) && old.ip == c.ip {
			return
		}
		old.stop()
		r.worker.Verdict, r.worker.Message = old.worker.Verdict, old.worker.Message
	}
	if p.Kind == api.Startup && c.open {
		r.worker = Worker{Verdict: Success, Hold: true} // starting is over
	}
	c.workers[p.Kind] = r
	if r.worker.Hold {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	r.cancel = cancel
	s.wg.Go(func() { s.run(ctx, c, r) })
}

// run is the life of one worker: the gate, the initial delay, then an attempt
// every period until the verdict is final.
func (s *Set) run(ctx context.Context, c *container, r *running) {
	if r.probe.Kind != api.Startup {
		select {
		case <-c.started:
		case <-ctx.Done():
			return
		}
	}
	delay := time.NewTimer(time.Until(c.since.Add(time.Duration(r.probe.InitialDelay) * time.Second)))
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
		return
	}
	closed := time.Now() // since when nobody listens
	for {
		begun := time.Now()
		o := s.do(ctx, r.ip, r.probe)
		if ctx.Err() != nil {
			return
		}
		w := s.took(c, r, o)
		if w.Hold {
			return
		}
		if !o.Refused {
			closed = time.Now()
		}
		delay.Reset(time.Until(begun.Add(w.Pause(r.probe, begun.Sub(closed)))))
		select {
		case <-delay.C:
		case <-ctx.Done():
			return
		}
	}
}

// took records an outcome and returns what the worker made of it.
func (s *Set) took(c *container, r *running, o Outcome) Worker {
	s.mu.Lock()
	before := r.worker
	r.worker = r.worker.Next(r.probe, o)
	after := r.worker
	if r.probe.Kind == api.Startup && after.Verdict == Success && c.workers[api.Startup] == r {
		c.release()
	}
	s.mu.Unlock()
	if before.Verdict != after.Verdict || before.Message != after.Message || before.Hold != after.Hold {
		s.changed()
	}
	return after
}

// release lets liveness and readiness run. The caller holds the lock.
func (c *container) release() {
	if !c.open {
		c.open = true
		close(c.started)
	}
}

// stop ends the workers; of nothing, nothing.
func (c *container) stop() {
	if c == nil {
		return
	}
	for _, r := range c.workers {
		r.stop()
	}
}

func (r *running) stop() {
	if r.cancel != nil {
		r.cancel()
	}
}

// Status returns how each container is, by its probes here and the verdicts of
// exec probes that came with Apply.
func (s *Set) Status() map[string]api.ContainerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]api.ContainerStatus, len(s.containers))
	for name, c := range s.containers {
		out[name] = c.status()
	}
	return out
}

func (c *container) status() api.ContainerStatus {
	st := api.ContainerStatus{ID: c.id, Started: c.spec.Running && c.open}
	st.Ready = st.Started
	for _, p := range c.spec.Probes {
		r := c.workers[p.Kind]
		if r == nil {
			if p.Kind == api.Readiness && !c.spec.Exec[api.Readiness] {
				st.Ready = false
			}
			continue
		}
		if r.worker.Message != "" {
			st.Message = r.worker.Message
		}
		switch {
		case p.Kind == api.Readiness && r.worker.Verdict != Success:
			st.Ready = false
		case p.Kind != api.Readiness && r.worker.Verdict == Failure:
			st.Unhealthy = fmt.Sprintf("%s, %d times in a row", r.worker.Message, p.FailureThreshold)
		}
	}
	return st
}
