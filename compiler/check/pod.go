package check

import (
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

func (c *checker) pod(p *app.Pod) {
	at := c.place("pods."+p.Name, p.Pos)
	at.lines = p.Lines
	c.meta(at.path+".", p.Pos, p.Labels, p.Annotations)
	if len(p.Containers) == 0 {
		at.refuse("a pod needs at least one container").hint("add containers: NAME: image: \"...\"")
	}
	c.podMetadata(p, at)
	c.kindOf(p, at)
	c.containers(p, at)
	for i := range p.Volumes {
		v := &p.Volumes[i]
		c.volume(p, v, at.field("volumes").field(v.Name).at(v.Pos))
	}
	for _, d := range p.DependsOn {
		if c.app.Service(d.Service) == nil {
			at.field("dependsOn", d.Service).at(d.Pos).missing("service", d.Service, "the app", c.serviceNames())
		}
	}
	c.scheduling(p, at)
	c.podSecurity(p, at)
	c.podNetwork(p, at)
	c.podResources(p, at)
	c.podRest(p, at)
}

// containers checks the containers of a pod, alone and together.
func (c *checker) containers(p *app.Pod, at place) {
	for i := range p.InitContainers {
		init := &p.InitContainers[i]
		where := at.field("initContainers", init.Name).at(init.Pos)
		where.lines = init.Lines
		c.container(p, init, where)
		c.initContainer(p, init, where)
	}
	for i := range p.Containers {
		ctr := &p.Containers[i]
		where := at.field("containers", ctr.Name).at(ctr.Pos)
		where.lines = ctr.Lines
		c.container(p, ctr, where)
	}
	c.containerPorts(p, at.path)
	c.hostPorts(p, at)
}

// initContainer checks what a container that runs to its end cannot have.
func (c *checker) initContainer(p *app.Pod, init *app.Container, at place) {
	for _, other := range p.Containers {
		if other.Name == init.Name {
			at.refuse("the pod also has a container of this name, at %s", other.Pos).hint("names are unique among all containers of a pod")
		}
	}
	if sidecar(init) {
		return
	}
	for _, probe := range probes(init) {
		if probe.probe != nil {
			at.field(probe.name).at(probe.probe.Pos).refuse("an init container cannot have a probe").
				hint("an init container runs to its end before the others start")
		}
	}
	if init.Lifecycle != nil {
		at.field("lifecycle").at(init.Lifecycle.Pos).refuse("an init container cannot have lifecycle hooks").
			hint("an init container runs to its end before the others start; one with restartPolicy: \"Always\" stays, and can have them")
	}
	for i, r := range init.ResizePolicy {
		if r.RestartPolicy == "RestartContainer" {
			at.field("resizePolicy").item(i).at(r.Pos).field("restartPolicy").refuse("an init container that runs to its end cannot be restarted for it").hint("set it to \"NotRequired\"")
		}
	}
}

// containerPorts checks that no two containers of a pod listen on one port, as
// they share an address, and that no two ports have one name, by which services
// find them.
func (c *checker) containerPorts(p *app.Pod, at string) {
	type key struct {
		port     int
		protocol string
	}
	taken, named := map[key]app.ContainerPort{}, map[string]app.ContainerPort{}
	ports := func(ctr *app.Container, at, hint string) {
		for _, port := range ctr.Ports {
			where, k := at+ctr.Name+".ports."+port.Name, key{port.ContainerPort, port.Protocol}
			if first, ok := taken[k]; ok {
				c.report(port.Pos, "%s: %s port %d is already taken in this pod, at %s", where, port.Protocol, port.ContainerPort, first.Pos)
				c.hint("%s", hint)
			} else if first, ok := named[port.Name]; ok {
				c.report(port.Pos, "%s: the pod already has a port of this name, at %s", where, first.Pos)
				c.hint("services find a pod's port by its name: choose another name")
			}
			taken[k], named[port.Name] = port, port
		}
	}
	const shared = "the containers of a pod share one address: choose another port"
	for i := range p.Containers {
		ports(&p.Containers[i], at+".containers.", shared)
	}
	for i := range p.InitContainers {
		hint := "an init container ends before the others start: leave its port out"
		if sidecar(&p.InitContainers[i]) {
			hint = shared
		}
		ports(&p.InitContainers[i], at+".initContainers.", hint)
	}
}

// hostPorts checks that no two containers ask for one port of the node, and
// that a pod in the node's own network asks for the ports it listens on.
func (c *checker) hostPorts(p *app.Pod, at place) {
	type key struct {
		port     int
		protocol string
	}
	taken := map[key]app.ContainerPort{}
	check := func(ctr *app.Container, at place) {
		for _, port := range ctr.Ports {
			at := at.field(ctr.Name, "ports", port.Name).at(port.Pos)
			if port.HostIP != "" {
				at.field("hostIP").ip(port.HostIP)
			}
			if port.HostPort == 0 {
				if port.HostIP != "" {
					at.field("hostIP").refuse("there is no hostPort").hint("add hostPort: NUMBER, or leave hostIP out")
				}
				continue
			}
			if p.HostNetwork && port.HostPort != port.ContainerPort {
				at.field("hostPort").refuse("with hostNetwork it must be the containerPort, %d", port.ContainerPort).hint("leave hostPort out: the container listens on the node itself")
			}
			k := key{port.HostPort, port.Protocol}
			if first, ok := taken[k]; ok && (first.HostIP == port.HostIP || first.HostIP == "" || port.HostIP == "") {
				at.field("hostPort").refuse("%s port %d of the node is already taken in this pod, at %s", port.Protocol, port.HostPort, first.Pos).hint("choose another hostPort")
			}
			taken[k] = port
		}
	}
	for i := range p.InitContainers {
		check(&p.InitContainers[i], at.field("initContainers"))
	}
	for i := range p.Containers {
		check(&p.Containers[i], at.field("containers"))
	}
}

// podNetwork checks names and addresses.
func (c *checker) podNetwork(p *app.Pod, at place) {
	at.field("subdomain").dnsLabel(p.Subdomain)
	if p.HostnameOverride != "" {
		c.hostnameOverride(p, at.field("hostnameOverride"))
	}
	for _, alias := range p.HostAliases {
		at := at.field("hostAliases").key(alias.IP).at(alias.Pos)
		at.ip(alias.IP)
		for i, name := range alias.Hostnames {
			if at := at.field("hostnames").item(i); at.notEmpty(name) {
				at.dnsName(name)
			}
		}
	}
	c.dns(p, at)
}

// maxHostname is the kernel's limit for a host name.
const maxHostname = 64

func (c *checker) hostnameOverride(p *app.Pod, at place) {
	at.dnsName(p.HostnameOverride)
	if len(p.HostnameOverride) > maxHostname {
		at.refuse("it has %d characters; a host name has at most %d", len(p.HostnameOverride), maxHostname)
	}
	if p.SetHostnameAsFQDN != nil && *p.SetHostnameAsFQDN {
		at.refuse("setHostnameAsFQDN also sets the host name").hint("leave one of them out")
	}
	if p.HostNetwork {
		at.refuse("with hostNetwork the host name is the node's").hint("leave it out")
	}
}

// Limits of resolv.conf, as Kubernetes sets them.
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
)

func (c *checker) dns(p *app.Pod, at place) {
	d := p.DNSConfig
	if p.DNSPolicy == "None" && (d == nil || len(d.Nameservers) == 0) {
		at.field("dnsPolicy").refuse("None needs a name server").hint("add dnsConfig: nameservers: [ADDRESS]")
	}
	if d == nil {
		return
	}
	at = at.field("dnsConfig").at(d.Pos)
	if n := len(d.Nameservers); n > maxNameservers {
		at.field("nameservers").refuse("there are %d; a resolver asks at most %d", n, maxNameservers)
	}
	for i, server := range d.Nameservers {
		at.field("nameservers").item(i).ip(server)
	}
	if n := len(d.Searches); n > maxSearches {
		at.field("searches").refuse("there are %d; a resolver tries at most %d", n, maxSearches)
	}
	if n := len(strings.Join(d.Searches, " ")); n > maxSearchChars {
		at.field("searches").refuse("they have %d characters; a resolver reads at most %d", n, maxSearchChars)
	}
	for i, search := range d.Searches {
		if name := strings.TrimSuffix(search, "."); search != "." && (len(name) > maxName || !searchDomain.MatchString(name)) {
			at.field("searches").item(i).refuse("%q is not the name of a domain", search)
		}
	}
	for i, option := range d.Options {
		if option.Name == "" {
			at.field("options").item(i).at(option.Pos).refuse("it has no name").hint("add name, such as \"ndots\"")
		}
	}
}

// podRest checks what is of no larger subject.
func (c *checker) podRest(p *app.Pod, at place) {
	at.field("serviceAccountName").dnsName(p.ServiceAccountName)
	for i, gate := range p.ReadinessGates {
		at.field("readinessGates").item(i).at(gate.Pos).field("conditionType").qualified(gate.ConditionType)
	}
	for i := range p.ResourceClaims {
		claim := &p.ResourceClaims[i]
		where := at.field("resourceClaims").key(claim.Name).at(claim.Pos)
		where.one("source", choice{"resourceClaimName", claim.ResourceClaimName != ""}, choice{"resourceClaimTemplateName", claim.ResourceClaimTemplateName != ""})
		where.field("resourceClaimName").dnsName(claim.ResourceClaimName)
		where.field("resourceClaimTemplateName").dnsName(claim.ResourceClaimTemplateName)
	}
}

// volumeNames are those of what the containers of a pod can mount.
func volumeNames(p *app.Pod) []string {
	return slices.Concat(
		names(p.Volumes, func(v app.Volume) string { return v.Name }),
		names(p.VolumeClaimTemplates, func(cl app.Claim) string { return cl.Name }))
}
