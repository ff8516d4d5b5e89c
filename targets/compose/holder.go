package compose

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// holder is the service that the others join; wait is its depends_on.
func (p *replica) holder(wait *yaml.Map) (*yaml.Map, error) {
	forwards, privileged, err := p.forwards()
	if err != nil {
		return nil, err
	}
	service := p.r.holderService(append([]string{"hold"}, forwards...))
	if p.pod.HostNetwork {
		service.Set("network_mode", "host")
	} else {
		service.Set("hostname", p.hostname())
	}
	if p.pod.HostIPC {
		service.Set("ipc", "host")
	} else {
		service.Set("ipc", "shareable")
	}
	service.
		Opt("networks", p.networks()).
		Opt("ports", p.hostPorts())
	p.addResolver(service)
	if p.pod.HostUsers != nil && *p.pod.HostUsers {
		service.Set("userns_mode", "host")
	}
	service.
		Opt("sysctls", p.sysctls()).
		Opt("volumes", p.volumes.pins()).
		Opt("depends_on", wait).
		Opt("healthcheck", p.checks.yaml()).
		Set("read_only", true)
	var capabilities []string
	if privileged {
		capabilities = append(capabilities, "NET_BIND_SERVICE")
	}
	return p.addMetadata(confine(service, capabilities...)), nil
}

// networks gives the holder the names of the services in front of the pod, and
// the pod's own name where it has one.
func (p *replica) networks() *yaml.Map {
	out := yaml.New()
	if p.pod.HostNetwork {
		return out
	}
	aliases := yaml.List{}
	for _, s := range p.r.serving.services[p.pod] {
		aliases = append(aliases, dnsNames(s.Name, p.r.app.DNSNamespace())...)
	}
	if domain := p.subdomain(); domain != "" {
		aliases = append(aliases, dnsNames(p.podHost()+"."+domain, p.r.app.DNSNamespace())...)
	}
	if len(aliases) > 0 {
		out.Set("default", yaml.New().Set("aliases", aliases))
	}
	return out
}

// dnsNames are the four names of a service in Kubernetes.
func dnsNames(service, namespace string) yaml.List {
	short := service + "." + namespace
	return yaml.List{service, short, short + ".svc", short + ".svc.cluster.local"}
}

// subdomain is the service below which the pod has a name of its own, or "":
// that of a StatefulSet, or the subdomain of a pod with a hostname.
func (p *replica) subdomain() string {
	name := p.pod.Subdomain
	switch {
	case p.pod.Kind == "StatefulSet" && p.pod.ServiceName != "":
		name = p.pod.ServiceName
	case p.pod.Kind == "StatefulSet":
		for _, s := range p.r.serving.services[p.pod] {
			if s.Headless {
				name = s.Name
				break
			}
		}
	case p.pod.Hostname == "" && !indexed(p.pod):
		return ""
	}
	if p.r.app.Service(name) == nil {
		return ""
	}
	return name
}

// podHost is the pod's name in its own domain. A StatefulSet's and an indexed
// Job's pods have their own, whatever the definition says.
func (p *replica) podHost() string {
	if p.pod.Hostname == "" || p.pod.Kind == "StatefulSet" {
		return p.name
	}
	return p.pod.Hostname
}

// maxHostname is the longest hostname in bytes, Linux' limit less one, as in
// Kubernetes; Docker would refuse more.
const maxHostname = 63

func (p *replica) hostname() string {
	name := p.podHost()
	switch domain := p.subdomain(); {
	case p.pod.HostnameOverride != "":
		name = p.pod.HostnameOverride
	case domain != "" && p.pod.SetHostnameAsFQDN != nil && *p.pod.SetHostnameAsFQDN:
		name += "." + domain + "." + p.r.app.DNSNamespace() + ".svc.cluster.local"
	}
	if len(name) > maxHostname {
		name = strings.TrimRight(name[:maxHostname], "-.")
	}
	return name
}

// addResolver tells the holder, whose files all containers share, how to
// resolve names.
func (p *replica) addResolver(service *yaml.Map) {
	hosts := yaml.List{}
	for _, a := range p.pod.HostAliases {
		for _, name := range a.Hostnames {
			hosts = append(hosts, escape(name+"="+a.IP))
		}
	}
	service.Opt("extra_hosts", hosts)
	d := p.pod.DNSConfig
	if d == nil {
		return
	}
	var options []string
	for _, o := range d.Options {
		if o.Value == "" {
			options = append(options, escape(o.Name))
		} else {
			options = append(options, escape(o.Name+":"+o.Value))
		}
	}
	service.
		Opt("dns", yaml.Flow(d.Nameservers)).
		Opt("dns_search", oneLine(escapeAll(d.Searches))).
		Opt("dns_opt", yaml.Flow(options))
}

func (p *replica) sysctls() *yaml.Map {
	out := yaml.New()
	for _, s := range p.pod.SecurityContext.Sysctls {
		out.Set(s.Name, escape(s.Value))
	}
	return out
}

// hostPorts publishes the containers' ports that have one on the host: on
// 127.0.0.1 unless the definition says otherwise, and of the first replica
// alone, as no second one can have it on one machine.
func (p *replica) hostPorts() yaml.List {
	out := yaml.List{}
	if p.pod.HostNetwork {
		return out // every port is the host's
	}
	for path, c := range containers(p.pod) {
		for _, port := range c.Ports {
			if port.HostPort == 0 {
				continue
			}
			ip, more := port.HostIP, ""
			if ip == "" {
				ip = "127.0.0.1"
			}
			if len(ordinals(p.pod)) > 1 {
				more = ", of the first replica alone"
			}
			p.find("compose/container-port", path+".ports."+port.Name+".hostPort", port.Pos,
				fmt.Sprintf("the port is published as %s%s", joinHost(ip, port.HostPort), more), "")
			if p.first {
				out = append(out, fmt.Sprintf("%s:%d/%s", joinHost(ip, port.HostPort), port.ContainerPort, protocol(port.Protocol)))
			}
		}
	}
	return out
}

func joinHost(ip string, port int) string {
	if strings.Contains(ip, ":") {
		ip = "[" + ip + "]"
	}
	return ip + ":" + strconv.Itoa(port)
}

// containers gives all containers of the pod, each with its place in the
// definition.
func containers(pod *app.Pod) func(func(string, *app.Container) bool) {
	return func(yield func(string, *app.Container) bool) {
		for i := range pod.InitContainers {
			if c := &pod.InitContainers[i]; !yield("pods."+pod.Name+".initContainers."+c.Name, c) {
				return
			}
		}
		for i := range pod.Containers {
			if c := &pod.Containers[i]; !yield("pods."+pod.Name+".containers."+c.Name, c) {
				return
			}
		}
	}
}
