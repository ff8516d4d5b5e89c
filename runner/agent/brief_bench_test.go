package agent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/nft"
	"github.com/cuepod/cuepod/runner/dns"
	"github.com/cuepod/cuepod/runner/proxy"
)

// What an agent does when one of fifty pods gets ready that stand behind fifty
// services, up to the kernel.
func BenchmarkAgent_OneOfFifty(b *testing.B) {
	const n = 50
	order := api.ToAgent{Namespace: "default", Pod: &api.Pod{Name: "web-0"}}
	stand := [2]map[string]api.Standing{{}, {}}
	for i := range n {
		s := api.Service{Name: fmt.Sprint("s", i), VIP: fmt.Sprint("10.1.3.", i)}
		var all []api.Backend
		for k := range n {
			all = append(all, api.Backend{Pod: fmt.Sprint("web-", k), IP: fmt.Sprint("10.1.2.", k), Port: 8000})
		}
		s.Ports = []api.ServicePort{{Port: 80, Protocol: "TCP", Backends: all}}
		order.Services = append(order.Services, s)
		for k := range stand {
			stand[k][fmt.Sprint("web-", i)] = api.Standing{Ready: i > 0 || k > 0, Serving: i > 0 || k > 0}
		}
	}
	self := netip.MustParseAddr("10.1.2.7")
	var have nft.Content
	var chosen nft.Choices
	know := order
	b.ReportAllocs()
	b.Run("line", func(b *testing.B) {
		for i := range b.N {
			before, now := order, order
			before.Standing, now.Standing = stand[i%2], stand[(i+1)%2]
			line, err := json.Marshal(brief(&before, now))
			if err != nil {
				b.Fatal(err)
			}
			var m api.ToAgent
			if err := json.Unmarshal(line, &m); err != nil {
				b.Fatal(err)
			}
			know = follow(know, m)
		}
	})
	b.Run("zone", func(b *testing.B) {
		for range b.N {
			dns.NewZone("default", order.Services, self)
		}
	})
	b.Run("rules", func(b *testing.B) {
		var before api.ToAgent
		var ready []api.Service
		var table proxy.Table
		for i := range b.N {
			order.Standing = stand[i%2]
			then := ready
			ready, before = endpoints(order, before, then), order
			table = proxy.Renew(table, then, ready)
			var want nft.Content
			want, chosen = nft.Fill(table, self, nil, chosen)
			nft.Diff(have, want)
			have = want
		}
	})
}
