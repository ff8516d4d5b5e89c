package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/targets/docker"
)

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
		at, _ := b.desired.Backoff.Due(m)
		if at.After(b.now) {
			b.wait(p, step.Object, fmt.Sprintf("it exited with code %d; next try in %s", m.ExitCode, at.Sub(b.now).Round(100_000_000)), at)
			return none, false
		}
	}
	started := prev
	if !m.running() {
		if started = b.createAndStart(step, m, cause, prev, joined, gates, c); started == none {
			return none, false // it waits for its image
		}
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
