package reconcile

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", os.Getenv("CUEPOD_UPDATE") != "", "rewrite the goldens")

// golden compares text with testdata/name.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("plan differs from %s (-want +got):\n%s", path, diff)
	}
}

// each change is one edit of a running app: what the plan says, and what is
// touched and nothing else.
func TestDiff_ChangeTouchesOnlyWhatChanged(t *testing.T) {
	web := func(s *docker.State, f func(*docker.Pod)) {
		for i := range s.Pods {
			if s.Pods[i].Workload == "web" {
				f(&s.Pods[i])
			}
		}
	}
	tests := []struct {
		name    string
		change  func(*docker.State)
		touched string
	}{
		{"env", func(s *docker.State) {
			web(s, func(p *docker.Pod) {
				p.Containers[0].Env = []docker.EnvVar{{Name: "LEVEL", Value: "debug"}}
				p.Containers[0].Hash = "c-app2"
			})
		}, "~shop_web-0_app ~shop_web-1_app"},
		{"scale-up", func(s *docker.State) {
			p := s.Pods[2]
			p.Name, p.Ordinal, p.EngineName = "web-2", 2, "shop_web-2"
			p.Mounts = []docker.Mount{{Volume: "shop_web-2_tmp", Path: "/volumes/tmp"}}
			p.Init = []docker.Container{{Name: "migrate", EngineName: "shop_web-2_migrate", Image: "web:1", Hash: "c-migrate"}}
			p.Containers = []docker.Container{{Name: "app", EngineName: "shop_web-2_app", Image: "web:1", Hash: "c-app"}}
			s.Pods = append(s.Pods, p)
			s.Volumes = append(s.Volumes, docker.Volume{Name: "shop_web-2_tmp", Kind: docker.EmptyDir, Pod: "web-2"})
			s.Services[1].Pods = append(s.Services[1].Pods, "web-2")
		}, "+shop_web-2 +shop_web-2_app"},
		{"scale-down", func(s *docker.State) {
			s.Pods = s.Pods[:2]
			s.Volumes = s.Volumes[:2]
			s.Services[1].Pods = []string{"web-0"}
		}, "-shop_web-1 -shop_web-1_app -shop_web-1_log"},
		{"service-port", func(s *docker.State) { s.Services[1].Ports[0].Port = 81 }, ""},
		{"probe", func(s *docker.State) {
			web(s, func(p *docker.Pod) {
				p.Containers[0].Probes = []docker.Probe{{Kind: "readiness", TCP: 8080, Period: 1}}
			})
		}, ""},
		{"init-container", func(s *docker.State) {
			web(s, func(p *docker.Pod) { p.Init[0].Hash, p.Hash = "c-migrate2", "p-web2" })
		}, "~shop_web-0 ~shop_web-0_app ~shop_web-0_log ~shop_web-1 ~shop_web-1_app ~shop_web-1_log"},
		{"node-port", func(s *docker.State) { s.Portals[0].Ports[0].HostPort, s.Portals[0].Hash = 30081, "portal2" }, "~shop_portal_web"},
		{"container-removed", func(s *docker.State) {
			web(s, func(p *docker.Pod) { p.Containers = p.Containers[:1] })
		}, "-shop_web-0_log -shop_web-1_log"},
		{"service-unpublished", func(s *docker.State) { s.Portals = nil }, "-shop_portal_web"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := runningShop(t)
			before := w.running()
			plans := w.settle(t, shopState(tt.change))
			if len(plans) != 1 {
				t.Errorf("%d plans, want one", len(plans))
			}
			golden(t, tt.name, plans[0].String())
			if got := changedContainers(before, w.running()); got != tt.touched {
				t.Errorf("touched %q, want %q", got, tt.touched)
			}
		})
	}
}

func TestDiff_FirstRun(t *testing.T) {
	w := newWorld("postgres:1", "log:1") // web:1 has to be pulled
	plans := w.settle(t, shopState())
	if len(plans) != 1 {
		t.Errorf("%d plans, want one", len(plans))
	}
	golden(t, "first-run", plans[0].String())
}

func TestDiff_NewPodTellsItsHostPorts(t *testing.T) {
	d := shopState(func(s *docker.State) {
		s.Pods[0].HostPorts = []docker.HostPort{{HostIP: "127.0.0.1", HostPort: 8081, Port: 80, Protocol: "TCP"}, {HostIP: "0.0.0.0", HostPort: 53, Port: 5353, Protocol: "UDP"}}
	})
	plan := Diff(d, newWorld("postgres:1", "web:1", "log:1").Observed, now).String()
	const want = "new pod, publishes 127.0.0.1:8081 for port 80, 0.0.0.0:53 for port 5353"
	if !strings.Contains(plan, want) {
		t.Errorf("%q is not in the plan:\n%s", want, plan)
	}
	if strings.Count(plan, "publishes") != 1+1 { // and the portal
		t.Errorf("pods without ports publish some:\n%s", plan)
	}
}

// A volume that the engine makes for a container has no labels, and so is nobody's.
func TestDiff_InfraWaitsForTheClaimsThatItMounts(t *testing.T) {
	for name, mounts := range map[string][]docker.Mount{"mounted": {{Volume: "shop_data", Path: "/volumes/data"}}, "not mounted": nil} {
		d := shopState(func(s *docker.State) { s.Pods[0].Mounts = mounts })
		plan := Diff(d, newWorld("postgres:1", "web:1", "log:1").Observed, now)
		find := func(op Op, name string) int {
			return slices.IndexFunc(plan.Steps, func(s Step) bool { return s.Op == op && s.Name == name })
		}
		volume, infra := find(CreateVolume, "shop_data"), find(CreateContainer, "shop_db-0")
		if volume < 0 || infra < 0 {
			t.Fatalf("%s: steps are missing:\n%s", name, plan)
		}
		if got := slices.Contains(plan.Steps[infra].After, volume); got != (mounts != nil) {
			t.Errorf("%s: infra waits for the claim's volume: %t", name, got)
		}
	}
}

func TestDiff_SecondRunIsEmpty(t *testing.T) {
	if p := Diff(shopState(), runningShop(t).Observed, now); !p.Empty() || len(p.Waits) > 0 {
		t.Errorf("the second plan is not empty:\n%s", p)
	}
}

// A run that is killed after any number of steps is finished by the next one,
// and what already runs as it should is left alone.
func TestDiff_ConvergesFromEveryInterruption(t *testing.T) {
	scenarios := map[string]struct {
		start func(*testing.T) *world
		want  Desired
	}{
		"first run": {func(*testing.T) *world { return newWorld("postgres:1") }, shopState()},
		"new pods": {runningShop, shopState(func(s *docker.State) {
			for i := range s.Pods {
				s.Pods[i].Hash += "x"
			}
		})},
		"new containers": {runningShop, shopState(func(s *docker.State) {
			for i := range s.Pods {
				s.Pods[i].Containers[0].Hash += "x"
			}
		})},
		"scale down": {runningShop, shopState(func(s *docker.State) { s.Pods, s.Volumes = s.Pods[:2], s.Volumes[:2] })},
	}
	for name, sc := range scenarios {
		t.Run(name, func(t *testing.T) {
			steps := len(Diff(sc.want, sc.start(t).Observed, now).Steps)
			if steps == 0 {
				t.Fatal("the scenario does nothing")
			}
			for n := range steps {
				w := sc.start(t)
				for _, s := range Diff(sc.want, w.Observed, now).Steps[:n] {
					w.apply(t, sc.want, s)
				}
				started := w.running()
				w.settle(t, sc.want)
				if again := Diff(sc.want, w.Observed, now); !again.Empty() {
					t.Fatalf("killed after step %d: not settled:\n%s", n, again)
				}
				for _, p := range sc.want.State.Pods {
					for _, c := range p.Containers {
						got := w.find(c.EngineName)
						if got == nil || got.State != Running || got.Hash != c.Hash {
							t.Fatalf("killed after step %d: container %s is %+v", n, c.EngineName, got)
						}
						if id, ok := started[c.EngineName]; ok && name == "first run" && id != got.ID {
							t.Errorf("killed after step %d: %s was started already and was started again", n, c.EngineName)
						}
					}
				}
			}
		})
	}
}

// Only secrets that are not known yet hold a change up.
func TestDiff_WaitsForTheRecordOnlyForSecrets(t *testing.T) {
	gated := func(change func(*docker.State)) bool {
		w := runningShop(t)
		w.Record.State.Secrets = []docker.Secret{{Name: "s", Key: "k", Generate: 8}}
		p := Diff(shopState(change), w.Observed, now)
		for i, s := range p.Steps {
			if s.Op == CreateContainer {
				return reaches(p, i, 0) && p.Steps[0].Op == WriteRecord
			}
		}
		t.Fatalf("nothing is created:\n%s", p)
		return false
	}
	edit := func(secret docker.Secret) func(*docker.State) {
		return func(s *docker.State) {
			s.Secrets = []docker.Secret{secret}
			s.Pods[0].Containers[0].Hash += "x"
		}
	}
	if gated(edit(docker.Secret{Name: "s", Key: "k", Generate: 8, Line: "a.cue:1:1"})) {
		t.Error("the same secrets hold a change up")
	}
	if !gated(edit(docker.Secret{Name: "s", Key: "k", Env: "K"})) {
		t.Error("another source of a secret does not")
	}
}

func TestDiff_DeadInfraMakesThePodAnew(t *testing.T) {
	w := runningShop(t)
	before := w.running()
	w.Pods["web-0"].Infra.State, w.Pods["web-0"].Infra.ExitCode = Exited, 137
	plans := w.settle(t, shopState())
	golden(t, "dead-infra", plans[0].String())
	if got, want := changedContainers(before, w.running()), "~shop_web-0 ~shop_web-0_app ~shop_web-0_log"; got != want {
		t.Errorf("touched %q, want %q", got, want)
	}
}

func TestDiff_RebuiltImageReplacesItsContainers(t *testing.T) {
	w := runningShop(t)
	before := w.running()
	w.Images["log:1"] = "another id"
	w.settle(t, shopState())
	if got, want := changedContainers(before, w.running()), "~shop_web-0_log ~shop_web-1_log"; got != want {
		t.Errorf("touched %q, want %q", got, want)
	}
}

func TestDiff_ReplicasAreReplacedOneAfterTheOther(t *testing.T) {
	w := runningShop(t)
	p := Diff(shopState(func(s *docker.State) {
		for i := range s.Pods {
			s.Pods[i].Containers[0].Hash += "x"
		}
	}), w.Observed, now)
	drains := map[string]int{}
	ready := map[string]int{}
	for i, s := range p.Steps {
		switch s.Op {
		case Drain:
			drains[s.Pod] = i
		case AwaitReady:
			ready[s.Pod] = i
		}
	}
	if !reaches(p, drains["web-1"], ready["web-0"]) {
		t.Errorf("web-1 is drained before web-0 is ready again:\n%s", p)
	}
	if reaches(p, drains["web-0"], ready["db-0"]) {
		t.Errorf("workloads wait for each other:\n%s", p)
	}
}

// reaches reports whether step from comes after step to, however indirectly.
func reaches(p Plan, from, to int) bool {
	for _, a := range p.Steps[from].After {
		if a == to || reaches(p, a, to) {
			return true
		}
	}
	return false
}

func TestDiff_ExitedContainerRestartsAfterItsBackoff(t *testing.T) {
	tests := []struct {
		name    string
		backoff int
		ran     time.Duration
		exited  time.Duration // before now
		restart bool
		next    int
	}{
		{"the first restart is immediate", 0, time.Second, 0, true, 1},
		{"the second waits a second", 1, time.Second, 900 * time.Millisecond, false, 0},
		{"and then starts", 1, time.Second, time.Second, true, 2},
		{"the cap is a minute", 50, time.Second, 59 * time.Second, false, 0},
		{"and no more", 50, time.Second, 60 * time.Second, true, 51},
		{"more than ten good minutes are forgiven", 7, 10*time.Minute + 1, 0, true, 1},
		{"ten are not enough", 7, 10 * time.Minute, 0, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := runningShop(t)
			c := w.find("shop_web-0_app")
			c.State, c.ExitCode, c.Backoff, c.Restarts = Exited, 3, tt.backoff, 5
			c.Finished = now.Add(-tt.exited)
			c.Started = c.Finished.Add(-tt.ran)
			p := Diff(shopState(), w.Observed, now)
			if p.Empty() == tt.restart {
				t.Fatalf("restart %t, want %t:\n%s", !p.Empty(), tt.restart, p)
			}
			if !tt.restart {
				if at, _ := FastBackoff.Due(c); !p.Wake().Equal(at) {
					t.Errorf("wakes at %v, want %v", p.Wake(), at)
				}
				return
			}
			for _, s := range p.Steps {
				if s.Op == CreateContainer && (s.Restarts != 6 || s.Backoff != tt.next) {
					t.Errorf("restarts %d, back-off %d; want 6, %d", s.Restarts, s.Backoff, tt.next)
				}
				if s.Op == Drain || s.Op == StopContainer {
					t.Errorf("a container that is down needs no %s", s.Op)
				}
			}
		})
	}
}

func TestDiff_UnhealthyContainerIsStoppedAndThenRestarted(t *testing.T) {
	w := runningShop(t)
	before := w.running()
	w.find("shop_web-0_app").Unhealthy = "liveness probe failed: connection refused"
	plans := w.settle(t, shopState())
	if first := plans[0]; len(first.Steps) != 1 || first.Steps[0].Op != StopContainer {
		t.Errorf("first plan:\n%s", first)
	}
	if got, want := changedContainers(before, w.running()), "~shop_web-0_app"; got != want {
		t.Errorf("touched %q, want %q", got, want)
	}
}

func TestDiff_FailedInitContainerIsTriedAgainAndHoldsTheRest(t *testing.T) {
	w := newWorld("postgres:1", "web:1", "log:1")
	d := shopState()
	for _, s := range Diff(d, w.Observed, now).Steps {
		if s.Op == AwaitExit && s.Pod == "web-0" {
			c := w.find(s.Name)
			c.State, c.ExitCode, c.Finished, c.Backoff = Exited, 1, now, 1
			continue
		}
		if s.Pod == "web-0" && s.Role == RoleApp {
			continue // skipped, as the step before failed
		}
		w.apply(t, d, s)
	}
	p := Diff(d, w.Observed, now)
	if !p.Empty() || len(p.Waits) != 1 {
		t.Fatalf("want one wait and nothing else:\n%s", p)
	}
	w.find("shop_web-0_migrate").Finished = now.Add(-time.Second)
	w.settle(t, d)
	if c := w.find("shop_web-0_app"); c == nil || c.State != Running {
		t.Errorf("the app container after the init container: %+v", c)
	}
}

func TestTeardown_RemovesWhatItIsTold(t *testing.T) {
	w := runningShop(t)
	var volumes []string
	for name := range w.Volumes {
		if name != "shop_data" {
			volumes = append(volumes, name)
		}
	}
	p := Teardown("shop", w.Observed, volumes, nil)
	checkOrder(t, p)
	for _, s := range p.Steps {
		if s.Op == RemoveNetwork {
			w.Network = ""
			continue
		}
		w.apply(t, Desired{}, s)
	}
	if len(w.Pods)+len(w.Portals) > 0 || w.Gateway != nil || w.Network != "" {
		t.Errorf("left: pods %v portals %v gateway %v network %q", w.Pods, w.Portals, w.Gateway, w.Network)
	}
	if diff := cmp.Diff(map[string]bool{"shop_data": true}, maps.Clone(w.Volumes)); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
}

func TestPlan_SummaryNamesEachCauseOnce(t *testing.T) {
	w := runningShop(t)
	p := Diff(shopState(func(s *docker.State) {
		for i := range s.Pods {
			if s.Pods[i].Workload == "web" {
				s.Pods[i].Containers[0].Env = []docker.EnvVar{{Name: "LEVEL", Value: "debug"}}
				s.Pods[i].Containers[0].Hash = "c-app2"
			}
		}
	}), w.Observed, now)
	want := "container web-0/app: env LEVEL added\ncontainer web-1/app: env LEVEL added"
	if got := strings.Join(p.Summary(), "\n"); got != want {
		t.Errorf("summary:\n%s\nwant:\n%s", got, want)
	}
}

func BenchmarkDiff(b *testing.B) {
	d := shopState(func(s *docker.State) {
		web := s.Pods[1]
		for i := range 1000 {
			p := web
			p.Name = "extra-" + string(rune('a'+i%26)) + "-" + time.Duration(i).String()
			p.EngineName = "shop_" + p.Name
			p.Mounts = nil
			s.Pods = append(s.Pods, p)
		}
	})
	w := newWorld("postgres:1", "web:1", "log:1")
	for b.Loop() {
		if Diff(d, w.Observed, now).Empty() {
			b.Fatal("nothing to do")
		}
	}
}

// BenchmarkDiff_Workloads plans 1000 Deployments of a pod with a volume: what a
// look costs in an app of that size before there is anything to do.
func BenchmarkDiff_Workloads(b *testing.B) {
	a := &app.App{Name: "shop"}
	for i := range 1000 {
		a.Pods = append(a.Pods, app.Pod{
			Name: fmt.Sprintf("web%d", i), Kind: "Deployment", Replicas: 1,
			Volumes:    []app.Volume{{Name: "tmp", EmptyDir: &app.EmptyDir{}}},
			Containers: []app.Container{{Name: "main", Image: "web:1", ImagePullPolicy: "Never"}},
		})
	}
	s, _, err := docker.Render(a, docker.Options{})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorld("web:1")
	for b.Loop() {
		if Diff(Desired{State: s, AgentImage: "agent"}, w.Observed, now).Empty() {
			b.Fatal("nothing to do")
		}
	}
}
