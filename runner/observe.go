package runner

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// observation is one look at the engine.
type observation struct {
	reconcile.Observed
	addresses addresses // zero when there is no network
	network   string    // name
	slots     map[string]int
	all       []engine.Container // everything of the app, by name
	volumes   []engine.Volume
	records   []engine.Container // the newest last
}

// observe looks at everything that carries the app's labels, and at the images
// that the desired state needs. state may be nil.
func observe(ctx context.Context, eng engine.Engine, id Identity, state *docker.State, agentImage string) (*observation, error) {
	containers, err := eng.ListContainers(ctx, id.selector())
	if err != nil {
		return nil, err
	}
	o := arrange(containers)
	if err := o.seeNetwork(ctx, eng, id); err != nil {
		return nil, err
	}
	if o.volumes, err = eng.ListVolumes(ctx, id.selector()); err != nil {
		return nil, err
	}
	for _, v := range o.volumes {
		o.Volumes[v.Name] = true
	}
	o.placeOnMachine()
	o.findDetached()
	return o, o.seeImages(ctx, eng, id, state, agentImage)
}

// placeOnMachine gives pods in the machine's network an address: the one under
// which others reach the machine.
func (o *observation) placeOnMachine() {
	for i := range o.all {
		if c := &o.all[i]; roleOf(c) == reconcile.RoleInfra && c.State == engine.Running && c.HostNetwork && o.addresses.subnet.IsValid() {
			c.IP = o.addresses.host()
			o.Pods[c.Labels[labelPod]].Infra.IP = c.IP
		}
	}
}

// findDetached marks what has to be in the app's network and is not: somebody
// disconnected it, or it runs since before the network was made.
func (o *observation) findDetached() {
	if !o.addresses.subnet.IsValid() {
		return // the network is gone: all of it is made anew
	}
	all := []*reconcile.Container{o.Gateway}
	all = slices.AppendSeq(all, maps.Values(o.Portals))
	for _, p := range o.Pods {
		all = append(all, p.Infra)
	}
	for _, c := range all {
		if c == nil || c.State != reconcile.Running || o.byID(c.ID).HostNetwork {
			continue
		}
		ip, err := netip.ParseAddr(c.IP)
		c.Detached = err != nil || !o.addresses.subnet.Contains(ip)
	}
}

// arrange puts an app's containers where they belong and reads the record
// among them.
func arrange(containers []engine.Container) *observation {
	o := &observation{all: containers, Observed: reconcile.Observed{
		Portals: map[string]*reconcile.Container{},
		Pods:    map[string]*reconcile.Pod{},
		Crons:   map[string]*reconcile.Cron{},
		Volumes: map[string]bool{},
		Images:  map[string]string{},
		Ready:   map[string]bool{},
		Since:   map[string]time.Time{},
	}}
	for i := range o.all {
		o.sort(&o.all[i])
	}
	o.Pair()
	o.readRecord()
	return o
}

func (o *observation) seeNetwork(ctx context.Context, eng engine.Engine, id Identity) error {
	networks, err := eng.ListNetworks(ctx, id.selector())
	if err != nil {
		return err
	}
	if len(networks) == 0 {
		return nil
	}
	n := networks[0]
	subnet, err := netip.ParsePrefix(n.Subnet)
	if err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	o.Network, o.network, o.addresses = n.ID, n.Name, addresses{subnet}
	return nil
}

// sort puts a container where the reconciler looks for it.
func (o *observation) sort(c *engine.Container) {
	d := reduce(c)
	switch pod := c.Labels[labelPod]; roleOf(c) {
	case reconcile.RoleGateway:
		o.Gateway = &d
	case reconcile.RolePortal:
		o.Portals[c.Labels[labelService]] = &d
	case reconcile.RoleJob:
		o.sortJob(c)
	case reconcile.RoleCron:
		o.sortCron(c)
	case reconcile.RoleRecord:
		o.records = append(o.records, *c)
	case reconcile.RoleInfra:
		p := o.pod(pod, c)
		p.Infra, p.Revision, p.Ordered = &d, c.Labels[labelRevision], c.Labels[labelOrdered] != ""
	case reconcile.RoleApp, reconcile.RoleInit, reconcile.RoleSidecar:
		p := o.pod(pod, c)
		p.Members = append(p.Members, d)
	}
}

func (o *observation) pod(name string, c *engine.Container) *reconcile.Pod {
	if o.Pods[name] == nil {
		o.Pods[name] = &reconcile.Pod{Name: name, Workload: c.Labels[labelWorkload], Job: c.Labels[labelJob], Run: c.Labels[labelRun]}
	}
	return o.Pods[name]
}

func reduce(c *engine.Container) reconcile.Container {
	d := reconcile.Container{
		ID: c.ID, Name: c.Name, Key: c.Labels[labelContainer], Init: roleOf(c) == reconcile.RoleInit, Sidecar: roleOf(c) == reconcile.RoleSidecar,
		Image: c.Image, ImageID: c.ImageID, Program: c.Labels[labelProgram], Hash: c.Labels[labelHash], Infra: c.Labels[labelInfra], IP: c.IP,
		ExitCode: c.ExitCode, OOMKilled: c.OOMKilled, Error: c.Error, Created: c.Created, Started: c.Started, Finished: c.Finished,
		Restarts: number(c.Labels, labelRestarts), Backoff: number(c.Labels, labelBackoff), Ending: endingOf(c.Labels),
		Waiting: c.Labels[labelReason], Message: c.Labels[labelMessage], Tries: number(c.Labels, labelTries),
	}
	switch c.State {
	case engine.Running, engine.Paused:
		d.State, d.Paused = reconcile.Running, c.State == engine.Paused
	case engine.Exited:
		d.State = reconcile.Exited
	default:
		d.State = reconcile.Created
	}
	return d
}

// readRecord takes the latest record that can be read. A label is input: what a
// damaged one says is known again once the next record is written.
func (o *observation) readRecord() {
	slices.SortFunc(o.records, func(a, b engine.Container) int {
		return number(a.Labels, labelGeneration) - number(b.Labels, labelGeneration)
	})
	for i := range slices.Backward(o.records) {
		c := &o.records[i]
		m, err := decodeManifest(c.Labels[labelManifest])
		if o.Record != nil || err != nil || m.State == nil {
			o.Records = append(o.Records, reconcile.Leftover{ID: c.ID, Name: c.Name})
			continue
		}
		o.slots = m.Slots
		o.Record = &reconcile.Record{
			ID: c.ID, Generation: int64(number(c.Labels, labelGeneration)), State: m.State, AgentImage: m.AgentImage,
			Backoff: m.Backoff, Strict: m.Strict, Earlier: m.Earlier,
		}
	}
}

func (o *observation) seeImages(ctx context.Context, eng engine.Engine, id Identity, state *docker.State, agentImage string) error {
	var refs []string
	if agentImage != "" {
		refs = append(refs, agentImage)
	}
	if state != nil {
		refs = append(refs, reconcile.ImagesOf(state)...)
	}
	if o.Record != nil {
		for i := range o.Record.Earlier {
			refs = append(refs, reconcile.ImagesOf(&docker.State{Pods: []docker.Pod{o.Record.Earlier[i].Pod}})...)
		}
	}
	slices.Sort(refs)
	for _, ref := range slices.Compact(refs) {
		image, err := eng.InspectImage(ctx, ref)
		switch engine.KindOf(err) {
		case engine.NotFound, engine.ImageMissing:
			continue
		}
		if err != nil {
			return err
		}
		o.Images[ref] = image.ID
	}
	if state == nil {
		return nil
	}
	var err error
	o.Built, err = builtImages(ctx, eng, id)
	return err
}

// judge adds what the gateway knows: which pods are ready, and which
// containers have to be restarted though they run. extra holds the verdicts of
// exec probes, hooks how postStart hooks are, both by container ID.
func (o *observation) judge(status api.Status, extra map[string]string, hooks map[string]*hookRun) {
	for name, p := range o.Pods {
		s := status.Pods[name]
		o.Ready[name] = podReady(view{seen: o, status: status}, name)
		for i := range p.Members {
			m := &p.Members[i]
			if h := hooks[m.ID]; h != nil {
				m.PostStart = h.state
			}
			if c := s.Containers[m.Key]; c.ID == m.ID && m.State == reconcile.Running {
				m.Unhealthy, m.Up = c.Unhealthy, c.Started
			}
			if why := extra[m.ID]; why != "" && m.State == reconcile.Running {
				m.Unhealthy = why
			}
		}
	}
}

// find is the first container that matches, or nil.
func (o *observation) find(match func(*engine.Container) bool) *engine.Container {
	for i := range o.all {
		if match(&o.all[i]) {
			return &o.all[i]
		}
	}
	return nil
}

// byID is the container with that ID, or nil.
func (o *observation) byID(id string) *engine.Container {
	return o.find(func(c *engine.Container) bool { return c.ID == id })
}

// infra is the infra container of a pod, or nil.
func (o *observation) infra(pod string) *engine.Container {
	return o.find(func(c *engine.Container) bool {
		return roleOf(c) == reconcile.RoleInfra && c.Labels[labelPod] == pod
	})
}

// member is the current instance of a container of a pod, or nil.
func (o *observation) member(pod, name string) *engine.Container {
	p := o.Pods[pod]
	if p == nil {
		return nil
	}
	if m := p.Member(name); m != nil {
		return o.byID(m.ID)
	}
	return nil
}

// isMember reports whether a container is one that a definition names.
func isMember(c *engine.Container) bool {
	switch roleOf(c) {
	case reconcile.RoleApp, reconcile.RoleInit, reconcile.RoleSidecar:
		return true
	}
	return false
}

// runs reports whether the container with that ID does.
func (o *observation) runs(id string) bool {
	c := o.byID(id)
	return c != nil && c.State == engine.Running
}

// living is a container of a pod that has joined its infra container, or nil.
func (o *observation) living(pod, container string) *reconcile.Container {
	p := o.Pods[pod]
	if p == nil || p.Infra == nil {
		return nil
	}
	return p.Living(container)
}
