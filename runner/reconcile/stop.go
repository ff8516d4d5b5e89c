package reconcile

import (
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/targets/docker"
)

// removePod drains, stops the members side by side, then the infra container,
// then removes them and the volumes that live with the pod.
func (b *builder) removePod(p *Pod, cause string, after ...int) int {
	object := "pod " + p.Name
	if p.Infra.running() && b.hasRunningMember(p) {
		after = []int{b.add(Step{Op: Drain, Object: object, Pod: p.Name, Cause: cause}, after...)}
	}
	var gone []int
	for i := range p.Members {
		m := &p.Members[i]
		gone = append(gone, b.remove(m, memberStep(p.Name, m, cause), after...))
	}
	last := b.remove(p.Infra, Step{Object: object, Role: RoleInfra, Pod: p.Name, Cause: cause}, slices.Concat(gone, after)...)
	ends := slices.Concat(gone, []int{last})
	for _, v := range b.leftVolumes(p.Name) {
		ends = append(ends, b.add(Step{Op: RemoveVolume, Object: "volume " + v, Name: v, Pod: p.Name}, ends...))
		b.volumes[v] = len(b.steps) - 1
	}
	if len(ends) == 0 {
		return none
	}
	return slices.Max(ends)
}

func (b *builder) hasRunningMember(p *Pod) bool {
	return slices.ContainsFunc(p.Members, func(c Container) bool { return c.State == Running && !c.Init })
}

// leftVolumes are the observed volumes that live with a pod.
func (b *builder) leftVolumes(pod string) []string {
	prefix := docker.VolumeName(b.desired.State.Prefix(), pod, "")
	var out []string
	for _, name := range slices.Sorted(maps.Keys(b.observed.Volumes)) {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	return out
}

// remove stops a container if it runs and removes it. The step says in whose
// words and why. It returns none when there is nothing to remove.
func (b *builder) remove(c *Container, s Step, after ...int) int {
	if c == nil {
		return none
	}
	s.Name, s.ID, s.Container = c.Name, c.ID, c.Key
	if c.State == Running {
		s.Op = StopContainer
		after = []int{b.add(s, after...)}
	}
	s.Op = RemoveContainer
	return b.add(s, after...)
}

// memberStep is what all steps on an observed member of a pod have in common.
func memberStep(pod string, m *Container, cause string) Step {
	s := Step{Object: "container " + pod + "/" + m.Key, Role: RoleApp, Pod: pod, Cause: cause}
	if m.Init {
		s.Object, s.Role = "init "+s.Object, RoleInit
	}
	return s
}
