package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// pods makes and mends replicas. New and broken ones are worked on side by
// side; replicas of one workload that serve are changed one after the other,
// each only when the one before is ready again. Ordered replicas are also made
// one after the other, and changed from the last to the first.
func (b *builder) pods() {
	turn := map[string]int{} // by workload: what the next disruption waits for
	for i := range b.desired.State.Pods {
		if p := &b.desired.State.Pods[i]; !p.Ordered {
			b.takeTurn(p, turn)
		}
	}
	for i := range slices.Backward(b.desired.State.Pods) {
		if p := &b.desired.State.Pods[i]; p.Ordered && b.observed.Pods[p.Name] != nil {
			b.takeTurn(p, turn)
		}
	}
	b.newOrderedPods()
}

func (b *builder) takeTurn(p *docker.Pod, turn map[string]int) {
	prev, ok := turn[p.Workload]
	if !ok {
		prev = none
	}
	if last, disrupts := b.pod(p, prev); disrupts {
		turn[p.Workload] = b.awaitReady(p, last)
	}
}

func (b *builder) awaitReady(p *docker.Pod, after ...int) int {
	return b.add(Step{Op: AwaitReady, Object: "pod " + p.Name, Pod: p.Name}, after...)
}

// newOrderedPods makes the replicas that are missing, each when the one before
// it is ready.
func (b *builder) newOrderedPods() {
	gate := map[string]int{} // by workload: until when the next one waits
	for i := range b.desired.State.Pods {
		p := &b.desired.State.Pods[i]
		if !p.Ordered {
			continue
		}
		before, ok := gate[p.Workload]
		if !ok {
			before = none
		}
		switch {
		case b.observed.Pods[p.Name] == nil:
			gate[p.Workload] = b.createPod(p, b.newPodCause(p), before)
		case !b.observed.Ready[p.Name]:
			gate[p.Workload] = before
		default:
			continue
		}
		if b.hasNewAfter(p) {
			gate[p.Workload] = b.awaitReady(p, gate[p.Workload])
		}
	}
}

// hasNewAfter reports whether a later replica of the workload is missing.
func (b *builder) hasNewAfter(p *docker.Pod) bool {
	return slices.ContainsFunc(b.desired.State.Pods, func(q docker.Pod) bool {
		return q.Workload == p.Workload && q.Ordinal > p.Ordinal && b.observed.Pods[q.Name] == nil
	})
}

func (b *builder) newPodCause(p *docker.Pod) string {
	if n := b.running[p.Workload]; n > 0 {
		return fmt.Sprintf("replicas %d -> %d", n, b.wanted[p.Workload])
	}
	return "new pod"
}

// hostPorts tells what a pod publishes on the host.
func hostPorts(p *docker.Pod) string {
	var ports []string
	for _, h := range p.HostPorts {
		ports = append(ports, fmt.Sprintf("%s:%d for port %d", h.HostIP, h.HostPort, h.Port))
	}
	if len(ports) == 0 {
		return ""
	}
	return ", publishes " + strings.Join(ports, ", ")
}

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
		if !serving {
			turn = none
		}
		gone := b.removePod(o, cause, turn)
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

// createPod makes volumes and the infra container, waits for its agent, runs
// the init containers one by one, and starts the containers in order.
func (b *builder) createPod(p *docker.Pod, cause string, after ...int) int {
	object := "pod " + p.Name
	ready := slices.Concat(after, []int{b.networkStep, b.recordStep, b.loadStep})
	volumes := b.createVolumes(p, ready)
	step := Step{Object: object, Role: RoleInfra, Name: p.EngineName, Pod: p.Name}
	create := step
	create.Op, create.Cause = CreateContainer, cause+hostPorts(p)
	created := b.add(create, slices.Concat(volumes, ready, b.claimSteps(p.Mounts))...)
	return b.startPod(p, cause, created)
}

// startPod goes on from a created infra container.
func (b *builder) startPod(p *docker.Pod, cause string, after ...int) int {
	object := "pod " + p.Name
	started := b.add(Step{Op: StartContainer, Object: object, Role: RoleInfra, Name: p.EngineName, Pod: p.Name}, after...)
	gates := append([]int{b.awaitAgent(p, started)}, b.dependencies(p)...)
	return b.members(p, &Pod{Name: p.Name}, "", cause, started, gates)
}

func (b *builder) awaitAgent(p *docker.Pod, after int) int {
	gates := append([]int{after, b.connectStep}, b.portalSteps...)
	return b.add(Step{Op: AwaitAgent, Object: "pod " + p.Name, Pod: p.Name}, gates...)
}

func (b *builder) createVolumes(p *docker.Pod, after []int) []int {
	var steps []int
	for _, v := range b.podVolumes[p.Name] {
		removal, removed := b.volumes[v.Name]
		if b.observed.Volumes[v.Name] && !removed {
			continue
		}
		if !removed {
			removal = none
		}
		steps = append(steps, b.add(Step{Op: CreateVolume, Object: "volume " + v.Name, Name: v.Name, Pod: p.Name, Cause: string(v.Kind)}, slices.Concat(after, []int{removal})...))
	}
	return steps
}

func (b *builder) dependencies(p *docker.Pod) []int {
	var steps []int
	for _, d := range p.DependsOn {
		steps = append(steps, b.add(Step{Op: AwaitService, Object: "service " + d.Service, Pod: p.Name, Service: d.Service, Condition: d.Condition, Cause: "pod " + p.Name + " depends on it"}, b.connectStep))
	}
	return steps
}

// mendPod compares the members of a pod whose infra container is as it should be.
func (b *builder) mendPod(p *docker.Pod, o *Pod, turn int) (last int, disrupts bool) {
	if o.Infra.State == Created { // a run was killed between create and start
		gone := b.removeStrangers(p, o)
		return b.startPod(p, "its start was interrupted", gone...), false
	}
	gone := b.removeStrangers(p, o)
	disruption := b.disruption(p, o)
	gates := gone
	if disruption != "" {
		gates = append(gates, b.add(Step{Op: Drain, Object: "pod " + p.Name, Pod: p.Name, Cause: disruption}, turn))
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

// disruption is why a running member has to be replaced, or "".
func (b *builder) disruption(p *docker.Pod, o *Pod) string {
	for i := range p.Containers {
		c := &p.Containers[i]
		if m := o.member(c.Name); m.running() && m.Infra == o.Infra.ID {
			if cause := b.replaceCause(c, m, p.Name); cause != "" {
				return "container " + c.Name + ": " + cause
			}
		}
	}
	return ""
}

// member is the observed container of that name, or nil.
func (p *Pod) member(name string) *Container {
	for i := range p.Members {
		if p.Members[i].Key == name {
			return &p.Members[i]
		}
	}
	return nil
}

// replaceCause is why a container has to be made anew though nothing is wrong
// with it, or "".
func (b *builder) replaceCause(c *docker.Container, m *Container, pod string) string {
	if m.Hash != c.Hash {
		return b.containerChange(c, pod)
	}
	if id := b.observed.Images[c.Image]; id != "" && m.ImageID != "" && id != m.ImageID {
		return "image " + c.Image + " was rebuilt"
	}
	return ""
}

func (b *builder) containerChange(c *docker.Container, pod string) string {
	if p := b.before[pod]; p != nil {
		if old := p.Container(c.Name); old != nil {
			if changes := c.Changes(old); len(changes) > 0 {
				return strings.Join(changes, ", ")
			}
		}
	}
	return "its definition changed"
}

// members plans init containers and containers in order. infra is the ID of
// the living infra container, "" for one that the plan makes; joined is the
// step that starts it; gates hold back every start.
func (b *builder) members(p *docker.Pod, o *Pod, infra, cause string, joined int, gates []int) int {
	prev := joined
	initialised := slices.ContainsFunc(o.Members, func(m Container) bool { return !m.Init && m.Infra == infra && m.State != Created })
	if !initialised {
		for i := range p.Init {
			step, ok := b.initContainer(p, o, &p.Init[i], cause, prev, joined, gates)
			if !ok {
				return prev // waits for its back-off
			}
			if step != none {
				prev = step
			}
		}
	}
	for i := range p.Containers {
		if step := b.appContainer(p, o, &p.Containers[i], cause, prev, joined, gates); step != none {
			prev = step
		}
	}
	return prev
}

// initContainer returns the step after which it has succeeded, none when it
// has already, and false when it has to wait.
func (b *builder) initContainer(p *docker.Pod, o *Pod, c *docker.Container, cause string, prev, joined int, gates []int) (int, bool) {
	m := o.member(c.Name)
	step := Step{Object: "init container " + p.Name + "/" + c.Name, Role: RoleInit, Name: c.EngineName, Pod: p.Name, Container: c.Name}
	if m != nil && m.State == Exited && m.ExitCode == 0 && m.Error == "" {
		return none, true
	}
	if m.failed() && p.RestartPolicy == docker.RestartNever {
		return none, false // the pod has failed
	}
	if m != nil && m.State == Exited {
		at, _ := due(m)
		if at.After(b.now) {
			b.wait(p, step.Object, fmt.Sprintf("it exited with code %d; next try in %s", m.ExitCode, at.Sub(b.now).Round(100_000_000)), at)
			return none, false
		}
	}
	started := prev
	if !m.running() {
		started = b.createAndStart(step, m, cause, prev, joined, gates, c)
	}
	if p.Job != "" {
		return none, false // its exit is seen when it comes: no plan for jobs waits
	}
	step.Op = AwaitExit
	return b.add(step, slices.Concat(gates, []int{started})...), true
}

// appContainer returns the step that starts it, or none.
func (b *builder) appContainer(p *docker.Pod, o *Pod, c *docker.Container, cause string, prev, joined int, gates []int) int {
	m := o.member(c.Name)
	step := Step{Object: "container " + p.Name + "/" + c.Name, Role: RoleApp, Name: c.EngineName, Pod: p.Name, Container: c.Name}
	switch {
	case m == nil:
		if cause == "" {
			cause = "it is missing"
		}
		return b.createAndStart(step, nil, cause, prev, joined, gates, c)
	case p.Job == "" && b.replaceCause(c, m, p.Name) != "":
		m.Restarts, m.Backoff = 0, 0 // a changed container starts over
		return b.replace(step, m, b.replaceCause(c, m, p.Name), prev, gates, c)
	case Stays(p.RestartPolicy, m):
		return none
	case m.State == Created:
		return b.createAndStart(step, m, "its start was interrupted", prev, joined, gates, c)
	case m.State == Exited:
		return b.restart(p, step, m, prev, gates, c)
	case m.Unhealthy != "":
		// Only the stop: the restart follows from the exit, after the back-off.
		step.Op, step.ID, step.Cause = StopContainer, m.ID, m.Unhealthy
		return b.add(step)
	}
	return none
}

// wait notes what a pod waits for.
func (b *builder) wait(p *docker.Pod, object, reason string, until time.Time) {
	b.waits = append(b.waits, Wait{Object: object, Reason: reason, Until: until, Job: p.Job != ""})
}

func (b *builder) restart(p *docker.Pod, step Step, m *Container, prev int, gates []int, c *docker.Container) int {
	at, next := due(m)
	cause := fmt.Sprintf("it exited with code %d", m.ExitCode)
	if m.Error != "" {
		cause = "it did not start: " + m.Error
	}
	if at.After(b.now) {
		b.wait(p, step.Object, fmt.Sprintf("%s; next start in %s", cause, at.Sub(b.now).Round(100_000_000)), at)
		return none
	}
	step.Restarts, step.Backoff = m.Restarts+1, next
	return b.replace(step, m, cause, prev, gates, c)
}

// replace removes the container and makes and starts a new one in its place.
func (b *builder) replace(step Step, m *Container, cause string, prev int, gates []int, c *docker.Container) int {
	step.Cause = cause
	gone := b.remove(m, step, gates...)
	start := slices.Concat(gates, []int{prev})
	return b.create(step, slices.Concat(start, []int{gone}), start, c)
}

// createAndStart makes a container anew, removing what is left of an earlier
// try, and starts it. It is created as soon as there is an infra container to
// join, while the agent still gets ready.
func (b *builder) createAndStart(step Step, m *Container, cause string, prev, joined int, gates []int, c *docker.Container) int {
	gone := none
	step.Cause = cause
	if m != nil {
		step.Restarts = m.Restarts
		if m.ended() { // one that could not be started counts as one that ran and failed
			_, step.Backoff = due(m)
			step.Restarts++
		}
		gone = b.remove(m, step)
	}
	return b.create(step, []int{joined, gone}, slices.Concat(gates, []int{prev}), c)
}

func (b *builder) create(step Step, createAfter, startAfter []int, c *docker.Container) int {
	pull, ok := b.pulls[c.Image]
	if !ok {
		pull = none
	}
	step.Op = CreateContainer
	created := b.add(step, slices.Concat(createAfter, []int{pull, b.recordStep}, b.claimSteps(c.Mounts))...)
	step.Op, step.Cause = StartContainer, ""
	return b.add(step, slices.Concat(startAfter, []int{created})...)
}

// claimSteps are the steps that create the claims' volumes that are mounted. The
// engine would make them itself, without our labels.
func (b *builder) claimSteps(mounts []docker.Mount) []int {
	var out []int
	for _, m := range mounts {
		if s, ok := b.volumes[m.Volume]; ok && b.steps[s].Op == CreateVolume {
			out = append(out, s)
		}
	}
	return out
}
