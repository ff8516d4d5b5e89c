package nft

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/cuepod/cuepod/runner/proxy"
)

// The kernel leads real packets to where the tracer says, and holds exactly the
// elements that the changes made.
//
// conformance:S94 S95 S98 S100 S108
func TestPlane_DoesWhatTheTracerSays(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	for _, f := range fronts()[:8] { // the gateway: what the rules do not lead ends here
		serve(t, f.Addr.String())
	}
	for _, host := range []string{"10.9.1.1", "10.9.1.2", "10.9.1.3", "10.9.1.4", "10.9.1.5", "10.9.0.1"} {
		serve(t, host+":8000")
		serve(t, host+":8001")
	}
	serveTCP(t, fmt.Sprintf("0.0.0.0:%d", HoldPort))
	trace := newTracer(self)
	var have Content
	chosen := Choices{}
	r := rand.New(rand.NewPCG(3, 4))
	connections := 0
	for step := range 30 {
		table, held := random(r)
		apply(t, p, table)
		if err := p.Release(8000, 8001); err != nil {
			t.Fatal(err)
		}
		if err := p.Hold(held...); err != nil {
			t.Fatal(err)
		}
		want, next := Fill(table, self, held, chosen)
		if err := trace.change(Diff(have, want)); err != nil {
			t.Fatal(err)
		}
		have, chosen = want, next
		sameElements(t, p, want)
		for _, f := range fronts() {
			ends := trace.ends(f, self)
			for range 2 {
				connections++
				protocol := map[string]string{proxy.TCP: "tcp", proxy.UDP: "udp"}[f.Protocol]
				got := reach(protocol, f.Addr.String())
				if got == fmt.Sprintf("0.0.0.0:%d", HoldPort) {
					got = holder
				}
				if !slices.Contains(ends, got) {
					t.Fatalf("step %d: %s ends at %s, the tracer says %v\n%s", step, f, got, ends, table)
				}
			}
		}
	}
	t.Logf("%d connections ended where the tracer says", connections)
}

// sameElements compares the map in the kernel with a content, slot by slot.
func sameElements(t *testing.T, p *Plane, want Content) {
	t.Helper()
	counts, err := p.Counts()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, endpoints := range want.Fronts {
		if len(endpoints) > 0 {
			total += Slots
		}
	}
	if len(counts) != total {
		t.Fatalf("%d elements in the kernel, want %d", len(counts), total)
	}
	for _, c := range counts {
		if e := inSlot(want.Fronts[c.Front], c.Slot); e != c.Endpoint {
			t.Fatalf("%s slot %d: %s in the kernel, want %s", c.Front, c.Slot, c.Endpoint, e)
		}
	}
}

func TestPlane_CountsConnections(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	serve(t, "10.9.1.1:80")
	serve(t, "10.9.1.2:80")
	f := front(proxy.TCP, "10.9.200.1:80")
	apply(t, p, proxy.Table{f: target("10.9.1.1:80", "10.9.1.2:80")})
	got := tally("tcp", "10.9.200.1:80", 50)
	counts, err := p.Counts()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]int{}
	for _, c := range counts {
		counted[c.Endpoint.String()] += int(c.Connections)
	}
	for e, n := range got {
		if counted[e] != n {
			t.Errorf("%s: %d connections counted, %d made", e, counted[e], n)
		}
	}
}

// Where the kernel has no counters, everything else works.
func TestPlane_WithoutCounters(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	serve(t, "10.9.1.1:80")
	f, to := front(proxy.TCP, "10.9.200.1:80"), target("10.9.1.1:80", "10.9.1.1:81")
	p.rules, p.lost = p.rules.uncounted(), true // as if Open had found it so
	to.Affinity = true
	apply(t, p, proxy.Table{f: to})
	to.Endpoints = to.Endpoints[:1]
	apply(t, p, proxy.Table{f: to})
	if got := reach("tcp", "10.9.200.1:80"); got != "10.9.1.1:80" {
		t.Errorf("reached %s", got)
	}
	counts, err := p.Counts()
	if err != nil || len(counts) != Slots || slices.ContainsFunc(counts, func(c Count) bool { return c.Connections != 0 }) {
		t.Errorf("counted %v, %v", counts, err)
	}
}

func serveTCP(t testing.TB, address string) {
	t.Helper()
	ln, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go answer(ln, address)
}

// One service of fifty gets and loses an endpoint, in the kernel. Run as root in a
// namespace that may be changed: unshare -n go test -bench PlaneUpdate.
func BenchmarkPlane_UpdateOneOfFifty(b *testing.B) {
	p, err := Open(netip.MustParseAddr("10.9.0.1"))
	if err != nil {
		b.Skipf("needs a network namespace of its own: %v", err)
	}
	defer p.Close()
	table := apps(50)
	f := front(proxy.TCP, "10.9.200.7:80")
	all := table[f].Endpoints
	apply(b, p, table)
	for i := range b.N {
		table[f] = proxy.Target{Endpoints: all[:2+i%2]}
		apply(b, p, table)
	}
}
