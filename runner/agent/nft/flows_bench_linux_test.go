package nft

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/proxy"
)

// BenchmarkPlane_Counting compares connections that are counted with those of a
// table that does not: turn by turn, as ratios of the time that they take. It has
// to run in a network namespace of its own:
//
//	unshare -n go test -run '^$' -bench Counting ./runner/agent/nft
func BenchmarkPlane_Counting(b *testing.B) {
	const sysctl = "/proc/sys/net/netfilter/nf_conntrack_acct"
	if links, err := net.Interfaces(); err != nil || len(links) != 1 {
		b.Skip("needs a network namespace of its own")
	}
	ip(b, "link set lo up")
	ip(b, "addr replace 10.9.0.1/16 dev lo")
	p, err := Open(netip.MustParseAddr("10.9.0.1"))
	if err != nil {
		b.Skip(err)
	}
	defer p.Close()
	echoes(b, "10.9.1.1:8000")
	table := proxy.Table{front(proxy.TCP, "10.9.200.1:80"): {Service: "web", Endpoints: []netip.AddrPort{netip.MustParseAddrPort("10.9.1.1:8000")}}}
	apply(b, p, table)
	setCounting := func(on bool) {
		if err := os.WriteFile(sysctl, fmt.Appendf(nil, "%d", map[bool]int{true: 1}[on]), 0); err != nil {
			b.Skip(err)
		}
		switch {
		case !on:
			p.flows.Close()
			p.flows = nil
		case p.flows == nil:
			if p.flows, err = WatchFlows(); err != nil {
				b.Fatal(err)
			}
			if err := p.flows.Name(table); err != nil {
				b.Fatal(err)
			}
		}
	}
	for what, work := range map[string]func(){
		"connect":  func() { burst(b, 100, 1, 64) },
		"exchange": func() { burst(b, 1, 1000, 64) },
		"bulk":     func() { burst(b, 1, 20, 1<<20) },
	} {
		var ratios []float64
		for range max(b.N, 10) {
			var took [2]time.Duration
			for i, on := range []bool{false, true} {
				setCounting(on)
				began := time.Now()
				work()
				took[i] = time.Since(began)
				flush(b)
			}
			ratios = append(ratios, float64(took[1])/float64(took[0]))
		}
		slices.Sort(ratios)
		b.ReportMetric(ratios[len(ratios)/2], what+"-ratio")
	}
}

// burst makes connections, and on each of them exchanges of so many bytes.
func burst(b *testing.B, connections, exchanges, size int) {
	buf := make([]byte, size)
	for range connections {
		c, err := net.Dial("tcp4", "10.9.200.1:80")
		if err != nil {
			b.Fatal(err)
		}
		for range exchanges {
			if size > 4096 {
				go func() { _, _ = c.Write(buf) }()
			} else if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
				b.Fatal(err)
			}
		}
		c.Close()
	}
}
