package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// Diff compares and decides. now is only compared with the times of exits.
func Diff(d Desired, o Observed, now time.Time) Plan {
	b := newBuilder(d, o, now)
	if d.Scope != OnlyJobs {
		b.desired.State = b.control.control(now)
		b.count()
	}
	if !b.images() {
		return Plan{Steps: b.steps, Waits: b.waits, State: b.desired.State}
	}
	if d.Scope != OnlyJobs {
		b.network()
		b.record()
		b.gateway()
		b.portals()
		b.removeGonePods()
		b.removeLeftVolumes()
		b.removeClaims()
		b.claims()
		b.pods()
		b.completeImages()
		b.liveChanges()
		b.removeImages()
	}
	if d.Scope != AllButJobs {
		b.jobs()
	}
	return Plan{Steps: b.steps, Waits: append(b.waits, b.control.waits...), Instances: b.instances, State: b.desired.State, Earlier: b.control.remembered()}
}

const none = -1

// detached is why what runs outside of the app's network is made anew.
const detached = "it is not in the app's network"

func newBuilder(d Desired, o Observed, now time.Time) *builder {
	b := &builder{
		desired: d, defined: d.State, control: newControllers(d, &o), observed: o, now: now, pulls: map[string]int{}, volumes: map[string]int{},
		podVolumes: map[string][]docker.Volume{}, before: map[string]*docker.Pod{}, bases: map[string]bool{}, wanted: map[string]int{}, running: map[string]int{}, gone: map[string]int{},
		loadStep: none, networkStep: none, recordStep: none, written: none, connectStep: none,
	}
	if o.Record != nil && o.Record.State != nil {
		for i := range o.Record.State.Pods {
			b.before[o.Record.State.Pods[i].Name] = &o.Record.State.Pods[i]
		}
	}
	return b
}

// count looks up what is asked for every pod.
func (b *builder) count() {
	for _, v := range b.desired.State.Volumes {
		b.podVolumes[v.Pod] = append(b.podVolumes[v.Pod], v)
	}
	for i := range b.defined.Pods {
		b.wanted[b.defined.Pods[i].Workload]++
	}
	for _, p := range b.observed.Pods {
		if p.Job == "" {
			b.running[p.Workload]++
		}
	}
	for _, i := range b.control.earlier {
		b.before[i.Pod.Name] = &i.Pod
	}
}

type builder struct {
	desired  Desired // with the state that the controllers want now
	defined  *docker.State
	control  *controllers
	observed Observed
	now      time.Time

	steps     []Step
	waits     []Wait
	instances []Instance

	// Looked up for every pod.
	podVolumes map[string][]docker.Volume // desired, by pod
	before     map[string]*docker.Pod     // as last recorded, by name
	wanted     map[string]int             // replicas by workload
	running    map[string]int             // replicas observed by workload
	bases      map[string]bool            // images that containers are made of in place of their own

	// Steps that others wait for; none where there is nothing to wait for.
	pulls       map[string]int // by image reference
	volumes     map[string]int // created or removed, by name
	gone        map[string]int // the last step of a pod's removal, by pod
	loadStep    int
	networkStep int
	recordStep  int
	written     int // the record, for whom it is enough that nothing else is under way
	connectStep int
	portalSteps []int
}

// add appends a step that runs after the given ones; none is ignored.
func (b *builder) add(s Step, after ...int) int {
	for _, a := range after {
		if a != none && !slices.Contains(s.After, a) {
			s.After = append(s.After, a)
		}
	}
	slices.Sort(s.After)
	b.steps = append(b.steps, s)
	return len(b.steps) - 1
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (b *builder) network() {
	b.networkStep = none
	if b.observed.Network != "" {
		return
	}
	after := append(slices.Sorted(maps.Values(b.pulls)), b.loadStep)
	b.networkStep = b.add(Step{Op: CreateNetwork, Object: "network " + b.desired.State.Prefix(), Cause: "the app has none"}, after...)
}

// VaultName is the engine's name of the volume that keeps generated secrets
// and the app's key. Its name has a part more than a claim's.
func VaultName(project string) string { return project + "_vault_keys" }

func (b *builder) record() {
	b.recordStep = none
	r := b.observed.Record
	if r != nil && !r.Incomplete && r.State.Equal(b.defined) && r.AgentImage == b.desired.AgentImage && r.Backoff.same(b.desired.Backoff) &&
		r.Strict == b.desired.Strict && r.knows(b.control.remembered()) {
		for _, l := range b.observed.Records {
			b.add(Step{Op: RemoveContainer, Object: "record " + l.Name, Role: RoleRecord, Name: l.Name, ID: l.ID, Cause: "a later one has taken its place"})
		}
		return
	}
	vault := none
	if name := VaultName(b.desired.State.Prefix()); !b.observed.Volumes[name] {
		vault = b.add(Step{Op: CreateVolume, Object: "volume " + name, Name: name, Cause: "keeps the app's key and generated secrets"}, b.loadStep, b.networkStep)
	}
	cause := "first run"
	switch {
	case r == nil:
	case r.State.Equal(b.desired.State) && !r.Backoff.same(b.desired.Backoff):
		cause = "other delays between restarts"
	default:
		cause = "the definition changed"
	}
	step := b.add(Step{Op: WriteRecord, Object: "app " + b.desired.State.App, Role: RoleRecord, Cause: cause}, b.loadStep, b.networkStep, vault)
	b.written = step
	// It brings the secrets. Where they are known, nothing has to wait for it, but
	// pods of a rollout: what they are made from has to be known if this is the
	// last that comes to pass.
	if r == nil || r.Incomplete || b.desired.Strict || !slices.EqualFunc(r.State.Secrets, b.desired.State.Secrets, docker.Secret.Equal) {
		b.recordStep = step
	}
}

func (b *builder) gateway() {
	g := b.observed.Gateway
	object := "gateway"
	name := docker.GatewayName(b.desired.State.Prefix())
	cause := ""
	switch {
	case g == nil:
		cause = "the app has none"
	case b.observed.Network == "":
		cause = "the network is gone"
	case g.Detached:
		cause = detached
	case g.Image != b.desired.AgentImage:
		cause = "it is from another version of cuepod"
	case g.State == Exited:
		cause = fmt.Sprintf("it exited with code %d", g.ExitCode)
	}
	b.connectStep = none
	if cause == "" && g.State == Running {
		return
	}
	create := none
	if cause != "" {
		gone := b.remove(g, Step{Object: object, Role: RoleGateway, Cause: cause})
		create = b.add(Step{Op: CreateContainer, Object: object, Role: RoleGateway, Name: name, Cause: cause}, gone, b.networkStep, b.recordStep, b.loadStep)
	}
	start := b.add(Step{Op: StartContainer, Object: object, Role: RoleGateway, Name: name}, create)
	b.connectStep = b.add(Step{Op: Connect, Object: object, Role: RoleGateway, Name: name}, start)
}

// portals come before the pods: a host port that is taken is known before a
// container of the app has started.
func (b *builder) portals() {
	wanted := map[string]bool{}
	for _, p := range b.desired.State.Portals {
		wanted[p.Service] = true
		b.portal(p)
	}
	for _, service := range slices.Sorted(maps.Keys(b.observed.Portals)) {
		if !wanted[service] {
			b.remove(b.observed.Portals[service], Step{Object: "portal " + service, Role: RolePortal, Service: service, Cause: "the service is not published any more"})
		}
	}
}

func (b *builder) portal(p docker.Portal) {
	c := b.observed.Portals[p.Service]
	cause := ""
	switch {
	case c == nil:
		cause = "publishes " + portList(p)
	case b.observed.Network == "":
		cause = "the network is gone"
	case c.Detached:
		cause = detached
	case c.Hash != p.Hash:
		cause = "now publishes " + portList(p)
	case c.Image != b.desired.AgentImage:
		cause = "it is from another version of cuepod"
	case c.State == Exited:
		cause = fmt.Sprintf("it exited with code %d", c.ExitCode)
	}
	if cause == "" && c.State == Running {
		return
	}
	step := Step{Object: "portal " + p.Service, Role: RolePortal, Name: p.EngineName, Service: p.Service, Cause: cause}
	create := none
	if cause != "" {
		gone := b.remove(c, step)
		step.Op = CreateContainer
		create = b.add(step, gone, b.networkStep, b.recordStep, b.loadStep)
	}
	step.Op, step.Cause = StartContainer, ""
	b.portalSteps = append(b.portalSteps, b.add(step, create, b.connectStep))
}

func portList(p docker.Portal) string {
	var ports []string
	for _, port := range p.Ports {
		ports = append(ports, fmt.Sprintf("127.0.0.1:%d for port %d", port.HostPort, port.Port))
	}
	return strings.Join(ports, ", ")
}

func (b *builder) claims() {
	for _, v := range b.desired.State.Volumes {
		if v.Kind == docker.Claim && !b.observed.Volumes[v.Name] {
			b.volumes[v.Name] = b.add(Step{Op: CreateVolume, Object: "volume " + v.Name, Name: v.Name, Cause: "claim " + v.Claim}, b.networkStep, b.recordStep)
		}
	}
}

// ordered reports whether a replica stops only after those with greater numbers.
// That is on the pod itself: once the record says that there are to be none of
// its workload, nothing else tells.
func (b *builder) ordered(p *Pod) bool {
	before := b.before[p.Name]
	return p.Ordered || before != nil && before.Ordered
}

// removeGonePods takes down replicas that are not desired any more, the newest
// first.
func (b *builder) removeGonePods() {
	wanted := map[string]bool{}
	for i := range b.desired.State.Pods {
		wanted[b.desired.State.Pods[i].Name] = true
	}
	turn := map[string]int{} // by ordered workload: the removal of the replica before
	for _, name := range newestFirst(b.observed.Pods) {
		p := b.observed.Pods[name]
		if wanted[name] || p.Job != "" || b.control.unknown[name] {
			continue
		}
		cause := "pod " + p.Workload + " is not defined any more"
		if why := b.control.causes[name]; why != "" {
			cause = why
		} else if n := b.wanted[p.Workload]; n > 0 {
			cause = fmt.Sprintf("replicas %d -> %d", b.running[p.Workload], n)
		}
		if !b.ordered(p) {
			b.gone[name] = b.removePod(p, cause)
			continue
		}
		last, ok := turn[p.Workload]
		if !ok {
			last = none
		}
		b.gone[name] = b.removePod(p, cause, last)
		turn[p.Workload] = b.gone[name]
	}
}

// newestFirst orders replicas by their number, the last one first.
func newestFirst(pods map[string]*Pod) []string {
	return slices.SortedFunc(maps.Keys(pods), func(x, y string) int {
		return cmp.Or(cmp.Compare(serial(y), serial(x)), strings.Compare(y, x))
	})
}

// liveChanges tell gateway and agents what changed without a new container.
func (b *builder) liveChanges() {
	r := b.observed.Record
	if r == nil || r.State == nil || b.connectStep != none {
		return // the whole state is told when the connection is made
	}
	to := *b.defined
	to.Pods = slices.DeleteFunc(slices.Clone(to.Pods), func(p docker.Pod) bool { return b.control.stays(p.Name) })
	for _, c := range docker.LiveChanges(r.State, &to) {
		b.add(Step{Op: Update, Object: c.Object, Cause: c.What}, b.recordStep)
	}
}
