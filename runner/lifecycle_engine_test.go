package runner_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/agenttest"
)

const (
	markFile = "/t/marks"
	marker   = "/testprog"
)

// actor writes down what happens to it, see testdata/look: how is "act HOW" or
// "serve ADDRESS SECONDS".
func actor(name, how string, change ...func(*app.Container)) app.Container {
	words := strings.Fields(how)
	c := look(name, mount("t", "/t"))
	c.Args = slices.Concat([]string{words[0], markFile, name}, words[1:])
	c.Lifecycle = &app.Lifecycle{}
	for _, f := range change {
		f(&c)
	}
	return c
}

func sidecar(c *app.Container) { c.RestartPolicy = "Always" }

func marks(text, after string) *app.LifecycleHandler {
	return &app.LifecycleHandler{Exec: &app.ExecAction{Command: []string{marker, "mark", markFile, text, after}}}
}

func gets(path, scheme string, port int) *app.LifecycleHandler {
	return &app.LifecycleHandler{HTTPGet: &app.HTTPGetAction{Path: path, Scheme: scheme, Port: app.PortRef{Number: port}}}
}

func postStart(h *app.LifecycleHandler) func(*app.Container) {
	return func(c *app.Container) { c.Lifecycle.PostStart = h }
}

func preStop(h *app.LifecycleHandler) func(*app.Container) {
	return func(c *app.Container) { c.Lifecycle.PreStop = h }
}

// cast is an app of one pod whose containers write into a directory of the test.
func (s *stage) cast(grace int64, init []app.Container, containers ...app.Container) *app.App {
	pod := deployment("web", containers...)
	pod.TerminationGracePeriodSeconds = grace
	pod.InitContainers = init
	pod.Volumes = []app.Volume{{Name: "t", HostPath: &app.HostPathVolumeSource{Path: s.id.Root, Type: "Directory"}}}
	return &app.App{Pods: []app.Pod{pod}}
}

// timeline is what the containers have written.
type timeline struct {
	t     *testing.T
	lines []string
	at    map[string]time.Time // when it was first so
}

func (s *stage) timeline() timeline {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.id.Root, filepath.Base(markFile)))
	if err != nil {
		s.t.Fatal(err)
	}
	out := timeline{t: s.t, at: map[string]time.Time{}}
	for line := range strings.Lines(string(data)) {
		stamp, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		ns, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		out.lines = append(out.lines, what)
		if _, seen := out.at[what]; !seen {
			out.at[what] = time.Unix(0, ns)
		}
	}
	return out
}

// order wants each to have happened before the next.
func (l timeline) order(what ...string) {
	l.t.Helper()
	for i, w := range what {
		at, ok := l.at[w]
		if !ok {
			l.t.Fatalf("%q never happened; what did: %q", w, l.lines)
		}
		if i > 0 && !l.at[what[i-1]].Before(at) {
			l.t.Errorf("%q came before %q: %q", w, what[i-1], l.lines)
		}
	}
}

func (l timeline) never(what string) {
	l.t.Helper()
	if _, ok := l.at[what]; ok {
		l.t.Errorf("%q happened: %q", what, l.lines)
	}
}

// empty takes everything out of the definition, and tells how long that took.
func (s *stage) empty() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.up(&app.App{Pods: []app.Pod{}})
	return time.Since(began)
}

// conformance:S8 S12 S45 S46 S47 S48 S49 S51 S52 S55
//
//conformance:negative S48
func TestLifecycle_OnARealEngine(t *testing.T) {
	s := newStage(t)
	t.Run("start order", func(t *testing.T) { testStartOrder(s.on(t)) })
	t.Run("stop order", func(t *testing.T) { testStopOrder(s.on(t)) })
	t.Run("kill after the grace", func(t *testing.T) { testKillAfterGrace(s.on(t)) })
	t.Run("postStart that fails", func(t *testing.T) { testPostStartFails(s.on(t)) })
	t.Run("job with a sidecar", func(t *testing.T) { testJobWithSidecar(s.on(t)) })
	t.Run("down", func(t *testing.T) { testDownRunsHooks(s.on(t)) })
	t.Run("killed during postStart", func(t *testing.T) { testKilledDuringPostStart(s.on(t)) })
}

// A sidecar has started when its startup probe succeeds, a hook holds back the
// next container.
func testStartOrder(s *stage) {
	probed := func(c *app.Container) {
		c.StartupProbe = &app.Probe{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Number: 8080}}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 60}
	}
	init := look("init", mount("t", "/t"))
	init.Args = []string{"mark", markFile, "init runs"}
	s.up(s.cast(5,
		[]app.Container{actor("proxy", "serve :8080 2", sidecar, probed), init},
		actor("a", "act 0", postStart(marks("a hooked", "1"))), actor("b", "act 0", postStart(gets("/hello", "HTTPS", 8080)))))
	l := s.timeline()
	l.order("proxy starts", "proxy listens", "init runs", "a starts", "a hooked", "b starts")
	l.order("b starts", "proxy kube-lifecycle/1.37 /hello") // in plain HTTP, as the server speaks no other
}

// Hooks before the signal; sidecars last, the last one first.
func testStopOrder(s *stage) {
	s.up(s.cast(20,
		[]app.Container{actor("proxy", "serve :8080 0", sidecar, preStop(gets("/bye", "HTTP", 8080))), actor("logs", "act 1", sidecar)},
		actor("a", "act 1", preStop(marks("a hooked", "1"))), actor("b", "act 0", func(c *app.Container) { c.Lifecycle.StopSignal = "SIGINT" })))
	s.empty()
	l := s.timeline()
	l.order("a hooked", "a TERM", "a ends", "logs TERM", "logs ends", "proxy TERM", "proxy ends")
	l.order("proxy kube-lifecycle/1.37 /bye", "a TERM")
	l.order("b INT", "a hooked") // nobody waits for another's hook
}

// The time is the whole pod's. Who does not stop within it is killed.
func testKillAfterGrace(s *stage) {
	const grace = 6
	s.up(s.cast(grace,
		[]app.Container{actor("proxy", "act 0", sidecar), actor("logs", "act 0", sidecar)},
		actor("a", "act ignore", preStop(marks("a hooked", "2"))), actor("b", "act 0", preStop(marks("b hooked", "60")))))
	took := s.empty()
	l := s.timeline()
	l.order("a hooked", "a TERM", "logs TERM")
	l.order("a TERM", "b TERM", "b ends")
	l.never("a ends")
	l.never("b hooked")
	if gap := l.at["b TERM"].Sub(l.at["a hooked"]); gap > grace*time.Second {
		s.t.Errorf("b was asked %v after a's hook, of which 2 s had passed; the grace is %d s", gap, grace)
	}
	if gap := l.at["logs TERM"].Sub(l.at["proxy TERM"]).Abs(); gap > 2*time.Second {
		s.t.Errorf("sidecars are asked %v apart, when the time was over", gap)
	}
	if took < (grace-1)*time.Second {
		s.t.Errorf("it took %v, less than the grace", took)
	}
}

// The container is killed and restarted, the next one starts all the same, and
// what the hook said stays out of sight.
func testPostStartFails(s *stage) {
	var mu sync.Mutex
	var told strings.Builder
	fail := &app.LifecycleHandler{Exec: &app.ExecAction{Command: []string{marker, "fail"}}}
	cfg := s.config(s.cast(3, nil, actor("a", "act 0", postStart(fail)), actor("b", "act 0")))
	cfg.Once = false
	cfg.Report = func(e runner.Event) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&told, e.Kind, e.Object, e.Message)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- runner.Up(ctx, cfg) }()
	agenttest.Eventually(s.t, func() error {
		status, err := runner.GetStatus(s.t.Context(), s.eng, s.id)
		if err != nil {
			return err
		}
		if len(status.Pods) != 1 || len(status.Pods[0].Containers) != 2 || status.Pods[0].Containers[0].Restarts < 1 {
			return fmt.Errorf("no restart yet: %+v", status.Pods)
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		s.t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	s.timeline().order("a starts", "b starts")
	if !strings.Contains(told.String(), "PostStartHookError") || strings.Contains(told.String(), "hunter2") {
		s.t.Errorf("told:\n%s", told.String())
	}
}

// The job is complete when its own container is, and the sidecar is stopped then.
func testJobWithSidecar(s *stage) {
	pod := s.cast(5, []app.Container{actor("proxy", "act 0", sidecar)}, look("run", mount("t", "/t"))).Pods[0]
	pod.Kind, pod.Name, pod.RestartPolicy = "Job", "batch", "Never"
	pod.Containers[0].Args = []string{"mark", markFile, "run runs"}
	s.up(&app.App{Pods: []app.Pod{pod}})
	agenttest.Eventually(s.t, func() error {
		data, err := os.ReadFile(filepath.Join(s.id.Root, filepath.Base(markFile)))
		if err == nil && !strings.Contains(string(data), "proxy ends") {
			err = fmt.Errorf("the sidecar runs on: %s", data)
		}
		return err
	})
	s.timeline().order("proxy starts", "run runs", "proxy TERM", "proxy ends")
	status, err := runner.GetStatus(s.t.Context(), s.eng, s.id)
	if err != nil || len(status.Jobs) != 1 || status.Jobs[0].Status != "Complete" {
		s.t.Errorf("%v: %+v", err, status.Jobs)
	}
}

func testDownRunsHooks(s *stage) {
	s.up(s.cast(10, []app.Container{actor("proxy", "act 0", sidecar)}, actor("a", "act 0", preStop(marks("a hooked", "1")))))
	if err := runner.Down(s.t.Context(), s.eng, s.id, runner.DownOptions{}); err != nil {
		s.t.Fatal(err)
	}
	s.timeline().order("a hooked", "a TERM", "a ends", "proxy TERM")
}

// Whoever comes after a supervisor that was killed runs the hook again, and the
// container that waits for it starts then.
func testKilledDuringPostStart(s *stage) {
	cfg := s.config(s.cast(5, nil, actor("a", "act 0", postStart(marks("a hooked", "3"))), actor("b", "act 0")))
	ctx, kill := context.WithCancel(s.t.Context())
	killed := cfg
	killed.Once = false
	done := make(chan error, 1)
	go func() { done <- runner.Up(ctx, killed) }()
	agenttest.Eventually(s.t, func() error {
		data, err := os.ReadFile(filepath.Join(s.id.Root, filepath.Base(markFile)))
		if err == nil && !strings.Contains(string(data), "a starts") {
			err = fmt.Errorf("not started: %s", data)
		}
		return err
	})
	kill()
	if err := <-done; err != nil {
		s.t.Error(err)
	}
	s.timeline().never("b starts")
	if err := runner.Up(s.t.Context(), cfg); err != nil {
		s.t.Fatal(err)
	}
	l := s.timeline()
	l.order("a starts", "a hooked", "b starts")
	count := func(what string) (n int) {
		for _, line := range l.lines {
			if line == what {
				n++
			}
		}
		return n
	}
	if count("a starts") != 1 {
		s.t.Errorf("a was started again: %q", l.lines)
	}
}
