package runner

import (
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/targets/docker"
)

// nameBelow is the name that a pod has below a service, as it asks for one, or
// "" (ShouldSetHostname).
func (in snapshotInput) nameBelow(s *docker.Service, pod string) string {
	if p := in.state.Pod(pod); p != nil && p.Subdomain == s.Name {
		return p.DNSName
	}
	return ""
}

// names are what the agent makes a pod's hosts file and resolv.conf of.
func (in snapshotInput) names(p *docker.Pod, ip string) api.Names {
	out := api.Names{
		IP: ip, Hostname: p.Short(), Domain: p.Domain, HostNetwork: p.HostNetwork,
		DNS: api.DNS{Policy: p.DNS.Policy, Servers: p.DNS.Servers, Searches: p.DNS.Searches},
	}
	if in.seen.addresses.subnet.IsValid() {
		out.Machine = in.seen.addresses.host()
		if p.HostNetwork { // it has no address of its own to ask at
			out.DNS.Cluster = in.seen.addresses.gateway()
		}
	}
	if p.HostNetwork {
		for _, l := range p.HostPorts {
			out.Listens = append(out.Listens, api.Listen{IP: l.HostIP, Port: l.HostPort, Protocol: l.Protocol})
		}
	}
	for _, a := range p.HostAliases {
		out.Aliases = append(out.Aliases, api.HostAlias{IP: a.IP, Hostnames: a.Hostnames})
	}
	for _, o := range p.DNS.Options {
		out.DNS.Options = append(out.DNS.Options, api.DNSOption{Name: o.Name, Value: o.Value})
	}
	return out
}
