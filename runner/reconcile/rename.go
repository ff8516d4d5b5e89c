package reconcile

import "github.com/cuepod/cuepod/targets/docker"

// renamed gives the containers of a living pod their names back where somebody
// has changed them on the engine: others join the infra container by its name.
// It returns the step about the infra container, or none.
func (b *builder) renamed(p *docker.Pod, o *Pod) int {
	infra := b.rename(o.Infra, p.EngineName, Step{Object: "pod " + p.Name, Role: RoleInfra, Pod: p.Name})
	for i := range o.Members {
		m := &o.Members[i]
		c := p.Container(m.Key)
		if c == nil || !m.running() || m.Infra != o.Infra.ID || b.replaceCause(c, m, p.Name) != "" {
			continue // it is removed, by its ID
		}
		step := memberStep(p.Name, m, "its change is taken back")
		gone := none
		if m.Next != nil {
			gone = b.removeOne(step, m.Next)
		}
		b.rename(m, c.EngineName, step, gone)
	}
	return infra
}

func (b *builder) rename(c *Container, name string, s Step, after ...int) int {
	if c.Name == name {
		return none
	}
	s.Op, s.Name, s.ID, s.Container, s.Cause = RenameContainer, name, c.ID, c.Key, "somebody renamed it to "+c.Name
	if docker.IsPreviousName(c.Name) {
		s.Cause = "its change is taken back"
	}
	return b.add(s, after...)
}
