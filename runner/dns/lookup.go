package dns

import (
	"net/netip"
	"strings"
)

// place is one thing that a name stands for.
type place struct {
	ip    netip.Addr // invalid for an alias
	port  int        // 0 for a pod
	alias name       // what it is another name for
	// own is its name without the zone, which an answer writes as the question does.
	own name
}

// maxLabels is how many labels a name of ours has before the zone:
// _port._protocol.service.namespace.svc.
const maxLabels = 5

// path is a name's labels before its zone, the last one first.
type path struct {
	labels [maxLabels]string
	n      int // maxLabels+1 for more
}

func pathOf(lower, zone name) path {
	var p path
	for rest := lower; len(rest) > len(zone); {
		label, next, _ := rest.first()
		if p.n == maxLabels {
			p.n++
			return p
		}
		p.labels[p.n] = label
		p.n++
		rest = next
	}
	for i, j := 0, p.n-1; i < j; i, j = i+1, j-1 {
		p.labels[i], p.labels[j] = p.labels[j], p.labels[i]
	}
	return p
}

// is reports whether the path is these labels, the first one first.
func (p *path) is(labels ...string) bool {
	if p.n != len(labels) {
		return false
	}
	for i, l := range labels {
		if p.labels[p.n-1-i] != l {
			return false
		}
	}
	return true
}

// lookup finds what a path stands for. A name that exists may stand for nothing.
func (z *Zone) lookup(p *path, reverse bool) (places []place, exists bool) {
	if p.n == 0 || p.is("svc") || p.is("pod") {
		return nil, true
	}
	kind := p.labels[0]
	if reverse || p.n > maxLabels || kind != "svc" && kind != "pod" || p.labels[1] != z.namespace {
		return nil, false
	}
	switch {
	case p.n == 2:
		return nil, true
	case kind == "pod":
		return podPlace(p.labels[2], z.namespace)
	}
	s := z.services[p.labels[2]]
	if s == nil {
		return nil, false
	}
	places = s.places(p)
	return places, len(places) > 0
}

// podPlace is a-b-c-d.<namespace>.pod, the address spelled out as a name. As in
// Kubernetes, whether such a pod exists is not checked.
func podPlace(label, namespace string) ([]place, bool) {
	sep := ":"
	if strings.Count(label, "-") == 3 && !strings.Contains(label, "--") {
		sep = "."
	}
	ip, err := netip.ParseAddr(strings.ReplaceAll(label, "-", sep))
	if err != nil || ip.Zone() != "" {
		return nil, false
	}
	return []place{{ip: ip.Unmap(), own: ownName(label, namespace, "pod")}}, true
}

// places are the service's own addresses, or those of the endpoints asked for.
func (s *service) places(p *path) (out []place) {
	var endpoint, portName, protocol string
	switch p.n {
	case 4:
		endpoint = p.labels[3]
	case 5:
		protocol, portName = strings.TrimPrefix(p.labels[3], "_"), strings.TrimPrefix(p.labels[4], "_")
	}
	asked := func(have port) bool { // "" asks for any
		return (portName == "" || portName == have.name) && (protocol == "" || protocol == have.protocol)
	}
	service, namespace := p.labels[2], p.labels[1]
	switch {
	case s.external:
		if portName == "" && protocol == "" && endpoint == "" && s.alias != "" {
			out = append(out, place{alias: s.alias})
		}
	case !s.virtual.IsValid() || endpoint != "":
		for _, e := range s.endpoints {
			if asked(e.port) && (endpoint == "" || endpoint == e.label) {
				out = append(out, place{ip: e.ip, port: e.port.number, own: ownName(e.label, service, namespace, "svc")})
			}
		}
	default:
		for _, have := range s.ports {
			if asked(have) {
				out = append(out, place{ip: s.virtual, port: have.number, own: ownName(service, namespace, "svc")})
			}
		}
	}
	return out
}

// ownName is a name without the zone and the end.
func ownName(labels ...string) name {
	size := 0
	for _, l := range labels {
		size += 1 + len(l)
	}
	b := make([]byte, 0, size)
	for _, l := range labels {
		b = append(append(b, byte(len(l))), l...)
	}
	return name(b)
}

// zone is what we answer for. Of reverse names we know some; the rest is
// everybody else's.
type zone struct {
	name    name
	reverse int // labels of a whole reverse name; 0 for the cluster's zone
}

// zoneOf returns the zone that a lower-case name is in.
func zoneOf(lower name) (zone, bool) {
	for _, z := range [...]zone{{clusterZone, 0}, {reverse4Zone, 4}, {reverse6Zone, 32}} {
		if lower.below(z.name) {
			return z, true
		}
	}
	return zone{}, false
}

const (
	clusterZone  = name("\x07cluster\x05local\x00")
	reverse4Zone = name("\x07in-addr\x04arpa\x00")
	reverse6Zone = name("\x03ip6\x04arpa\x00")
)

// reverseAddr is the address that a reverse name spells.
func reverseAddr(lower name, z zone) (netip.Addr, bool) {
	labels := make([]string, 0, z.reverse)
	for rest := lower; len(rest) > len(z.name); {
		label, next, _ := rest.first()
		if len(labels) == z.reverse || z.reverse == 32 && len(label) != 1 {
			return netip.Addr{}, false
		}
		labels = append(labels, label)
		rest = next
	}
	if len(labels) != z.reverse {
		return netip.Addr{}, false
	}
	var b strings.Builder
	for i := len(labels) - 1; i >= 0; i-- {
		b.WriteString(labels[i])
		switch {
		case i == 0:
		case z.reverse == 4:
			b.WriteByte('.')
		case i%4 == 0:
			b.WriteByte(':')
		}
	}
	ip, err := netip.ParseAddr(b.String())
	return ip, err == nil && ip.Zone() == ""
}
