package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
	if len(ports) == 0 || p.HostNetwork {
		return ""
	}
	return ", publishes " + strings.Join(ports, ", ")
}

// startPod goes on from a created infra container. What joins it is made when it
// runs, and no sooner: it may be told the pod's address.
func (b *builder) startPod(p *docker.Pod, cause string, after ...int) int {
	object := "pod " + p.Name
	started := b.add(Step{Op: StartContainer, Object: object, Role: RoleInfra, Name: p.EngineName, Pod: p.Name}, after...)
	gates := append([]int{b.awaitAgent(p, started)}, b.dependencies(p)...)
	return b.members(launch{p: p, o: &Pod{Name: p.Name}, cause: cause, joined: started, gates: gates})
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

// launch is what the starts of a pod's containers have in common.
type launch struct {
	p      *docker.Pod
	o      *Pod
	cause  string // of new containers; "" in a pod that is mended
	joined int    // step that starts the infra container, or none
	gates  []int  // hold back every start
	// reset are the containers that all start anew, by name: their counts go on.
	reset map[string]*Container
	ahead ahead

	// Kept while the containers are gone through in order.
	last   int // step that has to succeed before the next start
	behind int // step that has to end before the next start
}

// members plans init containers and containers in order, and returns the step
// that ends last, or none. Plans for jobs never wait: what follows a wait is
// planned when it is over.
func (b *builder) members(l launch) int {
	l.last, l.behind = l.joined, none
	if !b.initialise(&l) {
		return l.end()
	}
	for i := range l.p.Containers {
		if !b.regular(&l, &l.p.Containers[i]) {
			break
		}
	}
	return l.end()
}

func (l *launch) end() int { return max(l.last, l.behind) }

// initialise brings the init containers on, and reports whether the containers
// behind them may start. Sidecars are kept running, before and after.
// Source: pkg/kubelet/kuberuntime/kuberuntime_container.go computeInitContainerActions.
func (b *builder) initialise(l *launch) bool {
	next := l.nextInit()
	for i := range l.p.Init {
		c := &l.p.Init[i]
		switch {
		case c.Sidecar:
			if !b.sidecar(l, c, i >= next) {
				return false
			}
		case i >= next:
			if !b.initContainer(l, c) {
				return false
			}
		}
	}
	return true
}

// step is what the steps of a container have in common.
func (l *launch) step(object string, role Role, c *docker.Container) Step {
	s := Step{Object: object + " " + l.p.Name + "/" + c.Name, Role: role, Name: c.EngineName, Pod: l.p.Name, Container: c.Name}
	if m := l.reset[c.Name]; m != nil {
		s.Restarts, s.Backoff = m.Restarts+1, m.Backoff
	}
	return s
}

// nextInit is the index of the first init container that may not be done: of
// the last that was begun, as earlier ones may have been removed since. It is
// beyond them all once a regular container was begun.
func (l *launch) nextInit() int {
	begun := func(c docker.Container) bool {
		m := l.o.Living(c.Name)
		return m != nil && (m.State != Created || m.ended() || m.Previous != nil) // one that is only made says nothing: they are made ahead
	}
	if slices.ContainsFunc(l.p.Containers, begun) {
		return len(l.p.Init)
	}
	for i := range slices.Backward(l.p.Init) {
		if begun(l.p.Init[i]) {
			return i
		}
	}
	return 0
}

// initContainer plans a container that runs to its end. It reports whether the
// next may be planned.
func (b *builder) initContainer(l *launch, c *docker.Container) bool {
	m := l.o.Living(c.Name)
	step := l.step("init container", RoleInit, c)
	if m != nil && m.State == Exited && m.ExitCode == 0 && m.Error == "" {
		return true
	}
	if m.failed() && Stays(l.p, c, m) {
		return false // the pod has failed
	}
	if m != nil && m.Waiting != "" && !b.retry(l.p, step, m) {
		return false
	}
	if m.ended() {
		at, _ := b.desired.Backoff.Due(m)
		if at.After(b.now) {
			b.wait(l.p, step.Object, fmt.Sprintf("%s; next try in %s", endCause(m), at.Sub(b.now).Round(100*time.Millisecond)), at)
			return false
		}
	}
	started := l.last
	switch {
	case m.running():
	case m.waiting() && b.replaceCause(c, m, l.p.Name) == "":
		step.Cause = "its start was interrupted"
		started = b.start(step, slices.Concat(l.gates, []int{l.last}), c)
		step.Cause = ""
	default:
		if started = b.createAndStart(step, m, l.cause, l.last, l.joined, l.gates, c); started == none {
			return false // it waits for its image
		}
	}
	if l.p.Job != "" {
		l.last = started
		return false // its exit is seen when it comes
	}
	step.Op = AwaitExit
	l.last = b.add(step, slices.Concat(l.gates, []int{started})...)
	return true
}

// sidecar keeps an init container running that stays. Where it gates, what
// comes behind it waits until it has started. It reports whether the next
// container may be planned.
func (b *builder) sidecar(l *launch, c *docker.Container, gates bool) bool {
	m := l.o.Living(c.Name)
	step := l.step("sidecar", RoleSidecar, c)
	started, ok := b.keep(l, step, c, m)
	if !gates {
		return true
	}
	if !ok {
		return false
	}
	if started == none && m.Up {
		return true
	}
	if l.p.Job != "" {
		return false // that it has started is seen when it has
	}
	step.Op = AwaitStarted
	l.last = b.add(step, slices.Concat(l.gates, []int{l.last, started})...)
	return true
}

// regular plans one of the containers that the pod is for. It reports whether
// the next may be planned.
func (b *builder) regular(l *launch, c *docker.Container) bool {
	m := l.o.Living(c.Name)
	step := l.step("container", RoleApp, c)
	last, ok := b.keep(l, step, c, m)
	if last != none {
		l.behind = last
	}
	return ok || l.p.Job == ""
}

// keep plans what a container needs that should run: its start, its hook, its
// restart. It returns the step after which it runs and its hook is done, none
// where it needs no step, and false when it will not run by this plan, or when
// nobody can wait for its hook.
func (b *builder) keep(l *launch, step Step, c *docker.Container, m *Container) (int, bool) {
	if l.behind != none {
		step.Behind = []int{l.behind}
	}
	p := l.p
	// A pod of a job goes on when the hook is done, which the next plan sees.
	ok := p.Job == "" || c.PostStart == nil
	switch {
	case m == nil:
		cause := l.cause
		if cause == "" {
			cause = "it is missing"
		}
		made := b.createAndStart(step, nil, cause, l.last, l.joined, l.gates, c)
		return made, made != none && ok
	case p.Job == "" && b.replaceCause(c, m, p.Name) != "":
		// A changed container starts over: restarts of the one before do not count.
		replaced := b.replace(l, step, m, c)
		if replaced == none && ended(p, l.o, c) != nil {
			return b.startAgain(l, step, m, c), ok
		}
		return replaced, ok
	case Stays(p, c, m):
		return none, true
	case m.Waiting != "":
		if !b.retry(p, step, m) {
			return none, false
		}
		made := b.createAndStart(step, m, "it could not be made", l.last, l.joined, l.gates, c)
		return made, made != none && ok
	case m.waiting():
		gates := slices.Concat(l.gates, []int{l.last})
		if m.Program != "" {
			image, there := b.brought(step, c)
			if !there {
				return none, false
			}
			gates = append(gates, b.put(step, c, m.Program, slices.Concat(gates, []int{image})...))
		}
		step.Cause = "its start was interrupted"
		return b.start(step, gates, c), ok
	case m.ended():
		restarted := b.restart(p, step, m, l.last, l.gates, c)
		return restarted, restarted != none && ok
	case m.PostStart == HookFailed:
		// Only the stop: the restart follows from the exit, after the back-off.
		step.Cause = "PostStartHookError"
		b.stopAlone(step, m, Ending{Grace: p.GracePeriod, PreStop: c.PreStop})
		return none, false
	case m.Unhealthy != "":
		step.Cause = m.Unhealthy
		b.stopAlone(step, m, Ending{Grace: probeGrace(p, c, m), PreStop: c.PreStop})
		return none, false
	case c.PostStart != nil && (m.PostStart == HookDue || m.PostStart == HookRuns):
		return b.resumeHook(l, step, m)
	}
	return none, true
}

// resumeHook goes on with the hook of a container that has started. A plan for
// a job only begins it.
func (b *builder) resumeHook(l *launch, step Step, m *Container) (int, bool) {
	step.Op, step.ID = PostStart, m.ID
	if l.p.Job == "" {
		return b.add(step, l.gates...), true
	}
	if m.PostStart == HookDue {
		return b.add(step, l.gates...), false
	}
	return none, false
}

// probeGrace is how many seconds a container has to stop whose probe failed:
// as long as it has not started, that was its startup probe.
// Source: kuberuntime_container.go setTerminationGracePeriod.
func probeGrace(p *docker.Pod, c *docker.Container, m *Container) int64 {
	kinds := []string{"liveness"}
	if !m.Up {
		kinds = []string{"startup", "liveness"}
	}
	for _, kind := range kinds {
		for _, probe := range c.Probes {
			if probe.Kind != kind {
				continue
			}
			if probe.Grace != nil {
				return *probe.Grace
			}
			return p.GracePeriod
		}
	}
	return p.GracePeriod
}
