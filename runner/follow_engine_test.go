package runner_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// seededImage is look with files of its own where others are copied to, for a user
// that has a name.
const seededImage = "cuepod-look-seeded:latest"

func (s *stage) buildSeeded(version string) {
	s.t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, text := range map[string]string{
		"Dockerfile": "FROM " + lookImage + "\nCOPY passwd /etc/passwd\nCOPY --chown=1234:1235 srv /srv\nUSER dev\n",
		"passwd":     "root:x:0:0::/:/\ndev:x:1234:1235::/:/\n",
		"srv/image":  version,
		"srv/both":   "of the image",
	} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			s.t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.eng.BuildImage(s.t.Context(), engine.BuildSpec{Tags: []string{seededImage}}, &buf, nil); err != nil {
		s.t.Fatal(err)
	}
}

// followed is an app that is watched.
type followed struct {
	*stage
	stop func()

	mu     sync.Mutex
	events []runner.Event
}

// follow keeps an app up, and follows changes, until stop is called.
func (s *stage) follow(a *app.App) *followed {
	s.t.Helper()
	f := &followed{stage: s}
	ctx, cancel := context.WithCancel(s.t.Context())
	cfg := s.config(a)
	cfg.Once, cfg.Watch, cfg.Timeout = false, true, 0
	cfg.Report = func(e runner.Event) {
		s.t.Log(e.Kind, e.Object, e.Message)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = append(f.events, e)
	}
	ended := make(chan error, 1)
	go func() { ended <- runner.Up(ctx, cfg) }()
	var once sync.Once
	f.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				s.t.Error(err)
			}
		})
	}
	s.t.Cleanup(f.stop)
	return f
}

// hears waits for an event of a kind, with a text in it, since the last call.
func (f *followed) hears(kind runner.EventKind, text string) string {
	f.t.Helper()
	var found string
	agenttest.Eventually(f.t, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, e := range f.events {
			if line := e.Object + ": " + e.Message; e.Kind == kind && strings.Contains(line, text) {
				found, f.events = line, f.events[i+1:]
				return nil
			}
		}
		return fmt.Errorf("nothing of kind %s says %q", kind, text)
	})
	return found
}

// quiet checks that nothing was told of some kinds since the last call of hears.
func (f *followed) quiet(kinds ...runner.EventKind) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		for _, kind := range kinds {
			if e.Kind == kind {
				f.t.Errorf("it tells: %s %s: %s", e.Kind, e.Object, e.Message)
			}
		}
	}
}

func (s *stage) file(name, text string) {
	s.t.Helper()
	name = filepath.Join(s.id.Root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) remove(name string) {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.id.Root, name)); err != nil {
		s.t.Fatal(err)
	}
}

// idOf is the engine's ID of a container, "pod/container".
func (s *stage) idOf(where string) string {
	s.t.Helper()
	pod, name, _ := strings.Cut(where, "/")
	c, err := s.eng.InspectContainer(s.t.Context(), docker.ContainerName(s.opts.Project, pod, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return c.ID
}

// Files get into an image from scratch, to a user who has a name in it alone, into
// a read-only root, in every replica; the image's own files are there too, and are
// never removed.
//
//peers:3 5 20 29
func TestFollow_CopiesToAnyContainer(t *testing.T) {
	s := newStage(t).on(t)
	s.buildSeeded("1")
	s.file("src/both", "of the module")
	s.file("src/lib/a", "1")
	s.file("src/x.tmp", "1")
	yes := true
	c := look("app")
	c.Image = seededImage
	c.SecurityContext = app.SecurityContext{ReadOnlyRootFilesystem: &yes}
	c.Dev = &app.Dev{Sync: map[string]string{"src": "/srv"}, Ignore: []string{"*.tmp", "!keep.tmp"}}
	pod := deployment("web", c)
	pod.Replicas = 2
	a := &app.App{Pods: []app.Pod{pod}}
	f := s.follow(a)
	f.hears(runner.EventReady, "")
	for _, where := range []string{"web-0/app", "web-1/app"} {
		s.expect(where, "of the module", "cat", "/srv/both")
		s.expect(where, "1", "cat", "/srv/image")
		s.expect(where, "1", "cat", "/srv/lib/a")
		t.Log(s.ask(where, "stat", "/srv", "/srv/both", "/srv/lib", "/srv/lib/a", "/srv/image"))
		s.fails(where, "cat", "/srv/x.tmp")
		s.expect(where, "", "write", "/srv/lib/made", "by the program")
	}
	if _, err := os.Stat(filepath.Join(s.id.Root, "src/lib/made")); !os.IsNotExist(err) {
		t.Errorf("what a program writes came to the module: %v", err)
	}
	ids := s.idOf("web-0/app") + s.idOf("web-1/app")

	s.file("src/lib/b", "2")
	s.file("src/keep.tmp", "kept")
	s.file("src/other.tmp", "2")
	t.Log(f.hears(runner.EventSync, "web: synced"))
	for _, where := range []string{"web-0/app", "web-1/app"} {
		s.eventually(where, "2", "cat", "/srv/lib/b")
		s.eventually(where, "kept", "cat", "/srv/keep.tmp")
		s.fails(where, "cat", "/srv/other.tmp")
	}
	s.remove("src/lib")
	s.remove("src/both")
	t.Log(f.hears(runner.EventSync, "web: removed"))
	for _, where := range []string{"web-0/app", "web-1/app"} {
		s.fails(where, "cat", "/srv/lib/a")
		s.expect(where, "by the program", "cat", "/srv/lib/made")
		s.expect(where, "1", "cat", "/srv/image")
	}
	if now := s.idOf("web-0/app") + s.idOf("web-1/app"); now != ids {
		t.Error("containers were replaced")
	}
	f.quiet(runner.EventProblem, runner.EventPlan)

	// Another image begins with its own files, and has the module's.
	f.stop()
	s.buildSeeded("2")
	f = s.follow(a)
	f.hears(runner.EventReady, "")
	for _, where := range []string{"web-0/app", "web-1/app"} {
		s.eventually(where, "2", "cat", "/srv/image")
		s.expect(where, "of the image", "cat", "/srv/both")
		s.expect(where, "kept", "cat", "/srv/keep.tmp")
		s.fails(where, "stat", "/srv/lib")
	}
}

// dev is look with a command, a directory that is copied to /srv, and what follows.
func dev(name string, command []string, d app.Dev) app.Container {
	c := look(name)
	c.Args = command
	d.Sync = map[string]string{name: "/srv"}
	c.Dev = &d
	return c
}

// Each action does what it says, in its container alone; what fails is told once,
// keeps nobody else waiting, and is made good by the next change.
//
//peers:4 7 29
func TestFollow_Actions(t *testing.T) {
	s := newStage(t).on(t)
	s.file("restarts/a", "1")
	s.file("crashes/other", "1")
	s.file("runs/a", "1")
	s.file("hears/a", "1")
	crashes := deployment("crashes", dev("crashes", []string{"obey", "/srv/command"}, app.Dev{}))
	a := &app.App{Pods: []app.Pod{
		deployment("restarts", dev("restarts", []string{"wait"}, app.Dev{OnChange: "restart"})),
		deployment("runs", dev("runs", []string{"wait"}, app.Dev{OnChange: "exec", Exec: []string{"/testprog", "cat", "/srv/needed"}})),
		deployment("hears", dev("hears", []string{"hear", "/srv/heard"}, app.Dev{OnChange: "signal", Signal: "SIGHUP"})),
	}}
	f := s.follow(a)
	f.hears(runner.EventReady, "")
	before := s.idOf("restarts-0/restarts")

	// The file and its rights, a link, and a new name for a directory; then a new
	// instance that has them.
	s.file("restarts/dir/a", "2")
	if err := os.Chmod(s.id.Root+"/restarts/dir/a", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("dir/a", s.id.Root+"/restarts/link"); err != nil {
		t.Fatal(err)
	}
	t.Log(f.hears(runner.EventSync, "restarted"))
	s.expect("restarts-0/restarts", "2", "cat", "/srv/link")
	s.expect("restarts-0/restarts", "-rwxr-xr-x 0:0 1", "stat", "/srv/dir/a")
	if now := s.idOf("restarts-0/restarts"); now == before {
		t.Error("it was not restarted")
	}
	f.quiet(runner.EventPlan, runner.EventProblem)
	if err := os.Rename(s.id.Root+"/restarts/dir", s.id.Root+"/restarts/renamed"); err != nil {
		t.Fatal(err)
	}
	t.Log(f.hears(runner.EventSync, "restarted"))
	s.expect("restarts-0/restarts", "2", "cat", "/srv/renamed/a")
	s.fails("restarts-0/restarts", "stat", "/srv/dir")

	// A command that fails is told with what it said, while another goes on.
	s.file("runs/a", "2")
	told := f.hears(runner.EventProblem, "/testprog failed with code 1")
	if !strings.Contains(told, "synced 1 file") || !strings.Contains(told, "no such file") {
		t.Error(told)
	}
	s.file("hears/a", "2")
	t.Log(f.hears(runner.EventSync, "sent SIGHUP"))
	agenttest.Eventually(t, func() error {
		if got := s.ask("hears-0/hears", "cat", "/srv/heard"); strings.Count(got, "HUP") != 1 {
			return fmt.Errorf("it heard %q", got)
		}
		return nil
	})
	s.file("runs/a", "3") // fails again, and is not told again
	s.eventually("runs-0/runs", "3", "cat", "/srv/a")
	s.file("runs/needed", "here")
	t.Log(f.hears(runner.EventFixed, "ran /testprog"))
	f.quiet(runner.EventProblem)

	// What changes while nobody looks follows when somebody does.
	f.stop()
	before = s.idOf("restarts-0/restarts")
	other := s.idOf("runs-0/runs")
	s.file("restarts/away", "1")
	a.Pods = append(a.Pods, crashes)
	f = s.follow(a)
	t.Log(f.hears(runner.EventSync, "restarts: synced 1 file"))
	s.expect("restarts-0/restarts", "1", "cat", "/srv/away")
	if s.idOf("restarts-0/restarts") == before || s.idOf("runs-0/runs") != other {
		t.Error("only the container whose files changed is to be restarted")
	}

	// A container that crashes gets what makes it run, and runs at once.
	f.hears(runner.EventProblem, "crashes-0/crashes")
	f.hears(runner.EventProblem, "crashes-0/crashes")
	s.file("crashes/command", "wait")
	t.Log(f.hears(runner.EventSync, "crashes: synced 1 file"))
	f.hears(runner.EventReady, "")
	s.expect("crashes-0/crashes", "wait", "cat", "/srv/command")
}

// A pod of a job has what there is when it starts: else the job fails here.
func TestFollow_AJobHasItsFiles(t *testing.T) {
	s := newStage(t).on(t)
	s.file("job/a", "1")
	job := deployment("job", dev("job", []string{"stat", "/srv/a"}, app.Dev{}))
	job.Kind, job.RestartPolicy = "Job", "Never"
	one, none := 1, 0
	job.Completions, job.Parallelism, job.BackoffLimit = &one, &one, &none
	s.up(&app.App{Pods: []app.Pod{job}})
}
