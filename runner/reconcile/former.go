package reconcile

import (
	"slices"

	"github.com/cuepod/cuepod/targets/docker"
)

// A container that is to be replaced within its living pod serves until its turn
// comes, by the ports and under the probes that it was made with. What those were
// is in the record, in its state or in Record.Earlier, under the container's hash.

// former is what the pod was made from when a container of it was made that runs
// and is to be replaced by another, or nil.
func (r *Record) former(want *Instance, p *Pod) *Instance {
	if r == nil || want == nil || p == nil || p.Infra == nil || p.Job != "" {
		return nil
	}
	for _, c := range want.Pod.Lasting() {
		m := p.Living(c.Name)
		if !m.running() || m.Hash == c.Hash {
			continue
		}
		if i := instanceIn(r.State, p.Name); i.has(m) {
			return i
		}
		for i := range r.Earlier {
			if e := &r.Earlier[i]; e.Pod.Name == p.Name && e.has(m) {
				return e
			}
		}
	}
	return nil
}

// has reports whether a container was made from this.
func (i *Instance) has(m *Container) bool {
	if i == nil {
		return false
	}
	c := i.Pod.Container(m.Key)
	return c != nil && c.Hash == m.Hash
}

// halfway is the wanted pod with the ports of its former containers, and each of
// those with its own probes. It is nil where there is no former one.
func halfway(want, former *Instance, p *Pod) *Instance {
	if former == nil {
		return nil
	}
	out := *want
	out.Pod.Ports = former.Pod.Ports
	for _, list := range []*[]docker.Container{&out.Pod.Init, &out.Pod.Containers} {
		*list = slices.Clone(*list)
		for n := range *list {
			c := &(*list)[n]
			if m := p.Living(c.Name); m != nil && m.Hash != c.Hash && former.has(m) {
				was := former.Pod.Container(c.Name)
				c.Probes, c.TCP, c.UDP = was.Probes, was.TCP, was.UDP
			}
		}
	}
	return &out
}

// remembered is all that the record has to keep of what is there.
func (c *controllers) remembered() []Instance { return slices.Concat(c.earlier, c.former) }
