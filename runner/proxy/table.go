// Package proxy carries connections from a service's virtual address to its
// endpoints, in user space.
//
// A Table says what leads where; NewTable makes one from services, purely. A
// Server carries a Table out: Apply replaces the one before as a whole and
// touches nothing that stays. README.md draws the packet's way.
package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Protocols a Server carries, in the wire's words.
const (
	TCP = "TCP"
	UDP = "UDP"
)

// Front is where clients connect: a protocol and an address with a port.
type Front struct {
	Protocol string
	Addr     netip.AddrPort
}

func (f Front) String() string { return f.Protocol + " " + f.Addr.String() }

// Target is what stands behind a front. It is never changed once in a Table.
type Target struct {
	Service   string           // for messages
	Affinity  bool             // a client stays with its endpoint
	Timeout   time.Duration    // with Affinity: after its last connection; 0 is DefaultTimeout
	Endpoints []netip.AddrPort // empty: connections are refused
	// Held are those of the endpoints to which new connections wait, each with how
	// long at most. The others go first.
	Held map[netip.AddrPort]time.Duration
}

// Waits reports whether new connections have nowhere to go, but to wait.
func (t *Target) Waits() bool { return len(t.Endpoints) > 0 && len(t.open()) == 0 }

// open are the endpoints that are not held.
func (t *Target) open() []netip.AddrPort {
	if len(t.Held) == 0 {
		return t.Endpoints
	}
	return slices.DeleteFunc(slices.Clone(t.Endpoints), func(e netip.AddrPort) bool { return t.Held[e] > 0 })
}

// patience is how long at most somebody waits.
func (t *Target) patience() (most time.Duration) {
	for _, d := range t.Held {
		most = max(most, d)
	}
	return most
}

// Table says which target stands behind each front.
type Table map[Front]Target

// NewTable makes the table of services whose backends are all ready. Headless
// services have no front. The error joins everything that cannot be carried;
// the table is good without it.
func NewTable(services []api.Service) (Table, error) {
	table := make(Table, len(services))
	var errs []error
	for _, s := range services {
		if s.Headless || s.VIP == "" {
			continue
		}
		ip, err := netip.ParseAddr(s.VIP)
		if err != nil {
			errs = append(errs, fmt.Errorf("service %s: virtual address: %w", s.Name, err))
			continue
		}
		for _, p := range s.Ports {
			front, target, err := entry(ip, s, p)
			if err != nil {
				errs = append(errs, fmt.Errorf("service %s: port %d: %w", s.Name, p.Port, err))
				continue
			}
			table[front] = target
		}
	}
	return table, errors.Join(errs...)
}

// Shares reports whether a service is the one before, and not one that says the same:
// its ports are those of the other in memory, which nobody changes.
func Shares(now, before api.Service) bool {
	return now.Name == before.Name && len(now.Ports) > 0 && len(now.Ports) == len(before.Ports) && &now.Ports[0] == &before.Ports[0]
}

// Renew is NewTable, without its errors, where a table of services before is there:
// what became of those that are shared is taken from it.
func Renew(table Table, before, now []api.Service) Table {
	if len(before) == len(now) && table != nil {
		next := maps.Clone(table)
		for i, s := range now {
			if Shares(s, before[i]) {
				continue
			}
			if !next.change(before[i], s) {
				next = nil
				break
			}
		}
		if next != nil {
			return next
		}
	}
	all, _ := NewTable(now)
	return all
}

// change puts a service in the place of one with the same fronts, and reports whether
// it is that. If not, the table is good for nothing.
func (t Table) change(before, now api.Service) bool {
	if now.Name != before.Name || now.VIP != before.VIP || now.Headless != before.Headless || len(now.Ports) != len(before.Ports) {
		return false
	}
	if now.Headless || now.VIP == "" {
		return true
	}
	ip, err := netip.ParseAddr(now.VIP)
	if err != nil {
		return false
	}
	for i, p := range now.Ports {
		front, target, err := entry(ip, now, p)
		if old := before.Ports[i]; err != nil || p.Port != old.Port || p.Protocol != old.Protocol || t[front].Service != now.Name {
			return false
		}
		t[front] = target
	}
	return true
}

func entry(ip netip.Addr, s api.Service, p api.ServicePort) (Front, Target, error) {
	protocol := strings.ToUpper(p.Protocol)
	if protocol == "" {
		protocol = TCP
	}
	if protocol != TCP && protocol != UDP {
		return Front{}, Target{}, fmt.Errorf("protocol %s cannot be carried, only TCP and UDP", p.Protocol)
	}
	if p.Port < 1 || p.Port > 65535 {
		return Front{}, Target{}, errors.New("not a port")
	}
	t := Target{Service: s.Name, Affinity: s.Affinity, Timeout: time.Duration(s.AffinityTimeout) * time.Second, Endpoints: make([]netip.AddrPort, 0, len(p.Backends))}
	for _, b := range p.Backends {
		if b.IP == "" {
			continue // the pod has no address yet
		}
		to, err := netip.ParseAddr(b.IP)
		if err != nil || b.Port < 1 || b.Port > 65535 {
			return Front{}, Target{}, fmt.Errorf("pod %s: %q port %d is no address", b.Pod, b.IP, b.Port)
		}
		endpoint := netip.AddrPortFrom(to, uint16(b.Port))
		t.Endpoints = append(t.Endpoints, endpoint)
		if b.Held > 0 {
			if t.Held == nil {
				t.Held = map[netip.AddrPort]time.Duration{}
			}
			t.Held[endpoint] = time.Duration(b.Held) * time.Second
		}
	}
	return Front{protocol, netip.AddrPortFrom(ip, uint16(p.Port))}, t, nil
}

// Addresses returns the addresses of all fronts, each once, in order: also of
// those without endpoints, for those must refuse and not be silent.
func (t Table) Addresses() []netip.Addr {
	set := map[netip.Addr]bool{}
	for f := range t {
		set[f.Addr.Addr()] = true
	}
	return slices.SortedFunc(maps.Keys(set), netip.Addr.Compare)
}

// String prints the table, one front a line, in order.
func (t Table) String() string {
	var lines []string
	for f, target := range t {
		line := fmt.Sprintf("%s %s ->", f, target.Service)
		for _, e := range target.Endpoints {
			line += " " + e.String()
		}
		if len(target.Endpoints) == 0 {
			line += " refuse"
		}
		if target.Affinity {
			line += " (affinity)"
		}
		if target.Waits() {
			line += " (wait)"
		}
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
