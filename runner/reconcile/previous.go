package reconcile

import (
	"iter"
	"slices"

	"github.com/cuepod/cuepod/targets/docker"
)

// pair puts instances of one container together: the one with the plain name is
// the current one, and the other its Previous. While that one runs and the other
// has never started, it is the current one, and the other its Next. One that is
// alone is the current one, whatever its name: a run was killed between keeping
// it and making the next. One of an earlier infra container belongs to nobody.
func pair(members []Container) []Container {
	var out []Container
	for i := range members {
		m := members[i]
		if !docker.IsPreviousName(m.Name) {
			n := slices.IndexFunc(members, func(o Container) bool {
				return docker.IsPreviousName(o.Name) && o.Key == m.Key && o.Infra == m.Infra
			})
			switch {
			case n >= 0 && m.State == Created && members[n].State == Running:
				next := m
				m = members[n]
				m.Next = &next
			case n >= 0:
				previous := members[n]
				m.Previous = &previous
			}
			out = append(out, m)
			continue
		}
		replaced := slices.ContainsFunc(members, func(o Container) bool {
			return !docker.IsPreviousName(o.Name) && o.Key == m.Key && o.Infra == m.Infra
		})
		if !replaced {
			out = append(out, m)
		}
	}
	return out
}

// instances are all that there are of a container: one that is replaced goes
// later than the one that serves begins.
func (c *Container) instances() iter.Seq[*Container] {
	return func(yield func(*Container) bool) {
		for _, one := range []*Container{c, c.Previous, c.Next} {
			if one != nil && !yield(one) {
				return
			}
		}
	}
}

// Pair sorts out current and previous instances in every pod.
func (o *Observed) Pair() {
	for _, p := range o.Pods {
		p.Members = pair(p.Members)
	}
}
