package reconcile

import (
	"slices"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// Phase is how a pod ended, in Kubernetes' words.
type Phase string

const (
	NotEnded  Phase = ""
	Succeeded Phase = "Succeeded"
	Failed    Phase = "Failed"
)

// Ended reports how a pod ended: all its regular containers have, and none is
// started again; or an init container failed that is not tried again; or its
// time was up. Sidecars do not count, whatever they exit with.
// Source: pkg/kubelet/kubelet_pods.go getPhase.
func Ended(p *docker.Pod, o *Pod) Phase {
	if o == nil {
		return NotEnded
	}
	for i := range p.Init {
		c := &p.Init[i]
		if m := o.Living(c.Name); !c.Sidecar && m.failed() && Stays(p, c, m) {
			return Failed
		}
	}
	ended, failed := 0, 0
	for i := range p.Containers {
		m := o.Living(p.Containers[i].Name)
		if m.ended() && Stays(p, &p.Containers[i], m) {
			ended++
		}
		if m.failed() {
			failed++
		}
	}
	switch {
	case Overdue(p, o):
		return Failed
	case ended == len(p.Containers) && failed == 0:
		return Succeeded
	case ended == len(p.Containers):
		return Failed
	case o.lost() && (p.RestartPolicy == docker.RestartNever || o.Job != ""):
		// A pod of a job is not made anew: its job makes another.
		return Failed
	}
	return NotEnded
}

// Deadline is when a pod's time is up; zero when it is not limited.
// Source: pkg/kubelet/active_deadline.go.
func Deadline(p *docker.Pod, o *Pod) time.Time {
	if p.ActiveDeadline == 0 || o == nil || o.Infra == nil || o.Infra.Started.IsZero() {
		return time.Time{}
	}
	return o.Infra.Started.Add(time.Duration(p.ActiveDeadline) * time.Second)
}

// Overdue reports whether a pod was still active at its deadline and has been
// stopped since. The reason is DeadlineExceeded.
func Overdue(p *docker.Pod, o *Pod) bool {
	deadline := Deadline(p, o)
	if deadline.IsZero() || o.running() {
		return false
	}
	done := 0
	for i := range p.Containers {
		m := o.Living(p.Containers[i].Name)
		switch {
		case m == nil || !m.ended() || !Stays(p, &p.Containers[i], m):
		case m.Finished.Before(deadline):
			done++
		}
	}
	if done == len(p.Containers) {
		return false // it had ended by itself
	}
	stopped := func(m Container) bool { return m.State == Exited && !m.Finished.Before(deadline) }
	return stopped(*o.Infra) || slices.ContainsFunc(o.Members, stopped)
}

// Outdated reports whether a pod was made from another definition.
func Outdated(p *docker.Pod, o *Pod) bool {
	if o.Infra != nil && o.Infra.Hash != p.Hash {
		return true
	}
	return slices.ContainsFunc(p.Containers, func(c docker.Container) bool {
		m := o.Living(c.Name)
		return m != nil && m.Hash != c.Hash
	})
}

// endedAnyhow is Ended for a pod whose definition is not known any more: it
// ends when nothing of it runs but sidecars.
func (o *Pod) endedAnyhow() Phase {
	phase := Failed
	for i := range o.Members {
		m := &o.Members[i]
		switch {
		case m.Sidecar:
		case m.State == Running:
			return NotEnded
		case m.regular() && m.failed():
			return Failed
		case m.regular() && m.ended():
			phase = Succeeded
		}
	}
	return phase
}

// Living is the container of that name, unless it joined an infra container
// that is gone.
func (o *Pod) Living(name string) *Container {
	m := o.Member(name)
	if m != nil && o.Infra != nil && m.Infra != o.Infra.ID {
		return nil
	}
	return m
}

// lost reports whether the pod lost its infra container after it had begun.
func (o *Pod) lost() bool { return o.headless() && !o.running() }

// headless reports whether the pod has begun and its infra container is gone.
func (o *Pod) headless() bool {
	if o.Infra != nil && o.Infra.State != Exited {
		return false
	}
	return slices.ContainsFunc(o.Members, func(m Container) bool { return m.State != Created })
}

func (o *Pod) running() bool {
	return slices.ContainsFunc(o.Members, func(m Container) bool { return m.State == Running })
}

// finished is when the last container of a pod ended. Sidecars end when they
// are told to, which says nothing.
func (o *Pod) finished() time.Time {
	var at time.Time
	for i := range o.Members {
		if m := &o.Members[i]; !m.Sidecar && m.Finished.After(at) {
			at = m.Finished
		}
	}
	if at.IsZero() && o.Infra != nil { // none could be started
		at = o.Infra.Started
	}
	return at
}

// Restarts reports whether a container that has ended is started again.
func (o *Pod) Restarts(p *docker.Pod, m *Container) bool {
	c := p.Container(m.Key)
	if c == nil || Ended(p, o) != NotEnded {
		return false
	}
	return m.ended() && (!m.Init || m.failed()) && !Stays(p, c, m)
}

// Ended reports whether a container has run to its end or could not be started.
func (c *Container) Ended() bool { return c.ended() }

func (c *Container) ended() bool {
	return c != nil && (c.State == Exited || c.State == Created && c.Error != "")
}

// waiting reports whether a container is made, and nobody has tried to start it.
func (c *Container) waiting() bool {
	return c != nil && c.State == Created && c.Error == "" && c.Waiting == ""
}

func (c *Container) failed() bool { return c.ended() && (c.ExitCode != 0 || c.Error != "") }

// Stays reports whether a container has ended and is not started again: by the
// rules of its own for its exit code, then its own policy, then the pod's.
// Source: pkg/api/v1/pod/util.go ContainerShouldRestart.
func Stays(p *docker.Pod, c *docker.Container, m *Container) bool {
	if !m.ended() {
		return false
	}
	if _, restarts := c.RuleFor(m.ExitCode); restarts {
		return false
	}
	switch p.PolicyOf(c) {
	case docker.RestartNever:
		return true
	case docker.RestartOnFailure:
		return !m.failed()
	}
	return false
}
