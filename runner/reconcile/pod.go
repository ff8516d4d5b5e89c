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
	if cause := b.rebuildCause(p, o); cause != "" {
		serving := o.Infra.running() && b.hasRunningMember(o)
		after := []int{turn}
		if !serving {
			after = nil
		} else if images, ok := b.allBrought(p); ok {
			after = append(after, images...)
		} else {
			return none, false
		}
		gone := b.removePod(o, cause, after...)
		return b.createPod(p, cause, gone), serving
	}
	return b.mendPod(p, o, turn)
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
		if m := o.living(p.Containers[i].Name); m != nil && m.Hash != p.Containers[i].Hash {
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
	case o.Infra.Hash != p.Hash:
		return b.podChange(p)
	case o.Infra.Image != b.desired.AgentImage:
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
	gone := b.removeStrangers(p, o)
	disruption, image := b.disruption(p, o)
	gates := gone
	if disruption != "" {
		gates = append(gates, b.add(Step{Op: Drain, Object: "pod " + p.Name, Pod: p.Name, Cause: disruption}, turn, image))
	}
	before := len(b.steps)
	last = b.members(p, o, o.Infra.ID, "", none, gates)
	if len(b.steps) == before {
		last = none
	}
	return last, disruption != ""
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
		gone = append(gone, b.remove(m, memberStep(p.Name, m, cause)))
	}
	return gone
}

// disruption is why a running member has to be replaced, or "", and the step
// that brings its image. One whose image is not to be had yet stays.
func (b *builder) disruption(p *docker.Pod, o *Pod) (cause string, image int) {
	for i := range p.Containers {
		c := &p.Containers[i]
		if m := o.member(c.Name); m.running() && m.Infra == o.Infra.ID {
			cause := b.replaceCause(c, m, p.Name)
			if cause == "" {
				continue
			}
			if image, h := b.image(c, Step{Pod: p.Name}); h == nil {
				return "container " + c.Name + ": " + cause, image
			}
		}
	}
	return "", none
}
