package nft

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/proxy"
)

var pod = netip.MustParseAddr("10.9.0.1")

// golden compares with a file of testdata, or writes it with CUEPOD_UPDATE.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("CUEPOD_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s differs (CUEPOD_UPDATE=1 rewrites it), %v; got\n%s", path, err, got)
	}
}

func TestRules(t *testing.T) { golden(t, "rules.golden", Rules(pod).String()) }

// A life of an app's services: each step's content, and the way to it.
func TestDiff(t *testing.T) {
	tcp, udp := proxy.Front{Protocol: proxy.TCP, Addr: netip.MustParseAddrPort("10.9.2.1:53")}, proxy.Front{Protocol: proxy.UDP, Addr: netip.MustParseAddrPort("10.9.2.1:53")}
	a, b, c, own := netip.MustParseAddrPort("10.9.1.1:8000"), netip.MustParseAddrPort("10.9.1.2:8000"), netip.MustParseAddrPort("10.9.1.3:9000"), netip.MustParseAddrPort("10.9.0.1:8000")
	to := func(e ...netip.AddrPort) proxy.Target { return proxy.Target{Service: "web", Endpoints: e} }
	sticky := func(e ...netip.AddrPort) proxy.Target {
		return proxy.Target{Service: "web", Endpoints: e, Affinity: true}
	}
	var out strings.Builder
	var have Content
	chosen := Choices{}
	for _, step := range []struct {
		what  string
		table proxy.Table
		held  []uint16
	}{
		{"services without endpoints", proxy.Table{tcp: to(), udp: to()}, nil},
		{"an endpoint for each protocol", proxy.Table{tcp: to(a), udp: to(b)}, nil},
		{"the same again", proxy.Table{tcp: to(a), udp: to(b)}, nil},
		{"two more, in another order than theirs", proxy.Table{tcp: to(c, a, b, a), udp: to(b)}, nil},
		{"one of them leaves", proxy.Table{tcp: to(a, c), udp: to(b)}, nil},
		{"session affinity", proxy.Table{tcp: sticky(a, c), udp: to(b)}, nil},
		{"another endpoint changes nothing of it", proxy.Table{tcp: sticky(a, b, c), udp: to(b)}, nil},
		{"the pod itself", proxy.Table{tcp: to(own, a), udp: to(own)}, nil},
		{"its port is held", proxy.Table{tcp: to(own, a), udp: to(own)}, []uint16{9000, 8000, 8000}},
		{"and released", proxy.Table{tcp: to(own, a), udp: to(own)}, []uint16{9000}},
		{"all is gone", proxy.Table{}, nil},
	} {
		want, next := Fill(step.table, pod, step.held, chosen)
		fmt.Fprintf(&out, "# %s\n%s--\n%s\n", step.what, want, Diff(have, want))
		have, chosen = want, next
	}
	golden(t, "diff.golden", out.String())
}

// random makes tables of services, some of them with this pod behind them.
func random(r *rand.Rand) (proxy.Table, []uint16) {
	table := proxy.Table{}
	for range r.IntN(12) {
		f := proxy.Front{Protocol: []string{proxy.TCP, proxy.UDP}[r.IntN(2)], Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 2, byte(1 + r.IntN(4))}), uint16(80+r.IntN(2)))}
		target := proxy.Target{Service: "s", Affinity: r.IntN(4) == 0}
		for range r.IntN(6) {
			ip := netip.AddrFrom4([4]byte{10, 9, 1, byte(1 + r.IntN(5))})
			if r.IntN(4) == 0 {
				ip = pod
			}
			target.Endpoints = append(target.Endpoints, netip.AddrPortFrom(ip, uint16(8000+r.IntN(2))))
		}
		table[f] = target
	}
	var held []uint16
	for port := range uint16(2) {
		if r.IntN(3) == 0 {
			held = append(held, 8000+port)
		}
	}
	return table, held
}

// expected are the places where connections to a front may end, by what a table
// means.
func expected(table proxy.Table, f proxy.Front, held []uint16) []string {
	target, ok := table[f]
	if !ok {
		return []string{f.Addr.String()}
	}
	if len(target.Endpoints) == 0 {
		return []string{refused}
	}
	var out []string
	for _, e := range target.Endpoints {
		end := e.String()
		if f.Protocol == proxy.TCP && e.Addr() == pod && slices.Contains(held, e.Port()) {
			end = holder
		}
		if !slices.Contains(out, end) {
			out = append(out, end)
		}
	}
	slices.Sort(out)
	return out
}

func fronts() (out []proxy.Front) {
	for _, protocol := range []string{proxy.TCP, proxy.UDP} {
		for n := range 4 {
			for port := range 2 {
				out = append(out, proxy.Front{Protocol: protocol, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 2, byte(1 + n)}), uint16(80+port))})
			}
		}
	}
	return out
}

// Connections end where the table of services says, in the rules that Rules
// makes, after any number of changes.
func TestTracer_EveryConnectionEndsWhereTheTableSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	trace := newTracer(pod)
	var have Content
	chosen := Choices{}
	for i := range 100 {
		table, held := random(r)
		want, next := Fill(table, pod, held, chosen)
		if err := trace.change(Diff(have, want)); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		have, chosen = want, next
		for _, f := range fronts() {
			got, want := trace.ends(f, pod), expected(table, f, held)
			ok := slices.Equal(got, want)
			if table[f].Affinity && len(want) > 1 {
				ok = len(got) == 1 && slices.Contains(want, got[0])
			}
			if !ok {
				t.Fatalf("step %d, %s: %v, want %v\n%s", i, f, got, want, table)
			}
		}
		for _, port := range []uint16{8000, 8001} {
			dst := netip.AddrPortFrom(pod, port)
			want := dst.String()
			if slices.Contains(held, port) {
				want = holder
			}
			if got := trace.leave(packet{protocol: protocolTCP, dst: dst}); got != want {
				t.Fatalf("step %d, the pod's own %s: %s, want %s", i, dst, got, want)
			}
			if got := trace.leave(packet{protocol: protocolTCP, dst: dst, mark: api.ProbeMark}); got != dst.String() {
				t.Fatalf("step %d, a probe of %s: %s", i, dst, got)
			}
		}
		if again := Diff(have, want); !again.Empty() {
			t.Fatalf("step %d: the second change is not empty:\n%s", i, again)
		}
	}
}

// atSlot is where a connection goes whose random number is slot.
func atSlot(endpoints []netip.AddrPort, slot int) netip.AddrPort {
	if e := sole(endpoints); e.IsValid() {
		return e
	}
	return inSlot(endpoints, slot)
}

// Each endpoint has its share of the slots, and of the pods where the slots do
// not divide, or are fewer than endpoints.
func TestFill_SharesEvenly(t *testing.T) {
	f := proxy.Front{Protocol: proxy.TCP, Addr: netip.MustParseAddrPort("10.9.2.1:80")}
	for _, n := range []int{1, 2, 3, 5, 48, 64, 100} {
		for _, affinity := range []bool{false, true} {
			if affinity && n > 5 {
				continue // chance alone makes them differ more
			}
			target := proxy.Target{Affinity: affinity}
			for i := range n {
				target.Endpoints = append(target.Endpoints, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 1, byte(i)}), 80))
			}
			share := map[netip.AddrPort]int{}
			const pods = 1000
			for i := range pods {
				c, _ := Fill(proxy.Table{f: target}, netip.AddrFrom4([4]byte{10, 8, byte(i >> 8), byte(i)}), nil, nil)
				for slot := range Slots {
					share[atSlot(c.Fronts[f], slot)]++
				}
			}
			even := pods * Slots / n
			for e, got := range share {
				if got < even*6/10 || got > even*14/10 {
					t.Errorf("%d endpoints, affinity %v: %s has %d slots, want about %d", n, affinity, e, got, even)
				}
			}
			if len(share) != n {
				t.Errorf("%d endpoints, affinity %v: %d of them are used", n, affinity, len(share))
			}
		}
	}
}

// An endpoint that comes or goes takes its share with it, and no other slot moves;
// the shares stay even, whatever happened before.
func TestFill_MovesFewSlots(t *testing.T) {
	f := proxy.Front{Protocol: proxy.TCP, Addr: netip.MustParseAddrPort("10.9.2.1:80")}
	r := rand.New(rand.NewPCG(3, 4))
	all := func(n int) (out []netip.AddrPort) {
		for i := range n {
			out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 1, byte(i)}), 80))
		}
		return out
	}
	for _, n := range []int{2, 3, 7, 50, 64, 100} {
		endpoints := all(n)
		have, chosen := Fill(proxy.Table{f: {Endpoints: endpoints}}, pod, nil, nil)
		for step := range 200 {
			if len(endpoints) > max(1, n-3) && (len(endpoints) == n || r.IntN(2) == 0) {
				i := r.IntN(len(endpoints))
				endpoints = slices.Delete(slices.Clone(endpoints), i, i+1)
			} else {
				missing := slices.DeleteFunc(all(n), func(e netip.AddrPort) bool { return slices.Contains(endpoints, e) })
				endpoints = append(slices.Clone(endpoints), missing[r.IntN(len(missing))])
			}
			want, next := Fill(proxy.Table{f: {Endpoints: endpoints}}, pod, nil, chosen)
			moved := 0
			for _, c := range Diff(have, want).Fronts {
				moved += len(c.Slots)
			}
			few := (Slots + len(endpoints) - 1) / max(1, min(len(endpoints), Slots)-1) // the greatest share there was or is
			share := map[netip.AddrPort]int{}
			for slot := range Slots {
				share[atSlot(want.Fronts[f], slot)]++
			}
			least, most := Slots, 0
			for _, got := range share {
				least, most = min(least, got), max(most, got)
			}
			if moved > few || most-least > 1 || len(share) != min(len(endpoints), Slots) {
				t.Fatalf("step %d of %d endpoints: %d slots move, %d at most should; %d endpoints have %d to %d", step, len(endpoints), moved, few, len(share), least, most)
			}
			have, chosen = want, next
		}
	}
}

// apps is a table of services with three endpoints each.
func apps(n int) proxy.Table {
	table := proxy.Table{}
	for i := range n {
		var to proxy.Target
		for j := range 3 {
			to.Endpoints = append(to.Endpoints, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(1 + j), byte(i)}), 80))
		}
		table[proxy.Front{Protocol: proxy.TCP, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 200, byte(i)}), 80)}] = to
	}
	return table
}

// The Go part of a change of one service of fifty.
func BenchmarkDiff_OneOfFifty(b *testing.B) {
	table := apps(50)
	f := proxy.Front{Protocol: proxy.TCP, Addr: netip.MustParseAddrPort("10.9.200.7:80")}
	all := table[f].Endpoints
	have, chosen := Fill(table, pod, nil, nil)
	for i := range b.N {
		table[f] = proxy.Target{Endpoints: all[:2+i%2]}
		var want Content
		want, chosen = Fill(table, pod, nil, chosen)
		Diff(have, want)
		have = want
	}
}
