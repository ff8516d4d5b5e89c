package agent

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
)

func edge(client, endpoint string, connections uint64) api.Edge {
	return api.Edge{Way: api.Way{Service: "web", Port: 80, Protocol: "TCP", Client: client, Endpoint: endpoint}, Traffic: api.Traffic{Connections: connections, Sent: 100 * connections}}
}

func printEdges(edges []api.Edge) string {
	var out []string
	for _, e := range edges {
		out = append(out, fmt.Sprintf("%s>%s %d %d %d", e.Client, e.Endpoint, e.Connections, e.Errors, e.Sent))
	}
	return strings.Join(out, ", ")
}

// Sums go by name, through restarts of agents and the ends of pods.
func TestLedger(t *testing.T) {
	shop := func(pods ...string) *api.Snapshot {
		s := &api.Snapshot{Services: []api.Service{{Name: "web", Ports: []api.ServicePort{{Port: 80}}}}}
		for i, name := range pods {
			ip := fmt.Sprintf("10.1.0.%d", i+1)
			s.Pods = append(s.Pods, api.Pod{Name: name, IP: ip})
			s.Services[0].Ports[0].Backends = append(s.Services[0].Ports[0].Backends, api.Backend{Pod: name, IP: ip, Port: 8000})
		}
		return s
	}
	l := newLedger()
	for _, step := range []struct {
		what string
		do   func()
		want string
	}{
		{"nothing", func() { l.know(shop("a", "b")) }, ""},
		{"two pods", func() {
			l.add("a", 1, []api.Edge{edge("a", "10.1.0.2:8000", 3)})
			l.add("b", 1, []api.Edge{edge("b", "10.1.0.2:8000", 1), edge("b", "10.9.9.9:80", 1), edge("b", "", 0)})
		}, "a>b 3 0 300, b>10.9.9.9:80 1 0 100, b>b 1 0 100"},
		{"more of one, and the gateway", func() {
			l.add("a", 1, []api.Edge{edge("a", "10.1.0.2:8000", 5)})
			l.add(byProxy, 0, []api.Edge{edge("10.1.0.1", "10.1.0.2:8000", 1), edge("10.1.0.77", "10.1.0.2:8000", 2)})
		}, ">b 2 0 200, a>b 6 0 600, b>10.9.9.9:80 1 0 100, b>b 1 0 100"},
		{"the same again", func() { l.add("a", 1, []api.Edge{edge("a", "10.1.0.2:8000", 5)}) }, ">b 2 0 200, a>b 6 0 600, b>10.9.9.9:80 1 0 100, b>b 1 0 100"},
		{"an agent that begins anew", func() { l.add("a", 2, []api.Edge{edge("a", "10.1.0.2:8000", 1)}) }, ">b 2 0 200, a>b 7 0 700, b>10.9.9.9:80 1 0 100, b>b 1 0 100"},
		{"a pod is gone, its address another's", func() {
			l.know(shop("a", "c"))
			l.add("a", 2, []api.Edge{edge("a", "10.1.0.2:8000", 2)})
		}, ">b 2 0 200, a>b 7 0 700, a>c 1 0 100, b>10.9.9.9:80 1 0 100, b>b 1 0 100"},
		{"folded", func() { l.fold() }, ">(gone) 2 0 200, (gone)>(gone) 1 0 100, (gone)>10.9.9.9:80 1 0 100, a>(gone) 7 0 700, a>c 1 0 100"},
	} {
		step.do()
		if got := printEdges(l.edges()); got != step.want {
			t.Errorf("%s: %s\nwant %s", step.what, got, step.want)
		}
	}
}

// The gateway's own ways: a client of no pod through the router and through a
// service's address. What there was not is not in the report.
func TestGateway_CountsWhatItCarries(t *testing.T) {
	agenttest.NoLeaks(t)
	const vip = "127.88.1.9"
	serveAs(t, "127.88.0.1:18080", "from web-0")
	h := newHub(t)
	h.send(api.ToGateway{Snapshot: snapshot(3, vip, "web-0", "web-1")})
	newAgent(t, h, "web-0")
	h.await("web-0", func(s api.Status) bool { return s.Pods["web-0"].Ready })
	for range 3 {
		if _, err := ask(h.http, "web.shop.localhost"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Post("http://"+vip+":18000/", "text/plain", strings.NewReader(strings.Repeat("x", 10_000)))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	var got api.TrafficReport
	agenttest.Eventually(t, func() error {
		h.send(api.ToGateway{Traffic: true})
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.traffic == nil {
			return fmt.Errorf("no report")
		}
		got = *h.traffic
		// The answer is here before the last byte of the question is on its way.
		if len(got.Edges) == 1 && got.Edges[0].Sent < 20_000 {
			return fmt.Errorf("%d bytes sent", got.Edges[0].Sent)
		}
		return nil
	})
	if len(got.Edges) != 1 {
		t.Fatalf("%s", printEdges(got.Edges))
	}
	// The client of a loopback address is the pod that has it here, or nobody.
	e := got.Edges[0]
	if e.Service != "web" || e.Port != 18000 || e.Client != "" || e.Endpoint != "web-0" || e.Connections != 5 || e.Errors != 0 || e.Sent < 20_000 || e.Received < 50 {
		t.Errorf("%+v", e)
	}
	if !slices.Contains(got.Missing, "pod web-1: its agent is not on the line") || len(got.Missing) != 2 {
		t.Errorf("missing: %q", got.Missing)
	}
}
