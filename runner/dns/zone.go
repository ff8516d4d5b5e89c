// Package dns answers the names of services inside a pod.
//
// A Zone is pure: a query's bytes in, an answer's bytes out, never changed once
// made. A Server puts one behind a UDP and a TCP socket and passes every other
// name on to the name server the pod had before.
//
// The records follow the Kubernetes DNS specification 1.1.0; where it is
// silent, CoreDNS's practice decides (an AAAA question about an IPv4 service is
// answered with no records, not with "no such name", because musl gives up on
// the latter).
package dns

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// ttl is how long an answer may be kept, in seconds. Short: the truth is local
// and pods move; the engine's own 600 s strands clients on dead addresses.
const ttl = 5

const (
	zoneName    = api.Zone + "."       // "cluster.local."
	zoneSuffix  = "." + zoneName       // what every name below the apex ends with
	specVersion = "1.1.0"              // of the Kubernetes DNS specification, served as TXT
	primaryName = "ns.dns." + zoneName // in SOA and NS; Kubernetes' own choice
)

// name is what the zone knows under one lower-case name. An entry without
// records exists all the same: its answer is empty, not NXDOMAIN.
type name struct {
	addrs []netip.Addr
	srv   []srv
	txt   string
	ns    bool // the apex
}

type srv struct {
	port   uint16
	target dnsmessage.Name
	addrs  []netip.Addr // of the target, sent along
}

// Zone is all names of one snapshot. It is immutable and safe for concurrent
// use. The nil Zone knows nothing yet and answers its names with SERVFAIL, so
// that a client asks again.
type Zone struct {
	names     map[string]*name
	pointers  map[string][]dnsmessage.Name // reverse name to names
	namespace string
}

// NewZone makes the zone of a namespace's services. Backends are taken as
// ready; a headless service without any has no name at all, as the
// specification asks. Addresses and names that cannot be served are left out.
func NewZone(namespace string, services []api.Service) *Zone {
	z := &Zone{
		names:     map[string]*name{},
		pointers:  map[string][]dnsmessage.Name{},
		namespace: strings.ToLower(namespace),
	}
	z.at(zoneName).ns = true
	z.at("dns-version" + zoneSuffix).txt = specVersion
	for _, s := range services {
		full := strings.ToLower(s.Name+"."+namespace+".svc") + zoneSuffix
		if s.Headless || s.VIP == "" {
			z.addHeadless(full, s)
		} else {
			z.addVirtual(full, s)
		}
	}
	return z
}

// at returns the entry of a name, making it and every name above it in the
// zone: a name with something below it exists (RFC 8020).
func (z *Zone) at(full string) *name {
	if n := z.names[full]; n != nil {
		return n
	}
	n := &name{}
	z.names[full] = n
	if _, parent, ok := strings.Cut(full, "."); ok && full != zoneName {
		z.at(parent)
	}
	return n
}

func (z *Zone) addVirtual(full string, s api.Service) {
	ip, err := netip.ParseAddr(s.VIP)
	target, nameErr := dnsmessage.NewName(full)
	if err != nil || nameErr != nil {
		return
	}
	addrs := []netip.Addr{ip}
	z.at(full).addrs = addrs
	z.addPointer(ip, target)
	for _, p := range s.Ports {
		if p.Name == "" {
			continue // the specification gives unnamed ports no SRV record
		}
		n := z.at(portName(p, full))
		n.srv = append(n.srv, srv{uint16(p.Port), target, addrs})
	}
}

// addHeadless gives every backend a name below the service's, the one its pod
// has there or its address spelled out, and the service's name all their
// addresses.
func (z *Zone) addHeadless(full string, s api.Service) {
	for _, p := range s.Ports {
		for _, b := range p.Backends {
			ip, err := netip.ParseAddr(b.IP)
			host, nameErr := dnsmessage.NewName(endpointName(b) + "." + full)
			if err != nil || nameErr != nil {
				continue
			}
			own := z.at(host.String())
			if !slices.Contains(own.addrs, ip) { // pods may share a name
				own.addrs = append(own.addrs, ip)
				z.addPointer(ip, host)
			}
			if all := z.at(full); !slices.Contains(all.addrs, ip) {
				all.addrs = append(all.addrs, ip)
			}
			if p.Name != "" {
				n := z.at(portName(p, full))
				n.srv = append(n.srv, srv{uint16(b.Port), host, []netip.Addr{ip}})
			}
		}
	}
}

// endpointName is the first label of a backend's own name. CoreDNS spells out
// addresses that way too; the specification leaves it open.
func endpointName(b api.Backend) string {
	if b.Hostname != "" {
		return strings.ToLower(b.Hostname)
	}
	return strings.NewReplacer(".", "-", ":", "-").Replace(b.IP)
}

func (z *Zone) addPointer(ip netip.Addr, target dnsmessage.Name) {
	rev := reverseName(ip)
	z.pointers[rev] = append(z.pointers[rev], target)
}

// portName is _port._protocol.service.
func portName(p api.ServicePort, full string) string {
	proto := strings.ToLower(p.Protocol)
	if proto == "" {
		proto = "tcp"
	}
	return "_" + strings.ToLower(p.Name) + "._" + proto + "." + full
}

// reverseName is the name that PTR records of an address live under.
func reverseName(ip netip.Addr) string {
	var b strings.Builder
	raw := ip.AsSlice()
	slices.Reverse(raw)
	if ip.Is4() {
		for _, octet := range raw {
			b.WriteString(itoa(octet))
			b.WriteByte('.')
		}
		return b.String() + "in-addr.arpa."
	}
	const hex = "0123456789abcdef"
	for _, octet := range raw {
		b.Write([]byte{hex[octet&15], '.', hex[octet>>4], '.'})
	}
	return b.String() + "ip6.arpa."
}

func itoa(b byte) string {
	if b < 10 {
		return string('0' + b)
	}
	return itoa(b/10) + string('0'+b%10)
}

// lookup returns what a lower-case name holds, and whether it exists.
func (z *Zone) lookup(full string) (*name, bool) {
	if n, ok := z.names[full]; ok {
		return n, true
	}
	return z.podName(full)
}

// podName serves a-b-c-d.<namespace>.pod.cluster.local, the address spelled out
// as a name. As in Kubernetes, whether such a pod exists is not checked.
func (z *Zone) podName(full string) (*name, bool) {
	rest, ok := strings.CutSuffix(full, "."+z.namespace+".pod"+zoneSuffix)
	if !ok || strings.Contains(rest, ".") {
		return nil, false
	}
	ip, err := netip.ParseAddr(strings.ReplaceAll(rest, "-", "."))
	if err != nil || !ip.Is4() {
		return nil, false
	}
	return &name{addrs: []netip.Addr{ip}}, true
}

// inZone reports whether a lower-case name is ours to answer.
func inZone(full string) bool {
	return full == zoneName || strings.HasSuffix(full, zoneSuffix)
}
