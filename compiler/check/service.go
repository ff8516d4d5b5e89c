package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

func (c *checker) service(s *app.Service) {
	at := c.place("services."+s.Name, s.Pos)
	at.lines = s.Lines
	c.meta(at.path+".", s.Pos, s.Labels, s.Annotations)
	if s.Name[0] >= '0' && s.Name[0] <= '9' {
		at.refuse("a service's name must start with a letter")
	}
	c.serviceMetadata(s, at)
	c.behind(s, at)
	c.headless(s, at)
	if len(s.Ports) == 0 && !s.Headless && s.Type != "ExternalName" {
		at.refuse("a service needs at least one port").hint("add ports: NAME: port: NUMBER, or headless: true")
	}
	c.servicePorts(s, at.field("ports"))
	c.serviceType(s, at)
	c.serviceAddresses(s, at)
	c.affinityOf(s, at)
}

// behind checks what says which pods answer.
func (c *checker) behind(s *app.Service, at place) {
	if s.Type == "ExternalName" {
		c.externalName(s, at)
		return
	}
	if s.ExternalName != "" {
		at.field("externalName").refuse("a service of type %s has no externalName", s.Type).hint("set type: \"ExternalName\", or leave it out")
	}
	if len(s.Endpoints) > 0 {
		c.endpoints(s, at)
		return
	}
	switch {
	case s.Pod != "" && len(s.Selector) > 0:
		at.field("selector").refuse("there is also a pod").hint("leave pod or selector out")
	case s.Pod != "" && c.app.Pod(s.Pod) == nil:
		at.missing("pod", s.Pod, "the app", c.podNames())
	case s.Pod == "" && len(s.Selector) == 0:
		at.refuse("nothing says which pods answer").hint("add pod: NAME or selector: LABEL: VALUE; for what is outside, endpoints: [{address: \"10.0.0.5\"}], or type: \"ExternalName\" and externalName")
	case s.Pod == "":
		before := len(c.problems)
		c.labels(s.Selector, at.field("selector"))
		if len(c.problems) == before && len(c.app.Behind(s)) == 0 {
			c.selectsNothing(s.Selector, at.field("selector"))
		}
	}
}

// endpoints checks the addresses that answer in place of pods, by the rules of
// Kubernetes' validation of an EndpointSlice (ValidateEndpointIP).
func (c *checker) endpoints(s *app.Service, at place) {
	for _, f := range []choice{{"pod", s.Pod != ""}, {"selector", len(s.Selector) > 0}} {
		if f.set {
			at.field(f.name).refuse("the service also has endpoints").hint("leave %s or endpoints out", f.name)
		}
	}
	ports := names(s.Ports, func(p app.ServicePort) string { return p.Name })
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		at := at.field("endpoints").item(i).at(e.Pos)
		if addr, ok := at.field("address").ip(e.Address); ok && (addr.IsUnspecified() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast()) {
			at.field("address").refuse("%s is not an address of a network", e.Address).hint("from a pod it would lead to the pod itself or nowhere; name the machine's address in its network")
		}
		for _, name := range slices.Sorted(maps.Keys(e.Ports)) {
			if !slices.Contains(ports, name) {
				at.field("ports").missing("port", name, "the service", ports)
			}
		}
		for _, p := range s.Ports {
			if e.Ports == nil && p.TargetPort.Name != "" {
				at.refuse("targetPort %q of port %s is a name, and an address has no names for ports", p.TargetPort.Name, p.Name).hint("add ports: %s: NUMBER, or make targetPort a number", p.Name)
			}
		}
	}
}

// externalName checks a service that is another name for something outside.
func (c *checker) externalName(s *app.Service, at place) {
	name := strings.TrimSuffix(s.ExternalName, ".")
	if name == "" {
		at.refuse("a service of type ExternalName needs a name").hint("add externalName: \"db.example\"")
	}
	at.field("externalName").dnsName(name)
	for _, f := range []choice{
		{"pod", s.Pod != ""}, {"selector", len(s.Selector) > 0}, {"endpoints", len(s.Endpoints) > 0}, {"clusterIP", s.ClusterIP != ""}, {"ipFamilies", len(s.IPFamilies) > 0},
		{"ipFamilyPolicy", s.IPFamilyPolicy != ""}, {"externalIPs", len(s.ExternalIPs) > 0}, {"internalTrafficPolicy", s.InternalTrafficPolicy != ""},
	} {
		if f.set {
			at.field(f.name).refuse("a service of type ExternalName has no %s", f.name).hint("it is only another name for externalName")
		}
	}
}

func (c *checker) headless(s *app.Service, at place) {
	if !s.Headless {
		return
	}
	if s.Type != "ClusterIP" {
		at.refuse("a headless service cannot have the type %s", s.Type).hint("a headless service has no address of its own that could be exposed")
	}
	if s.SessionAffinity == "ClientIP" {
		at.refuse("a headless service cannot have sessionAffinity").hint("a client of a headless service chooses a pod itself")
	}
	if s.ClusterIP != "" && s.ClusterIP != "None" {
		at.field("clusterIP").refuse("a headless service has no address").hint("leave clusterIP or headless out")
	}
	if len(s.ExternalIPs) > 0 {
		at.field("externalIPs").refuse("a headless service has no address").hint("leave externalIPs or headless out")
	}
}

// serviceType checks what only some types have.
func (c *checker) serviceType(s *app.Service, at place) {
	if s.Type != "LoadBalancer" {
		for _, f := range []choice{
			{"allocateLoadBalancerNodePorts", s.AllocateLoadBalancerNodePorts != nil}, {"loadBalancerClass", s.LoadBalancerClass != ""},
			{"loadBalancerIP", s.LoadBalancerIP != ""}, {"loadBalancerSourceRanges", len(s.LoadBalancerSourceRanges) > 0},
		} {
			if f.set {
				at.field(f.name).refuse("a service of type %s has no %s", s.Type, f.name).hint("set type: \"LoadBalancer\", or leave it out")
			}
		}
	}
	external := s.Type == "LoadBalancer" || s.Type == "NodePort" || s.Type == "ClusterIP" && len(s.ExternalIPs) > 0
	if s.ExternalTrafficPolicy != "" && !external {
		at.field("externalTrafficPolicy").refuse("nothing from outside reaches a service of type %s", s.Type).hint("set type: \"NodePort\" or \"LoadBalancer\", or leave it out")
	}
	if s.HealthCheckNodePort != 0 {
		check := at.field("healthCheckNodePort")
		if s.Type != "LoadBalancer" || s.ExternalTrafficPolicy != "Local" {
			check.refuse("only a LoadBalancer with externalTrafficPolicy: \"Local\" asks which nodes have pods").hint("leave it out")
		}
		within(check, &s.HealthCheckNodePort, minNodePort, maxNodePort)
	}
	if s.LoadBalancerClass != "" {
		at.field("loadBalancerClass").qualified(s.LoadBalancerClass)
	}
	at.field("trafficDistribution").oneOf(s.TrafficDistribution, "PreferSameZone", "PreferSameNode", "PreferClose")
}

// A cluster's ports of nodes, unless it is told otherwise.
const minNodePort, maxNodePort = 30000, 32767

// serviceAddresses checks the addresses that are written.
func (c *checker) serviceAddresses(s *app.Service, at place) {
	if s.LoadBalancerIP != "" {
		at.field("loadBalancerIP").ip(s.LoadBalancerIP)
	}
	for i, cidr := range s.LoadBalancerSourceRanges {
		at.field("loadBalancerSourceRanges").item(i).cidr(cidr)
	}
	for i, ip := range s.ExternalIPs {
		at := at.field("externalIPs").item(i)
		if addr, ok := at.ip(ip); ok && (addr.IsUnspecified() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast()) {
			at.refuse("%s is not an address of a network", ip)
		}
	}
	c.families(s, at)
	if s.Type == "ExternalName" || s.Headless || s.ClusterIP == "" {
		return
	}
	clusterIP := at.field("clusterIP")
	if s.ClusterIP == "None" {
		clusterIP.refuse("a service without an address is headless").hint("set headless: true, and leave clusterIP out")
		return
	}
	if addr, ok := clusterIP.ip(s.ClusterIP); ok && len(s.IPFamilies) > 0 && addr.Is6() != (s.IPFamilies[0] == "IPv6") {
		clusterIP.refuse("%s is not an %s address", s.ClusterIP, s.IPFamilies[0]).hint("ipFamilies says which kind the address is of")
	}
}

func (c *checker) families(s *app.Service, at place) {
	at = at.field("ipFamilies")
	for i, family := range s.IPFamilies {
		at.item(i).oneOf(family, "IPv4", "IPv6")
		if slices.Contains(s.IPFamilies[:i], family) {
			at.item(i).refuse("%s is there twice", family)
		}
	}
	if len(s.IPFamilies) > 1 && (s.IPFamilyPolicy == "" || s.IPFamilyPolicy == "SingleStack") {
		at.refuse("two families need two addresses").hint("set ipFamilyPolicy: \"PreferDualStack\" or \"RequireDualStack\"")
	}
}

// maxAffinity is how long a client can be remembered: a day, in seconds.
const maxAffinity = 86400

func (c *checker) affinityOf(s *app.Service, at place) {
	config := s.SessionAffinityConfig
	if config == nil {
		return
	}
	at = at.field("sessionAffinityConfig").at(config.Pos)
	if s.SessionAffinity != "ClientIP" {
		at.refuse("the service has no sessionAffinity").hint("set sessionAffinity: \"ClientIP\", or leave it out")
	}
	if config.ClientIP == nil {
		at.refuse("it says nothing").hint("add clientIP: timeoutSeconds: NUMBER, or leave it out")
		return
	}
	within(at.field("clientIP", "timeoutSeconds").at(config.ClientIP.Pos), config.ClientIP.TimeoutSeconds, 1, maxAffinity)
}

func (c *checker) servicePorts(s *app.Service, at place) {
	type key struct {
		port     int
		protocol string
	}
	taken := map[key]app.ServicePort{}
	for _, port := range s.Ports {
		at := at.field(port.Name).at(port.Pos)
		k := key{port.Port, port.Protocol}
		if first, ok := taken[k]; ok {
			at.refuse("%s port %d is already taken in this service, at %s", port.Protocol, port.Port, first.Pos)
		}
		taken[k] = port
		if port.NodePort != 0 && (s.Type == "ClusterIP" || s.Type == "ExternalName") {
			at.refuse("a service of type %s has no nodePort", s.Type).hint("set type: \"NodePort\" or \"LoadBalancer\", or remove nodePort")
		}
		if port.AppProtocol != "" {
			at.field("appProtocol").qualified(port.AppProtocol)
		}
		if port.TargetPort.Name == "" {
			continue
		}
		for _, pod := range c.app.Behind(s) {
			c.targetPort(port, pod, at.field("targetPort"))
		}
	}
}

// targetPort checks a target by name: Kubernetes looks for a port of that name
// and of the same protocol at the containers that last.
func (c *checker) targetPort(port app.ServicePort, pod *app.Pod, at place) {
	var have []string
	for _, ctr := range lasting(pod) {
		for _, p := range ctr.Ports {
			if p.Protocol == port.Protocol {
				have = append(have, p.Name)
			}
		}
	}
	if !slices.Contains(have, port.TargetPort.Name) {
		at.missing(port.Protocol+" port", port.TargetPort.Name, "pod "+pod.Name, have)
	}
}

// nodePorts checks that no two services ask for one port of the node.
func (c *checker) nodePorts() {
	type key struct {
		port     int
		protocol string
	}
	taken := map[key]app.Pos{}
	for _, s := range c.app.Services {
		if s.HealthCheckNodePort != 0 {
			taken[key{s.HealthCheckNodePort, "TCP"}] = s.Pos
		}
	}
	for _, s := range c.app.Services {
		for _, p := range s.Ports {
			if p.NodePort == 0 {
				continue
			}
			k := key{p.NodePort, p.Protocol}
			if first, ok := taken[k]; ok {
				c.report(p.Pos, "services.%s.ports.%s.nodePort: %d is already taken, at %s", s.Name, p.Name, p.NodePort, first)
				continue
			}
			taken[k] = p.Pos
		}
	}
}

// cycles reports pods that wait for each other through dependsOn.
func (c *checker) cycles() {
	done := map[string]bool{}
	var path []string
	var visit func(p *app.Pod)
	visit = func(p *app.Pod) {
		if i := slices.Index(path, p.Name); i >= 0 {
			c.cycle(append(slices.Clone(path[i:]), p.Name))
			return
		}
		if done[p.Name] {
			return
		}
		path = append(path, p.Name)
		for _, d := range p.DependsOn {
			if s := c.app.Service(d.Service); s != nil {
				for _, behind := range c.app.Behind(s) {
					visit(behind)
				}
			}
		}
		path = path[:len(path)-1]
		done[p.Name] = true
	}
	for i := range c.app.Pods {
		visit(&c.app.Pods[i])
	}
}

// cycle reports one circle of pods, at the dependency that closes it.
func (c *checker) cycle(circle []string) {
	last := c.app.Pod(circle[len(circle)-2])
	for _, d := range last.DependsOn {
		if s := c.app.Service(d.Service); s != nil && slices.Contains(c.app.Behind(s), c.app.Pod(circle[len(circle)-1])) {
			c.report(d.Pos, "pods.%s.dependsOn.%s: the pods wait for each other: %s", last.Name, d.Service, strings.Join(circle, " -> "))
			return
		}
	}
}
