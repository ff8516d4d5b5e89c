package runner

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/google/go-cmp/cmp"
)

// play is a rig with one pod whose containers write down what happens to them,
// and when.
type play struct {
	*rig
	mu    sync.Mutex
	lines []string
	began time.Time
	codes map[string]int // of hooks, by name
}

// inPlay runs a test in fake time. The containers' arguments are:
//
//	serve            until it is asked to stop
//	slow SECONDS     the same, but takes its time
//	ignore           until it is killed
//	fail             until it is asked to stop, which it takes amiss
//	exit CODE
//
// and a hook's command is: NAME SECONDS.
func inPlay(t *testing.T, pod app.Pod, f func(t *testing.T, p *play)) {
	synctest.Test(t, func(t *testing.T) {
		p := &play{rig: newRig(t), codes: map[string]int{}}
		p.eng.AddImage("act:1", fake.Image{Run: p.act, Exec: p.hook})
		p.eng.AddImage(rigAgent, fake.Image{Run: p.runAgent, Exec: func(_ context.Context, w fake.Process) int {
			ask := make([]byte, 4096)
			n, _ := w.Stdin.Read(ask)
			p.note(strings.Join(w.Args, " ") + " " + strings.TrimSpace(string(ask[:n])))
			fmt.Fprint(w.Stderr, "connection refused")
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.codes["get"]
		}})
		pod.Kind, pod.Replicas = "Deployment", 1
		pod.Name = "web"
		p.app = &app.App{Name: "shop", Pods: []app.Pod{pod}}
		p.began = time.Now()
		f(t, p)
	})
}

func (p *play) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, fmt.Sprintf("%d %s", int(time.Since(p.began).Round(time.Second).Seconds()), what))
}

// log is what happened since the last call, and starts the clock again.
func (p *play) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.lines
	p.lines, p.began = nil, time.Now()
	return out
}

func (p *play) act(ctx context.Context, w fake.Process) int {
	_, name, _ := strings.Cut(w.Spec.Name, "_web-0_")
	p.note(name + " starts")
	number := func() int { n, _ := strconv.Atoi(w.Args[len(w.Args)-1]); return n }
	if w.Args[0] == "exit" {
		p.note(name + " exits")
		return number()
	}
	select {
	case <-ctx.Done():
		select {
		case <-w.Killed: // both at once
		default:
			p.note(name + " TERM")
		}
	case <-w.Killed:
	}
	switch w.Args[0] {
	case "slow":
		select {
		case <-time.After(time.Duration(number()) * time.Second):
		case <-w.Killed:
			p.note(name + " KILL")
			return 137
		}
	case "ignore":
		<-w.Killed
		p.note(name + " KILL")
		return 137
	}
	p.note(name + " ends")
	if w.Args[0] == "fail" {
		return 1
	}
	return 0
}

const canary = "hunter2"

func (p *play) hook(ctx context.Context, w fake.Process) int {
	fmt.Fprintln(w.Stdout, "the password is", canary)
	p.note("hook " + w.Args[0])
	seconds, _ := strconv.Atoi(w.Args[1])
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
	case <-ctx.Done():
		p.note("hook " + w.Args[0] + " is cut short")
		return 1
	}
	p.note("hook " + w.Args[0] + " done")
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.codes[w.Args[0]]
}

// exitHook sets the exit code of a hook's next runs.
func (p *play) exitHook(name string, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[name] = code
}

func actor(name, args string, change ...func(*app.Container)) app.Container {
	c := app.Container{Name: name, Image: "act:1", ImagePullPolicy: "IfNotPresent", Args: strings.Fields(args), Lifecycle: &app.Lifecycle{}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func sidecar(c *app.Container) { c.RestartPolicy = "Always" }

func execHook(command string) *app.LifecycleHandler {
	return &app.LifecycleHandler{Exec: &app.ExecAction{Command: strings.Fields(command)}}
}

func postStart(command string) func(*app.Container) {
	return func(c *app.Container) { c.Lifecycle.PostStart = execHook(command) }
}

func preStop(command string) func(*app.Container) {
	return func(c *app.Container) { c.Lifecycle.PreStop = execHook(command) }
}

// supervise runs a supervisor in the background.
func (p *play) supervise() (stop func() error) {
	stop = p.up()
	time.Sleep(3 * time.Second)
	return stop
}

// end takes the pod out of the definition and waits.
func (p *play) end() {
	p.log()
	p.edit(func(a *app.App) { a.Pods = []app.Pod{} })
	time.Sleep(5 * time.Minute)
}

// want compares with what happened since the last call. What happens in one
// second has no order.
func (p *play) want(lines ...string) {
	p.t.Helper()
	got := p.log()
	slices.Sort(got)
	slices.Sort(lines)
	if diff := cmp.Diff(lines, got); diff != "" {
		p.t.Errorf("what happened (-want +got):\n%s", diff)
	}
}

//conformance:s8 s12
func TestStart_HooksAndSidecarsHoldBackTheNext(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		InitContainers: []app.Container{actor("proxy", "serve", sidecar, postStart("proxy 3")), actor("init", "exit 0")},
		Containers:     []app.Container{actor("a", "serve", postStart("a 5")), actor("b", "serve")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.ready()
		p.want("0 proxy starts", "0 hook proxy", "3 hook proxy done", "3 init starts", "3 init exits", "3 a starts", "3 hook a", "8 hook a done", "8 b starts")
	})
}

//conformance:s8
func TestStart_ASidecarHasStartedWhenItsStartupProbeSays(t *testing.T) {
	probed := func(c *app.Container) {
		c.StartupProbe = &app.Probe{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Number: 80}}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 30}
		c.LivenessProbe = &app.Probe{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Number: 80}}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
	}
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		InitContainers: []app.Container{actor("proxy", "serve", sidecar, probed)}, Containers: []app.Container{actor("a", "serve")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.rig.mu.Lock()
		p.unborn["web-0/proxy"] = true
		p.rig.mu.Unlock()
		p.up()
		time.Sleep(time.Minute)
		p.want("0 proxy starts")
		p.rig.mu.Lock()
		delete(p.unborn, "web-0/proxy")
		p.rig.mu.Unlock()
		if _, err := GetStatus(t.Context(), p.eng, p.id()); err != nil { // the gateway is asked, and tells all
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := p.log(); len(got) != 1 || !strings.HasSuffix(got[0], "a starts") {
			t.Errorf("what happened: %q", got)
		}
	})
}

//conformance:s51 s53
func TestStart_AHookThatFails(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		Containers: []app.Container{actor("a", "slow 1", postStart("a 1"), preStop("bye 1")), actor("b", "serve")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.exitHook("a", 7)
		p.up()
		time.Sleep(3500 * time.Millisecond)
		p.exitHook("a", 0)
		time.Sleep(time.Minute)
		p.want("0 a starts", "0 hook a", "1 hook a done", "1 b starts", "1 hook bye", "2 hook bye done", "2 a TERM", "3 a ends",
			"3 a starts", "3 hook a", "4 hook a done")
		told := p.told()
		if !strings.Contains(told, "problem container web-0/a: PostStartHookError: the postStart hook failed: its command exited with code 7") {
			t.Errorf("told:\n%s", told)
		}
		if strings.Contains(told, canary) {
			t.Errorf("told what the hook printed:\n%s", told)
		}
	})
}

// The supervisor that began a hook is killed. The next one runs it again, and
// one that was done is done.
func TestStart_AHookRunsAtLeastOnce(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		Containers: []app.Container{actor("a", "serve", postStart("a 10")), actor("b", "serve", postStart("b 1"))}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		stop := p.supervise()
		p.want("0 a starts", "0 hook a")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		p.log()
		p.ready()
		p.want("0 hook a", "10 hook a done", "10 b starts", "10 hook b", "11 hook b done")
		p.ready()
		p.want()
	})
}

// A plan that is dropped, as the definition or another container changes, does
// not cut a hook short.
func TestStart_AHookOutlivesItsPlan(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		Containers: []app.Container{actor("a", "serve", postStart("a 10")), actor("b", "serve")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.supervise()
		p.edit(func(a *app.App) { a.Pods[0].TerminationGracePeriodSeconds = 20 })
		time.Sleep(time.Minute)
		p.want("0 a starts", "0 hook a", "10 hook a done", "10 b starts")
	})
}

//conformance:s45 s46 s47 s48
//conformance:negative s48
func TestStop_OrderAndSharedGrace(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		InitContainers: []app.Container{actor("proxy", "slow 1", sidecar, preStop("proxy 2")), actor("logs", "slow 2", sidecar)},
		Containers:     []app.Container{actor("a", "slow 4", preStop("a 3")), actor("b", "serve")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.supervise()
		p.end()
		p.want("0 b TERM", "0 b ends", "0 hook a", "0 hook proxy", "2 hook proxy done", "3 hook a done", "3 a TERM", "7 a ends",
			"7 logs TERM", "9 logs ends", "9 proxy TERM", "10 proxy ends")
	})
}

//conformance:s46 s49
func TestStop_WhenTheGraceIsOver(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 10,
		InitContainers: []app.Container{actor("proxy", "slow 1", sidecar), actor("logs", "ignore", sidecar)},
		Containers:     []app.Container{actor("a", "ignore", preStop("a 60")), actor("b", "ignore")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.supervise()
		p.told()
		p.end()
		// a had all its time for its hook, and has two seconds more; the sidecars
		// are asked together.
		p.want("0 b TERM", "0 hook a", "10 hook a is cut short", "10 a TERM", "10 b KILL", "10 logs TERM", "10 proxy TERM",
			"11 proxy ends", "12 a KILL", "12 logs KILL")
		if told := p.told(); !strings.Contains(told, "problem container web-0/a: PreStopHook failed: it was not done within the grace period") || strings.Contains(told, canary) {
			t.Errorf("told:\n%s", told)
		}
	})
}

// A hook that fails stops nothing, and what it said is not told.
//
//conformance:s47 s53
func TestStop_AHookThatFails(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 10, Containers: []app.Container{actor("a", "serve", preStop("a 1"))}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.codes["a"] = 3
		p.supervise()
		p.told()
		p.end()
		p.want("0 hook a", "1 hook a done", "1 a TERM", "1 a ends")
		if told := p.told(); !strings.Contains(told, "PreStopHook failed: its command exited with code 3") || strings.Contains(told, canary) {
			t.Errorf("told:\n%s", told)
		}
	})
}

// A container that ends by itself has no preStop hook run.
//
//conformance:s47
func TestStop_NoHookForAnExit(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 10, Containers: []app.Container{actor("a", "exit 0", preStop("a 1"))}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.up()
		time.Sleep(20 * time.Second)
		if got := p.log(); len(got) < 4 || slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, "hook") }) {
			t.Errorf("what happened: %q", got)
		}
	})
}

// The hook of the agent's own request goes to the pod's address, over standard
// input of a program in the infra container.
//
//conformance:s52
func TestStop_AHookByHTTP(t *testing.T) {
	get := func(c *app.Container) {
		c.Lifecycle.PreStop = &app.LifecycleHandler{HTTPGet: &app.HTTPGetAction{Port: app.PortRef{Number: 8080}, Path: "/drain", Scheme: "HTTP",
			HTTPHeaders: []app.HTTPHeader{{Name: "Authorization", Value: canary}}}}
	}
	pod := app.Pod{TerminationGracePeriodSeconds: 10, Containers: []app.Container{actor("a", "serve", get)}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.codes["get"] = 1
		p.supervise()
		p.told()
		infra, err := p.eng.InspectContainer(t.Context(), infraOf(p))
		if err != nil {
			t.Fatal(err)
		}
		p.end()
		p.want(fmt.Sprintf(`0 get {"host":%q,"port":8080,"path":"/drain","scheme":"HTTP","headers":[["Authorization",%q]],"timeout":10}`, infra.IP, canary), "0 a TERM", "0 a ends")
		if told := p.told(); !strings.Contains(told, "PreStopHook failed: its request failed: connection refused") || strings.Contains(told, canary) {
			t.Errorf("told:\n%s", told)
		}
	})
}

func infraOf(p *play) string {
	for _, c := range p.containers() {
		if c.Labels[labelRole] == "infra" {
			return c.Name
		}
	}
	return ""
}

// Down needs no definition, and keeps the order and the hooks.
//
//conformance:s45 s48
func TestDown_RunsHooksInOrder(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		InitContainers: []app.Container{actor("proxy", "serve", sidecar)},
		Containers:     []app.Container{actor("a", "serve", preStop("a 3"))}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.ready()
		p.log()
		if err := Down(t.Context(), p.eng, p.id(), DownOptions{}); err != nil {
			t.Fatal(err)
		}
		p.want("0 hook a", "3 hook a done", "3 a TERM", "3 a ends", "3 proxy TERM", "3 proxy ends")
	})
}

// A sidecar that ends is restarted with the delays of any other, and never fails
// its pod; init containers stay done.
//
//conformance:s7 s11
//conformance:negative s7
func TestRestart_SidecarAndNothingElse(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		InitContainers: []app.Container{actor("init", "exit 0"), actor("proxy", "serve", sidecar)},
		Containers:     []app.Container{actor("a", "serve")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.supervise()
		p.log()
		for _, c := range p.containers() {
			if strings.HasSuffix(c.Name, "_proxy") {
				if err := p.eng.Crash(c.ID, 137, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(5 * time.Second)
		p.want("0 proxy ends", "0 proxy starts")
	})
}

// On the way out only readiness is probed.
//
//conformance:s35
func TestStop_ExecProbesOnTheWayOut(t *testing.T) {
	probed := func(c *app.Container) {
		probe := func(name string) *app.Probe {
			return &app.Probe{Exec: &app.ExecAction{Command: []string{name, "0"}}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
		}
		c.ReadinessProbe, c.LivenessProbe = probe("readiness"), probe("liveness")
	}
	pod := app.Pod{TerminationGracePeriodSeconds: 30, Containers: []app.Container{actor("a", "serve", probed, preStop("bye 10"))}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.supervise()
		p.end()
		count := map[string]int{}
		for _, line := range p.log() {
			if _, name, ok := strings.Cut(line, " hook "); ok {
				count[name]++
			}
		}
		if count["readiness"] < 8 || count["liveness"] > 1 {
			t.Errorf("while the preStop hook ran: %d of readiness, %d of liveness", count["readiness"], count["liveness"])
		}
	})
}

//conformance:s10
func TestReady_SidecarsCount(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		InitContainers: []app.Container{actor("proxy", "serve", sidecar)}, Containers: []app.Container{actor("a", "serve")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.rig.mu.Lock()
		p.unfit["web-0/proxy"] = true
		p.rig.mu.Unlock()
		p.supervise()
		status, err := GetStatus(t.Context(), p.eng, p.id())
		if err != nil || status.Pods[0].Ready || len(status.Pods[0].Containers) != 2 || !status.Pods[0].Containers[1].Ready {
			t.Errorf("%v: want the container ready and the pod not: %+v", err, status.Pods)
		}
		if told := p.told(); strings.Contains(told, "is ready") {
			t.Errorf("told:\n%s", told)
		}
	})
}

//conformance:s54
func TestStop_NothingIsRestarted(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		InitContainers: []app.Container{actor("proxy", "serve", sidecar)}, Containers: []app.Container{actor("a", "serve", preStop("a 10")), actor("b", "serve")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.supervise()
		p.log()
		p.edit(func(a *app.App) { a.Pods = []app.Pod{} })
		time.Sleep(5 * time.Second)
		for _, c := range p.containers() {
			if strings.HasSuffix(c.Name, "_proxy") {
				if err := p.eng.Crash(c.ID, 1, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Minute)
		p.want("0 hook a", "0 b TERM", "0 b ends", "5 proxy ends", "10 hook a done", "10 a TERM", "10 a ends")
		if left := p.running(); len(left) != 1 {
			t.Errorf("still runs: %v", left)
		}
	})
}

// A pod that is done has its sidecars stopped, which is no news.
//
//conformance:s11
func TestDone_SidecarsAreStopped(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30,
		InitContainers: []app.Container{actor("proxy", "fail", sidecar, preStop("bye 1"))}, Containers: []app.Container{actor("a", "exit 0")}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.shape = func(s *docker.State) { s.Pods[0].RestartPolicy = docker.RestartNever }
		p.up()
		time.Sleep(time.Minute)
		p.want("0 proxy starts", "0 a starts", "0 a exits", "0 hook bye", "1 hook bye done", "1 proxy TERM", "1 proxy ends")
		status, err := GetStatus(t.Context(), p.eng, p.id())
		if err != nil || status.Pods[0].Phase != "Succeeded" {
			t.Errorf("%v: %+v", err, status.Pods)
		}
		if told := p.told(); strings.Contains(told, "proxy") && strings.Contains(told, "exited") {
			t.Errorf("told:\n%s", told)
		}
	})
}

// A plan that is dropped while a preStop hook runs does not bring the pod back
// to its services.
//
//conformance:s50
//conformance:negative s50
func TestStop_APodStaysOutOfItsServices(t *testing.T) {
	pod := app.Pod{TerminationGracePeriodSeconds: 30, Containers: []app.Container{actor("a", "serve", preStop("a 10"))}}
	inPlay(t, pod, func(t *testing.T, p *play) {
		p.supervise()
		p.log()
		old := p.running()["shop_web-0_a"]
		p.edit(func(a *app.App) { a.Pods[0].Hostname = "other" }) // the pod is made anew
		time.Sleep(5 * time.Second)
		p.rig.mu.Lock()
		p.served = map[string]bool{}
		p.rig.mu.Unlock()
		p.edit(func(a *app.App) { a.Pods[0].TerminationGracePeriodSeconds = 20 })
		time.Sleep(5*time.Second + 500*time.Millisecond)
		p.want("0 hook a", "10 hook a done", "10 a TERM", "10 a ends", "10 a starts")
		p.rig.mu.Lock()
		defer p.rig.mu.Unlock()
		if old == "" || p.served[old] || len(p.served) != 1 {
			t.Errorf("%q was in a pod that served while it ended: %v", old, p.served)
		}
	})
}
