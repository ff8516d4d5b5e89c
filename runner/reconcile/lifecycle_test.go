package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// lifePod is a pod with all that has an order: an init container before and
// behind the first of two sidecars, and hooks.
func lifePod(change ...func(*docker.Pod)) Desired {
	c := func(name string, f func(*docker.Container)) docker.Container {
		out := docker.Container{Name: name, EngineName: "life_web-0_" + name, Image: "web:1", Hash: "c-" + name}
		f(&out)
		return out
	}
	plain := func(*docker.Container) {}
	sidecar := func(c *docker.Container) { c.Sidecar = true }
	p := docker.Pod{Name: "web-0", Workload: "web", EngineName: "life_web-0", Hostname: "web-0", GracePeriod: 30, Hash: "p-web",
		Init: []docker.Container{c("first", plain), c("proxy", sidecar), c("migrate", plain), c("logs", sidecar)},
		Containers: []docker.Container{
			c("api", func(c *docker.Container) {
				c.PostStart, c.PreStop = &docker.Hook{Exec: []string{"warm-up"}}, &docker.Hook{Exec: []string{"drain"}}
			}),
			c("ui", plain),
		}}
	p.Init[1].PreStop = &docker.Hook{HTTP: &docker.HTTPHook{Port: 80, Path: "/bye", Scheme: "HTTP"}}
	for _, f := range change {
		f(&p)
	}
	return Desired{State: &docker.State{App: "life", Namespace: "default", Pods: []docker.Pod{p}}, AgentImage: agentImage}
}

func runningLife(t *testing.T, d Desired) *world {
	w := newWorld("web:1")
	w.settle(t, d)
	w.Ready["web-0"] = true
	return w
}

// stepOf finds the one step with that op on a container; -1 when there is none.
func (p Plan) stepOf(op Op, container string) int {
	return slices.IndexFunc(p.Steps, func(s Step) bool { return s.Op == op && s.Container == container })
}

// waitsFor reports whether a step comes after or behind another, however many
// steps are between.
func (p Plan) waitsFor(step, other int) bool {
	return slices.ContainsFunc(slices.Concat(p.Steps[step].After, p.Steps[step].Behind), func(i int) bool {
		return i == other || p.waitsFor(i, other)
	})
}

//conformance:s5 s8 s12
func TestLife_Start(t *testing.T) {
	plan := Diff(lifePod(), newWorld("web:1").Observed, now)
	golden(t, "life-start", plan.String())
	for _, pair := range [][2]int{
		{plan.stepOf(StartContainer, "proxy"), plan.stepOf(AwaitExit, "first")},
		{plan.stepOf(StartContainer, "migrate"), plan.stepOf(AwaitStarted, "proxy")},
		{plan.stepOf(StartContainer, "logs"), plan.stepOf(AwaitExit, "migrate")},
		{plan.stepOf(StartContainer, "api"), plan.stepOf(AwaitStarted, "logs")},
		{plan.stepOf(StartContainer, "ui"), plan.stepOf(PostStart, "api")},
	} {
		if !plan.waitsFor(pair[0], pair[1]) {
			t.Errorf("step %d does not wait for step %d", pair[0]+1, pair[1]+1)
		}
	}
}

// A container that cannot start, or whose hook fails, holds back none.
func TestLife_AFailedStartHoldsBackNoOther(t *testing.T) {
	plan := Diff(lifePod(), newWorld("web:1").Observed, now)
	ui, api := plan.Steps[plan.stepOf(StartContainer, "ui")], plan.stepOf(PostStart, "api")
	if slices.Contains(ui.After, api) || !slices.Contains(ui.Behind, api) {
		t.Errorf("%s has to come behind step %d, not after it", ui, api+1)
	}
}

//conformance:s45 s48 s49 s50
//conformance:negative s48
//conformance:negative s50
func TestLife_Stop(t *testing.T) {
	w := runningLife(t, lifePod())
	plan := Diff(Desired{State: &docker.State{App: "life", Namespace: "default"}, AgentImage: agentImage}, w.Observed, w.now)
	golden(t, "life-stop", plan.String())
	stop := func(c string) int { return plan.stepOf(StopContainer, c) }
	drain := plan.stepOf(Drain, "")
	for what, holds := range map[string]bool{
		"endpoints leave before a hook":            plan.waitsFor(plan.stepOf(PreStop, "api"), drain),
		"endpoints leave before a stop":            plan.waitsFor(stop("ui"), drain),
		"api's hook before its stop":               plan.waitsFor(stop("api"), plan.stepOf(PreStop, "api")),
		"ui does not wait for api":                 !plan.waitsFor(stop("ui"), plan.stepOf(PreStop, "api")) && !plan.waitsFor(stop("ui"), stop("api")),
		"a sidecar's hook waits for none":          !plan.waitsFor(plan.stepOf(PreStop, "proxy"), stop("api")),
		"the last sidecar awaits its turn":         plan.waitsFor(stop("logs"), plan.stepOf(AwaitTurn, "logs")),
		"its stop waits for no other's in vain":    !plan.waitsFor(stop("logs"), stop("api")),
		"the infra container stops when all have":  plan.waitsFor(plan.stepOf(RemoveContainer, ""), stop("proxy")),
		"one grace period for all":                 plan.Steps[stop("api")].Clock == plan.Steps[stop("proxy")].Clock && plan.Steps[stop("api")].Clock != "",
		"the time is the pod's":                    plan.Steps[stop("api")].Grace == 30,
		"the first sidecar waits for all the rest": len(plan.Steps[plan.stepOf(AwaitTurn, "proxy")].Turn) == 3,
		"the last sidecar waits for the regular":   len(plan.Steps[plan.stepOf(AwaitTurn, "logs")].Turn) == 2,
	} {
		if !holds {
			t.Errorf("not so: %s", what)
		}
	}
}

// Down has no definition: the order and the hooks come from the record, or from
// what the containers say themselves.
//
//conformance:s45 s48
func TestLife_TeardownKeepsHooksAndOrder(t *testing.T) {
	w := runningLife(t, lifePod())
	recorded := Teardown("life", w.Observed, nil, []string{"record"})
	golden(t, "life-teardown", recorded.String())

	d := lifePod()
	for i := range w.Pods["web-0"].Members {
		m := &w.Pods["web-0"].Members[i]
		m.Ending = &Ending{Grace: 30, PreStop: d.State.Pods[0].Container(m.Key).PreStop, Order: slices.IndexFunc(d.State.Pods[0].Init, func(c docker.Container) bool { return c.Name == m.Key })}
	}
	w.Record = nil
	if alone := Teardown("life", w.Observed, nil, []string{"record"}); alone.String() != recorded.String() {
		t.Errorf("without a record:\n%s", alone)
	}
}

//conformance:s46 s47
func TestLife_WithoutGraceThereIsTimeForNoHook(t *testing.T) {
	none := func(p *docker.Pod) { p.GracePeriod = 0 }
	w := runningLife(t, lifePod(none))
	plan := Diff(Desired{State: &docker.State{App: "life", Namespace: "default"}, AgentImage: agentImage}, w.Observed, w.now)
	if plan.stepOf(PreStop, "api") >= 0 || plan.stepOf(AwaitTurn, "logs") >= 0 {
		t.Errorf("a hook or a turn:\n%s", plan)
	}
}

//conformance:s8
func TestLife_ASidecarGatesUntilItHasStarted(t *testing.T) {
	d := lifePod()
	w := newWorld("web:1")
	plan := Diff(d, w.Observed, now)
	for _, s := range plan.Steps[:plan.stepOf(StartContainer, "proxy")+1] {
		w.apply(t, d, s)
	}
	w.Pods["web-0"].Member("proxy").Up = false // its startup probe goes on
	plan = Diff(d, w.Observed, now)
	if await := plan.stepOf(AwaitStarted, "proxy"); await < 0 || !plan.waitsFor(plan.stepOf(StartContainer, "migrate"), await) {
		t.Errorf("nothing waits for the sidecar:\n%s", plan)
	}
	if plan.stepOf(StartContainer, "first") >= 0 || plan.stepOf(StartContainer, "proxy") >= 0 {
		t.Errorf("what is done is done again:\n%s", plan)
	}

	w.Pods["web-0"].Member("proxy").Up = true
	if plan = Diff(d, w.Observed, now); plan.stepOf(AwaitStarted, "proxy") >= 0 {
		t.Errorf("waits for what has started:\n%s", plan)
	}

	// While it crashes, nothing behind it starts.
	proxy := w.Pods["web-0"].Member("proxy")
	proxy.State, proxy.Up, proxy.ExitCode, proxy.Finished, proxy.Backoff = Exited, false, 1, now, 1
	if plan = Diff(d, w.Observed, now); !plan.Empty() || len(plan.Waits) != 1 {
		t.Errorf("want to wait for the back-off:\n%s", plan)
	}
}

//conformance:s7 s8
//conformance:negative s7
func TestLife_WhatExitsIsRestartedAloneAndInitContainersStayDone(t *testing.T) {
	for _, name := range []string{"proxy", "logs", "ui"} {
		d := lifePod()
		w := runningLife(t, d)
		before := w.running()
		m := w.Pods["web-0"].Member(name)
		m.State, m.ExitCode, m.Finished = Exited, 0, w.now
		w.settle(t, d)
		if got, want := changedContainers(before, w.running()), "~life_web-0_"+name; got != want {
			t.Errorf("%s: touched %q, want %q", name, got, want)
		}
		if got := w.Pods["web-0"].Member(name).Restarts; got != 1 {
			t.Errorf("%s: %d restarts", name, got)
		}
	}
}

// Init containers that are done may be removed by anybody.
//
//conformance:s5
func TestLife_InitContainersThatAreGoneWereDone(t *testing.T) {
	d := lifePod()
	w := newWorld("web:1")
	plan := Diff(d, w.Observed, now)
	for _, s := range plan.Steps[:plan.stepOf(StartContainer, "migrate")+1] {
		w.apply(t, d, s)
	}
	w.remove(w.Pods["web-0"].Member("first").ID)
	if plan := Diff(d, w.Observed, now); plan.stepOf(CreateContainer, "first") >= 0 {
		t.Errorf("runs again:\n%s", plan)
	}
}

// Containers are made ahead of their turn: those that a plan which was dropped
// has made have not begun, and nothing before them is done.
//
//conformance:s5
func TestLife_AMadeInitContainerIsNotBegun(t *testing.T) {
	d := lifePod()
	w := newWorld("web:1")
	plan := Diff(d, w.Observed, now)
	for _, s := range plan.Steps[:plan.stepOf(StartContainer, "first")] {
		w.apply(t, d, s)
	}
	for _, name := range []string{"migrate", "api"} {
		w.apply(t, d, plan.Steps[plan.stepOf(CreateContainer, name)])
	}
	plan = Diff(d, w.Observed, now)
	first, migrate := plan.stepOf(StartContainer, "first"), plan.stepOf(StartContainer, "migrate")
	if first < 0 || migrate < 0 || !plan.waitsFor(migrate, first) {
		t.Errorf("the first init container is passed over:\n%s", plan)
	}
}

//conformance:s13
func TestLife_AChangedSidecarIsReplacedInTheLivingPod(t *testing.T) {
	w := runningLife(t, lifePod())
	before := w.running()
	changed := lifePod(func(p *docker.Pod) { p.Init[1].Hash = "c-proxy2" })
	plans := w.settle(t, changed)
	if got := changedContainers(before, w.running()); got != "~life_web-0_proxy" {
		t.Errorf("touched %q", got)
	}
	if !strings.Contains(plans[0].String(), "drain pod web-0") || plans[0].stepOf(PreStop, "proxy") < 0 {
		t.Errorf("its readiness counts and it has a hook:\n%s", plans[0])
	}
}

//conformance:s51
func TestLife_AFailedHookStopsTheContainerAndItIsRestarted(t *testing.T) {
	d := lifePod()
	w := runningLife(t, d)
	w.Pods["web-0"].Member("api").PostStart = HookFailed
	plan := Diff(d, w.Observed, w.now)
	stop := plan.stepOf(StopContainer, "api")
	if stop < 0 || plan.Steps[stop].Cause != "PostStartHookError" || !plan.waitsFor(stop, plan.stepOf(PreStop, "api")) || plan.stepOf(CreateContainer, "api") >= 0 {
		t.Errorf("want it stopped, its preStop hook first:\n%s", plan)
	}
	w.carryOut(t, d, plan)
	w.settle(t, d)
	if m := w.Pods["web-0"].Member("api"); m.State != Running || m.Restarts != 1 || m.PostStart != HookDone {
		t.Errorf("after the restart: %+v", m)
	}
}

// A hook that nobody knows to be done is run, again if need be: whoever ran it
// may have been killed.
func TestLife_AHookOfARunningContainerIsResumed(t *testing.T) {
	d := lifePod()
	w := newWorld("web:1")
	plan := Diff(d, w.Observed, now)
	for _, s := range plan.Steps[:plan.stepOf(StartContainer, "api")+1] {
		w.apply(t, d, s)
	}
	plan = Diff(d, w.Observed, now)
	if hook := plan.stepOf(PostStart, "api"); hook < 0 || !plan.waitsFor(plan.stepOf(StartContainer, "ui"), hook) || plan.stepOf(StopContainer, "api") >= 0 {
		t.Errorf("want the hook, then the next container:\n%s", plan)
	}
}

// What a plan that was dropped has made is started as it is.
func TestLife_AMadeContainerIsStarted(t *testing.T) {
	d := lifePod()
	w := newWorld("web:1")
	plan := Diff(d, w.Observed, now)
	for _, s := range plan.Steps[:plan.stepOf(StartContainer, "first")] {
		w.apply(t, d, s)
	}
	made := w.Pods["web-0"].Member("first").ID
	plan = Diff(d, w.Observed, now)
	if plan.stepOf(CreateContainer, "first") >= 0 || plan.stepOf(StartContainer, "first") < 0 {
		t.Errorf("made twice:\n%s", plan)
	}
	w.settle(t, d)
	if got := w.Pods["web-0"].Member("first").ID; got != made {
		t.Errorf("another container: %s, want %s", got, made)
	}
}

//conformance:s42
func TestLife_AFailedProbeHasAGraceOfItsOwn(t *testing.T) {
	liveness, startup := int64(5), int64(7)
	d := lifePod(func(p *docker.Pod) {
		p.Containers[0].Probes = []docker.Probe{{Kind: "startup", Grace: &startup}, {Kind: "liveness", Grace: &liveness}}
		p.Containers[1].Probes = []docker.Probe{{Kind: "liveness"}}
	})
	for _, tt := range []struct {
		container string
		up        bool
		want      int64
	}{{"api", true, liveness}, {"api", false, startup}, {"ui", true, 30}} {
		w := runningLife(t, d)
		m := w.Pods["web-0"].Member(tt.container)
		m.Unhealthy, m.Up = "it does not answer", tt.up
		plan := Diff(d, w.Observed, w.now)
		stop := plan.stepOf(StopContainer, tt.container)
		if stop < 0 || plan.Steps[stop].Grace != tt.want || plan.Steps[stop].Clock != m.ID {
			t.Errorf("%s, started %t: want %d s of its own:\n%s", tt.container, tt.up, tt.want, plan)
		}
		if tt.container == "api" && plan.stepOf(PreStop, "api") < 0 {
			t.Errorf("its preStop hook is not run:\n%s", plan)
		}
	}
}

//conformance:s15
func TestLife_NeverAndALostSandbox(t *testing.T) {
	d := lifePod(func(p *docker.Pod) { p.RestartPolicy = docker.RestartNever })
	w := runningLife(t, d)
	w.Pods["web-0"].Infra.State = Exited
	plans := w.settle(t, d)
	if len(w.running()) != 1 { // the gateway
		t.Errorf("still runs: %v", w.running())
	}
	for _, p := range plans {
		if p.stepOf(CreateContainer, "api") >= 0 {
			t.Errorf("it is started anew:\n%s", p)
		}
	}
	if got := Ended(&d.State.Pods[0], w.Pods["web-0"]); got != Failed {
		t.Errorf("phase %q", got)
	}
}

//conformance:s7 s14
func TestLife_ANewSandboxRunsTheInitContainersAgain(t *testing.T) {
	d := lifePod()
	w := runningLife(t, d)
	first := w.Pods["web-0"].Member("first").ID
	w.Pods["web-0"].Infra.State = Exited
	w.settle(t, d)
	if w.Pods["web-0"].Member("first").ID == first {
		t.Error("the init container did not run again")
	}
}

//conformance:s16
func TestLife_ActiveDeadline(t *testing.T) {
	d := lifePod(func(p *docker.Pod) { p.ActiveDeadline = 60 })
	w := runningLife(t, d)
	w.now = now.Add(59 * time.Second)
	plan := Diff(d, w.Observed, w.now)
	if !plan.Empty() || !plan.Wake().Equal(now.Add(time.Minute)) {
		t.Errorf("before: wake at %v:\n%s", plan.Wake(), plan)
	}
	w.now = now.Add(60 * time.Second)
	plans := w.settle(t, d)
	golden(t, "life-deadline", plans[0].String())
	p := &d.State.Pods[0]
	if got := Ended(p, w.Pods["web-0"]); got != Failed || !Overdue(p, w.Pods["web-0"]) {
		t.Errorf("phase %q", got)
	}
}

// A pod that was done in time stays what it was, whenever its sidecars stop.
//
//conformance:s11 s16
func TestLife_DoneBeforeTheDeadline(t *testing.T) {
	d := lifePod(func(p *docker.Pod) { p.ActiveDeadline, p.RestartPolicy = 60, docker.RestartNever })
	w := runningLife(t, d)
	for _, name := range []string{"api", "ui"} {
		m := w.Pods["web-0"].Member(name)
		m.State, m.Finished = Exited, now.Add(time.Second)
	}
	w.now = now.Add(2 * time.Minute)
	w.settle(t, d)
	if got := Ended(&d.State.Pods[0], w.Pods["web-0"]); got != Succeeded {
		t.Errorf("phase %q", got)
	}
}

//conformance:s6 s11 s17
func TestEnded(t *testing.T) {
	rule := func(action docker.RestartAction, codes ...int) func(*docker.Pod) {
		return func(p *docker.Pod) {
			p.Containers[0].Restart, p.Containers[0].RestartRules = docker.RestartNever, []docker.RestartRule{{Action: action, Codes: codes}}
		}
	}
	policy := func(pod docker.RestartPolicy, own ...docker.RestartPolicy) func(*docker.Pod) {
		return func(p *docker.Pod) {
			p.RestartPolicy = pod
			for i, r := range own {
				p.Containers[i].Restart = r
			}
		}
	}
	const never, onFailure = docker.RestartNever, docker.RestartOnFailure
	tests := []struct {
		name  string
		pod   func(*docker.Pod)
		exits map[string]int // of containers; others run
		want  Phase
	}{
		{"always", policy(""), map[string]int{"api": 0, "ui": 0}, NotEnded},
		{"never, all done", policy(never), map[string]int{"api": 0, "ui": 0}, Succeeded},
		{"never, one fails", policy(never), map[string]int{"api": 1, "ui": 0}, Failed},
		{"never, one runs", policy(never), map[string]int{"api": 1}, NotEnded},
		{"on failure, one fails", policy(onFailure), map[string]int{"api": 1, "ui": 0}, NotEnded},
		{"sidecars do not count", policy(never), map[string]int{"api": 0, "ui": 0, "proxy": 137, "logs": 1}, Succeeded},
		{"always, both of their own never", policy("", never, never), map[string]int{"api": 0, "ui": 3}, Failed},
		{"never, one of its own always", policy(never, docker.RestartAlways), map[string]int{"api": 0, "ui": 0}, NotEnded},
		{"never, one of its own on failure", policy(never, onFailure), map[string]int{"api": 1, "ui": 0}, NotEnded},
		{"a rule restarts", func(p *docker.Pod) { policy(never)(p); rule(docker.RestartThis, 42)(p) }, map[string]int{"api": 42, "ui": 0}, NotEnded},
		{"no rule for it", func(p *docker.Pod) { policy(never)(p); rule(docker.RestartThis, 42)(p) }, map[string]int{"api": 1, "ui": 0}, Failed},
		{"a rule restarts all", func(p *docker.Pod) { policy(never)(p); rule(docker.RestartAll, 42)(p) }, map[string]int{"api": 42, "ui": 0}, NotEnded},
	}
	for _, tt := range tests {
		d := lifePod(tt.pod)
		w := runningLife(t, d)
		for name, code := range tt.exits {
			m := w.Pods["web-0"].Member(name)
			m.State, m.ExitCode = Exited, code
		}
		if got := Ended(&d.State.Pods[0], w.Pods["web-0"]); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

//conformance:s6
func TestEnded_ByAnInitContainer(t *testing.T) {
	for _, tt := range []struct {
		pod, own docker.RestartPolicy
		want     Phase
	}{{"", "", NotEnded}, {docker.RestartOnFailure, "", NotEnded}, {docker.RestartNever, "", Failed}, {docker.RestartNever, docker.RestartOnFailure, NotEnded}, {"", docker.RestartNever, Failed}} {
		d := lifePod(func(p *docker.Pod) { p.RestartPolicy, p.Init[0].Restart = tt.pod, tt.own })
		w := newWorld("web:1")
		plan := Diff(d, w.Observed, now)
		for _, s := range plan.Steps[:plan.stepOf(StartContainer, "first")+1] {
			w.apply(t, d, s)
		}
		m := w.Pods["web-0"].Member("first")
		m.State, m.ExitCode, m.Finished = Exited, 1, now
		if got := Ended(&d.State.Pods[0], w.Pods["web-0"]); got != tt.want {
			t.Errorf("pod %q, own %q: %q, want %q", tt.pod, tt.own, got, tt.want)
		}
		if again := Diff(d, w.Observed, now).stepOf(StartContainer, "first") >= 0; again != (tt.want == NotEnded) {
			t.Errorf("pod %q, own %q: tried again: %t", tt.pod, tt.own, again)
		}
	}
}

// All containers start anew in the living pod, and whoever is killed in between
// leaves what tells the next one to go on.
//
//conformance:s17
func TestLife_RestartAllContainers(t *testing.T) {
	d := lifePod(func(p *docker.Pod) {
		p.Containers[1].Restart, p.Containers[1].RestartRules = docker.RestartNever, []docker.RestartRule{{Action: docker.RestartAll, Codes: []int{42}}}
	})
	broken := func() *world {
		w := runningLife(t, d)
		m := w.Pods["web-0"].Member("ui")
		m.State, m.ExitCode, m.Finished = Exited, 42, w.now
		return w
	}
	w := broken()
	infra := w.Pods["web-0"].Infra.ID
	plan := Diff(d, w.Observed, w.now)
	golden(t, "life-restart-all", plan.String())
	for n := range plan.Steps {
		w := broken()
		before := w.running()
		for _, s := range plan.Steps[:n] {
			w.apply(t, d, s)
		}
		w.settle(t, d)
		want := "~life_web-0_api ~life_web-0_logs ~life_web-0_proxy +life_web-0_ui"
		got := strings.Fields(changedContainers(before, w.running()))
		slices.Sort(got)
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) || w.Pods["web-0"].Infra.ID != infra {
			t.Fatalf("killed after %d steps: touched %q", n, got)
		}
	}
	w.settle(t, d)
	if got := w.Pods["web-0"].Member("ui").Restarts; got != 1 {
		t.Errorf("%d restarts", got)
	}
}

// A pod of a job with a sidecar: no plan waits, the job is complete when the
// regular container is, and the sidecar is then stopped.
//
//conformance:s8 s11
func TestJob_WithASidecar(t *testing.T) {
	j := testJob("batch", func(j *docker.Job) {
		j.Template.Init = []docker.Container{{Name: "proxy", Image: "web:1", Hash: "c-proxy", Sidecar: true, PreStop: &docker.Hook{Exec: []string{"bye"}}}}
		j.Template.Containers[0].PostStart = &docker.Hook{Exec: []string{"hi"}}
	})
	w := newJobWorld(t, j)
	var ops []string
	for range 8 {
		plan := Diff(w.d, w.Observed, w.now)
		if plan.Empty() {
			break
		}
		for _, s := range plan.Steps {
			if s.Op == AwaitStarted || s.Op == AwaitExit || s.Op == AwaitReady {
				t.Errorf("a plan for a job waits:\n%s", plan)
			}
			if s.Container != "" {
				ops = append(ops, fmt.Sprintf("%s %s", s.Op, s.Container))
			}
		}
		w.carryOut(t, w.d, plan)
	}
	want := []string{"create proxy", "start proxy", "create run", "start run", "post-start hook run"}
	if !slices.Equal(ops, want) {
		t.Errorf("steps %q, want %q", ops, want)
	}
	m := w.Pods["batch-0"].Member("run")
	m.State, m.ExitCode, m.Finished = Exited, 0, w.now
	plan := Diff(w.d, w.Observed, w.now)
	if !strings.Contains(plan.String(), "complete, 1 pod succeeded") || plan.stepOf(PreStop, "proxy") < 0 || plan.stepOf(StopContainer, "proxy") < 0 {
		t.Errorf("want the job complete and the sidecar stopped:\n%s", plan)
	}
}

// Whoever starts or stops the pod may be killed between any two steps.
func TestLife_KilledAnywhere(t *testing.T) {
	d, gone := lifePod(), Desired{State: &docker.State{App: "life", Namespace: "default"}, AgentImage: agentImage}
	want := len(runningLife(t, d).running())
	start := Diff(d, newWorld("web:1").Observed, now)
	for n := range start.Steps {
		w := newWorld("web:1")
		for _, s := range start.Steps[:n] {
			w.apply(t, d, s)
		}
		begun := w.running()
		plans := w.settle(t, d)
		if got := w.running(); len(got) != want {
			t.Fatalf("killed after %d steps of the start: runs %v", n, got)
		}
		for name, id := range begun {
			if now := w.running()[name]; now != id && !strings.HasSuffix(name, "_first") && !strings.HasSuffix(name, "_migrate") {
				t.Fatalf("killed after %d steps of the start: %s was made again by\n%s", n, name, plans[0])
			}
		}
	}
	stop := Diff(gone, runningLife(t, d).Observed, now)
	for n := range stop.Steps {
		w := runningLife(t, d)
		for _, s := range stop.Steps[:n] {
			w.apply(t, gone, s)
		}
		for _, p := range w.settle(t, gone) {
			if p.stepOf(StartContainer, "api") >= 0 || p.stepOf(CreateContainer, "api") >= 0 {
				t.Fatalf("killed after %d steps of the stop: started again by\n%s", n, p)
			}
		}
		if len(w.Pods) > 0 {
			t.Fatalf("killed after %d steps of the stop: left %v", n, w.running())
		}
	}
}
