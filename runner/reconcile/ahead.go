package reconcile

import (
	"maps"
	"slices"

	"github.com/cuepod/cuepod/targets/docker"
)

// A container that is replaced in its living pod runs on while the next instance
// is made: nobody waits for that, and where it cannot be made nothing is lost. The
// one that runs gives its name to the next and has that of a previous instance, so
// that what is on the engine says how far a swap has come, whoever began it:
//
//	plain name    name of a previous one
//	runs                                    not begun, or taken back
//	              runs                      the name is free
//	is made       runs                      the next one is made: see Container.Next
//	is made       has ended                 nobody serves: start the next one
//	runs          has ended                 done, but for the removal

// ahead are the instances that are made ahead, by container: the step that makes
// it, or the one that is there. none is one that cannot be made now.
type ahead map[string]int

// There is no step for an instance that is there already.
const isMade = -2

// steps are those that make the instances.
func (a ahead) steps() (out []int) {
	for _, s := range slices.Sorted(maps.Values(a)) {
		if s != none && s != isMade {
			out = append(out, s)
		}
	}
	return out
}

// makeAhead makes the next instances of all containers of a pod that run and have
// to be replaced, when the pod's turn comes. One that is made of what is in the
// pod's volumes is made when the one before it has stopped.
func (b *builder) makeAhead(p *docker.Pod, o *Pod, turn int) ahead {
	out := ahead{}
	if p.Job != "" {
		return out
	}
	for _, c := range p.Lasting() {
		m := o.Living(c.Name)
		if !m.running() || b.replaceCause(c, m, p.Name) == "" || c.ReadsFiles() || c.HasSubPaths() {
			continue
		}
		step := memberStep(p.Name, m, b.replaceCause(c, m, p.Name))
		step.Name, step.Container = c.EngineName, c.Name
		if image, h := b.image(c, step); h == nil { // else who replaces it tells what it waits for
			if b.base(c, p.Name) != "" {
				image = none // what it is made of is there
			}
			out[c.Name] = b.nextOf(p, step, m, c, turn, image)
		}
	}
	return out
}

// nextOf makes the next instance of a container. One that is there and was made
// for something else goes.
func (b *builder) nextOf(p *docker.Pod, step Step, m *Container, c *docker.Container, after ...int) int {
	next := m.Next
	if next != nil && next.Waiting != "" && next.Hash == c.Hash {
		if !b.retry(p, step, next) {
			return none
		}
		step.Tries = next.Tries
	}
	if next.waiting() && !b.differs(next, c) {
		return isMade
	}
	room := slices.Clone(after)
	switch {
	case next != nil:
		room = append(room, b.removeOne(step, next, after...))
	case !docker.IsPreviousName(m.Name):
		if m.Previous != nil {
			room = append(room, b.removeOther(step, m.Previous, after...))
		}
		keep := step
		keep.Op, keep.Name, keep.ID = RenameContainer, docker.PreviousName(c.EngineName), m.ID
		room = []int{b.add(keep, room...)}
	}
	step.Op = CreateContainer
	b.ofProgram(&step, c, m)
	return b.add(step, slices.Concat(room, []int{b.recordStep}, b.claimSteps(c.Mounts))...)
}

// differs reports whether an instance was made from something else.
func (b *builder) differs(m *Container, c *docker.Container) bool {
	id := b.observed.Images[c.Image]
	return m.Hash != c.Hash || id != "" && m.ImageID != "" && id != m.ImageID
}

// removeReplaced removes what is left of instances that others have taken the
// place of: a run was killed before it could, or somebody started both.
func (b *builder) removeReplaced(p *docker.Pod, o *Pod) {
	for i := range o.Members {
		m := &o.Members[i]
		old, c := m.Previous, p.Container(m.Key)
		if !m.running() || m.Infra != o.Infra.ID || old == nil || c == nil || b.replaceCause(c, m, p.Name) != "" {
			continue
		}
		if old.running() || m.replaces(old) {
			b.removeOther(memberStep(p.Name, old, "another instance has taken its place"), old)
		}
	}
}

// replaces reports whether an instance was made to take the place of one that was
// made from something else: that is no restart.
func (c *Container) replaces(old *Container) bool {
	copies := old.Program != "" || c.Program != "" // the hash tells which program
	return old.Hash != c.Hash || !copies && old.ImageID != "" && c.ImageID != "" && old.ImageID != c.ImageID
}

// Due reports whether nobody runs, as a swap was left between the end of one
// instance and the start of the next.
func (c *Container) Due() bool {
	return c.waiting() && c.Previous != nil && !c.Previous.running() && c.replaces(c.Previous)
}
