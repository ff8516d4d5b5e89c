package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/losstest/load"
	"github.com/cuepod/cuepod/internal/testtool"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
)

// rig is what a run on a real engine needs.
type rig struct {
	eng     engine.Engine
	agent   runner.AgentImage
	program []byte
}

func newRig(t *testing.T) rig {
	t.Helper()
	testtool.Docker(t, os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1")
	eng, err := dockerapi.New(dockerapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close() })
	info, err := eng.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !info.Local {
		t.Skip("the engine is on another machine, whose pods are out of reach")
	}
	ref, archive := agenttest.Image(t, info.Arch)
	program, err := build(t.Context(), info.Arch)
	if err != nil {
		t.Fatal(err)
	}
	return rig{eng, func(string) (string, []byte, error) { return ref, archive, nil }, program}
}

func (r rig) run(t *testing.T, cfg config) *table {
	t.Helper()
	cfg.report = func(e runner.Event) { t.Log(e.Kind, e.Object, e.Message) }
	result, err := run(t.Context(), r.eng, r.agent, r.program, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	result.print(&text)
	t.Log("\n" + text.String())
	return result
}

// TestLoad_CountsWhatFails has clients ask a server that goes away without a
// word, and one that ends as servers should.
func TestLoad_CountsWhatFails(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	addrs := load.Addrs{HTTP: "127.0.0.1:0", TCP: "127.0.0.1:0", UDP: "127.0.0.1:0"}
	served := make(chan error, 1)
	s, err := load.Listen(addrs)
	if err != nil {
		t.Fatal(err)
	}
	go func() { served <- s.Serve(ctx) }()
	at := s.Addrs()
	loops := load.Start([]load.Target{
		{Kind: load.KeepAlive, Addr: at.HTTP}, {Kind: load.PerConn, Addr: at.HTTP}, {Kind: load.TCP, Addr: at.TCP, Exchanges: 2}, {Kind: load.UDP, Addr: at.UDP},
	}, time.Millisecond)
	defer loops.Stop()
	seen := load.Counts{}
	all := func(enough func(load.Count) bool) func() error {
		return func() error {
			seen.Add(loops.Take())
			for _, kind := range load.Kinds() {
				if !enough(seen[kind]) {
					return fmt.Errorf("of %s: %+v", kind, seen[kind])
				}
			}
			return nil
		}
	}
	agenttest.Eventually(t, all(func(c load.Count) bool { return c.Requests > 10 }))
	if n := seen.Total(); n.Failed > 0 {
		t.Errorf("%d requests failed of a server that serves: %q", n.Failed, n.Errors)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	agenttest.Eventually(t, all(func(c load.Count) bool { return c.Failed > 0 }))
	for _, kind := range load.Kinds() {
		for _, e := range seen[kind].Errors {
			if kind == load.UDP && strings.Contains(e, "not answered") {
				continue // what came as it ended is lost
			}
			// What the kernel had accepted and the server had not is reset.
			if !strings.Contains(e, "connection refused") && !strings.Contains(e, "connection reset") {
				t.Errorf("%s: %s; want refusals from a server that has ended as it should, and no broken answers", kind, e)
			}
		}
	}
}

func TestTable_Prints(t *testing.T) {
	count := func(n, failed int, worst time.Duration) seen {
		s := newSeen()
		s.pod[load.TCP] = load.Count{Requests: n, Failed: failed, Worst: worst, Errors: []string{"dial: refused"}[:min(failed, 1)]}
		s.host[load.UDP] = load.Count{Requests: n}
		return s
	}
	tab := newTable()
	tab.changed("env", count(10, 0, 5*time.Millisecond))
	tab.changed("swap", count(10, 2, 300*time.Millisecond))
	tab.changed("swap", count(10, 0, 200*time.Millisecond))
	tab.add("after", count(1, 0, 0))
	tab.bare = []time.Duration{200 * time.Millisecond, 250 * time.Millisecond}
	var out strings.Builder
	tab.print(&out)
	for _, want := range []string{
		"| env | 1 | 20 | 0 | 5 ms | 5 ms |\n", "| swap | 2 | 40 | 2 | 300 ms | 300 ms |\n", "| after | 0 | 2 | 0 | 0 ms | 0 ms |\n",
		"2 of 62 requests failed.\n", "| TCP | 31 | 2 | 300 ms | 0 | 0 | 0 ms |\n", "median 1.20, worst 1.20.\n", "failed: dial: refused\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if tab.slow(0) != nil || tab.slow(1.25) != nil || tab.slow(1.1) == nil {
		t.Errorf("1.2 times as long is %v, %v, %v; want too slow for 1.1 alone", tab.slow(0), tab.slow(1.25), tab.slow(1.1))
	}
	if err := tab.verdict(); err == nil || !regexp.MustCompile(`^2 of 62 requests failed`).MatchString(err.Error()) {
		t.Errorf("verdict %v", err)
	}
}

// failed are the requests of some kinds that failed, from a pod and from the host.
func (t *table) failed(kinds ...string) (n int) {
	for _, kind := range kinds {
		n += t.kinds.pod[kind].Failed + t.kinds.host[kind].Failed
	}
	return n
}

// Replicas are changed one after the other while clients ask them, and none of
// their requests fails. The twin has servers that break what is under way when
// they are told to end: that is seen.
//
// conformance:S50 S103 S104
// conformance:negative S50
func TestLoss_RollingChangesFailNoRequest(t *testing.T) {
	r := newRig(t)
	if result := r.run(t, config{changes: 10}); result.verdict() != nil {
		t.Error(result.verdict())
	}
	if result := r.run(t, config{changes: 3, only: "env", rude: true}); result.total().Failed == 0 {
		t.Error("servers break their connections, and no request fails: nobody looks")
	}
}

// The container of the only replica is swapped while clients ask it, and their
// connections and datagrams wait, on every way to a service. The twin refuses
// them, as a cluster would.
func TestLoss_SwapsFailNoRequest(t *testing.T) {
	r := newRig(t)
	for _, way := range []string{api.ProxyNFTables, api.ProxyUserspace} {
		t.Run(way, func(t *testing.T) {
			if result := r.run(t, config{swaps: 5, proxy: way}); result.verdict() != nil {
				t.Error(result.verdict())
			}
			result := r.run(t, config{swaps: 2, proxy: way, noHold: true})
			if result.failed(load.KeepAlive, load.PerConn, load.TCP) == 0 || result.failed(load.UDP) == 0 {
				t.Error("nothing is held, and no request fails: nobody looks")
			}
		})
	}
}
