package nft

import (
	"bytes"
	"encoding/binary"
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

// sameElements compares the maps in the kernel with a content, element by element.
func sameElements(t *testing.T, p *Plane, want Content) {
	t.Helper()
	total := map[string]int{}
	for _, endpoints := range want.Fronts {
		switch len(endpoints) {
		case 0:
		case 1:
			total[SoleSet]++
		default:
			total[EndpointsSet] += Slots
		}
	}
	for _, set := range []string{SoleSet, EndpointsSet} {
		have := inKernel(t, p, set)
		if len(have) != total[set] {
			t.Fatalf("%d elements of %s in the kernel, want %d", len(have), set, total[set])
		}
		for _, e := range have {
			front := parseFront(e.key)
			to := sole(want.Fronts[front])
			if set == EndpointsSet {
				to = inSlot(want.Fronts[front], int(binary.NativeEndian.Uint32(e.key[12:])))
			}
			if !to.IsValid() || !bytes.Equal(e.data, endpointData(to)) {
				t.Fatalf("%s: %s has %v beside %v in the kernel, want %s", front, set, e.data, e.key, to)
			}
		}
	}
}

func inKernel(t *testing.T, p *Plane, set string) (out []counted) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.sock.elements(set, func(e counted) {
		out = append(out, counted{bytes.Clone(e.key), bytes.Clone(e.data), e.packets})
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPlane_CountsConnections(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	serve(t, "10.9.1.1:80")
	serve(t, "10.9.1.2:80")
	f := front(proxy.TCP, "10.9.200.1:80")
	for _, to := range []string{"10.9.1.1:80", "10.9.1.2:80"} { // it begins anew with each
		apply(t, p, proxy.Table{f: target(to)})
		if got := tally("tcp", "10.9.200.1:80", 50); got[to] != 50 {
			t.Fatalf("connections to %s: %v", to, got)
		}
		if led, err := p.sock.led(); err != nil || led[f] != 50 {
			t.Errorf("%v connections counted, 50 made; %v", led, err)
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
	if led, err := p.sock.led(); err != nil || len(led) != 1 || led[f] != 0 {
		t.Errorf("counted %v, %v", led, err)
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
