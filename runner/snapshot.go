package runner

import (
	"net"
	"slices"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// snapshotInput is what a snapshot for the gateway is made of.
type snapshotInput struct {
	state        *docker.State
	seen         *observation
	slots        map[string]int
	draining     map[string]bool            // pods that are about to lose a container
	holds        map[string][]api.Hold      // containers that are being swapped, by pod
	exec         map[string]map[string]bool // verdicts of exec probes by container ID and kind
	secret       func(name, key string) (string, bool)
	machine      docker.Machine
	images       map[string]api.Image // that are not to be had
	proxy        string               // mode, see Config.ProxyMode
	certificates []api.Certificate
}

// snapshot tells the gateway everything it has to know. Pods that do not run
// yet are in it without an address, so that their services exist and refuse.
func (in snapshotInput) snapshot() api.Snapshot {
	s := api.Snapshot{App: in.state.App, Namespace: in.state.Namespace, Services: []api.Service{}, Pods: []api.Pod{}, Images: in.images, ProxyMode: in.proxy, Routes: in.state.Routes, Certificates: in.certificates}
	ips := map[string]string{}
	for i := range in.state.Pods {
		p := &in.state.Pods[i]
		pod := in.pod(p)
		if reconcile.Ended(p, in.seen.Pods[p.Name]) == reconcile.NotEnded { // one that has ended is no endpoint
			ips[p.Name] = pod.IP
		}
		s.Pods = append(s.Pods, pod)
	}
	for i := range in.state.Services {
		s.Services = append(s.Services, in.service(&in.state.Services[i], ips))
	}
	return s
}

func (in snapshotInput) service(s *docker.Service, ips map[string]string) api.Service {
	out := api.Service{Name: s.Name, Headless: s.Headless, Affinity: s.Affinity, AffinityTimeout: s.AffinityTimeout, ExternalName: s.ExternalName, NotReady: s.NotReady, Ports: []api.ServicePort{}}
	if s.Virtual() {
		out.VIP = in.seen.addresses.vip(in.slots[s.Name])
	}
	if s.Headless && len(s.Ports) == 0 {
		for _, pod := range s.Pods {
			out.Backends = append(out.Backends, api.Backend{Pod: pod, IP: ips[pod], Hostname: in.nameBelow(s, pod)})
		}
		for _, given := range s.Given {
			out.Backends = append(out.Backends, api.Backend{IP: given.IP})
		}
	}
	for _, p := range s.Ports {
		port := api.ServicePort{Name: p.Name, Port: p.Port, Protocol: p.Protocol, HTTP2: p.HTTP2, Backends: []api.Backend{}}
		for _, pod := range s.Pods {
			if target := p.Targets[pod]; target != 0 {
				port.Backends = append(port.Backends, api.Backend{Pod: pod, IP: ips[pod], Port: target, Hostname: in.nameBelow(s, pod)})
			}
		}
		for _, given := range s.Given {
			if target := given.Ports[p.Name]; target != 0 {
				port.Backends = append(port.Backends, api.Backend{IP: given.IP, Port: target})
			}
		}
		out.Ports = append(out.Ports, port)
	}
	return out
}

func (in snapshotInput) pod(p *docker.Pod) api.Pod {
	out := api.Pod{Name: p.Name, Draining: in.draining[p.Name], Holds: slices.Clone(in.holds[p.Name]), Containers: []api.Container{}}
	infra := in.seen.infra(p.Name)
	if infra != nil {
		out.IP = infra.IP
	}
	out.Names = in.names(p, out.IP)
	for _, c := range p.Lasting() {
		out.Containers = append(out.Containers, in.container(p, c))
	}
	out.Messages, out.MessagesDir = in.messages(p)
	for _, v := range p.Files {
		out.Files = append(out.Files, in.files(v, infra))
	}
	for _, d := range p.Dirs {
		dir := api.Dir{Path: d.Path, Group: d.Group, OnRootMismatch: d.OnRootMismatch}
		if d.Mode != nil {
			mode := uint32(*d.Mode)
			dir.Mode = &mode
		}
		out.Dirs = append(out.Dirs, dir)
	}
	return out
}

// messages are the containers of a pod that has a volume for their last words.
func (in snapshotInput) messages(p *docker.Pod) (out []api.Message, dir string) {
	if !slices.ContainsFunc(p.Mounts, func(m docker.Mount) bool { return m.Path == docker.MessagesDir }) {
		return nil, ""
	}
	for _, c := range slices.Concat(p.Init, p.Containers) {
		m := api.Message{Container: c.Name}
		if seen := in.seen.living(p.Name, c.Name); seen != nil && seen.State == reconcile.Exited {
			m.Ended = seen.ID
		}
		out = append(out, m)
	}
	return out, docker.MessagesDir
}

// container tells of one that runs to stay. Its probes begin when its postStart
// hook is done. One that is paused serves nobody.
func (in snapshotInput) container(p *docker.Pod, c *docker.Container) api.Container {
	out := api.Container{Name: c.Name}
	if m := in.seen.living(p.Name, c.Name); m != nil {
		hooked := c.PostStart == nil || m.Hash != c.Hash || m.PostStart == reconcile.HookDone
		out.ID, out.Running, out.Exec = m.ID, m.State == reconcile.Running && !in.seen.paused(p.Name, m) && hooked, in.exec[m.ID]
	}
	for _, probe := range c.Probes {
		out.Probes = append(out.Probes, in.outside(p, wireProbe(probe)))
	}
	return out
}

// outside gives a probe of the machine's own loopback the machine's address: the
// loopback of the pod, where the agent is, would let a server pass that nobody
// else reaches.
func (in snapshotInput) outside(p *docker.Pod, probe api.Probe) api.Probe {
	host := func(h string) string {
		ip := net.ParseIP(h)
		if p.HostNetwork || h != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return h
		}
		return in.seen.addresses.host()
	}
	if probe.HTTP != nil {
		probe.HTTP.Host = host(probe.HTTP.Host)
	}
	if probe.TCP != nil {
		probe.TCP.Host = host(probe.TCP.Host)
	}
	return probe
}

func (in snapshotInput) files(v docker.FileVolume, infra *engine.Container) api.FileVolume {
	out := api.FileVolume{Dir: v.Dir, Group: v.Group, Files: []api.File{}}
	for _, f := range v.Files {
		data := []byte(f.Data)
		switch {
		case f.Source == docker.FromUID && infra != nil:
			data = []byte(uidOf(infra.ID))
		case f.Source == docker.FromMachine:
			data = []byte(f.Resource.Of(in.machine))
		case f.Secret != nil:
			value, ok := in.secret(f.Secret.Name, f.Secret.Key)
			if !ok {
				continue // a value that is missing was reported when secrets were read
			}
			data = []byte(value)
		}
		out.Files = append(out.Files, api.File{Path: f.Path, Mode: uint32(f.Mode), User: f.User, Data: data})
	}
	return out
}

func wireProbe(p docker.Probe) api.Probe {
	out := api.Probe{
		Kind: p.Kind, InitialDelay: p.InitialDelay, Period: p.Period, Timeout: p.Timeout,
		SuccessThreshold: p.SuccessThreshold, FailureThreshold: p.FailureThreshold,
	}
	switch {
	case p.HTTP != nil:
		out.HTTP = &api.HTTPProbe{Host: p.HTTP.Host, Port: p.HTTP.Port, Path: p.HTTP.Path, Scheme: p.HTTP.Scheme, Headers: p.HTTP.Headers}
	case p.TCP != 0:
		out.TCP = &api.TCPProbe{Host: p.TCPHost, Port: p.TCP}
	case p.GRPC != nil:
		out.GRPC = &api.GRPCProbe{Port: p.GRPC.Port, Service: p.GRPC.Service}
	}
	return out
}
