package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/fake"
)

// stage plays the runner under a supervision and records what is asked of it.
type stage struct {
	s       *supervision
	signals chan os.Signal
	begun   chan bool // closed when the runner has the app
	result  chan error
	out     *bytes.Buffer // not before the result is there
	talk    *bytes.Buffer

	up       func(ctx context.Context, cfg runner.Config) error
	graceful func(ctx context.Context) error // the way down without Now

	mu    sync.Mutex
	downs []runner.DownOptions
}

// newStage prepares up with an app that compiles.
func newStage(t *testing.T, f upFlags) *stage {
	c, out, talk := newCLI(t)
	st := &stage{signals: make(chan os.Signal), begun: make(chan bool), result: make(chan error, 1), out: out, talk: talk}
	st.up = func(ctx context.Context, cfg runner.Config) error {
		cfg.Report(runner.Event{Kind: runner.EventPlan, Message: "pod web-0: new pod"})
		<-ctx.Done()
		return nil
	}
	st.graceful = func(context.Context) error { return nil }
	f.dir = t.TempDir()
	c.compile = func(context.Context, compiler.Options) (*compiler.Result, error) {
		return &compiler.Result{App: &app.App{Name: "shop"}, Root: f.dir}, nil
	}
	c.services.up = func(ctx context.Context, cfg runner.Config) error {
		if _, err := cfg.Compile(ctx); err != nil {
			return err
		}
		close(st.begun)
		return st.up(ctx, cfg)
	}
	c.down = func(ctx context.Context, _ engine.Engine, id runner.Identity, opts runner.DownOptions) error {
		st.mu.Lock()
		st.downs = append(st.downs, opts)
		st.mu.Unlock()
		if id.App != "shop" {
			t.Errorf("down of %+v", id)
		}
		if !opts.Now {
			return st.graceful(ctx)
		}
		return nil
	}
	c.status = func(context.Context, engine.Engine, runner.Identity) (runner.Status, error) {
		return runner.Status{Services: []runner.ServiceStatus{{Name: "web", URLs: []string{"http://127.0.0.1:1"}}}}, nil
	}
	c.logs = func(ctx context.Context, _ engine.Engine, _ runner.Identity, _ []runner.Target, _ runner.LogOptions, emit func(runner.LogLine)) error {
		<-ctx.Done()
		return nil
	}
	st.s = c.newSupervision(fake.New(), f)
	return st
}

// play runs up until the runner has the app.
func (st *stage) play(t *testing.T) {
	st.start(t)
	<-st.begun
}

func (st *stage) start(t *testing.T) {
	go func() { st.result <- st.s.run(t.Context(), st.signals) }()
}

// end waits for the result.
func (st *stage) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-st.result:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("up does not end")
		return nil
	}
}

// nows tells of each way down whether it was the short one.
func (st *stage) nows() (nows []bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, d := range st.downs {
		nows = append(nows, d.Now)
	}
	return nows
}

func wantExit(t *testing.T, err error, code int) {
	t.Helper()
	if got, text := explainError(err); got != code {
		t.Errorf("exit code %d (%s), want %d", got, text, code)
	}
}

//peers:30
func TestUp_CtrlCOnceTakesDownGracefully(t *testing.T) {
	st := newStage(t, upFlags{})
	st.play(t)
	st.signals <- os.Interrupt
	wantExit(t, st.end(t), exitInterrupted)
	if got := st.nows(); !slices.Equal(got, []bool{false}) {
		t.Errorf("ways down: %v", got)
	}
	if !strings.Contains(st.talk.String(), "stopping") {
		t.Errorf("talk: %s", st.talk)
	}
}

func TestUp_CtrlCTwiceKills(t *testing.T) {
	st := newStage(t, upFlags{})
	stopping, release := make(chan bool), make(chan bool)
	st.graceful = func(ctx context.Context) error {
		close(stopping)
		<-ctx.Done() // the second Ctrl-C asks it to hurry
		<-release
		return errors.New("somebody else removed it")
	}
	st.play(t)
	st.signals <- os.Interrupt
	<-stopping
	st.signals <- os.Interrupt
	close(release)
	wantExit(t, st.end(t), exitInterrupted)
	// The last way down had nothing beside it.
	if got := st.nows(); !slices.Equal(got, []bool{false, true, true}) && !slices.Equal(got, []bool{false, true}) {
		t.Errorf("ways down: %v", got)
	}
}

func TestUp_CtrlCTwiceDoesNotWaitForTheRunner(t *testing.T) {
	st := newStage(t, upFlags{})
	killed, release := make(chan bool), make(chan bool)
	st.up = func(ctx context.Context, cfg runner.Config) error {
		<-ctx.Done()
		<-release // a step under way
		return nil
	}
	down := st.s.c.down
	var once sync.Once
	st.s.c.down = func(ctx context.Context, eng engine.Engine, id runner.Identity, opts runner.DownOptions) error {
		defer once.Do(func() { close(killed) })
		return down(ctx, eng, id, opts)
	}
	st.play(t)
	for range 2 {
		st.signals <- os.Interrupt
	}
	<-killed
	close(release)
	wantExit(t, st.end(t), exitInterrupted)
	if got := st.nows(); slices.Contains(got, false) {
		t.Errorf("ways down: %v", got)
	}
}

func TestUp_CtrlCThreeTimesGivesUp(t *testing.T) {
	st := newStage(t, upFlags{})
	st.up = func(context.Context, runner.Config) error { select {} }
	st.play(t)
	for range 3 {
		st.signals <- os.Interrupt
	}
	wantExit(t, st.end(t), exitInterrupted)
}

//peers:30
func TestUp_DownTakesOverAndNothingIsRemoved(t *testing.T) {
	st := newStage(t, upFlags{})
	st.play(t)
	st.signals <- releaseRequest
	wantExit(t, st.end(t), exitOK)
	if got := st.nows(); got != nil {
		t.Errorf("ways down: %v", got)
	}
}

func TestUp_HangupWithoutATerminalChangesNothing(t *testing.T) {
	st := newStage(t, upFlags{})
	st.play(t)
	st.signals <- syscall.SIGHUP
	st.signals <- os.Interrupt
	wantExit(t, st.end(t), exitInterrupted)
}

func TestUp_FailureIsReturned(t *testing.T) {
	st := newStage(t, upFlags{})
	st.up = func(context.Context, runner.Config) error { return errors.New("no image") }
	st.play(t)
	wantExit(t, st.end(t), exitFailure)
	if got := st.nows(); got != nil {
		t.Errorf("the runner cleans up itself, but down was called: %v", got)
	}
}

func TestUp_InterruptBeforeAnythingHasBegun(t *testing.T) {
	st := newStage(t, upFlags{})
	st.s.c.compile = func(ctx context.Context, _ compiler.Options) (*compiler.Result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	st.start(t)
	st.signals <- os.Interrupt
	wantExit(t, st.end(t), exitInterrupted)
	if got := st.nows(); got != nil {
		t.Errorf("down of nothing: %v", got)
	}
}

func TestUp_OncePrintsAddressesAsResult(t *testing.T) {
	st := newStage(t, upFlags{once: true})
	st.up = func(_ context.Context, cfg runner.Config) error {
		if !cfg.Once || cfg.Watch {
			t.Errorf("config %+v", cfg)
		}
		cfg.Report(runner.Event{Kind: runner.EventReady, Message: "shop is ready"})
		return nil
	}
	st.play(t)
	wantExit(t, st.end(t), exitOK)
	if got := st.out.String(); got != "  web  http://127.0.0.1:1\n" {
		t.Errorf("standard output: %q", got)
	}
	if !strings.Contains(st.talk.String(), "shop is ready") {
		t.Errorf("talk: %q", st.talk)
	}
}

func TestUp_NotReadyInTime(t *testing.T) {
	st := newStage(t, upFlags{once: true})
	st.up = func(context.Context, runner.Config) error {
		return &runner.NotReadyError{Reasons: []string{"pod web-0: it has not started"}}
	}
	st.play(t)
	wantExit(t, st.end(t), exitNotReady)
}

func TestUp_ShowsAddressesBeforeLogs(t *testing.T) {
	st := newStage(t, upFlags{})
	following := make(chan bool)
	st.s.c.logs = func(ctx context.Context, _ engine.Engine, _ runner.Identity, _ []runner.Target, opts runner.LogOptions, emit func(runner.LogLine)) error {
		if !opts.Follow || !opts.Init || opts.Since.IsZero() {
			t.Errorf("log options %+v", opts)
		}
		emit(runner.LogLine{Pod: "web-0", Container: "api", Text: "hello"})
		close(following)
		<-ctx.Done()
		return nil
	}
	st.up = func(ctx context.Context, cfg runner.Config) error {
		cfg.Report(runner.Event{Kind: runner.EventReady, Message: "shop is ready"})
		<-ctx.Done()
		return nil
	}
	st.play(t)
	<-following
	st.signals <- releaseRequest
	wantExit(t, st.end(t), exitOK)
	if !strings.Contains(st.talk.String(), "http://127.0.0.1:1") {
		t.Errorf("talk: %q", st.talk)
	}
	if got := st.out.String(); got != "web-0/api | hello\n" {
		t.Errorf("standard output: %q", got)
	}
}

func TestWaiter(t *testing.T) {
	ready := message{Event: &runner.Event{Kind: runner.EventReady, Message: "shop is ready"}}
	plan := message{Event: &runner.Event{Kind: runner.EventPlan, Message: "pod web-0: new pod"}}
	two, zero := 2, 0
	for _, tc := range []struct {
		name string
		wait bool
		give []message
		done bool
		code int
	}{
		{"begun is enough", false, []message{plan}, true, exitOK},
		{"begun is not ready", true, []message{plan}, false, exitOK},
		{"ready", true, []message{plan, ready}, true, exitOK},
		{"a job that fails is no wait", false, []message{plan}, true, exitOK},
		{"a job that fails for good", true, []message{plan, {Event: &runner.Event{Kind: runner.EventFailed, Object: "job migrate", Message: "it failed"}}}, true, exitFailure},
		{"nothing to do", false, []message{ready}, true, exitOK},
		{"bad definition", true, []message{{Exit: &two, Text: "a.cue:1:1: wrong"}}, true, exitInvalid},
		{"told to let go", true, []message{{Exit: &zero}}, true, exitFailure},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, talk := newCLI(t)
			c.engine = func(func(string) (string, bool)) (engine.Engine, error) { return fake.New(), nil }
			c.status = func(context.Context, engine.Engine, runner.Identity) (runner.Status, error) {
				return runner.Status{}, nil
			}
			w := &waiter{c: c, f: upFlags{wait: tc.wait}, show: c.eventPrinter().print, pid: 7}
			begun := message{App: &runner.Identity{App: "shop", Root: "/r"}, Log: "/log"}
			done, err := w.hear(t.Context(), begun)
			for _, m := range tc.give {
				if done || err != nil {
					t.Fatalf("over before %+v: %v", m, err)
				}
				done, err = w.hear(t.Context(), m)
			}
			if done != tc.done {
				t.Errorf("done %v", done)
			}
			wantExit(t, err, tc.code)
			if leaves := tc.done && tc.code == exitOK; leaves != strings.Contains(talk.String(), "supervised by pid 7; its log is /log") {
				t.Errorf("talk: %s", talk)
			}
		})
	}
}

func TestNotReadyReasons(t *testing.T) {
	st := runner.Status{Pods: []runner.PodStatus{
		{Name: "a-0", Phase: "Running", Ready: true},
		{Name: "b-0", Phase: "Running", Status: "Running", Containers: []runner.ContainerStatus{
			{Name: "x", ContainerState: runner.ContainerState{Message: "GET /: refused"}}, {Name: "y", Ready: true}}},
		{Name: "c-0", Phase: "Pending", Status: "ContainerCreating"},
		{Name: "d-0", Phase: "Succeeded", Status: "Completed"},
		{Name: "migrate-0", Job: "migrate", Phase: "Running"},
	}, Jobs: []runner.JobStatus{
		{Name: "done", Status: "Complete"}, {Name: "later", Status: "Suspended"}, {Name: "report-1", CronJob: "report", Status: "Failed"},
		{Name: "migrate", Status: "Running", Completions: new(int)},
	}}
	got := notReadyReasons(st)
	want := []string{"pod b-0: Running, container x: GET /: refused", "pod c-0: ContainerCreating", "job migrate: Running, 0/0 complete"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

//peers:30
func TestSupervise_TheKeyLeavesItToTheBackground(t *testing.T) {
	st := newStage(t, upFlags{})
	keys := make(chan byte)
	st.s.keys = keys
	st.play(t)
	keys <- 'x' // nothing
	keys <- detachKey
	if err := st.end(t); !errors.Is(err, errHandOver) {
		t.Errorf("error %v", err)
	}
	if nows := st.nows(); len(nows) > 0 {
		t.Errorf("the app was taken down: %v", nows)
	}
}

func TestSupervise_TheKeyIsTooLateAfterCtrlC(t *testing.T) {
	st := newStage(t, upFlags{})
	keys := make(chan byte)
	st.s.keys = keys
	release := make(chan bool)
	st.graceful = func(context.Context) error { <-release; return nil }
	st.play(t)
	st.signals <- os.Interrupt
	keys <- detachKey
	close(release)
	wantExit(t, st.end(t), exitInterrupted)
	if nows := st.nows(); !slices.Equal(nows, []bool{false}) {
		t.Errorf("ways down: %v", nows)
	}
}

func TestSupervise_KeysOfWhoeverWatches(t *testing.T) {
	st := newStage(t, upFlags{})
	keys := make(chan byte)
	st.s.keys = keys
	st.play(t)
	for _, key := range []byte{rebuildKey, restartKey, pauseKey, 'x', clearKey, pauseKey} {
		keys <- key
	}
	keys <- quitKey // and so all before it has been taken
	wantExit(t, st.end(t), exitInterrupted)
	var got []runner.Order
	for len(st.s.orders) > 0 {
		got = append(got, <-st.s.orders)
	}
	if want := []runner.Order{runner.OrderRebuild, runner.OrderRestart, runner.OrderPause, runner.OrderPause}; !slices.Equal(got, want) {
		t.Errorf("orders %v, want %v", got, want)
	}
	if nows := st.nows(); !slices.Equal(nows, []bool{false}) {
		t.Errorf("q is not Ctrl-C: %v", nows)
	}
}
