package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
	"github.com/cuepod/cuepod/runner/engine/fake"
)

// newCLI is a command line that writes to buffers, with nothing behind it.
func newCLI(t *testing.T) (c *cli, out, talk *bytes.Buffer) {
	out, talk = new(bytes.Buffer), new(bytes.Buffer)
	return &cli{
		in: strings.NewReader(""), out: out, err: talk, color: "auto",
		env: map[string]string{"XDG_STATE_HOME": t.TempDir()},
	}, out, talk
}

func TestExplainError_ExitCodes(t *testing.T) {
	invalid := &compiler.Error{Diagnostics: []compiler.Diagnostic{{Pos: app.Pos{File: "a.cue", Line: 3, Column: 1}, Message: "wrong"}}}
	unreachable := &engine.Error{Kind: engine.Unreachable, Op: "ask the engine", Err: errors.New("refused")}
	for _, tc := range []struct {
		name string
		err  error
		code int
		text string // part of it
	}{
		{"none", nil, exitOK, ""},
		{"definition", fmt.Errorf("wrapped: %w", invalid), exitInvalid, "a.cue:3:1: wrong"},
		{"usage", &usageError{"cuepod ps", "no"}, exitInvalid, "run 'cuepod ps --help'"},
		{"not ready", &runner.NotReadyError{Reasons: []string{"pod web-0: Pending"}}, exitNotReady, "pod web-0: Pending"},
		{"failed for good", &runner.FailedError{Reasons: []string{"job migrate: it failed: BackoffLimitExceeded"}}, exitFailure, "cuepod: job migrate: it failed"},
		{"engine", fmt.Errorf("plan: %w", unreachable), exitFailure, "DOCKER_HOST"},
		{"code of a command", &exitError{code: 42}, 42, ""},
		{"other", errors.New("disk full"), exitFailure, "cuepod: disk full"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, text := explainError(tc.err)
			if code != tc.code || !strings.Contains(text, tc.text) {
				t.Errorf("code %d, text %q; want %d and %q", code, text, tc.code, tc.text)
			}
			if tc.text == "" && text != "" {
				t.Errorf("unwanted text %q", text)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	words := []string{"kubernetes", "compose", "docker", "env", "set"}
	for word, want := range map[string]string{
		"kubernets": "kubernetes", "Compose": "compose", "dokcer": "docker", "enf": "env",
		"kube": "kubernetes", // the beginning of a word
		"helm": "", "": "", "xyz": "", "s": "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestModuleRoot(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"repo/cue.mod", "repo/envs/prod", "bare/deep", "repo/inner/cue.mod"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("repo/envs", filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "bare/cue.mod"), nil, 0o600); err != nil { // a file is no module
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"repo": "repo", "repo/envs/prod": "repo", "repo/inner": "repo/inner",
		"bare/deep": "bare/deep", "link/prod": "repo",
	} {
		got, err := moduleRoot(filepath.Join(top, dir))
		if err != nil || got != filepath.Join(top, want) {
			t.Errorf("moduleRoot(%s) = %s, %v; want %s", dir, got, err, want)
		}
	}
	gone := filepath.Join(top, "repo/gone") // its app may still run
	if got, err := moduleRoot(gone); err != nil || got != gone {
		t.Errorf("moduleRoot(%s) = %s, %v", gone, got, err)
	}
}

func TestPickApp(t *testing.T) {
	all := []runner.App{{Name: "a", Root: "/r"}, {Name: "b", Root: "/r"}, {Name: "a", Root: "/other"}}
	for _, tc := range []struct {
		root, name string
		want       string // app, or part of the error
	}{
		{"/other", "", "a"},
		{"/r", "b", "b"},
		{"/r", "", "choose one with --app (a, b)"},
		{"/r", "c", "no app c of /r"},
		{"/x", "", "no app of /x"},
	} {
		id, err := pickApp(tc.root, tc.name, appsOf(all, tc.root, tc.name))
		got := id.App
		if err != nil {
			_, got = explainError(err)
		}
		if !strings.Contains(got, tc.want) || err == nil && id.Root != tc.root {
			t.Errorf("%s %s: %q (%+v), want %q", tc.root, tc.name, got, id, tc.want)
		}
	}
}

func TestAppDir(t *testing.T) {
	id := runner.Identity{App: "shop", Root: "/src/shop"}
	dir := func(env map[string]string, id runner.Identity, endpoint string) string {
		return (&cli{env: env}).appDir(id, endpoint)
	}
	home := map[string]string{"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/u"}
	mine := dir(home, id, "unix:///a")
	if !strings.HasPrefix(mine, "/home/u/.local/state/cuepod/shop-") {
		t.Errorf("in %s", mine)
	}
	if got := dir(map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "/state"}, id, "unix:///a"); filepath.Dir(got) != "/state/cuepod" {
		t.Errorf("with XDG_STATE_HOME in %s", got)
	}
	for _, env := range []map[string]string{nil, {"HOME": "/home/u", "XDG_STATE_HOME": "relative"}} {
		if got := dir(env, id, "unix:///a"); !filepath.IsAbs(got) {
			t.Errorf("%v: %s is not absolute", env, got)
		}
	}
	for _, other := range []string{
		dir(home, id, "unix:///b"),
		dir(home, runner.Identity{App: "shop", Root: "/src/other"}, "unix:///a"),
		dir(home, runner.Identity{App: "shop2", Root: "/src/shop"}, "unix:///a"),
	} {
		if other == mine {
			t.Errorf("two apps share %s", other)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for arg, want := range map[string]runner.Target{
		"web": {Pod: "web"}, "web-0/api": {Pod: "web-0", Container: "api"},
	} {
		if got, err := parseTarget(arg); err != nil || got != want {
			t.Errorf("%s: %+v, %v", arg, got, err)
		}
	}
	for _, arg := range []string{"", "/api", "web/", "a/b/c"} {
		if _, err := parseTarget(arg); err == nil {
			t.Errorf("%q is taken", arg)
		}
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "90s": now.Add(-90 * time.Second), "2026-02-28T23:00:00+01:00": now.Add(-14 * time.Hour),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"-5m", "yesterday", "10"} {
		if _, err := parseSince(text, now); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestExecCommand(t *testing.T) {
	for args, want := range map[string]string{"web ls -l": "ls -l", "web -- ls -- x": "ls -- x", "web --": ""} {
		if got := strings.Join(execCommand(strings.Fields(args)), " "); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

func TestColors(t *testing.T) {
	for _, tc := range []struct {
		color string
		env   map[string]string
		want  bool
	}{
		{"auto", nil, false}, // a buffer is no terminal
		{"always", map[string]string{"NO_COLOR": "1"}, true},
		{"never", map[string]string{"CLICOLOR_FORCE": "1"}, false},
		{"auto", map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"auto", map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{"auto", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, false},
		{"auto", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": ""}, true}, // empty is unset: no-color.org
	} {
		c := &cli{color: tc.color, env: tc.env}
		if got := c.colors(io.Discard).on; got != tc.want {
			t.Errorf("--color %s, %v: %v", tc.color, tc.env, got)
		}
	}
}

func TestSanitize(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext":                       "plain\ttext",
		"\x1b[31mred\x1b[0m":                "\x1b[31mred\x1b[0m",
		"\x1b[38;5;200mok\x1b[38:2::1m!":    "\x1b[38;5;200mok\x1b[38:2::1m!",
		"a\x1b[2Jb\x1b[1;1Hc":               "abc",
		"\x1b]0;title\x07x\x1b]8;;u\x1b\\y": "xy",
		"\x1b]0;never ends":                 "",
		"over\rwritten\b\x00\x7f":           "overwritten",
		"c1 \u009b2J\u0085 end":             "c1 2J end",
		"half \x1b[31":                      "half ",
		"lone \x1b":                         "lone ",
		"\x1bcreset":                        "reset",
		"grüße 漢字 \ufffd":                   "grüße 漢字 \ufffd",
		"8-bit \x9b2J":                      "8-bit \ufffd2J", // CSI to a terminal that is not in UTF-8
		"invalid \xff utf8\x01":             "invalid \ufffd utf8",
	} {
		if got := sanitize(in); got != want {
			t.Errorf("sanitize(%q) = %q, want %q", in, got, want)
		}
	}
}

// Whatever comes in, what goes out has no control character outside a colour.
func FuzzSanitize(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m\x1b[2J\x1b]0;t\x07\u009b")
	f.Fuzz(func(t *testing.T, in string) {
		out := sanitize(in)
		if again := sanitize(out); again != out {
			t.Errorf("%q: once %q, twice %q", in, out, again)
		}
		for i := 0; i < len(out); {
			if n := colorSequence(out[i:]); n > 0 {
				i += n
				continue
			}
			if out[i] < 0x20 && out[i] != '\t' || out[i] == 0x7f {
				t.Fatalf("%q: %q keeps a control character", in, out)
			}
			i++
		}
	})
}

func TestLogPrinter_PrefixGrowsAndColoursStay(t *testing.T) {
	p := &logPrinter{}
	lines := p.format(runner.LogLine{Pod: "web-0", Container: "api", Text: "one"}) +
		p.format(runner.LogLine{Pod: "worker-0", Container: "main", Text: "two"}) +
		p.format(runner.LogLine{Pod: "web-0", Container: "api", Text: ""})
	if want := "web-0/api | one\nworker-0/main | two\nweb-0/api     | \n"; lines != want {
		t.Errorf("got\n%swant\n%s", lines, want)
	}
	first := (&logPrinter{style: style{true}}).format(runner.LogLine{Pod: "a", Container: "b", Text: "x"})
	later := (&logPrinter{style: style{true}}).format(runner.LogLine{Pod: "a", Container: "b", Text: "x"})
	if first != later || !strings.HasPrefix(first, "\x1b[") {
		t.Errorf("colours: %q and %q", first, later)
	}
}

func TestLogPrinter_TimestampsAndOpenColours(t *testing.T) {
	p := &logPrinter{style: style{true}, clean: true, timestamps: true}
	line := p.format(runner.LogLine{Pod: "a", Container: "b", Text: "\x1b[31mred\x1b[2J", Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)})
	if want := " 2026-01-02T03:04:05.000000006Z \x1b[31mred\x1b[0m\n"; !strings.HasSuffix(line, want) {
		t.Errorf("got %q, want the end %q", line, want)
	}
	raw := (&logPrinter{}).format(runner.LogLine{Pod: "a", Container: "b", Text: "\x1b[2J"})
	if want := "a/b | \x1b[2J\n"; raw != want {
		t.Errorf("to a file: %q, want the bytes as they are: %q", raw, want)
	}
}

func TestTable_AlignsAllButTheLastCell(t *testing.T) {
	var tb table
	tb.add("a", "bb", "a long sentence at the end")
	tb.add("ünï", "", "x")
	tb.add("only one, however long it is")
	tb.add("c", "d", "")
	var b strings.Builder
	tb.write(&b, "> ")
	want := "> a    bb  a long sentence at the end\n> ünï      x\n> only one, however long it is\n> c    d\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 125 * time.Second: "2m5s",
		59 * time.Minute: "59m", 2*time.Hour + 59*time.Minute: "179m", 3*time.Hour + time.Minute: "3h1m",
		40 * time.Hour: "40h", 49 * time.Hour: "2d",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestVersionLine(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v0.3.0"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}}
	for _, tc := range []struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		{"", info, "cuepod v0.3.0, commit 0123456789ab (modified), "},
		{"v1.0.0", nil, "cuepod v1.0.0, go"},
		{"v1.0.0", info, "cuepod v1.0.0, commit "},
		{"", nil, "cuepod (unknown), "},
	} {
		if got := versionLine(tc.linked, tc.info); !strings.HasPrefix(got, tc.want) {
			t.Errorf("got %q, want the beginning %q", got, tc.want)
		}
	}
}

func TestPrintStatus(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)
	state := func(state, reason, message string, code int) runner.ContainerState {
		return runner.ContainerState{State: state, Reason: reason, Message: message, ExitCode: code}
	}
	killed := state("terminated", "OOMKilled", "", 137)
	st := appStatus{Supervisor: 42, Status: runner.Status{
		App: "shop", Root: "/src/shop",
		Pods: []runner.PodStatus{
			{Name: "web-0", Phase: "Running", Status: "Running", Ready: true, IP: "10.1.0.2", Started: now.Add(-3 * time.Minute), Containers: []runner.ContainerStatus{
				{Name: "wait", Init: true, ContainerState: state("terminated", "Completed", "", 0)},
				{Name: "mesh", Init: true, Sidecar: true, ContainerState: state("running", "", "", 0), Ready: true},
				{Name: "api", ContainerState: state("running", "", "", 0), Ready: true}}},
			{Name: "db-0", Phase: "Running", Status: "CrashLoopBackOff", Restarts: 3, LastRestart: now.Add(-5 * time.Second), Started: now.Add(-time.Minute), Containers: []runner.ContainerStatus{
				{Name: "db", ContainerState: state("waiting", "CrashLoopBackOff", "back-off", 0), Restarts: 3, RetryAt: now.Add(8 * time.Second), LastState: &killed},
				{Name: "metrics", ContainerState: state("running", "", "GET /readyz: connection refused", 0)}}},
			{Name: "new-0", Phase: "Pending", Status: "ContainerCreating", Containers: []runner.ContainerStatus{{Name: "a", ContainerState: state("waiting", "ContainerCreating", "", 0)}}},
			{Name: "bad-0", Phase: "Pending", Status: "CreateContainerConfigError", Containers: []runner.ContainerStatus{
				{Name: "a", ContainerState: state("waiting", "CreateContainerConfigError", "secret creds has no key password", 0)}}},
			{Name: "once-0", Phase: "Failed", Status: "Error", Containers: []runner.ContainerStatus{
				{Name: "a", ContainerState: state("terminated", "Error", "no such table", 3)}}},
		},
		Services: []runner.ServiceStatus{
			{Name: "web", VIP: "10.1.2.1", Ports: []string{"80/TCP", "53/UDP"}, Endpoints: 1, Total: 1, URLs: []string{"http://127.0.0.1:8080"}},
			{Name: "db", Ports: []string{}, Total: 1},
		},
	}}
	var b strings.Builder
	printStatus(&b, st, style{}, now)
	want := `shop  /src/shop  supervised by pid 42

POD     READY  STATUS                      RESTARTS    AGE  IP
web-0   2/2    Running                     0           3m   10.1.0.2
db-0    0/2    CrashLoopBackOff            3 (5s ago)  60s
new-0   0/1    ContainerCreating           0           -
bad-0   0/1    CreateContainerConfigError  0           -
once-0  0/1    Error                       0           -
  ! db-0/db: CrashLoopBackOff (next in 8s); it was OOMKilled, exit code 137
  ! db-0/metrics: GET /readyz: connection refused
  ! bad-0/a: CreateContainerConfigError: secret creds has no key password
  ! once-0/a: Error, exit code 3: no such table

SERVICE  ADDRESS     PORTS          ENDPOINTS  URL
web      10.1.2.1    80/TCP,53/UDP  1/1        http://127.0.0.1:8080
db       (headless)                 0/1
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	three := 3
	printStatus(&b, appStatus{Supervisor: 42, Status: runner.Status{
		App: "shop", Root: "/src/shop",
		Pods: []runner.PodStatus{{Name: "load-0", Job: "load", Phase: "Succeeded", Status: "Completed", Started: now.Add(-time.Minute),
			Containers: []runner.ContainerStatus{{Name: "run", ContainerState: state("terminated", "Completed", "", 0)}}}},
		Jobs: []runner.JobStatus{
			{Name: "load", Status: "Running", Completions: &three, Active: 2, Succeeded: 1, Started: now.Add(-time.Minute)},
			{Name: "report-29455390", CronJob: "report", Status: "Failed", Reason: "BackoffLimitExceeded", Failed: 1, Completions: new(int), Started: now.Add(-5 * time.Minute), Finished: now.Add(-4 * time.Minute)},
			{Name: "queue", Status: "Pending"},
		},
		CronJobs: []runner.CronJobStatus{
			{Name: "report", Schedule: "*/10 * * * *", Active: 1, LastSchedule: now.Add(-5 * time.Minute), Next: now.Add(5 * time.Minute)},
			{Name: "never", Schedule: "@daily", TimeZone: "Europe/Berlin", Suspend: true},
		},
	}}, style{}, now)
	want = `shop  /src/shop  supervised by pid 42

POD     READY  STATUS     RESTARTS  AGE  IP
load-0  0/1    Completed  0         60s

JOB              STATUS   COMPLETIONS     DURATION  AGE
load             Running  1/3             60s       60s
report-29455390  Failed   0/0             60s       5m
queue            Pending  0/1 of a queue  -         -
  ! report-29455390: BackoffLimitExceeded, 1 pod failed

CRONJOB  SCHEDULE      TIMEZONE       SUSPEND  ACTIVE  LAST SCHEDULE  NEXT
report   */10 * * * *  UTC            false    1       5m             in 5m
never    @daily        Europe/Berlin  true     0       -              -
`
	if b.String() != want {
		t.Errorf("jobs: got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	printStatus(&b, appStatus{Status: runner.Status{App: "shop", Root: "/r"}}, style{}, now)
	if !strings.Contains(b.String(), "unsupervised") || strings.Contains(b.String(), "!") {
		t.Errorf("without a supervisor:\n%s", b.String())
	}
	b.Reset()
	printStatus(&b, appStatus{Status: runner.Status{App: "shop", Root: "/r", Unknown: "the gateway does not answer"}}, style{}, now)
	if !strings.Contains(b.String(), "! the gateway does not answer\n\nPOD") {
		t.Errorf("without an answer of the gateway:\n%s", b.String())
	}
}

func TestRunJob_IsForTheAppOfTheDirectory(t *testing.T) {
	c, out, _ := newCLI(t)
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c.engine = func(func(string) (string, bool)) (engine.Engine, error) { return fake.New(), nil }
	c.list = func(context.Context, engine.Engine) ([]runner.App, error) {
		return []runner.App{{Name: "shop", Root: root}, {Name: "other", Root: "/other"}}, nil
	}
	fails := false
	c.runJob = func(_ context.Context, cfg runner.RunConfig) error {
		if want := (runner.Identity{App: "shop", Root: root}); cfg.Identity != want || cfg.Job != "job/migrate" || cfg.Supervised {
			t.Errorf("asked for %+v", cfg)
		}
		cfg.Emit(runner.LogLine{Pod: "migrate-0", Container: "run", Text: "done"})
		if fails {
			return &runner.FailedError{Reasons: []string{"job migrate: it failed"}}
		}
		return nil
	}
	if code := c.run(t.Context(), []string{"run", "-C", root, "job/migrate"}); code != exitOK || out.String() != "migrate-0/run | done\n" {
		t.Errorf("exit code %d, output %q", code, out)
	}
	fails = true
	if code := c.run(t.Context(), []string{"run", "-C", root, "job/migrate"}); code != exitFailure {
		t.Errorf("one that fails: exit code %d", code)
	}
	if code := c.run(t.Context(), []string{"run", "-C", t.TempDir(), "job/migrate"}); code != exitFailure {
		t.Errorf("no app there: exit code %d", code)
	}
}

func TestEventPrinter(t *testing.T) {
	var b strings.Builder
	p := &eventPrinter{w: &b}
	p.print(runner.Event{Kind: runner.EventStep, Object: "pod web-0", Message: "started"})
	p.print(runner.Event{Kind: runner.EventBuild, Object: "image x", Message: "[2/2] RUN make"})
	p.print(runner.Event{Kind: runner.EventInvalid, Message: "a.cue:1:1: wrong\na.cue:2:1: wrong too\n"})
	want := "done     pod web-0: started\n" +
		"build    image x: [2/2] RUN make\n" +
		"invalid  the definition is not valid; the last valid one keeps running\n  a.cue:1:1: wrong\n  a.cue:2:1: wrong too\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	p.style, p.marks = style{true}, true
	p.print(runner.Event{Kind: runner.EventBuild, Object: "image x", Message: "[2/2] RUN make"}) // the screen has a line for it
	p.print(runner.Event{Kind: runner.EventReady, Message: "shop is ready"})
	if want := "\x1b[32m✔\x1b[0m shop is ready\n"; b.String() != want {
		t.Errorf("on a terminal: %q", b.String())
	}
}

func TestReadBeneath_StaysInTheModule(t *testing.T) {
	top := t.TempDir()
	root := filepath.Join(top, "module")
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"module/key": "inside", "outside": "outside"} {
		if err := os.WriteFile(filepath.Join(top, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../outside", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if data, err := readBeneath(root, "key"); err != nil || string(data) != "inside" {
		t.Errorf("key: %q, %v", data, err)
	}
	for _, path := range []string{"../outside", "link", filepath.Join(top, "outside")} {
		if data, err := readBeneath(root, path); err == nil {
			t.Errorf("%s gives %q", path, data)
		}
	}
}

func TestBackgroundArgs_KeepWhatTheUserSaid(t *testing.T) {
	c, _, _ := newCLI(t)
	cmd, _, err := c.root().Find([]string{"up"})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags([]string{"-d", "--wait", "--timeout=1m", "--set", "a=b,c", "--set", "d=1 2", "--env=prod", "--watch=false", "dir"}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(backgroundArgs(cmd), "|")
	if want := "up|--background|--color=never|--env=prod|--set=a=b,c|--set=d=1 2|--watch=false|--|dir"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRun_OrdinaryCommandEndsWithItsContext(t *testing.T) {
	c, _, _ := newCLI(t)
	c.compile = func(ctx context.Context, _ compiler.Options) (*compiler.Result, error) { return nil, ctx.Err() }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := c.run(ctx, []string{"vet"}); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

func TestLoadHolder_LoadsUnderTheNameInTheFile(t *testing.T) {
	c, _, talk := newCLI(t)
	eng := fake.New()
	c.engine = func(func(string) (string, bool)) (engine.Engine, error) { return eng, nil }
	c.holder = func(arch, ref string) ([]byte, error) {
		archive, err := enginetest.Archive([]byte("program"))
		return bytes.ReplaceAll(archive, []byte(enginetest.Ref), []byte(ref)), err
	}
	ref := strings.Repeat("h", len(enginetest.Ref)-len(":latest")) + ":latest" // of equal length: the archive has sizes in it
	if err := c.loadHolder(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if _, err := eng.InspectImage(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if got, want := talk.String(), "loaded "+ref+"\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	c.holder = func(string, string) ([]byte, error) { return nil, errors.New("no agent is built in") }
	if err := c.loadHolder(t.Context(), ""); err == nil {
		t.Error("no agent and no error")
	}
}

func TestLock_IsForgottenWithTheApp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop-1")
	first, err := takeLock(dir, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if !stillThere(first.file) {
		t.Error("a new lock is not where its name leads")
	}
	if err := forget(dir, "shop"); err != nil { // a lock of this very process does not keep it
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if stillThere(first.file) {
		t.Error("a removed lock would still count: two supervisors could hold one each")
	}
	second, err := takeLock(dir, "shop")
	if err != nil || !stillThere(second.file) {
		t.Errorf("a new one after it: %v", err)
	}
	second.release()
}

func TestBrief(t *testing.T) {
	long := strings.Repeat("word ", 40)
	for text, want := range map[string]string{
		"":                             "",
		"One. Two. Three.":             "One. Two. Three.",
		"First. Second. " + long + ".": "First. Second.",
		long + "end. Second sentence.": long + "end.",
		long:                           long,
	} {
		if got := brief(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	for text, want := range map[string][]string{
		"":            {},
		"a b c":       {"a b", "c"},
		"abcdefgh ij": {"abcdefgh", "ij"},
		"  a   b ":    {"a b"},
	} {
		if got := wrap(text, 4); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
