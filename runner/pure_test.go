package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/google/go-cmp/cmp"
)

func TestAddresses_VirtualIPsAreOutsideThePodsRange(t *testing.T) {
	pool := netip.MustParsePrefix("10.64.0.0/10")
	for i := range 200 {
		a := candidate(fmt.Sprint("app", i), i%subnetTries)
		if a.subnet != a.subnet.Masked() || !pool.Contains(a.subnet.Addr()) {
			t.Fatalf("subnet %v is not aligned or not in %v", a.subnet, pool)
		}
		pods := netip.MustParsePrefix(a.pods())
		for _, ip := range []string{a.gateway(), a.vip(0), a.vip(maxServices - 1)} {
			if addr := netip.MustParseAddr(ip); pods.Contains(addr) || !a.subnet.Contains(addr) {
				t.Errorf("%s is not in the upper half of %v", ip, a.subnet)
			}
		}
		if !pods.Contains(netip.MustParseAddr(a.host())) {
			t.Errorf("the host's address %s is not in %v", a.host(), pods)
		}
	}
	if candidate("a", 0) == candidate("a", 1) {
		t.Error("the second try is the first again")
	}
}

func TestAssignSlots_StayWhenServicesComeAndGo(t *testing.T) {
	services := func(names ...string) []docker.Service {
		var out []docker.Service
		for _, n := range names {
			out = append(out, docker.Service{Name: n, Headless: n == "headless"})
		}
		return out
	}
	var many []string
	for i := range maxServices - 1 {
		many = append(many, fmt.Sprint("s", i))
	}
	first := assignSlots(services(many...), nil)
	seen := map[int]bool{}
	for name, slot := range first {
		if seen[slot] || slot < 0 || slot >= maxServices {
			t.Fatalf("slot %d of %s is taken or out of range", slot, name)
		}
		seen[slot] = true
	}
	again := assignSlots(services(append([]string{"new", "headless"}, many[10:]...)...), first)
	for _, name := range many[10:] {
		if again[name] != first[name] {
			t.Errorf("%s moved from slot %d to %d", name, first[name], again[name])
		}
	}
	if _, ok := again["headless"]; ok {
		t.Error("a headless service has no virtual IP")
	}
}

// rendered is the state of an app that is not refused.
func rendered(t *testing.T, a *app.App) *docker.State {
	t.Helper()
	state, _, err := docker.Render(a, docker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestManifest_RoundTripAndDamage(t *testing.T) {
	state := rendered(t, rigApp())
	m := manifest{State: state, AgentImage: "agent:1", Slots: map[string]int{"web": 7}}
	packed, err := encodeManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := encodeManifest(m); again != packed {
		t.Error("equal manifests give different labels")
	}
	got, err := decodeManifest(packed)
	if err != nil {
		t.Fatal(err)
	}
	if !got.State.Equal(state) || got.Slots["web"] != 7 || got.AgentImage != "agent:1" {
		t.Errorf("decoded %+v", got)
	}
	for _, bad := range []string{"", "%%%", packed[:len(packed)/2], "aGVsbG8="} {
		if _, err := decodeManifest(bad); err == nil {
			t.Errorf("decoding %.20q: no error", bad)
		}
	}
}

func TestRunPlan_OrderSkippingAndErrors(t *testing.T) {
	plan := reconcile.Plan{Steps: []reconcile.Step{
		{Op: reconcile.CreateVolume, Name: "a"},
		{Op: reconcile.CreateVolume, Name: "fails", After: []int{0}},
		{Op: reconcile.CreateVolume, Name: "after-failure", After: []int{1}},
		{Op: reconcile.CreateVolume, Name: "independent", After: []int{0}},
		{Op: reconcile.AwaitReady, Name: "wait"},
	}}
	boom := errors.New("boom")
	var mu sync.Mutex
	var done []string
	errs := runPlan(t.Context(), plan, func(ctx context.Context, s reconcile.Step) error {
		if s.Op == reconcile.AwaitReady {
			<-ctx.Done() // for ever, if nobody gave up
			return context.Cause(ctx)
		}
		mu.Lock()
		done = append(done, s.Name)
		mu.Unlock()
		if s.Name == "fails" {
			return boom
		}
		return nil
	})
	var skip *skipped
	if errs[0] != nil || errs[1] != boom || !errors.As(errs[2], &skip) || !errors.Is(errs[2], boom) || errs[3] != nil || !errors.Is(errs[4], errStale) {
		t.Errorf("errors %v", errs)
	}
	if slices.Contains(done, "after-failure") || done[0] != "a" || !slices.Contains(done, "independent") {
		t.Errorf("done %v", done)
	}
}

func TestRunPlan_BoundsConcurrencyAndStopsWhenCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plan reconcile.Plan
		for range 50 {
			plan.Steps = append(plan.Steps, reconcile.Step{Op: reconcile.CreateVolume})
		}
		var now, most, ran atomic.Int32
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2500*time.Millisecond, func() { cancel(errStale) })
		errs := runPlan(ctx, plan, func(context.Context, reconcile.Step) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			ran.Add(1)
			time.Sleep(time.Second)
			return nil
		})
		if most.Load() != concurrency {
			t.Errorf("%d at a time, want %d", most.Load(), concurrency)
		}
		// Three rounds had begun; those steps end well, the others never start.
		if got := int(ran.Load()); got != 3*concurrency {
			t.Errorf("%d steps ran, want %d", got, 3*concurrency)
		}
		if stale := len(slices.DeleteFunc(errs, func(err error) bool { return !errors.Is(err, errStale) })); stale != 50-3*concurrency {
			t.Errorf("%d steps are stale", stale)
		}
	})
}

// What app containers may do, and where ports are bound.
func TestSpecs_AreSafe(t *testing.T) {
	state := rendered(t, rigApp())
	id := Identity{App: "shop", Root: "/src"}
	a := candidate("x", 0)
	pod := state.Pod("web-0")
	rt := runtime{infraID: "i", infra: "shop_web-0", podIP: "10.0.0.2", secret: func(string, string) (string, bool) { return "s3cret", true }}
	member, err := memberSpec(id, pod, pod.Container("app"), reconcile.RoleApp, rt)
	if err != nil {
		t.Fatal(err)
	}
	if !member.NoNewPrivileges || len(member.CapAdd) > 0 || member.JoinContainer != "shop_web-0" || member.Network != "" || len(member.Publish) > 0 {
		t.Errorf("app container: %+v", member)
	}
	if labels, _ := json.Marshal(member.Labels); strings.Contains(string(labels), "s3cret") {
		t.Error("a secret is in a label")
	}
	infra := infraSpec(id, pod, "agent", "net", a)
	gateway := gatewaySpec(id, "shop_gateway", "agent", "net", a, []string{loopback, loopback6}, 8080)
	portal := portalSpec(id, &state.Portals[0], "agent", "net", a.vip(3), []string{loopback, loopback6})
	for _, s := range []engine.ContainerSpec{infra, gateway, portal} {
		if diff := cmp.Diff([]string{"NET_ADMIN", "NET_BIND_SERVICE"}, s.CapAdd); diff != "" || !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("%s: capabilities +%v -%v", s.Name, s.CapAdd, s.CapDrop)
		}
		for _, p := range s.Publish {
			if p.HostIP != "127.0.0.1" && p.HostIP != "::1" {
				t.Errorf("%s publishes on %q", s.Name, p.HostIP)
			}
		}
		if len(s.Env) > 0 {
			t.Errorf("%s has an environment: %v", s.Name, s.Env)
		}
	}
	if want := []string{"portal", "tcp/30080=" + a.vip(3) + ":80"}; !slices.Equal(portal.Cmd, want) {
		t.Errorf("portal runs %v, want %v", portal.Cmd, want)
	}
	if !gateway.NoLog {
		t.Error("the gateway is told secrets and keeps a log")
	}
}

func TestSnapshot(t *testing.T) {
	state := rendered(t, rigApp())
	labels := func(role reconcile.Role, pod, container string) map[string]string {
		return map[string]string{labelRole: string(role), labelPod: pod, labelWorkload: "web", labelContainer: container, labelInfra: "infra-" + pod}
	}
	seen := &observation{addresses: candidate("x", 0)}
	seen.Portals, seen.Pods = map[string]*reconcile.Container{}, map[string]*reconcile.Pod{}
	seen.all = []engine.Container{
		{ID: "infra-web-0", Labels: labels(reconcile.RoleInfra, "web-0", ""), State: engine.Running, IP: "10.0.0.5"},
		{ID: "app-1", Labels: labels(reconcile.RoleApp, "web-0", "app"), State: engine.Running},
	}
	for i := range seen.all {
		seen.sort(&seen.all[i])
	}
	in := snapshotInput{state: state, seen: seen, slots: map[string]int{"db": 1, "web": 2}, draining: map[string]bool{"web-1": true},
		exec: map[string]map[string]bool{"app-1": {api.Readiness: true}}, secret: func(string, string) (string, bool) { return "v", true }}
	s := in.snapshot()
	web := podOf(s, "web-0")
	if web.IP != "10.0.0.5" || web.Draining || len(web.Dirs) != 1 || len(web.Files) != 1 || string(web.Files[0].Files[0].Data) != "1" {
		t.Errorf("web-0: %+v", web)
	}
	if app := web.Containers[0]; app.ID != "app-1" || !app.Running || !app.Exec[api.Readiness] || app.Probes[0].TCP.Port != 80 {
		t.Errorf("container app: %+v", app)
	}
	if log := web.Containers[1]; log.ID != "" || log.Running {
		t.Errorf("container log has not started: %+v", log)
	}
	if other := podOf(s, "web-1"); !other.Draining || other.IP != "" {
		t.Errorf("web-1: %+v", other)
	}
	want := []api.Backend{{Pod: "web-0", IP: "10.0.0.5", Port: 80}, {Pod: "web-1", Port: 80}}
	if diff := cmp.Diff(want, s.Services[1].Ports[0].Backends); diff != "" {
		t.Errorf("backends of web (-want +got):\n%s", diff)
	}
	if s.Services[1].VIP != seen.addresses.vip(2) {
		t.Errorf("virtual IP %s", s.Services[1].VIP)
	}
}

// A service that is another name has that and no address; a headless one
// without ports has its pods, by the names that they have below it.
//
// conformance:S106 S110
func TestSnapshot_ServicesOfNamesAlone(t *testing.T) {
	state := &docker.State{Namespace: "shop", Pods: []docker.Pod{{Name: "db-0", Subdomain: "peers", DNSName: "db-0"}}, Services: []docker.Service{
		{Name: "outside", ExternalName: "example.test"},
		{Name: "peers", Headless: true, NotReady: true, Pods: []string{"db-0"}},
	}}
	seen := &observation{addresses: candidate("x", 0)}
	in := snapshotInput{state: state, seen: seen, slots: assignSlots(state.Services, map[string]int{"outside": 7})}
	want := []api.Service{
		{Name: "outside", ExternalName: "example.test", Ports: []api.ServicePort{}},
		{Name: "peers", Headless: true, NotReady: true, Ports: []api.ServicePort{}, Backends: []api.Backend{{Pod: "db-0", Hostname: "db-0"}}},
	}
	if diff := cmp.Diff(want, in.snapshot().Services); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(in.slots) != 0 {
		t.Errorf("slots for services without an address: %v", in.slots)
	}
}

func TestCutTime(t *testing.T) {
	at, text := cutTime("2026-01-02T03:04:05.6Z hello world")
	if text != "hello world" || at.Second() != 5 {
		t.Errorf("got %v %q", at, text)
	}
	if at, text := cutTime("hello world"); !at.IsZero() || text != "hello world" {
		t.Errorf("a line without a time: %v %q", at, text)
	}
}

func TestRandomText_IsLettersAndDigits(t *testing.T) {
	s, err := randomText(strings.NewReader(strings.Repeat("\xff\x00\x3d\x20", 1000)), 64)
	if err != nil || len(s) != 64 || strings.Trim(s, alphabet) != "" {
		t.Errorf("got %q, %v", s, err)
	}
	if _, err := randomText(strings.NewReader(""), 8); err == nil {
		t.Error("no randomness and no error")
	}
}
