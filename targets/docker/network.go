package docker

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

const (
	maxHostname = 63 // characters of a host name, as in Kubernetes: engines take more
	maxFQDN     = 64 // the kernel's limit
)

// hostLabel cuts a name to what a host name may have, as kubelet does.
func hostLabel(name string) string {
	if len(name) <= maxHostname {
		return name
	}
	return strings.TrimRight(name[:maxHostname], "-.")
}

// setNames sets the host name, the domain behind it of a pod with a subdomain,
// and its name in DNS, by the rules of kubelet's GeneratePodHostNameAndDomain
// and of the endpoints (ShouldSetHostname). The pods of a StatefulSet have its
// service for a subdomain, and their own names for host names.
func (r *renderer) setNames(d *Pod, p *app.Pod) {
	d.Subdomain, d.DNSName = p.Subdomain, p.Hostname
	if p.Kind == "StatefulSet" {
		d.Subdomain, d.DNSName = r.app.GoverningService(p), d.Name
	}
	if d.Subdomain == "" {
		d.DNSName = ""
	}
	d.Hostname = hostLabel(cmp.Or(d.DNSName, p.Hostname, d.Name))
	if p.HostnameOverride != "" {
		d.Hostname = hostLabel(p.HostnameOverride)
		return
	}
	if d.Subdomain != "" {
		d.Domain = d.Subdomain + "." + r.app.DNSNamespace() + ".svc.cluster.local"
	}
	if !isTrue(p.SetHostnameAsFQDN) || d.Domain == "" {
		return
	}
	d.Hostname += "." + d.Domain
	if len(d.Hostname) > maxFQDN {
		r.refuse(line(p.Lines, "setHostnameAsFQDN", p.Pos), "pods.%s.setHostnameAsFQDN: %s has %d characters, and a host name at most %d: in Kubernetes the pod never starts; shorten hostname or subdomain, or leave setHostnameAsFQDN out",
			p.Name, d.Hostname, len(d.Hostname), maxFQDN)
	}
}

// Short is the host name without the domain.
func (p *Pod) Short() string {
	if p.Domain == "" {
		return p.Hostname
	}
	return strings.TrimSuffix(p.Hostname, "."+p.Domain)
}

// setNetwork sets what the infra container holds of the network for all.
func (r *renderer) setNetwork(d *Pod, p *app.Pod) {
	for _, alias := range p.HostAliases {
		d.HostAliases = append(d.HostAliases, HostAlias{IP: alias.IP, Hostnames: alias.Hostnames})
	}
	d.DNS = dnsOf(p)
	r.setSysctls(d, p)
	for _, port := range hostPorts(p) {
		d.HostPorts = append(d.HostPorts, port.HostPort)
	}
	if p.HostNetwork {
		d.HostNetwork, d.Hostname, d.Domain = true, "", "" // they are the machine's
		if len(d.HostPorts) > 0 && replicas(p) > 1 && !runsToEnd(p) {
			r.refuse(line(p.Lines, "hostNetwork", p.Pos), "pods.%s.hostNetwork: %d replicas would listen on port %d of one machine; a local run needs replicas: 1",
				p.Name, replicas(p), d.HostPorts[0].HostPort)
		}
	}
}

// dnsOf is the pod's policy and configuration; see kubelet's getPodDNSType.
func dnsOf(p *app.Pod) DNS {
	var dns DNS
	switch {
	case p.DNSPolicy == "None", p.DNSPolicy == "Default":
		dns.Policy = p.DNSPolicy
	case p.HostNetwork && p.DNSPolicy != "ClusterFirstWithHostNet":
		dns.Policy = "Default"
	}
	if c := p.DNSConfig; c != nil {
		dns.Servers, dns.Searches = c.Nameservers, c.Searches
		for _, o := range c.Options {
			dns.Options = append(dns.Options, DNSOption{o.Name, o.Value})
		}
	}
	return dns
}

// loopback is where a host port is bound that names no address. Nothing
// listens beyond the machine unless somebody asks for it.
const loopback = "127.0.0.1"

// placedPort is a port on the host with its place in the definition.
type placedPort struct {
	HostPort
	path string
	pos  app.Pos
	// ip is the address as Kubernetes takes it: every one when none is named.
	ip string
}

const everyIP = "0.0.0.0"

// hostPorts are the ports on the host of a pod. In the machine's network every
// container port is one.
func hostPorts(p *app.Pod) []placedPort {
	var out []placedPort
	add := func(list []app.Container, kind string) {
		for i := range list {
			for _, port := range list[i].Ports {
				number := port.HostPort
				ip := cmp.Or(port.HostIP, loopback)
				if p.HostNetwork {
					number, ip = port.ContainerPort, cmp.Or(port.HostIP, everyIP)
				}
				if number == 0 || port.Protocol == "SCTP" {
					continue
				}
				pos := posOr(port.Pos, list[i].Pos)
				out = append(out, placedPort{
					HostPort: HostPort{ip, number, port.ContainerPort, port.Protocol, pos.String()},
					path:     fmt.Sprintf("pods.%s.%s.%s.ports.%s", p.Name, kind, list[i].Name, port.Name),
					pos:      pos, ip: cmp.Or(port.HostIP, everyIP),
				})
			}
		}
	}
	add(p.InitContainers, "initContainers")
	add(p.Containers, "containers")
	return out
}

func withoutLines(ports []HostPort) []HostPort {
	var out []HostPort
	for _, p := range ports {
		p.Line = ""
		out = append(out, p)
	}
	return out
}

// clash reports whether one machine cannot give out both ports, by the rules
// of Kubernetes' scheduler (HostPortInfo.CheckConflict). Those of one pod are
// the compiler's to check.
func (a *placedPort) clash(b *placedPort) bool {
	return a.HostPort.HostPort == b.HostPort.HostPort && a.Protocol == b.Protocol && (a.ip == b.ip || a.ip == everyIP || b.ip == everyIP)
}

// checkHostPorts refuses pods and services that ask for one port of the one
// machine there is. In a cluster a pod would wait for another node.
func (r *renderer) checkHostPorts(s *State) {
	var taken []placedPort
	for i := range r.app.Pods {
		p := &r.app.Pods[i]
		if runsToEnd(p) || replicas(p) == 0 {
			continue // jobs that need a port wait for it
		}
		own := hostPorts(p)
		for n := range own {
			for m := range taken {
				if own[n].clash(&taken[m]) {
					r.refuse(own[n].pos, "%s: %s port %d of the machine is already taken by %s, at %s; a local run has one machine: choose another port",
						own[n].path, own[n].Protocol, own[n].HostPort.HostPort, taken[m].path, taken[m].pos)
				}
			}
		}
		taken = append(taken, own...)
	}
	for i := range s.Portals {
		r.checkPortal(&s.Portals[i], taken)
	}
}

// checkPortal does the same for the ports of a service, which are on the
// loopback address.
func (r *renderer) checkPortal(portal *Portal, taken []placedPort) {
	service := r.app.Service(portal.Service)
	for _, port := range portal.Ports {
		want := placedPort{HostPort: HostPort{HostPort: port.HostPort, Protocol: port.Protocol}, ip: loopback}
		for m := range taken {
			if port.Pinned && want.clash(&taken[m]) {
				r.refuse(service.Pos, "services.%s.ports.%s: %s port %d of the machine, where a local run publishes the service, is already taken by %s, at %s; choose another port",
					service.Name, port.Name, port.Protocol, port.HostPort, taken[m].path, taken[m].pos)
			}
		}
	}
}
