package compose

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// service reports what a service's alias cannot do, and adds the portal of one
// that the host may reach.
func (r *renderer) service(s *app.Service) error {
	if owner, ok := r.taken["service "+s.Name]; ok && !strings.HasPrefix(owner, "portal") {
		return fmt.Errorf("its name is also that of %s: rename one", owner)
	}
	path := "services." + s.Name
	if len(s.Labels)+len(s.Annotations) > 0 {
		r.findings.Add("compose/service-metadata", path, s.Pos, "labels and annotations of the service are left out: Compose has nothing that could carry them", "")
	}
	if s.Type == "ExternalName" {
		return r.externalName(s, path)
	}
	if len(s.Endpoints) > 0 {
		return r.endpoints(s, path)
	}
	if s.Pod != "" && len(r.serving.pods[s]) == 0 {
		return fmt.Errorf("there is no pod %q", s.Pod)
	}
	pods := slices.DeleteFunc(slices.Clone(r.serving.pods[s]), func(p *app.Pod) bool { return p.HostNetwork })
	if len(pods) == 0 {
		r.findings.Add("compose/service-empty", path, s.Pos, "the name does not resolve: no pod of the app's own network is behind the service", "")
		return nil
	}
	r.endpointFindings(s, path)
	if s.ClusterIP != "" && s.ClusterIP != "None" {
		r.findings.Add("compose/service-address", path+".clusterIP", fieldPos(s.Lines, "clusterIP", s.Pos), "the name resolves to the pods' own addresses", "")
	}
	if s.Type != "NodePort" && s.Type != "LoadBalancer" {
		return nil
	}
	if !slices.ContainsFunc(pods, func(p *app.Pod) bool { return len(ordinals(p)) > 0 }) {
		return nil
	}
	portal, err := r.portal(s, pods)
	if err != nil {
		return err
	}
	return r.addService(s.Name+"-portal", "portal of service "+s.Name, portal)
}

func (r *renderer) endpointFindings(s *app.Service, path string) {
	message := "the name resolves to the pods' own addresses, ready or not, and not to one stable address"
	if s.Headless {
		message = "the name resolves to all pods, ready or not"
	}
	r.findings.Add("compose/service-endpoints", path, s.Pos, message, "clients have to reconnect by name, as they would to a headless service")
	if s.SessionAffinity == "ClientIP" {
		r.findings.Add("compose/session-affinity", path+".sessionAffinity", s.Pos, "connections are spread without regard to the client", "")
	}
}

// portal publishes the service's ports on the host and spreads connections
// over the replicas.
func (r *renderer) portal(s *app.Service, pods []*app.Pod) (*yaml.Map, error) {
	args := []string{"hold"}
	ports, wait := yaml.List{}, map[string]string{}
	var capabilities []string
	for _, port := range s.Ports {
		path := "services." + s.Name + ".ports." + port.Name
		target, err := portalTarget(pods, port)
		if err != nil {
			return nil, err
		}
		proto := protocol(port.Protocol)
		if proto == "sctp" {
			r.findings.Add("compose/sctp", path, port.Pos, "the port is not published: nothing can forward SCTP", "")
			continue
		}
		host, err := r.hostPort(s, port)
		if err != nil {
			return nil, err
		}
		args = append(args, fmt.Sprintf("--forward=%s/%d=%s:%d", proto, port.Port, s.Name, target))
		if port.Port < privilegedPorts && capabilities == nil {
			capabilities = []string{"NET_BIND_SERVICE"}
		}
		ports = append(ports, fmt.Sprintf("127.0.0.1:%d:%d/%s", host, port.Port, proto))
		r.findings.Add("compose/host-port", path, port.Pos,
			fmt.Sprintf("%s-portal publishes the port as 127.0.0.1:%d and spreads connections over the replicas that accept them", s.Name, host), "")
	}
	for _, pod := range pods {
		if waits(pod) {
			continue
		}
		for _, name := range replicaNames(pod) {
			wait[name] = "service_started"
		}
	}
	service := r.holderService(args).
		Opt("ports", ports).
		Opt("depends_on", conditions(wait)).
		Set("restart", "unless-stopped").
		Set("read_only", true)
	return confine(service, capabilities...), nil
}

// portalTarget is the port at which the portal finds all pods: the one that
// they listen on where it is the same, or else the service's, which their
// holders forward.
func portalTarget(pods []*app.Pod, port app.ServicePort) (int, error) {
	target := 0
	for _, pod := range pods {
		own, err := targetPort(pod, port)
		if err != nil {
			return 0, err
		}
		if target != 0 && own != target {
			return port.Port, nil
		}
		target = own
	}
	return target, nil
}

// listener is a port in a network namespace: a pod's, or the host's.
type listener struct {
	protocol string
	port     int
}

// pinnedPorts are the host ports that the definition names.
func pinnedPorts(a *app.App) map[listener]bool {
	pinned := map[listener]bool{}
	for i := range a.Pods {
		for _, c := range containers(&a.Pods[i]) {
			for _, port := range c.Ports {
				if port.HostPort != 0 {
					pinned[listener{protocol(port.Protocol), port.HostPort}] = true
				}
			}
		}
	}
	for _, s := range a.Services {
		for _, p := range s.Ports {
			switch {
			case s.Type == "LoadBalancer":
				pinned[listener{protocol(p.Protocol), p.Port}] = true
			case s.Type == "NodePort" && p.NodePort != 0:
				pinned[listener{protocol(p.Protocol), p.NodePort}] = true
			}
		}
	}
	return pinned
}

// Kubernetes' default range of node ports.
const (
	firstNodePort = 30000
	nodePorts     = 2768 // how many
)

// hostPort is the port on the host: a load balancer's is the service's own, a
// node port the one in the definition, or else one that follows from the names
// and so is the same each time, and the same as on a local run.
func (r *renderer) hostPort(s *app.Service, port app.ServicePort) (int, error) {
	switch {
	case s.Type == "LoadBalancer":
		return port.Port, nil
	case port.NodePort != 0:
		return port.NodePort, nil
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%s/%s", r.app.Name, s.Name, port.Name)
	for i := range nodePorts {
		n := firstNodePort + (int(h.Sum32()%nodePorts)+i)%nodePorts
		if on := (listener{protocol(port.Protocol), n}); !r.hostPorts[on] {
			r.hostPorts[on] = true
			return n, nil
		}
	}
	return 0, fmt.Errorf("port %s: all %d node ports are taken", port.Name, nodePorts)
}

func protocol(p string) string {
	if p == "" {
		return "tcp"
	}
	return strings.ToLower(p)
}

// targetPort resolves the port behind a service port among the pod's.
func targetPort(pod *app.Pod, port app.ServicePort) (int, error) {
	switch {
	case port.TargetPort.IsZero():
		return port.Port, nil
	case port.TargetPort.Name == "":
		return port.TargetPort.Number, nil
	}
	for _, c := range containers(pod) {
		for _, p := range c.Ports {
			if p.Name == port.TargetPort.Name && protocol(p.Protocol) == protocol(port.Protocol) {
				return p.ContainerPort, nil
			}
		}
	}
	return 0, fmt.Errorf("port %s: pod %s has no %s port %q", port.Name, pod.Name, strings.ToUpper(protocol(port.Protocol)), port.TargetPort.Name)
}

// privilegedPorts begin to be free for everybody at this number.
const privilegedPorts = 1024

// forwards are the holder's arguments for the service ports that differ from
// the container's. privileged says that one of them takes a capability to listen on.
func (p *replica) forwards() (args []string, privileged bool, err error) {
	used := map[listener]int{} // to the port that answers there
	if p.pod.HostNetwork {
		return nil, false, nil // no service's name leads here
	}
	for _, c := range containers(p.pod) {
		for _, port := range c.Ports {
			used[listener{protocol(port.Protocol), port.ContainerPort}] = port.ContainerPort
		}
	}
	for _, s := range p.r.serving.services[p.pod] {
		if s.Headless { // a headless service's clients connect to the container's port
			continue
		}
		for _, port := range s.Ports {
			target, err := targetPort(p.pod, port)
			if err != nil {
				return nil, false, fmt.Errorf("service %s: %w", s.Name, err)
			}
			on := listener{protocol(port.Protocol), port.Port}
			if p.forwarded(s, port, on, target, used) {
				args = append(args, fmt.Sprintf("--forward=%s/%d=%d", on.protocol, on.port, target))
				privileged = privileged || on.port < privilegedPorts
			}
		}
	}
	return args, privileged, nil
}

// forwarded decides on one service port and reports it.
func (p *replica) forwarded(s *app.Service, port app.ServicePort, on listener, target int, used map[listener]int) bool {
	path := "services." + s.Name + ".ports." + port.Name
	answers, taken := used[on]
	switch {
	case on.port == target, taken && answers == target:
		return false
	case on.protocol == "sctp":
		p.find("compose/sctp", path, port.Pos, fmt.Sprintf("port %d does not lead to %d: nothing can forward SCTP", on.port, target), "make port and targetPort the same")
		return false
	case taken:
		p.find("compose/service-port-taken", path, port.Pos,
			fmt.Sprintf("port %d of pod %s already answers for port %d, so %s:%d cannot be port %d", on.port, p.pod.Name, answers, s.Name, on.port, target),
			"give the service another port")
		return false
	}
	used[on] = target
	p.find("compose/service-port", path, port.Pos,
		fmt.Sprintf("the pod's holder forwards port %d to %d; the application sees the pod's own address as the client's", on.port, target),
		"make port and targetPort the same")
	return true
}
