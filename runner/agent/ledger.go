package agent

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// maxWays bounds the ways that are told apart: above it, those of clients and
// endpoints that are no longer there are told of as one.
const maxWays = 10_000

// gone stands for pods that are no longer there.
const gone = "(gone)"

// ledger adds up what everybody counted, by name. Its sums never go back: a pod
// that is gone stays in them.
type ledger struct {
	sums map[api.Way]api.Traffic
	last map[string]account // by pod, or by whoever else counts
	pods map[string]string  // by address, and by address and port: also of pods that are gone
	here map[string]bool    // pods that are not gone
	ever map[string]bool    // pods that there were, but for those that were made one
}

// account is what somebody has said last.
type account struct {
	boot   int64
	counts map[api.Way]api.Traffic
}

func newLedger() *ledger {
	return &ledger{sums: map[api.Way]api.Traffic{}, last: map[string]account{}, pods: map[string]string{}, ever: map[string]bool{}}
}

// know takes the names of pods from a snapshot. An address is its last owner's.
func (l *ledger) know(s *api.Snapshot) {
	l.here = make(map[string]bool, len(s.Pods))
	for _, svc := range s.Services {
		for _, p := range svc.Ports {
			for _, b := range p.Backends {
				if b.IP != "" && b.Pod != "" {
					l.pods[net.JoinHostPort(b.IP, strconv.Itoa(b.Port))] = b.Pod
				}
			}
		}
	}
	for _, p := range s.Pods {
		l.here[p.Name], l.ever[p.Name] = true, true
		if p.IP != "" && !p.Names.HostNetwork { // many have the machine's address
			l.pods[p.IP] = p.Name
		}
	}
	for who := range l.last {
		if !l.here[who] && who != byProxy && who != byRouter && who != byKernel {
			delete(l.last, who) // another of that name counts from zero
		}
	}
}

// Who counts, beside pods.
const (
	byProxy  = "/proxy"
	byRouter = "/router"
	byKernel = "/kernel"
)

// add takes what somebody counted since boot.
func (l *ledger) add(who string, boot int64, edges []api.Edge) {
	before := l.last[who]
	if before.boot != boot {
		before = account{boot: boot}
	}
	now := account{boot, make(map[api.Way]api.Traffic, len(edges))}
	for _, e := range edges {
		now.counts[e.Way] = e.Traffic
		way := l.named(e.Way)
		l.sums[way] = l.sums[way].Add(e.Traffic.Since(before.counts[e.Way]))
	}
	l.last[who] = now
	if len(l.sums) > maxWays {
		l.fold()
	}
}

// named gives a way the names of pods for their addresses.
func (l *ledger) named(w api.Way) api.Way {
	if addr, err := netip.ParseAddr(w.Client); err == nil {
		w.Client = l.pods[addr.String()]
	}
	if ap, err := netip.ParseAddrPort(w.Endpoint); err == nil {
		w.Endpoint = cmp.Or(l.pods[w.Endpoint], l.pods[ap.Addr().String()], w.Endpoint)
	}
	return w
}

// fold makes one of all ways of pods that are gone.
func (l *ledger) fold() {
	sums := make(map[api.Way]api.Traffic, len(l.sums))
	for w, t := range l.sums {
		for _, name := range []*string{&w.Client, &w.Endpoint} {
			if l.ever[*name] && !l.here[*name] {
				*name = gone
			}
		}
		sums[w] = sums[w].Add(t)
	}
	l.sums, l.ever = sums, maps.Clone(l.here)
}

// edges are all ways, in an order that is the same each time.
func (l *ledger) edges() []api.Edge {
	out := []api.Edge{}
	for _, w := range slices.SortedFunc(maps.Keys(l.sums), compareWays) {
		if l.sums[w] != (api.Traffic{}) {
			out = append(out, api.Edge{Way: w, Traffic: l.sums[w]})
		}
	}
	return out
}

func compareWays(a, b api.Way) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.Client, b.Client), cmp.Compare(a.Endpoint, b.Endpoint))
}
