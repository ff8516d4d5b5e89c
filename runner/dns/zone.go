// Package dns answers the names of services inside a pod.
//
// A Zone is pure: a query's bytes in, an answer's bytes out, never changed once
// made. A Server puts one behind a UDP and a TCP socket and passes every other
// name on to the name server the pod had before.
//
// The records follow the Kubernetes DNS specification 1.1.0; where it is
// silent, CoreDNS' kubernetes plugin decides, set up as in a cluster that
// kubeadm makes (with "pods insecure" and "fallthrough" for reverse names):
// internal/dnsoracle asks both the same and knows where they differ.
package dns

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/agent/api"
)

const (
	// ttl is how long an answer may be kept, in seconds. Short: the truth is local
	// and pods move; the engine's own 600 s strands clients on dead addresses.
	ttl = 5
	// versionTTL is that of the specification's version, as CoreDNS has it.
	versionTTL  = 28800
	specVersion = "1.1.0" // of the Kubernetes DNS specification, served as TXT
)

// noPort is the port of a service or an endpoint that has none.
const noPort = -1

// Zone is all names of one snapshot. It is immutable and safe for concurrent
// use. The nil Zone knows nothing yet and answers its names with SERVFAIL, so
// that a client asks again.
type Zone struct {
	namespace string              // lower-case
	services  map[string]*service // by lower-case name
	pointers  map[netip.Addr][]name
	self      []netip.Addr // of the name server
}

// service is what the zone knows of one.
type service struct {
	external  bool       // another name for something
	alias     name       // of what; "" for an external one that has no such name
	virtual   netip.Addr // invalid for a headless one
	ports     []port
	endpoints []endpoint
}

type port struct {
	name, protocol string
	number         int
}

// endpoint is one port of one address behind a service.
type endpoint struct {
	label string // its name below the service
	ip    netip.Addr
	port  port
}

// NewZone makes the zone of a namespace's services. Backends are taken as
// ready; a headless service without any has no name at all, as the
// specification asks. self are the addresses the name server is asked at.
// Addresses and names that cannot be served are left out.
func NewZone(namespace string, services []api.Service, self ...netip.Addr) *Zone {
	z := &Zone{
		namespace: strings.ToLower(namespace),
		services:  make(map[string]*service, len(services)),
		pointers:  map[netip.Addr][]name{},
		self:      self,
	}
	for i := range services {
		z.add(&services[i])
	}
	for i := range services { // a virtual address is its service's alone
		if s := z.services[strings.ToLower(services[i].Name)]; s != nil && s.virtual.IsValid() {
			full, _ := newName(z.path(services[i].Name) + api.Zone)
			z.pointers[s.virtual] = []name{full}
		}
	}
	return z
}

// path is what stands before the zone in a service's name.
func (z *Zone) path(service string) string {
	return strings.ToLower(service) + "." + z.namespace + ".svc."
}

func (z *Zone) add(s *api.Service) {
	if _, ok := newName(z.path(s.Name) + api.Zone); !ok {
		return
	}
	out := &service{}
	z.services[strings.ToLower(s.Name)] = out
	if s.ExternalName != "" {
		out.external = true
		if _, err := netip.ParseAddr(s.ExternalName); err != nil {
			out.alias, _ = newName(s.ExternalName)
		}
		return
	}
	if ip, err := netip.ParseAddr(s.VIP); err == nil && !s.Headless {
		out.virtual = ip
	}
	for _, p := range s.Ports {
		own := port{strings.ToLower(p.Name), strings.ToLower(p.Protocol), p.Port}
		if own.protocol == "" {
			own.protocol = "tcp"
		}
		out.ports = append(out.ports, own)
		for _, b := range p.Backends {
			own.number = b.Port
			z.addEndpoint(s.Name, out, b, own)
		}
	}
	for _, b := range s.Backends {
		z.addEndpoint(s.Name, out, b, port{number: noPort})
	}
	if len(out.ports) == 0 {
		out.ports = []port{{number: noPort}}
	}
}

func (z *Zone) addEndpoint(service string, s *service, b api.Backend, p port) {
	ip, err := netip.ParseAddr(b.IP)
	label := endpointLabel(b)
	full, ok := newName(label + "." + z.path(service) + api.Zone)
	if err != nil || !ok {
		return
	}
	s.endpoints = append(s.endpoints, endpoint{label, ip, p})
	if !slices.Contains(z.pointers[ip], full) {
		z.pointers[ip] = append(z.pointers[ip], full)
	}
}

// endpointLabel is the first label of a backend's own name. CoreDNS spells out
// addresses that way too; the specification leaves it open.
func endpointLabel(b api.Backend) string {
	if b.Hostname != "" {
		return strings.ToLower(b.Hostname)
	}
	label := strings.ReplaceAll(strings.ReplaceAll(b.IP, ".", "-"), ":", "-")
	if strings.HasSuffix(label, "-") {
		label += "0" // a label does not end so
	}
	return label
}
