package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/targets/docker"
)

// pod plans one replica. It returns its last step, and whether the steps take
// a serving pod away for a while.
func (b *builder) pod(p *docker.Pod, turn int) (last int, disrupts bool) {
	o := b.observed.Pods[p.Name]
	if o == nil {
		return b.createPod(p, b.newPodCause(p)), false
	}
	if phase := Ended(p, o); phase != NotEnded {
		return b.endedPod(p, o, phase), false
	}
	if b.control.unknown[p.Name] || !Outdated(p, o) && b.fails(p, o) {
		return none, false
	}
	if cause := b.rebuildCause(p, o); cause != "" {
		whole := o.Infra.running() && !o.Infra.Detached
		serving := whole && b.hasRunningMember(o)
		var after []int
		if serving {
			after = append(after, turn)
		}
		if serving || whole && hasEndedMember(p, o) {
			images, ok := b.allBrought(p)
			if !ok {
				b.startEnded(p, o)
				return none, false
			}
			after = append(after, images...)
		}
		gone := b.removePod(o, cause, after...)
		return b.createPod(p, cause, gone), serving
	}
	return b.mendPod(p, o, turn)
}

// hasEndedMember reports whether a container has ended that is started again.
func hasEndedMember(p *docker.Pod, o *Pod) bool {
	return slices.ContainsFunc(p.Lasting(), func(c *docker.Container) bool { return ended(p, o, c) != nil })
}

// startEnded starts those as they are, of a pod whose next cannot be had.
func (b *builder) startEnded(p *docker.Pod, o *Pod) {
	l := launch{p: p, o: o, joined: none, last: none, behind: none}
	for _, c := range p.Lasting() {
		if m := ended(p, o, c); m != nil {
			b.startAgain(&l, l.step("container", RoleApp, c), m, c)
		}
	}
}

// ended is the container of a pod that serves, if it has ended and is started again;
// nil if not.
func ended(p *docker.Pod, o *Pod, c *docker.Container) *Container {
	if m := o.Living(c.Name); m != nil && m.State == Exited && p.Job == "" && !Stays(p, c, m) {
		return m
	}
	return nil
}

// fails stops a pod that is to be active no longer: its time is up, or it lost
// its infra container and is never started again.
func (b *builder) fails(p *docker.Pod, o *Pod) bool {
	if p.RestartPolicy == docker.RestartNever && o.headless() {
		b.stopPod(o, "its infra container is gone")
		return true
	}
	at := Deadline(p, o)
	switch {
	case at.IsZero():
		return false
	case !b.now.Before(at):
		b.stopPod(o, DeadlineExceeded)
		return true
	}
	b.later("pod "+p.Name, fmt.Sprintf("it may be active for %d s", p.ActiveDeadline), at)
	return false
}

// endedPod leaves a pod that is done alone, unless its definition changed: then
// it runs again.
func (b *builder) endedPod(p *docker.Pod, o *Pod, phase Phase) int {
	if Outdated(p, o) {
		cause := b.endedChange(p, o)
		return b.createPod(p, cause, b.removePod(o, cause))
	}
	b.stopPod(o, "it has "+strings.ToLower(string(phase)))
	return none
}

func (b *builder) endedChange(p *docker.Pod, o *Pod) string {
	for i := range p.Containers {
		if m := o.Living(p.Containers[i].Name); m != nil && m.Hash != p.Containers[i].Hash {
			return "container " + m.Key + ": " + b.containerChange(&p.Containers[i], p.Name)
		}
	}
	return b.podChange(p)
}

// rebuildCause is why the pod has to be made anew, infra container included,
// or "".
func (b *builder) rebuildCause(p *docker.Pod, o *Pod) string {
	switch {
	case o.Infra == nil:
		return "its infra container is gone"
	case b.observed.Network == "":
		return "the network is gone"
	case o.Infra.Detached:
		return detached
	case b.control.replace[p.Name] != "":
		return b.control.replace[p.Name]
	case !b.desired.Strict && o.Infra.Hash != p.Hash:
		return b.podChange(p)
	case !b.desired.Strict && o.Infra.Image != b.desired.AgentImage:
		return "it is from another version of cuepod"
	case o.Infra.State == Exited:
		// The members keep a dead network namespace and cannot be healed.
		return fmt.Sprintf("its infra container exited with code %d", o.Infra.ExitCode)
	}
	return ""
}

func (b *builder) podChange(p *docker.Pod) string {
	if old := b.before[p.Name]; old != nil {
		if changes := p.Changes(old); len(changes) > 0 {
			return strings.Join(changes, ", ")
		}
	}
	return "its definition changed"
}

// mendPod compares the members of a pod whose infra container is as it should be.
func (b *builder) mendPod(p *docker.Pod, o *Pod, turn int) (last int, disrupts bool) {
	if o.Infra.State == Created { // a run was killed between create and start
		gone := b.removeStrangers(p, o)
		return b.startPod(p, "its start was interrupted", gone...), false
	}
	return b.mendRunning(p, o, turn)
}

func (b *builder) mendRunning(p *docker.Pod, o *Pod, turn int) (last int, disrupts bool) {
	if source := resetBy(p, o); source != nil {
		return b.resetPod(p, o, source), false
	}
	gates := b.removeStrangers(p, o)
	infra := b.renamed(p, o)
	b.removeReplaced(p, o)
	ahead := b.makeAhead(p, o, turn)
	disruption, image := b.disruption(p, o, ahead)
	if disruption != "" {
		after := append(ahead.steps(), turn, image)
		gates = append(gates, b.add(Step{Op: Drain, Object: "pod " + p.Name, Pod: p.Name, Cause: disruption}, after...))
	}
	before := len(b.steps)
	last = b.members(launch{p: p, o: o, joined: infra, gates: gates, ahead: ahead})
	if len(b.steps) == before {
		last = none
	}
	return last, disruption != ""
}

// resetBy is the container whose end starts all containers of the pod anew, or
// nil.
func resetBy(p *docker.Pod, o *Pod) *Container {
	for _, c := range slices.Concat(p.Init, p.Containers) {
		if m := o.Living(c.Name); m != nil && m.State == Exited {
			if action, _ := c.RuleFor(m.ExitCode); action == docker.RestartAll {
				return m
			}
		}
	}
	return nil
}

// resetPod starts all containers anew in the living pod, init containers
// included. The one whose end asks for it is removed last: as long as it is
// there, whoever comes next knows.
func (b *builder) resetPod(p *docker.Pod, o *Pod, source *Container) int {
	at, next := b.desired.Backoff.Due(source)
	cause := fmt.Sprintf("container %s exited with code %d, which restarts all containers", source.Key, source.ExitCode)
	if !b.mayStart(p, "pod "+p.Name, cause, at) {
		return none
	}
	var after []int
	if b.hasRunningMember(o) && p.Job == "" {
		after = append(after, b.add(Step{Op: Drain, Object: "pod " + p.Name, Pod: p.Name, Cause: cause}))
	}
	stopped := b.stopMembers(o, cause, after...)
	gone, reset := slices.Clone(after), map[string]*Container{}
	for i := range o.Members {
		m := &o.Members[i]
		if m.ID == source.ID {
			continue
		}
		if m.Infra == o.Infra.ID {
			reset[m.Key] = m
		}
		before := after
		if end, ok := stopped[m.ID]; ok {
			before = []int{end}
		}
		gone = append(gone, b.removeStopped(memberStep(p.Name, m, cause), m, before...))
	}
	last := b.removeStopped(memberStep(p.Name, source, cause), source, gone...)
	again := *source
	again.Backoff = next
	reset[source.Key] = &again
	return b.members(launch{p: p, o: &Pod{Name: p.Name, Infra: o.Infra}, cause: cause, joined: last, reset: reset})
}

// removeStrangers removes members that are not defined any more or that joined
// an infra container that is gone.
func (b *builder) removeStrangers(p *docker.Pod, o *Pod) []int {
	var gone []int
	for i := range o.Members {
		m := &o.Members[i]
		defined := slices.ContainsFunc(slices.Concat(p.Init, p.Containers), func(c docker.Container) bool { return c.Name == m.Key })
		if m.Infra == o.Infra.ID && defined {
			continue
		}
		cause := "container " + m.Key + " is not defined any more"
		if m.Infra != o.Infra.ID {
			cause = "it belongs to an earlier pod"
		}
		gone = append(gone, b.removeAlone(memberStep(p.Name, m, cause), m))
	}
	return gone
}

// disruption is why a running member has to be replaced, or "", and the step
// that brings its image. One stays whose image is not to be had yet, or whose next
// instance cannot be made.
func (b *builder) disruption(p *docker.Pod, o *Pod, ahead ahead) (cause string, image int) {
	if p.Job != "" {
		return "", none // a pod of a job does not follow a change
	}
	for _, c := range p.Lasting() {
		if m := o.Living(c.Name); m.running() {
			cause := b.replaceCause(c, m, p.Name)
			if next, ok := ahead[c.Name]; cause == "" || ok && next == none {
				continue
			}
			if image, h := b.image(c, Step{Pod: p.Name}); h == nil {
				return "container " + c.Name + ": " + cause, image
			}
		}
	}
	return "", none
}
