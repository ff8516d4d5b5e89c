package docker

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// service resolves the ports for every replica of the pods behind it, each by
// its own container ports.
func (r *renderer) service(s *app.Service, state *State) Service {
	if s.Type == "ExternalName" {
		return Service{Name: s.Name, ExternalName: s.ExternalName}
	}
	out := Service{Name: s.Name, Headless: s.Headless, Affinity: s.SessionAffinity == "ClientIP", NotReady: s.PublishNotReadyAddresses, Pods: []string{}}
	if c := s.SessionAffinityConfig; out.Affinity && c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		out.AffinityTimeout = *c.ClientIP.TimeoutSeconds
	}
	workloads := map[string]*app.Pod{} // of what answers: replicas and jobs
	for _, behind := range r.app.Behind(s) {
		for i := range state.Pods {
			if p := &state.Pods[i]; p.Workload == behind.Name {
				out.Pods = append(out.Pods, p.Name)
				workloads[p.Name] = behind
			}
		}
		if state.Job(behind.Name) != nil {
			out.Jobs = append(out.Jobs, behind.Name)
			workloads[behind.Name] = behind
		}
	}
	out.Given = given(s)
	for _, port := range s.Ports {
		if port.Protocol == "SCTP" {
			continue // checkService tells
		}
		d := ServicePort{Name: port.Name, Port: port.Port, Protocol: port.Protocol, HTTP2: speaksHTTP2(&port), Target: port.TargetPort.Name, Targets: map[string]int{}}
		for name, workload := range workloads {
			if target := targetNumber(&port, workload); target != 0 { // as in Kubernetes, a pod without the named port is left out
				d.Targets[name] = target
			}
		}
		out.Ports = append(out.Ports, d)
		out.HTTP = out.HTTP || !s.Headless && speaksHTTP(&port)
	}
	return out
}

// given are a service's endpoints that are no pods. The app's network has IPv4
// alone; checkService tells of others.
func given(s *app.Service) []GivenEndpoint {
	var out []GivenEndpoint
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		ip, err := netip.ParseAddr(e.Address)
		if err != nil || !ip.Is4() {
			continue
		}
		d := GivenEndpoint{IP: ip.String(), Ports: map[string]int{}}
		for n := range s.Ports {
			if port := app.EndpointPort(e, &s.Ports[n]); port != 0 {
				d.Ports[s.Ports[n].Name] = port
			}
		}
		out = append(out, d)
	}
	return out
}

// speaksHTTP guesses from a port's protocol or name, as meshes do, or from the number that
// the web is known by. It only decides whether people are shown a URL: the HTTP
// router takes any service.
func speaksHTTP(p *app.ServicePort) bool {
	if p.AppProtocol != "" {
		return p.AppProtocol == "http" || p.AppProtocol == "kubernetes.io/ws"
	}
	return p.Protocol == "TCP" && (strings.HasPrefix(p.Name, "http") || strings.HasPrefix(p.Name, "web") || p.Port == 80)
}

// speaksHTTP2 tells from a port's protocol, or guesses from its name, that HTTP/2
// is spoken without TLS. gRPC needs it.
func speaksHTTP2(p *app.ServicePort) bool {
	if p.AppProtocol != "" {
		return p.AppProtocol == "kubernetes.io/h2c" || p.AppProtocol == "grpc" || p.AppProtocol == "h2c"
	}
	return p.Protocol == "TCP" && (p.Name == "grpc" || p.Name == "h2c" || strings.HasPrefix(p.Name, "grpc-") || strings.HasPrefix(p.Name, "h2c-"))
}

// targetNumber resolves a target port against all containers of the pod.
func targetNumber(port *app.ServicePort, pod *app.Pod) int {
	if port.TargetPort.IsZero() {
		return port.Port
	}
	if port.TargetPort.Name == "" {
		return port.TargetPort.Number
	}
	for _, list := range [][]app.Container{pod.Containers, pod.InitContainers} {
		for _, c := range list {
			if n := resolvePort(port.TargetPort, c.Ports, port.Protocol); n != 0 {
				return n
			}
		}
	}
	return 0
}

// The range of node ports, as in Kubernetes.
const (
	nodePortFirst = 30000
	nodePortLast  = 32767
)

// hostPort identifies a port on the host.
type hostPort struct {
	port     int
	protocol string
}

// pinnedPorts are the host ports that the definition itself names.
func pinnedPorts(a *app.App) map[hostPort]bool {
	pinned := map[hostPort]bool{}
	for i := range a.Pods {
		for _, p := range hostPorts(&a.Pods[i]) {
			pinned[hostPort{p.HostPort.HostPort, p.Protocol}] = true
		}
	}
	for _, s := range a.Services {
		for _, p := range s.Ports {
			switch {
			case s.Type == "NodePort" && p.NodePort != 0:
				pinned[hostPort{p.NodePort, p.Protocol}] = true
			case s.Type == "LoadBalancer":
				pinned[hostPort{p.Port, p.Protocol}] = true
			}
		}
	}
	return pinned
}

// portal publishes a NodePort or LoadBalancer service on the host's loopback
// address. A node port that nobody chose is derived from the names, so that it
// is the same on every run.
func (r *renderer) portal(s *app.Service, taken map[hostPort]bool) (Portal, bool) {
	if s.Type != "NodePort" && s.Type != "LoadBalancer" || s.Headless {
		return Portal{}, false
	}
	p := Portal{Service: s.Name, EngineName: PortalName(r.project, s.Name), Line: s.Pos.String()}
	for _, port := range s.Ports {
		if port.Protocol == "SCTP" {
			continue
		}
		d := PortalPort{Name: port.Name, Port: port.Port, Protocol: port.Protocol, Pinned: true}
		switch {
		case s.Type == "LoadBalancer":
			d.HostPort = port.Port
		case port.NodePort != 0:
			d.HostPort = port.NodePort
		default:
			d.Pinned = false
			d.HostPort = r.freeNodePort(s.Name, &port, taken)
		}
		p.Ports = append(p.Ports, d)
	}
	r.findings.Add("docker/loopback", "services."+s.Name+".type", s.Pos,
		fmt.Sprintf("a %s is published on 127.0.0.1 only", s.Type), "")
	p.Hash = hashOf(p.Ports)
	return p, true
}

func (r *renderer) freeNodePort(service string, port *app.ServicePort, taken map[hostPort]bool) int {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%s/%s", r.app.Name, service, port.Name)
	const size = nodePortLast - nodePortFirst + 1
	for i := range size {
		n := nodePortFirst + (int(h.Sum32()%size)+i)%size
		if key := (hostPort{n, port.Protocol}); !taken[key] {
			taken[key] = true
			return n
		}
	}
	return 0 // more node ports than Kubernetes has: the compiler's limit on ports is far below
}
