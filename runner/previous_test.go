package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/fake"
)

// instances makes web:1 say which instance it is.
func (r *rig) instances() {
	n := map[string]int{}
	r.eng.AddImage("web:1", fake.Image{Run: func(ctx context.Context, p fake.Process) int {
		r.mu.Lock()
		n[p.Spec.Name]++
		text := fmt.Sprintf("instance %d", n[p.Spec.Name])
		r.mu.Unlock()
		fmt.Fprintln(p.Stdout, text)
		<-ctx.Done()
		return 0
	}})
}

func (r *rig) crash(name string, code int) {
	r.t.Helper()
	if err := r.eng.Crash(name, code, false); err != nil {
		r.t.Fatal(err)
	}
}

// follow collects what the first web container says, until end.
func (r *rig) follow() (said *tally, end func()) {
	said = &tally{}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Logs(ctx, r.eng, r.id(), []Target{{Pod: "web-0", Container: "app"}}, LogOptions{Follow: true, Tail: -1}, func(l LogLine) { said.add(l.Text) })
	}()
	return said, func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	}
}

// logsOf collects what a container said, joined by "; ".
func (r *rig) logsOf(target Target, opts LogOptions) (string, error) {
	var lines []string
	opts.Tail = -1
	err := Logs(r.t.Context(), r.eng, r.id(), []Target{target}, opts, func(l LogLine) { lines = append(lines, l.Text) })
	return strings.Join(lines, "; "), err
}

func (r *rig) statusOf(pod, container string) ContainerStatus {
	r.t.Helper()
	s, err := GetStatus(r.t.Context(), r.eng, r.id())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range s.Pods {
		for _, c := range p.Containers {
			if p.Name == pod && c.Name == container {
				return c
			}
		}
	}
	r.t.Fatalf("no container %s/%s", pod, container)
	return ContainerStatus{}
}

// conformance:S20 S22
func TestUp_OnePreviousInstanceIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.instances()
		r.ready()
		r.up()
		target := Target{Pod: "web-0", Container: "app"}
		if _, err := r.logsOf(target, LogOptions{Previous: true}); err == nil || !strings.Contains(err.Error(), "no previous instance") {
			t.Errorf("before any restart: error %v", err)
		}
		for n := 1; n <= 3; n++ {
			r.crash("shop_web-0_app", 10+n)
			time.Sleep(time.Minute)
			c := r.statusOf("web-0", "app")
			if c.State != "running" || c.Restarts != n || c.LastState == nil || c.LastState.ExitCode != 10+n || c.LastState.Reason != "Error" || c.LastState.FinishedAt.IsZero() {
				t.Errorf("after restart %d: %+v, last %+v", n, c, c.LastState)
			}
			now, err := r.logsOf(target, LogOptions{})
			if want := fmt.Sprintf("instance %d", n+1); err != nil || now != want {
				t.Errorf("logs: %q, %v; want %q", now, err, want)
			}
			before, err := r.logsOf(target, LogOptions{Previous: true})
			if want := fmt.Sprintf("instance %d", n); err != nil || before != want {
				t.Errorf("previous logs: %q, %v; want %q", before, err, want)
			}
		}
		// A change is no restart: what was before has another definition.
		r.edit(func(a *app.App) { a.Pod("web").Containers[0].Env[0].Value = "debug" })
		time.Sleep(time.Minute)
		if c := r.statusOf("web-0", "app"); c.Restarts != 0 || c.LastState != nil {
			t.Errorf("after a change: %+v", c)
		}
		for _, name := range r.everything() {
			if strings.HasSuffix(name, ".previous") {
				t.Errorf("%s is left", name)
			}
		}
	})
}

// A supervisor that is killed anywhere in a restart leaves what the next one
// finishes, with one restart counted and one instance kept.
//
// conformance:S20
func TestUp_KilledInARestartTheNextRunFinishesIt(t *testing.T) {
	for _, crashes := range []int{1, 2} {
		for _, phase := range []fake.Phase{fake.Before, fake.After} {
			for n := 1; ; n++ {
				reached := false
				inBubble(t, func(t *testing.T, r *rig) {
					r.instances()
					r.ready()
					for i := range crashes {
						if i > 0 {
							r.ready()
						}
						r.crash("shop_web-0_app", 3)
						time.Sleep(time.Hour)
					}
					reached = r.killAt(phase, n)
					time.Sleep(time.Minute)
					r.ready()
					if plan, err := Plan(t.Context(), r.config()); err != nil || !plan.Empty() {
						t.Fatalf("killed %s call %d: not settled (%v):\n%s", phase, n, err, plan)
					}
					c := r.statusOf("web-0", "app")
					// A new instance that was made and never ran is made again, and is no other restart.
					if c.Restarts != crashes || c.LastState == nil || c.LastState.ExitCode != 3 {
						t.Errorf("killed %s call %d: %+v, last %+v", phase, n, c, c.LastState)
					}
					kept := 0
					for _, c := range r.containers() {
						if strings.HasSuffix(c.Name, ".previous") {
							kept++
						}
					}
					if kept != 1 {
						t.Errorf("killed %s call %d: %d previous instances", phase, n, kept)
					}
					if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
						t.Fatal(err)
					}
					if left := r.everything(); len(left) > 0 {
						t.Errorf("killed %s call %d: leaked %v", phase, n, left)
					}
				})
				if t.Failed() || !reached {
					break
				}
			}
		}
	}
}

// A supervisor that is killed anywhere in a swap leaves one instance that runs, or
// none and one that is ready to start: logs and exec find the one that runs, and
// the next run goes on. Connections that wait go on waiting.
func TestUp_KilledInASwapTheNextRunFinishesIt(t *testing.T) {
	gaps := 0
	for _, phase := range []fake.Phase{fake.Before, fake.After} {
		for n := 1; ; n++ {
			reached := false
			inBubble(t, func(t *testing.T, r *rig) {
				r.instances()
				r.app.Pods[0].Replicas = 1
				r.app.Pods[1].Replicas = 1
				r.ready()
				r.app.Pod("web").Containers[0].Env[0].Value = "debug"
				reached = r.killAt(phase, n)
				time.Sleep(time.Minute)
				r.livingOne(phase, n)
				if reached && r.betweenInstances() {
					gaps++
					r.holdGoesOn()
				}
				r.ready()
				if plan, err := Plan(t.Context(), r.config()); err != nil || !plan.Empty() {
					t.Fatalf("killed %s call %d: not settled (%v):\n%s", phase, n, err, plan)
				}
				if c := r.statusOf("web-0", "app"); c.Restarts != 0 || c.LastState != nil {
					t.Errorf("killed %s call %d: %+v", phase, n, c)
				}
				if level, _ := r.envOf("shop_web-0_app", "LEVEL"); level != "debug" {
					t.Errorf("killed %s call %d: it runs with LEVEL %q", phase, n, level)
				}
				for _, c := range r.containers() {
					if strings.HasSuffix(c.Name, ".previous") {
						t.Errorf("killed %s call %d: %s is left", phase, n, c.Name)
					}
				}
			})
			if t.Failed() || !reached {
				break
			}
		}
	}
	if gaps == 0 && !t.Failed() {
		t.Error("nobody was killed between a stop and a start")
	}
}

// betweenInstances reports whether one instance has ended and the next is made.
func (r *rig) betweenInstances() bool {
	states := map[string]engine.State{}
	for _, c := range r.containers() {
		states[c.Name] = c.State
	}
	return states["shop_web-0_app"] == engine.Created && states["shop_web-0_app.previous"] == engine.Exited
}

// livingOne checks that whoever asks for the container finds an instance that runs,
// where there is one.
func (r *rig) livingOne(phase fake.Phase, n int) {
	r.t.Helper()
	runs := 0
	for name := range r.running() {
		if strings.HasPrefix(name, "shop_web-0_app") {
			runs++
		}
	}
	if runs == 0 {
		return
	}
	if runs > 1 {
		r.t.Errorf("killed %s call %d: %d instances run", phase, n, runs)
	}
	if got, err := r.logsOf(Target{Pod: "web-0", Container: "app"}, LogOptions{}); err != nil || got != "instance 1" && got != "instance 2" {
		r.t.Errorf("killed %s call %d: logs %q, %v", phase, n, got, err)
	}
	if c := r.statusOf("web-0", "app"); c.State != "running" {
		r.t.Errorf("killed %s call %d: ps says %+v", phase, n, c)
	}
	if _, err := Exec(r.t.Context(), r.eng, r.id(), Target{Pod: "web-0", Container: "app"}, []string{"true"}, IO{}); err != nil {
		r.t.Errorf("killed %s call %d: exec: %v", phase, n, err)
	}
}

// holdGoesOn has somebody watch the app who takes over between the stop and the
// start of a swap: the first he says to the gateway is to hold on.
func (r *rig) holdGoesOn() {
	r.t.Helper()
	var first []api.Hold
	var mu sync.Mutex
	r.mu.Lock()
	before := r.snap.Generation
	r.sees = func(api.Status) {
		mu.Lock()
		defer mu.Unlock()
		if p := podOf(r.snap, "web-0"); first == nil && r.snap.Generation > before {
			first = append([]api.Hold{}, p.Holds...)
		}
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	cfg := r.config()
	cfg.Watch = true
	if err := up(ctx, cfg, r); err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	r.sees = nil
	r.mu.Unlock()
	if len(first) != 1 || first[0].Container != "app" || fmt.Sprint(first[0].Next) != "[80]" || first[0].Limit == 0 {
		r.t.Errorf("the next supervisor holds %+v", first)
	}
	if left := podOf(r.last(), "web-0").Holds; len(left) > 0 {
		r.t.Errorf("when it is done it holds %+v", left)
	}
}

// Who follows reads every instance to its end, however fast they come and go.
//
//peers:6
func TestLogs_FollowReadsInstancesThatCameAndWent(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.instances()
		r.ready()
		r.up()
		r.crash("shop_web-0_app", 1)
		time.Sleep(time.Minute)
		said, end := r.follow()
		time.Sleep(time.Second)
		for range 2 {
			r.crash("shop_web-0_app", 1)
			time.Sleep(3 * time.Second)
		}
		time.Sleep(time.Minute)
		end()
		got := said.list()
		if want := "instance 2; instance 3; instance 4"; strings.Join(got, "; ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// While what should replace it cannot be had, a container that ends is started again
// as it is, and who follows its output reads on.
func TestUp_LastGoodIsStartedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.instances()
		r.ready()
		r.up()
		said, end := r.follow()
		r.edit(func(a *app.App) { a.Pod("web").Containers[0].Image = "nowhere:1" })
		time.Sleep(10 * time.Second)
		before := r.running()
		for range 2 {
			r.crash("shop_web-0_app", 1)
			time.Sleep(time.Minute)
		}
		if got := touched(before, r.running()); got != "" {
			t.Errorf("touched %q", got)
		}
		r.eng.AddImage("nowhere:1", fake.Image{Run: func(ctx context.Context, p fake.Process) int {
			fmt.Fprintln(p.Stdout, "the next")
			<-ctx.Done()
			return 0
		}})
		r.edit(func(*app.App) {})
		time.Sleep(2 * time.Minute)
		end()
		got := said.list()
		if want := "instance 1; instance 2; instance 3; the next"; strings.Join(got, "; ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A container that cannot be made waits and is tried again; the rest goes on.
//
// conformance:S3
func TestUp_ContainerThatCannotBeMadeWaits(t *testing.T) {
	yes := true
	for _, tt := range []struct {
		name, reason, message string
		broken                func(*rig)
		mended                func(*rig)
	}{
		{"its configuration is wrong", "CreateContainerConfigError", "runAsNonRoot",
			func(r *rig) { r.app.Pod("web").Containers[0].SecurityContext.RunAsNonRoot = &yes },
			func(r *rig) { r.eng.AddImage("web:1", fake.Image{Image: engine.Image{User: "7"}, Run: serve}) }},
		{"the engine refuses to make it", "CreateContainerError", "no room",
			func(r *rig) {
				r.eng.SetHook(func(_ context.Context, ph fake.Phase, op, object string) error {
					if ph == fake.Before && op == "CreateContainer" && object == "shop_web-0_app" && !r.standsIn() {
						return errors.New("no room")
					}
					return nil
				})
			},
			func(r *rig) { r.eng.SetHook(nil) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				tt.broken(r)
				r.up()
				time.Sleep(10 * time.Second)
				c := r.statusOf("web-0", "app")
				if c.State != "waiting" || c.Reason != tt.reason || !strings.Contains(c.Message, tt.message) || c.RetryAt.IsZero() || c.Restarts != 0 || c.ID != "" {
					t.Errorf("%+v", c)
				}
				if _, runs := r.running()["shop_web-0_log"]; !runs {
					t.Error("the other container does not run")
				}
				if got := r.told(); !strings.Contains(got, "problem container web-0/app: app.cue:7:3: "+tt.reason+": ") {
					t.Errorf("told:\n%s", got)
				}
				tt.mended(r)
				time.Sleep(2 * time.Minute)
				if c := r.statusOf("web-0", "app"); c.State != "running" || c.Restarts != 0 || c.LastState != nil {
					t.Errorf("mended: %+v", c)
				}
			})
		})
	}
}

// standsIn reports whether the call under way makes what stands for a container:
// the hook is not told what a container is made of.
func (r *rig) standsIn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	return r.calls%2 == 0
}

// conformance:S3 S25
func TestUp_ContainerThatCannotRunIsTriedAgainWithBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var mended atomic.Bool
		r.eng.AddImage("web:1", fake.Image{Run: serve, Refuse: func(spec engine.ContainerSpec) string {
			if !mended.Load() && spec.Name == "shop_web-0_app" {
				return "exec: /app: no such file"
			}
			return ""
		}})
		r.up()
		time.Sleep(10 * time.Second)
		c := r.statusOf("web-0", "app")
		if c.Reason != "CrashLoopBackOff" || c.LastState == nil || c.LastState.Reason != "ContainerCannotRun" || c.LastState.ExitCode != 127 || !strings.Contains(c.LastState.Message, "no such file") {
			t.Errorf("%+v, last %+v", c, c.LastState)
		}
		if _, runs := r.running()["shop_web-1_app"]; !runs {
			t.Error("the other pod does not run")
		}
		if got := r.told(); strings.Count(got, "RunContainerError: exec: /app: no such file") != 1 {
			t.Errorf("told, not once:\n%s", got)
		}
		mended.Store(true)
		time.Sleep(time.Minute)
		if c := r.statusOf("web-0", "app"); c.State != "running" {
			t.Errorf("mended: %+v", c)
		}
	})
}
