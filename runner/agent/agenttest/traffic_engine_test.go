package agenttest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// report asks for the traffic until now, by way.
func (s *shop) report(t *testing.T) map[api.Way]api.Traffic {
	t.Helper()
	s.send(s.stream, api.ToGateway{Traffic: true})
	select {
	case r := <-s.traffic:
		if len(r.Missing) > 0 {
			t.Fatalf("missing: %q", r.Missing)
		}
		out := map[api.Way]api.Traffic{}
		for _, e := range r.Edges {
			out[e.Way] = e.Traffic
		}
		return out
	case <-time.After(patience):
		t.Fatal("no report of traffic")
		return nil
	}
}

// counts makes a known number of connections over known ways: each is counted, by
// whoever counts on this way, with at least the bytes that were sent, and no way
// is told of that nobody took.
func (s *shop) counts(t *testing.T, mode string) {
	t.Helper()
	before := s.report(t)
	own, none := "http://"+s.prefix+ownOnly+"/", "http://"+s.prefix+empty+"/"
	do := func(pod string, verbs ...string) {
		for _, line := range s.run(s.infra[pod], nil, append([]string{"do"}, verbs...)...) {
			if strings.HasPrefix(line, "error") && !strings.Contains(line, "refused") {
				t.Errorf("%s: %s", pod, line)
			}
		}
	}
	do("client", slices.Concat(slices.Repeat([]string{"get=" + own}, 7), slices.Repeat([]string{"post=" + own}, 3), slices.Repeat([]string{"get=" + none}, 5), []string{"udp=" + s.prefix + ownOnly})...)
	do("web-1", "get="+own, "post="+own)
	way := func(client, service, protocol, endpoint string) api.Way {
		return api.Way{Service: service, Port: 80, Protocol: protocol, Client: client, Endpoint: endpoint}
	}
	wants := map[api.Way]api.Traffic{ // bytes: at least
		way("client", "own", "TCP", "web-0"): {Connections: 10, Sent: 300_000, Received: 1000},
		way("client", "own", "UDP", "web-0"): {Connections: 1, Sent: 1, Received: 6},
		way("web-1", "own", "TCP", "web-0"):  {Connections: 2, Sent: 100_000, Received: 200},
		way("client", "empty", "TCP", ""):    {Errors: 5},
	}
	after := s.report(t)
	for w, now := range after {
		got, want := now.Since(before[w]), wants[w]
		switch {
		case got.Connections != want.Connections || got.Errors != want.Errors:
			t.Errorf("%s, %+v: %+v, want %+v", mode, w, got, want)
		case got.Sent < want.Sent || got.Received < want.Received || got.Sent > 2*want.Sent+1000 || got.Received > 4*want.Received+1000:
			t.Errorf("%s, %+v: %+v, want at least the bytes of %+v and not many more", mode, w, got, want)
		}
		delete(wants, w)
	}
	if len(wants) > 0 {
		t.Errorf("%s: not counted: %v", mode, wants)
	}
	if _, there := after[way("web-1", "balanced", "TCP", "web-0")]; there {
		t.Errorf("%s: a way that nobody took is there", mode)
	}
}

// podEnds has a pod of the machine's connections end: what it did is still known.
func (s *shop) podEnds(t *testing.T) {
	s.apply(t, "", "web-0", "web-1")
	got := s.run(s.infra["web-1"], nil, "do", "get=http://"+s.prefix+ownOnly+"/")
	if !strings.HasPrefix(got[0], "web-0 ") {
		t.Fatalf("%q", got)
	}
	before := s.report(t)
	s.run(s.infra["web-1"], nil, "do", "get=http://"+s.prefix+ownOnly+"/", "post=http://"+s.prefix+ownOnly+"/")
	if err := s.engine.StopContainer(t.Context(), s.infra["web-1"], 5*time.Second); err != nil {
		t.Fatal(err)
	}
	s.snapshot.Pods = slices.DeleteFunc(s.snapshot.Pods, func(p api.Pod) bool { return p.Name == "web-1" })
	s.apply(t, "", "web-0")
	after := s.report(t)
	w := api.Way{Service: "own", Port: 80, Protocol: "TCP", Client: "web-1", Endpoint: "web-0"}
	if got := after[w].Since(before[w]); got.Connections != 2 || got.Sent < 100_000 {
		t.Errorf("after the end of web-1: %s more by what it did last, want 2 connections with 100,000 bytes", fmt.Sprintf("%+v", got))
	}
	for w, b := range before {
		if now := after[w]; now.Connections < b.Connections || now.Errors < b.Errors || now.Sent < b.Sent || now.Received < b.Received {
			t.Errorf("%+v went back from %+v to %+v", w, b, now)
		}
	}
}
