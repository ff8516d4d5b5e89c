package runner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cuepod/cuepod/runner/reconcile"
)

// A container that somebody paused (docker pause) runs, for all that an engine
// says of its state, and serves nobody. It stays as it is, as somebody wanted it
// so, its pod is not ready, and who supervises or asks is told.

// paused reports whether a container is, or the infra container of its pod.
func (o *observation) paused(pod string, m *reconcile.Container) bool {
	p := o.Pods[pod]
	return m.Paused || p != nil && p.Infra != nil && p.Infra.Paused
}

// pausedWords say that a container is paused, and what to do.
func pausedWords(c *reconcile.Container) string {
	return fmt.Sprintf("it is paused; `docker unpause %s` lets it go on", c.Name)
}

// pausedFrame are gateway and portals that are paused, by their names for people.
func (o *observation) pausedFrame() map[string]*reconcile.Container {
	out := map[string]*reconcile.Container{}
	if g := o.Gateway; g != nil && g.Paused {
		out["gateway"] = g
	}
	for service, p := range o.Portals {
		if p.Paused {
			out["portal "+service] = p
		}
	}
	return out
}

// tellPaused tells about containers that are paused.
func (r *supervisor) tellPaused() {
	for object, c := range r.loop.seen.pausedFrame() {
		r.problem(object, pausedWords(c))
	}
	for name, p := range r.loop.seen.Pods {
		if p.Infra != nil && p.Infra.Paused {
			r.problem("pod "+name, pausedWords(p.Infra))
		}
		for i := range p.Members {
			if m := &p.Members[i]; m.Paused {
				r.problem("container "+name+"/"+m.Key, pausedWords(m))
			}
		}
	}
}

// pausedIn is what is paused of a pod that runs: a container of it, its infra
// container, or nil.
func pausedIn(p *reconcile.Pod) *reconcile.Container {
	if p == nil || p.Infra == nil {
		return nil
	}
	i := slices.IndexFunc(p.Members, func(m reconcile.Container) bool { return m.Paused })
	if i >= 0 {
		return &p.Members[i]
	}
	if p.Infra.Paused {
		return p.Infra
	}
	return nil
}

// whyPaused is why a pod with a paused container is not ready, or "".
func whyPaused(p *reconcile.Pod) string {
	c := pausedIn(p)
	if c == nil {
		return ""
	}
	return cmp.Or(c.Key, "its infra container") + ": " + pausedWords(c)
}
