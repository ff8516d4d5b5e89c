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

// Ended reports how a pod ended. A pod whose containers are always started
// again never does. Source: pkg/kubelet/kubelet_pods.go getPhase.
func Ended(p *docker.Pod, o *Pod) Phase {
	if o == nil || !p.RestartPolicy.Ends() {
		return NotEnded
	}
	never := p.RestartPolicy == docker.RestartNever
	for i := range p.Init {
		if m := o.living(p.Init[i].Name); never && !p.Init[i].Sidecar && m.failed() {
			return Failed
		}
	}
	ended, failed := 0, 0
	for i := range p.Containers {
		m := o.living(p.Containers[i].Name)
		if m.ended() {
			ended++
		}
		if m.failed() {
			failed++
		}
	}
	switch {
	case ended == len(p.Containers) && failed == 0:
		return Succeeded
	case ended == len(p.Containers) && never:
		return Failed
	case o.lost() && (never || o.Job != ""):
		// A pod of a job is not made anew: its job makes another.
		return Failed
	}
	return NotEnded
}

// Outdated reports whether a pod was made from another definition.
func Outdated(p *docker.Pod, o *Pod) bool {
	if o.Infra != nil && o.Infra.Hash != p.Hash {
		return true
	}
	return slices.ContainsFunc(p.Containers, func(c docker.Container) bool {
		m := o.living(c.Name)
		return m != nil && m.Hash != c.Hash
	})
}

// endedAnyhow is Ended for a pod whose definition is not known any more: it
// ends when nothing of it runs.
func (o *Pod) endedAnyhow() Phase {
	phase := Failed
	for i := range o.Members {
		m := &o.Members[i]
		switch {
		case m.State == Running:
			return NotEnded
		case !m.Init && m.failed():
			return Failed
		case !m.Init && m.ended():
			phase = Succeeded
		}
	}
	return phase
}

// living is the container of that name, unless it joined an infra container
// that is gone.
func (o *Pod) living(name string) *Container {
	m := o.member(name)
	if m != nil && o.Infra != nil && m.Infra != o.Infra.ID {
		return nil
	}
	return m
}

// lost reports whether the pod lost its infra container after it had begun.
func (o *Pod) lost() bool {
	if o.Infra != nil && o.Infra.State != Exited {
		return false
	}
	begun := slices.ContainsFunc(o.Members, func(m Container) bool { return m.State != Created })
	return begun && !o.running()
}

func (o *Pod) running() bool {
	return slices.ContainsFunc(o.Members, func(m Container) bool { return m.State == Running })
}

// finished is when the last container of a pod ended.
func (o *Pod) finished() time.Time {
	var at time.Time
	for i := range o.Members {
		if f := o.Members[i].Finished; f.After(at) {
			at = f
		}
	}
	if at.IsZero() && o.Infra != nil { // none could be started
		at = o.Infra.Started
	}
	return at
}

// Living is the container of that name, unless it joined an infra container
// that is gone; nil when there is none.
func (o *Pod) Living(name string) *Container { return o.living(name) }

// Restarts reports whether a container that has ended is started again.
func (o *Pod) Restarts(p *docker.Pod, m *Container) bool {
	if Ended(p, o) != NotEnded {
		return false
	}
	if m.Init {
		return m.failed() && p.RestartPolicy != docker.RestartNever
	}
	return m.ended() && !Stays(p.RestartPolicy, m)
}

// Ended reports whether a container has run to its end or could not be started.
func (c *Container) Ended() bool { return c.ended() }

func (c *Container) ended() bool {
	return c != nil && (c.State == Exited || c.State == Created && c.Error != "")
}

func (c *Container) failed() bool { return c.ended() && (c.ExitCode != 0 || c.Error != "") }

// Stays reports whether a container has ended and is not started again.
func Stays(policy docker.RestartPolicy, m *Container) bool {
	switch policy {
	case docker.RestartNever:
		return m.ended()
	case docker.RestartOnFailure:
		return m.ended() && !m.failed()
	}
	return false
}
