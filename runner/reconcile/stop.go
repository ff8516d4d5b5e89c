package reconcile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/targets/docker"
)

// stopMembers plans the end of what runs in a pod, in the order of Kubernetes:
// all preStop hooks at once, then regular containers side by side; sidecars
// when all those have stopped, the last one first, or together when the time
// that all share is over. The result has the last step for each container, by
// ID. Sources: pkg/kubelet/kuberuntime/kuberuntime_container.go killContainer,
// kuberuntime_termination_order.go.
func (b *builder) stopMembers(p *Pod, cause string, after ...int) map[string]int {
	ends := map[string]int{}
	var turn []string
	var sidecars []*Container
	for i := range p.Members {
		m := &p.Members[i]
		switch {
		case m.State != Running:
		case m.Sidecar:
			sidecars = append(sidecars, m)
		default:
			ends[m.ID] = b.stop(b.memberStop(p, m, cause), b.ending(p, m).PreStop, nil, after)
			if !m.Init {
				turn = append(turn, m.ID)
			}
		}
	}
	slices.SortStableFunc(sidecars, func(x, y *Container) int {
		return cmp.Compare(b.ending(p, y).Order, b.ending(p, x).Order)
	})
	for _, m := range sidecars {
		ends[m.ID] = b.stop(b.memberStop(p, m, cause), b.ending(p, m).PreStop, slices.Clone(turn), after)
		turn = append(turn, m.ID)
	}
	return ends
}

// memberStop is a step that stops a member with its pod.
func (b *builder) memberStop(p *Pod, m *Container, cause string) Step {
	s := memberStep(p.Name, m, cause)
	s.Grace, s.Clock = b.ending(p, m).Grace, cmp.Or(m.Infra, m.ID)
	s.Name, s.ID, s.Container, s.Infra = m.Name, m.ID, m.Key, m.Infra
	return s
}

// stop plans the hook, the wait for the container's turn, and the stop itself.
// Without a grace period there is time for neither.
func (b *builder) stop(s Step, hook *docker.Hook, turn []string, after []int) int {
	before := slices.Clone(after)
	if hook != nil && s.Grace > 0 {
		h := s
		h.Op, h.Hook = PreStop, hook
		before = append(before, b.add(h, after...))
	}
	if len(turn) > 0 && s.Grace > 0 {
		w := s
		w.Op, w.Turn, w.Cause = AwaitTurn, turn, ""
		before = append(before, b.add(w, after...))
	}
	if s.Swap {
		w := s
		w.Op, w.Cause = Hold, ""
		if b.written != none {
			w.Behind = []int{b.written} // who waits does not wait for the engine to do something else
		}
		before = append(before, b.add(w, before...))
	}
	s.Op = StopContainer
	return b.add(s, before...)
}

// stopAlone plans the end of a container whose pod goes on. It has the grace
// period for itself.
func (b *builder) stopAlone(s Step, m *Container, e Ending, after ...int) int {
	s.Behind = nil // those that start wait for each other, those that stop do not
	s.Name, s.ID, s.Container, s.Infra, s.Grace, s.Clock = m.Name, m.ID, m.Key, m.Infra, e.Grace, m.ID
	return b.stop(s, e.PreStop, nil, after)
}

// removeAlone is remove for a member of a pod that goes on.
func (b *builder) removeAlone(s Step, m *Container, after ...int) int {
	if m.running() {
		after = []int{b.stopAlone(s, m, b.ending(b.observed.Pods[s.Pod], m), after...)}
	}
	return b.removeStopped(s, m, after...)
}

// defaultGrace is Kubernetes' terminationGracePeriodSeconds, for containers of
// which nothing is known.
const defaultGrace = 30

// ending is how a container stops: as its definition says now, or said when it
// was made.
func (b *builder) ending(p *Pod, m *Container) Ending {
	out := Ending{Grace: defaultGrace}
	if m.Ending != nil {
		out = *m.Ending
	}
	d := b.definition(p)
	if d == nil {
		return out
	}
	out.Grace = d.GracePeriod
	if c := d.Container(m.Key); c != nil {
		out.PreStop = c.PreStop
	}
	for i := range d.Init {
		if d.Init[i].Name == m.Key {
			out.Order = i
		}
	}
	return out
}

// definition is what is known of a pod: of its own revision while a rollout goes
// by revisions, as it should be, or as it was recorded;
// of a pod of a job, its template. It may be nil.
func (b *builder) definition(p *Pod) *docker.Pod {
	if own := b.control.own(p); own != nil {
		return own
	}
	states := []*docker.State{b.desired.State}
	if b.observed.Record != nil && b.observed.Record.State != nil {
		states = append(states, b.observed.Record.State)
	}
	for _, s := range states {
		if j := s.Job(p.Workload); j != nil && p.Job != "" {
			return &j.Template
		}
		if d := s.Pod(p.Name); d != nil && p.Job == "" {
			return d
		}
	}
	return nil
}

// stopPod stops what runs of a pod and leaves it for its logs.
func (b *builder) stopPod(p *Pod, cause string, after ...int) {
	stopped := slices.Clone(after)
	for i := range p.Members {
		if m := &p.Members[i]; m.Next != nil {
			stopped = append(stopped, b.removeOne(memberStep(p.Name, m, cause), m.Next, after...))
		}
	}
	for _, end := range b.stopMembers(p, cause, after...) {
		stopped = append(stopped, end)
	}
	if p.Infra.running() {
		b.add(Step{Op: StopContainer, Object: "pod " + p.Name, Role: RoleInfra, Pod: p.Name, Name: p.Infra.Name, ID: p.Infra.ID, Cause: cause}, stopped...)
	}
}

// removePod drains, stops the members, then the infra container, then removes
// them and the volumes that live with the pod.
func (b *builder) removePod(p *Pod, cause string, after ...int) int {
	if p.Infra.running() && b.hasRunningMember(p) {
		after = []int{b.add(Step{Op: Drain, Object: "pod " + p.Name, Pod: p.Name, Cause: cause}, after...)}
	}
	ends := b.removeMembers(p, cause, after...)
	for _, v := range b.leftVolumes(p.Name) {
		ends = append(ends, b.add(Step{Op: RemoveVolume, Object: "volume " + v, Name: v, Pod: p.Name}, ends...))
		b.volumes[v] = len(b.steps) - 1
	}
	if len(ends) == 0 {
		return none
	}
	return slices.Max(ends)
}

// removeMembers stops and removes the members, then the infra container.
func (b *builder) removeMembers(p *Pod, cause string, after ...int) []int {
	stopped := b.stopMembers(p, cause, after...)
	var gone []int
	for i := range p.Members {
		m := &p.Members[i]
		before := after
		if end, ok := stopped[m.ID]; ok {
			before = []int{end}
		}
		gone = append(gone, b.removeStopped(memberStep(p.Name, m, cause), m, before...))
	}
	infra := b.remove(p.Infra, Step{Object: "pod " + p.Name, Role: RoleInfra, Pod: p.Name, Cause: cause}, slices.Concat(gone, after)...)
	return append(gone, infra)
}

// removeStopped removes a member with the instances before and after it.
func (b *builder) removeStopped(s Step, m *Container, after ...int) int {
	before := slices.Clone(after)
	for _, other := range []*Container{m.Previous, m.Next} {
		if other == nil {
			continue
		}
		before = append(before, b.removeOther(s, other, after...))
	}
	return b.removeOne(s, m, before...)
}

// removeOther removes an instance that is not the current one. It should not run,
// but somebody may have started it.
func (b *builder) removeOther(s Step, other *Container, after ...int) int {
	if other.running() {
		s.Swap = false
		after = []int{b.stopAlone(s, other, Ending{Grace: defaultGrace}, after...)}
	}
	return b.removeOne(s, other, after...)
}

func (b *builder) removeOne(s Step, m *Container, after ...int) int {
	s.Op, s.Behind, s.Swap, s.Name, s.ID, s.Container = RemoveContainer, nil, false, m.Name, m.ID, m.Key
	return b.add(s, after...)
}

func (b *builder) hasRunningMember(p *Pod) bool {
	return slices.ContainsFunc(p.Members, func(c Container) bool { return c.State == Running && c.regular() })
}

// leftVolumes are the observed volumes that live with a pod.
func (b *builder) leftVolumes(pod string) []string {
	prefix := docker.VolumeName(b.desired.State.Prefix(), pod, "")
	var out []string
	for _, name := range sortedNames(b.observed.Volumes) {
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
	switch {
	case m.Init:
		s.Object, s.Role = "init "+s.Object, RoleInit
	case m.Sidecar:
		s.Object, s.Role = "sidecar "+pod+"/"+m.Key, RoleSidecar
	}
	return s
}
