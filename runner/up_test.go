package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/google/go-cmp/cmp"
)

// inBubble runs a test in fake time with a fresh rig.
func inBubble(t *testing.T, f func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t)) })
}

const allRunning = "+shop_db-0 +shop_db-0_db +shop_gateway +shop_portal_web +shop_web-0 +shop_web-0_app +shop_web-0_log +shop_web-1 +shop_web-1_app +shop_web-1_log"

func TestUp_FirstRunThenNothingLeftToDo(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		if got := touched(nil, r.running()); got != allRunning {
			t.Errorf("running: %s\nwant:    %s", got, allRunning)
		}
		if got := r.told(); !strings.Contains(got, "ready : shop is ready") {
			t.Errorf("told:\n%s", got)
		}
		plan, err := Plan(t.Context(), r.config())
		if err != nil || !plan.Empty() {
			t.Errorf("the second plan is not empty (%v):\n%s", err, plan)
		}
	})
}

//peers:13 24
func TestUp_ReloadTouchesOnlyWhatChanged(t *testing.T) {
	web := func(a *app.App) *app.Pod { return a.Pod("web") }
	tests := []struct {
		name    string
		edit    func(*app.App)
		touched string
		told    string
	}{
		{"an environment value", func(a *app.App) { web(a).Containers[0].Env[0].Value = "debug" },
			"~shop_web-0_app ~shop_web-1_app", "container web-0/app: env LEVEL info -> debug"},
		{"replicas up", func(a *app.App) { web(a).Replicas = 3 },
			"+shop_web-2 +shop_web-2_app +shop_web-2_log", "pod web-2: replicas 2 -> 3"},
		{"replicas down", func(a *app.App) { web(a).Replicas = 1 },
			"-shop_web-1 -shop_web-1_app -shop_web-1_log", "pod web-1: replicas 2 -> 1"},
		{"a probe", func(a *app.App) {
			p := *web(a).Containers[0].ReadinessProbe
			p.PeriodSeconds = 9
			web(a).Containers[0].ReadinessProbe = &p
		}, "", "probes of container app changed"},
		{"a port of an internal service", func(a *app.App) { a.Services[0].Ports[0].Port = 5433 },
			"", "service db: port db 5432 -> 5433"},
		{"a port of a published service", func(a *app.App) { a.Services[1].Ports[0].Port = 81 },
			"~shop_portal_web", "service web: port http 80 -> 81"},
		{"a ConfigMap value", func(a *app.App) { a.ConfigMaps[0].Data["a"] = "2" },
			"", "file a of volume conf changed"},
		{"an image", func(a *app.App) { web(a).Containers[1].Image = "web:2" },
			"~shop_web-0_log ~shop_web-1_log", "image web:1 -> web:2"},
		{"nothing but a position", func(a *app.App) { web(a).Containers[0].Pos.Line = 99 }, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.ready()
				r.up()
				before := r.running()
				r.told()
				r.edit(tt.edit)
				time.Sleep(time.Minute)
				if got := touched(before, r.running()); got != tt.touched {
					t.Errorf("touched %q, want %q", got, tt.touched)
				}
				got := r.told()
				if !strings.Contains(got, tt.told) || tt.told != "" && !strings.Contains(got, "shop is ready in") {
					t.Errorf("told:\n%s\nwant %q and that the app is ready", got, tt.told)
				}
				if tt.told == "" && got != "" {
					t.Errorf("told of nothing:\n%s", got)
				}
				if plan, err := Plan(t.Context(), r.config()); err != nil || !plan.Empty() {
					t.Errorf("not settled (%v):\n%s", err, plan)
				}
			})
		})
	}
}

func TestUp_LossesAreToldOnceWhereverTheirLineMoves(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		line := 3
		cfg := r.config()
		compile := cfg.Compile
		cfg.Compile = func(ctx context.Context) (Compiled, error) {
			c, err := compile(ctx)
			c.Losses = []Loss{{Key: "docker/x pods.web", Text: fmt.Sprintf("app.cue:%d: cannot", line)}}
			if line > 3 {
				c.Losses = append(c.Losses, Loss{Key: "docker/y pods.web", Text: "app.cue:9: cannot either"})
			}
			return c, err
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- up(ctx, cfg, r) }()
		time.Sleep(time.Minute)
		if got := r.told(); strings.Count(got, "loss : app.cue:3: cannot\n") != 1 {
			t.Errorf("told:\n%s", got)
		}
		line = 4
		r.edit(func(a *app.App) { a.Pod("web").Replicas = 1 })
		time.Sleep(time.Minute)
		if got := r.told(); strings.Contains(got, "app.cue:4") || strings.Count(got, "loss : app.cue:9: cannot either\n") != 1 {
			t.Errorf("told:\n%s", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestUp_BrokenDefinitionIsToldOnceAndEverythingKeepsRunning(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		before := r.running()
		r.told()
		r.breakDefinition(errors.New("app.cue:14:3: no such field: replicsa"))
		r.breakDefinition(errors.New("app.cue:14:3: no such field: replicsa"))
		synctest.Wait()
		if got, want := r.told(), "invalid : app.cue:14:3: no such field: replicsa\n"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		time.Sleep(time.Minute)
		if got := touched(before, r.running()); got != "" {
			t.Errorf("touched %s", got)
		}
		r.breakDefinition(nil)
		synctest.Wait()
		if got, want := r.told(), "fixed : the definition is valid again\n"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestUp_ChangeDuringARolloutIsFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		r.mu.Lock()
		r.unfit["web-0/app"] = true // the first replica never gets ready again
		r.mu.Unlock()
		r.edit(func(a *app.App) { a.Pod("web").Containers[0].Env[0].Value = "bad" })
		time.Sleep(time.Minute)
		if c := r.container("shop_web-1_app"); !strings.Contains(strings.Join(c.Env, " "), "LEVEL=info") {
			t.Errorf("the second replica was touched though the first is not ready: %v", c.Env)
		}
		r.mu.Lock()
		clear(r.unfit)
		r.mu.Unlock()
		r.edit(func(a *app.App) { a.Pod("web").Containers[0].Env[0].Value = "good" })
		time.Sleep(time.Minute)
		for _, name := range []string{"shop_web-0_app", "shop_web-1_app"} {
			if c := r.container(name); !strings.Contains(strings.Join(c.Env, " "), "LEVEL=good") {
				t.Errorf("%s has %v", name, c.Env)
			}
		}
	})
}

func (r *rig) container(name string) engine.Container {
	r.t.Helper()
	c, err := r.eng.InspectContainer(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func TestUp_ContainerThatExitsIsRestartedWithBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		r.told()
		before := r.running()
		if err := r.eng.Crash("shop_web-0_app", 3, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // the first restart is immediate
		if got := touched(before, r.running()); got != "~shop_web-0_app" {
			t.Errorf("touched %q: only the container that exited may be", got)
		}
		got := r.told()
		for _, want := range []string{"container web-0/app: exited with code 3; starting it again", "hello from"} {
			if !strings.Contains(got, want) {
				t.Errorf("told:\n%s\nwant %q", got, want)
			}
		}
		if err := r.eng.Crash("shop_web-0_app", 3, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if _, runs := r.running()["shop_web-0_app"]; runs {
			t.Error("the second restart did not wait a second")
		}
		time.Sleep(time.Second)
		if _, runs := r.running()["shop_web-0_app"]; !runs {
			t.Error("the second restart did not come after a second")
		}
		if n := number(r.container("shop_web-0_app").Labels, labelRestarts); n != 2 {
			t.Errorf("restarts %d, want 2", n)
		}
	})
}

// conformance:S127
func TestUp_OutOfMemoryIsSaid(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		r.told()
		if err := r.eng.Crash("shop_web-0_log", 137, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := r.told(); !strings.Contains(got, "more memory than its limit") {
			t.Errorf("told:\n%s", got)
		}
		// The kernel killed a child, and its parent ended as if all were well.
		if err := r.eng.Crash("shop_web-0_log", 0, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if got := r.told(); !strings.Contains(got, "more memory than its limit") {
			t.Errorf("with exit code 0 told:\n%s", got)
		}
		if last := r.statusOf("web-0", "log").LastState; last == nil || last.Reason != "OOMKilled" || last.ExitCode != 0 {
			t.Errorf("last state %+v", last)
		}
	})
}

func TestUp_DeadInfraMakesThePodAnewAndOnlyThat(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		before := r.running()
		if err := r.eng.Crash("shop_web-1", 137, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got, want := touched(before, r.running()), "~shop_web-1 ~shop_web-1_app ~shop_web-1_log"; got != want {
			t.Errorf("touched %q, want %q", got, want)
		}
	})
}

func TestUp_DeadGatewayIsReplacedAndNoPodIsTouched(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		before := r.running()
		if err := r.eng.Crash("shop_gateway", 2, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got, want := touched(before, r.running()), "~shop_gateway"; got != want {
			t.Errorf("touched %q, want %q", got, want)
		}
		if got := r.told(); !strings.HasSuffix(strings.TrimSpace(got), "s") || !strings.Contains(got, "shop is ready") {
			t.Errorf("told:\n%s", got)
		}
	})
}

func TestUp_FollowsASupervisorWhoseClockWasAhead(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		line, err := r.eng.Attach(t.Context(), "shop_gateway")
		if err != nil {
			t.Fatal(err)
		}
		future := api.Snapshot{Generation: time.Now().Add(1000 * time.Hour).UnixMilli()}
		if err := writeLine(line, api.ToGateway{Snapshot: &future}); err != nil {
			t.Fatal(err)
		}
		line.Close()
		before := r.running()
		r.told()
		r.up()
		time.Sleep(time.Minute)
		if got := r.told(); !strings.Contains(got, "shop is ready") {
			t.Errorf("told:\n%s", got)
		}
		if got := touched(before, r.running()); got != "" {
			t.Errorf("touched %s", got)
		}
	})
}

func TestUp_ExecProbeDecidesReadiness(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		healthy := false
		r.eng.AddImage("web:1", fake.Image{Run: serve, Exec: func(_ context.Context, p fake.Process) int {
			r.mu.Lock()
			defer r.mu.Unlock()
			if healthy {
				return 0
			}
			fmt.Fprintln(p.Stdout, "not yet")
			return 1
		}})
		r.app.Pod("db").Containers[0].ReadinessProbe = &app.Probe{Exec: &app.ExecAction{Command: []string{"check"}}, PeriodSeconds: 2, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 1}
		r.up()
		time.Sleep(time.Minute)
		if got := touched(nil, r.running()); strings.Contains(got, "web-0_app") {
			t.Errorf("web depends on db, which is not ready, and runs: %s", got)
		}
		r.mu.Lock()
		healthy = true
		r.mu.Unlock()
		time.Sleep(5 * time.Second)
		if got := touched(nil, r.running()); got != allRunning {
			t.Errorf("running: %s", got)
		}
	})
}

func TestUp_FailedExecLivenessProbeRestarts(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.eng.AddImage("web:1", fake.Image{Run: serve, Exec: func(context.Context, fake.Process) int { return 7 }})
		r.app.Pod("db").Containers[0].LivenessProbe = &app.Probe{Exec: &app.ExecAction{Command: []string{"check"}}, InitialDelaySeconds: 100, PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
		r.up()
		time.Sleep(50 * time.Second)
		before := r.running()
		time.Sleep(90 * time.Second) // the delay, then three periods
		if got := touched(before, r.running()); got != "~shop_db-0_db" {
			t.Errorf("touched %q, want the container alone", got)
		}
		if got := r.told(); !strings.Contains(got, "liveness probe failed: exit code 7") {
			t.Errorf("told:\n%s", got)
		}
	})
}

// Failures of a first run: a clear error, and nothing half-made stays.
func TestUp_FailedFirstRunLeavesNothing(t *testing.T) {
	foreign := func(r *rig) {
		_, err := r.eng.CreateContainer(r.t.Context(), engine.ContainerSpec{Name: "shop_web-1_app", Image: "web:1"})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		set  func(*rig)
		want []string // in the error
		left []string
	}{
		{"the image is missing", func(r *rig) { r.app.Pod("web").Containers[0].Image = "nowhere/app:1" },
			[]string{"app.cue:7:3", "nowhere/app:1", "web/app", "build or load it"}, nil},
		{"the image may not be pulled", func(r *rig) {
			r.app.Pod("web").Containers[0].Image = "remote:1"
			r.app.Pod("web").Containers[0].ImagePullPolicy = "Never"
			r.eng.AddRemote("remote:1", fake.Image{Run: serve})
		}, []string{"remote:1", "imagePullPolicy is Never"}, nil},
		{"the port is taken", func(r *rig) { r.eng.TakePort(30080) },
			[]string{"app.cue:20:2", "service web", "127.0.0.1:30080", "in use"}, nil},
		{"the name is taken", foreign,
			[]string{"container web-1/app", "shop_web-1_app", "not of this app"}, []string{"container shop_web-1_app"}},
		{"a secret has no value", func(r *rig) {
			r.app.Secrets[0].Keys[0] = app.SecretKey{Name: "password", Env: "DB_PASSWORD"}
		}, []string{"secret creds", "key password", "DB_PASSWORD is not set"}, nil},
		{"the engine fails", func(r *rig) { r.eng.FailNext("CreateNetwork", errors.New("out of address pools")) },
			[]string{"network shop", "out of address pools"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				tt.set(r)
				cfg := r.config()
				cfg.Once, cfg.Timeout = true, time.Hour
				err := up(t.Context(), cfg, nil)
				if err == nil {
					t.Fatal("no error")
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q\ndoes not say %q", err, want)
					}
				}
				if diff := cmp.Diff(tt.left, r.everything()); diff != "" {
					t.Errorf("left on the engine (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestUp_TakenPortOnReloadKeepsTheRestRunning(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		before := r.running()
		r.told()
		r.eng.TakePort(30081)
		r.edit(func(a *app.App) { a.Services[1].Ports[0].NodePort = 30081 })
		time.Sleep(time.Minute)
		if got := touched(before, r.running()); got != "-shop_portal_web" {
			t.Errorf("touched %q, want the portal alone", got)
		}
		if got := r.told(); strings.Count(got, "in use") != 1 {
			t.Errorf("told, not once:\n%s", got)
		}
		r.eng.FreePort(30081)
		time.Sleep(time.Minute)
		if _, ok := r.running()["shop_portal_web"]; !ok {
			t.Error("the portal did not come once the port was free")
		}
	})
}

func TestUp_GeneratedSecretIsKeptAndShownNowhere(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		password := func() string {
			for _, e := range r.container("shop_web-0_app").Env {
				if v, ok := strings.CutPrefix(e, "PASSWORD="); ok {
					return v
				}
			}
			t.Fatal("no password in the environment")
			return ""
		}
		r.ready()
		first := password()
		if len(first) != 20 {
			t.Errorf("password of %d characters, want 20", len(first))
		}
		if seen := r.dump() + r.told(); strings.Contains(seen, first) {
			t.Error("the password is in a label or in what was told")
		}
		if err := Down(t.Context(), r.eng, r.id(), DownOptions{}); err != nil {
			t.Fatal(err)
		}
		r.ready()
		if again := password(); again != first {
			t.Error("the claim was kept and its password was not")
		}
		if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		r.ready()
		if again := password(); again == first {
			t.Error("the password outlived its volumes")
		}
	})
}

func TestDown(t *testing.T) {
	tests := []struct {
		name string
		opts DownOptions
		left []string
	}{
		{"claims stay, with the secrets of their data", DownOptions{}, []string{"volume shop_data", "volume shop_vault_keys"}},
		{"unless asked", DownOptions{Volumes: true}, nil},
		{"at once", DownOptions{Volumes: true, Now: true}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.ready()
				if err := Down(t.Context(), r.eng, r.id(), tt.opts); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.left, r.everything()); diff != "" {
					t.Errorf("left (-want +got):\n%s", diff)
				}
				if err := Down(t.Context(), r.eng, r.id(), tt.opts); err != nil {
					t.Errorf("a second time: %v", err)
				}
			})
		})
	}
}

// What a supervisor asked for that ended a moment ago may come when down is nearly
// done: it looks again. Where more comes each time it says what is left.
func TestDown_LooksAgain(t *testing.T) {
	for _, late := range []int{1, maxRounds} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.ready()
			labels := r.id().labels()
			n := 0
			r.eng.SetHook(func(ctx context.Context, phase fake.Phase, op, _ string) error {
				if phase == fake.After && op == "ListContainers" && n < 2*late {
					if n++; n%2 == 0 { // after the look at what is left, with which a round ends
						return r.eng.CreateVolume(context.WithoutCancel(ctx), engine.VolumeSpec{Name: fmt.Sprint("shop_late-", n), Labels: labels})
					}
				}
				return nil
			})
			err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true})
			r.eng.SetHook(nil)
			if late < maxRounds && (err != nil || len(r.everything()) > 0) {
				t.Errorf("%v, left %v", err, r.everything())
			}
			if late == maxRounds && (err == nil || !strings.Contains(err.Error(), "still there after down: shop_late-6; run it again")) {
				t.Errorf("%v, left %v", err, r.everything())
			}
		})
	}
}

func TestDown_WithoutClaimsLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.app.Claims = nil
		r.app.Pods[0].Volumes = []app.Volume{{Name: "data", EmptyDir: &app.EmptyDir{}}}
		r.ready()
		if err := Down(t.Context(), r.eng, r.id(), DownOptions{}); err != nil {
			t.Fatal(err)
		}
		if left := r.everything(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestDown_TouchesNothingForeign(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		spec := engine.ContainerSpec{Name: "shop_other", Image: "web:1", Labels: map[string]string{labelApp: "shop"}}
		if _, err := r.eng.CreateContainer(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"container shop_other"}, r.everything()); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
	})
}

// Docker 20.10 loses count of many containers that start at once, and then
// says for ever that something is on the network.
func TestDown_ANetworkThatTheEngineKeepsIsNoFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		spec := engine.ContainerSpec{Name: "guest", Image: "web:1", Network: "shop"}
		id, err := r.eng.CreateContainer(t.Context(), spec)
		if err == nil {
			err = r.eng.StartContainer(t.Context(), id)
		}
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		opts := DownOptions{Volumes: true, Report: func(e Event) {
			if e.Kind == EventNotice {
				told = append(told, e.Object+": "+e.Message)
			}
		}}
		if err := Down(t.Context(), r.eng, r.id(), opts); err != nil {
			t.Fatal(err)
		}
		if len(told) != 1 || !strings.Contains(told[0], ": it stays: the engine says") {
			t.Errorf("told %q", told)
		}
		if diff := cmp.Diff([]string{"container guest", "network shop"}, r.everything()); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		if err := r.eng.RemoveContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		r.ready() // on the network that is there
		if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		if left := r.everything(); len(left) > 0 {
			t.Errorf("left in the end: %v", left)
		}
	})
}

func TestUp_EngineThatGoesAwayIsToldOnceAndWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		before := r.running()
		r.told()
		r.eng.SetDown(true)
		time.Sleep(time.Minute)
		if got := r.told(); strings.Count(got, "problem engine") != 1 {
			t.Errorf("told, not once:\n%s", got)
		}
		r.eng.SetDown(false)
		time.Sleep(time.Minute)
		if got := r.told(); !strings.Contains(got, "the engine answers again") {
			t.Errorf("told:\n%s", got)
		}
		if got := touched(before, r.running()); got != "" {
			t.Errorf("touched %s", got)
		}
	})
}

func TestUp_NotReadyInTimeSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.unfit["web-1/app"] = true
		cfg := r.config()
		cfg.Once, cfg.Timeout = true, 20*time.Second
		err := up(t.Context(), cfg, nil)
		var notReady *NotReadyError
		if !errors.As(err, &notReady) || len(notReady.Reasons) != 1 || !strings.Contains(notReady.Reasons[0], "pod web-1: container app is not ready") {
			t.Errorf("error %v", err)
		}
	})
}

// A supervisor that is killed before or after any of its calls leaves what the
// next one finishes: nothing leaks, and what runs as it should keeps running.
func TestUp_KilledAtAnyCallTheNextRunConverges(t *testing.T) {
	change := func(a *app.App) {
		a.Pod("web").Replicas = 3
		a.Pod("web").Containers[1].Image = "web:2"
		a.Services[1].Ports[0].Port = 81
	}
	scenarios := []struct {
		name    string
		running bool // the app runs before, and then changes
	}{{"first run", false}, {"reload", true}}
	for _, sc := range scenarios {
		for _, phase := range []fake.Phase{fake.Before, fake.After} {
			t.Run(fmt.Sprintf("%s/%s", sc.name, phase), func(t *testing.T) {
				for n := 1; ; n++ {
					reached := false
					inBubble(t, func(t *testing.T, r *rig) {
						if sc.running {
							r.ready()
							change(r.app)
						}
						reached = r.killAt(phase, n)
						before := r.running()
						if !sc.running {
							before = maps.Clone(before)
						}
						r.ready()
						if plan, err := Plan(t.Context(), r.config()); err != nil || !plan.Empty() {
							t.Fatalf("killed %s call %d: not settled (%v):\n%s", phase, n, err, plan)
						}
						if got := touched(before, r.running()); !sc.running && strings.Contains(got, "~") {
							t.Errorf("killed %s call %d: restarted without need: %s", phase, n, got)
						}
						if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
							t.Fatal(err)
						}
						if left := r.everything(); len(left) > 0 {
							t.Errorf("killed %s call %d: leaked %v", phase, n, left)
						}
					})
					if t.Failed() {
						return
					}
					if !reached {
						if n < 20 {
							t.Errorf("only %d calls were tried", n)
						}
						return
					}
				}
			})
		}
	}
}

// killAt runs up until its n-th call to the engine and lets no call of it
// through from then on, as if the process were gone. It reports whether there
// was an n-th call that changes something.
func (r *rig) killAt(phase fake.Phase, n int) bool {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	calls, dead := 0, false
	killed := errors.New("killed")
	r.eng.SetHook(func(_ context.Context, ph fake.Phase, op, _ string) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if dead {
			return killed
		}
		if ph == phase && changing(op) {
			if calls++; calls == n {
				dead = true
				cancel()
				return killed
			}
		}
		return nil
	})
	cfg := r.config()
	cfg.Once = true
	_ = up(ctx, cfg, nil)
	synctest.Wait()
	r.eng.SetHook(nil)
	r.told()
	return dead
}

func changing(op string) bool {
	for _, prefix := range []string{"Create", "Start", "Stop", "Remove", "Rename", "CopyTo", "Load", "Pull", "Attach"} {
		if strings.HasPrefix(op, prefix) {
			return true
		}
	}
	return false
}

// All that attach to a gateway write to one stream: a ps may part a snapshot, and
// a snapshot the question of a ps.
func TestUp_WhatWasGarbledOnTheWayToTheGatewayIsSentAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.garble = 3 // the greeting, the snapshot, and one of those sent again
		r.ready()
		stop := r.up()
		r.mu.Lock()
		r.garble = 1
		r.mu.Unlock()
		r.edit(func(a *app.App) { a.Pods[1].Containers[0].Image = "web:2" })
		time.Sleep(time.Minute)
		if got := r.told(); !strings.Contains(got, "plan : container web-1/app: image web:1 -> web:2\nready : shop is ready in") {
			t.Errorf("told:\n%s", got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		r.mu.Lock()
		r.garble = 2
		r.mu.Unlock()
		for _, p := range r.status().Pods {
			if !p.Ready {
				t.Errorf("pod %s is not ready", p.Name)
			}
		}
	})
}

// A ps that hears nothing says so: it does not say that nothing is ready.
func TestGetStatus_TellsThatTheGatewayDoesNotAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		if got := r.status().Unknown; got != "" {
			t.Errorf("a gateway that is well: %q", got)
		}
		r.mu.Lock()
		r.mute = true
		r.mu.Unlock()
		if got := r.status().Unknown; !strings.Contains(got, "the gateway does not answer") {
			t.Errorf("one that says nothing: %q", got)
		}
	})
}

func TestUp_UnhealthyContainerIsRestartedWhileARolloutWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.eng.AddImage("web:1", fake.Image{Run: serve, Exec: func(context.Context, fake.Process) int { return 7 }})
		r.unfit["web-0/app"] = true // the next replica waits for it for ever
		r.shape = func(s *docker.State) {
			for i := range s.Pods {
				s.Pods[i].Ordered = s.Pods[i].Workload == "web"
			}
		}
		r.app.Pod("db").Containers[0].LivenessProbe = &app.Probe{Exec: &app.ExecAction{Command: []string{"check"}}, InitialDelaySeconds: 100, PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
		r.up()
		time.Sleep(50 * time.Second)
		before := r.running()
		time.Sleep(90 * time.Second)
		if got := touched(before, r.running()); got != "~shop_db-0_db" {
			t.Errorf("touched %q, want the container alone", got)
		}
	})
}

func TestUp_PodWhoseReplacementFailedOnceServesAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		failed := false
		r.eng.SetHook(func(_ context.Context, ph fake.Phase, op, object string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if ph == fake.Before && op == "CreateContainer" && object == "shop_web-0_log" && !failed {
				failed = true
				return errors.New("no room")
			}
			return nil
		})
		r.edit(func(a *app.App) { a.Pod("web").Containers[1].Image = "web:2" })
		time.Sleep(time.Minute)
		s, err := GetStatus(t.Context(), r.eng, r.id())
		if err != nil {
			t.Fatal(err)
		}
		if web := s.Services[1]; web.Endpoints != 2 || !failed {
			t.Errorf("web has %d endpoints, want 2; failed %t", web.Endpoints, failed)
		}
	})
}
