package examples_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/testtool"
)

// session is a `cuepod up` in the foreground, as a developer has it.
type session struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  lockedBuffer // what it says, standard output and error together
	done chan error
	mark int // of out: what was said before is no news
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) from(mark int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()[mark:]
}

func startUp(t *testing.T, tool, dir string) *session {
	t.Helper()
	s := &session{t: t, cmd: exec.Command(tool, "up", "--no-logs", dir), done: make(chan error, 1)}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("cuepod up said:\n%s", s.out.from(0))
		}
	})
	return s
}

// says waits until all words have been said since the last call of next.
func (s *session) says(words ...string) string {
	s.t.Helper()
	var said string
	poll(s.t, startLimit, fmt.Sprintf("cuepod up says %q", words), func() error {
		said = s.out.from(s.mark)
		for _, w := range words {
			if !strings.Contains(said, w) {
				return fmt.Errorf("it said:\n%s", said)
			}
		}
		return nil
	})
	return said
}

// next forgets what was said so far.
func (s *session) next() { s.mark = len(s.out.from(0)) }

// exits waits for the end and gives the exit code.
func (s *session) exits() int {
	s.t.Helper()
	select {
	case err := <-s.done:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return 0
	case <-time.After(startLimit):
		s.t.Fatal("cuepod up does not end")
		return 0
	}
}

func (s *session) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// containers gives the IDs of an app's running containers by name.
func containers(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := run(t, time.Minute, "docker", "ps", "--no-trunc", "--filter", "label=dev.cuepod.root="+dir, "--format", "{{.Names}} {{.ID}}")
	ids := map[string]string{}
	for line := range strings.Lines(out) {
		if name, id, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			ids[strings.TrimPrefix(name, engineName(dir, ""))] = id
		}
	}
	return ids
}

// touched says what is different: +new, ~replaced, -gone.
func touched(before, after map[string]string) string {
	var out []string
	for name, id := range after {
		if old, had := before[name]; !had {
			out = append(out, "+"+name)
		} else if old != id {
			out = append(out, "~"+name)
		}
	}
	for name := range before {
		if _, has := after[name]; !has {
			out = append(out, "-"+name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// edit saves a change of a definition file.
func edit(t *testing.T, dir, from, to string) {
	t.Helper()
	path := filepath.Join(dir, "app.cue")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), from) != 1 {
		t.Fatalf("%q is not in app.cue once", from)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func downAtEnd(t *testing.T, tool, dir string) {
	t.Cleanup(func() {
		out, stderr, err := try(context.WithoutCancel(t.Context()), startLimit, tool, "down", "--volumes", "--now", dir)
		if err != nil {
			t.Errorf("clean up: %v\n%s%s", err, out, stderr)
		}
		if objects := left(t, "dev.cuepod.root="+dir); len(objects) > 0 {
			t.Errorf("down left %q", objects)
		}
	})
}

func readyToRun(t *testing.T) (tool, dir string) {
	t.Helper()
	requireEngine(t)
	requireImages(t, guestbookImages...)
	requirePortFree(t, nodePort)
	tool, dir = testtool.Cuepod(t), copyOfGuestbook(t)
	downAtEnd(t, tool, dir)
	return tool, dir
}

// TestGuestbook_Reload is an hour of work on a definition, in a minute: each
// save touches what it names and nothing else, a broken one touches nothing,
// and one Ctrl-C cleans up.
func TestGuestbook_Reload(t *testing.T) {
	tool, dir := readyToRun(t)
	up := startUp(t, tool, dir)
	up.says("guestbook is ready")
	site := guestbookAt{address: nodePort}
	site.signAndRead(t, "before any change")

	change := func(name, from, to, want string, words ...string) {
		t.Helper()
		before := containers(t, dir)
		up.next()
		edit(t, dir, from, to)
		up.says(append(words, ", ready in")...)
		if got := touched(before, containers(t, dir)); got != want {
			t.Errorf("%s: touched %q, want %q", name, got, want)
		}
	}
	change("an environment value", `value:   "redis-leader:6379"`, `value:   "redis-leader.default.svc:6379"`,
		"~frontend-0_web ~frontend-1_web", "env REDIS_LEADER redis-leader:6379 -> redis-leader.default.svc:6379")
	change("replicas", "{dev: 2,", "{dev: 3,",
		"+frontend-2 +frontend-2_digest +frontend-2_web", "pod frontend-2: replicas 2 -> 3")
	change("a probe", "periodSeconds: 2, timeoutSeconds: 2", "periodSeconds: 1, timeoutSeconds: 2",
		"", "probes of container web changed")
	change("a ConfigMap value", `*"Guestbook"`, `*"Visitors' book"`,
		"", "file settings.json of volume settings changed")
	poll(t, time.Minute, "the new title is on the page", func() error {
		page, err := site.page(t.Context())
		if err == nil && !strings.Contains(page, "book</h1>") || strings.Contains(page, "Guestbook</h1>") {
			err = errors.New("it has the old one")
		}
		return err
	})
	change("a service port", "{port: 80,", "{port: 8888,",
		"~portal_frontend", "service frontend: port http 80 -> 8888")

	before := containers(t, dir)
	up.next()
	edit(t, dir, "replicas: params.replicas", "replicas: params.replcas")
	line := up.says("app.cue:")
	if !strings.Contains(line, "replcas") {
		t.Errorf("the error does not quote the mistake:\n%s", line)
	}
	site.signAndRead(t, "while the definition is broken")
	touchFile(t, filepath.Join(dir, "redis.cue")) // a save without a change
	edit(t, dir, "replicas: params.replcas", "replicas: params.replicas")
	said := up.says("valid again")
	if n := strings.Count(said, "replcas"); n != 1 {
		t.Errorf("the error was told %d times:\n%s", n, said)
	}
	if got := touched(before, containers(t, dir)); got != "" {
		t.Errorf("a broken definition touched %q", got)
	}
	change("replicas again", "{dev: 3,", "{dev: 2,",
		"-frontend-2 -frontend-2_digest -frontend-2_web", "pod frontend-2: replicas 3 -> 2")

	up.signal(os.Interrupt)
	if code := up.exits(); code != 130 {
		t.Errorf("exit code %d after Ctrl-C, want 130", code)
	}
	want := []string{"volume " + engineName(dir, "guestbook-data"), "volume " + engineName(dir, "vault_keys")}
	if objects := left(t, "dev.cuepod.root="+dir); !slices.Equal(objects, want) {
		t.Errorf("Ctrl-C left %q, want %q", objects, want)
	}
}

func touchFile(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGuestbook_KilledSupervisor: the app goes on without it, services and
// readiness included, and the next one adopts everything as it is.
func TestGuestbook_KilledSupervisor(t *testing.T) {
	tool, dir := readyToRun(t)
	first := startUp(t, tool, dir)
	first.says("guestbook is ready")
	first.signal(syscall.SIGKILL)
	first.exits()
	before := containers(t, dir)
	site := guestbookAt{address: nodePort}
	site.signAndRead(t, "written without a supervisor")
	wantBothReplicas(t, site)

	// A replica that answers no more leaves the service though nobody watches.
	run(t, time.Minute, "docker", "pause", engineName(dir, "frontend-0_web"))
	poll(t, time.Minute, "the paused replica is out of the service", func() error {
		for range 8 {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			page, err := site.page(ctx)
			cancel()
			if err != nil {
				return err
			}
			if strings.Contains(page, "<code>frontend-0") {
				return errors.New("frontend-0 answered")
			}
		}
		return nil
	})
	run(t, time.Minute, "docker", "unpause", engineName(dir, "frontend-0_web"))
	wantBothReplicas(t, site)

	second := startUp(t, tool, dir)
	second.says("guestbook is ready")
	if got := touched(before, containers(t, dir)); got != "" {
		t.Errorf("the next up touched %q", got)
	}
	// And it supervises: a container that ends comes back, alone.
	second.next()
	run(t, time.Minute, "docker", "kill", engineName(dir, "frontend-1_web"))
	second.says("container frontend-1/web", "exited with code 137", "guestbook is ready in")
	if got := touched(before, containers(t, dir)); got != "~frontend-1_web" {
		t.Errorf("touched %q, want the container that ended", got)
	}
	second.signal(os.Interrupt)
	second.exits()
}

// TestGuestbook_Names: every container finds every service by each form of its
// name, and the pods are pods: one hostname, one address, one network.
func TestGuestbook_Names(t *testing.T) {
	tool, dir := readyToRun(t)
	run(t, startLimit, tool, "up", "-d", "--wait", dir)
	inside := func(target string, cmd ...string) string {
		t.Helper()
		return run(t, time.Minute, tool, append([]string{"exec", "-C", dir, target, "--"}, cmd...)...)
	}
	for _, form := range []string{"redis-leader", "redis-leader.default", "redis-leader.default.svc", "redis-leader.default.svc.cluster.local", "REDIS-leader"} {
		if got := inside("redis-follower-0/redis", "redis-cli", "-h", form, "ping"); strings.TrimSpace(got) != "PONG" {
			t.Errorf("from redis-follower, %s answers %q", form, got)
		}
		inside("frontend-1/web", "/frontend", "wait", form+":6379")
	}
	if _, stderr, err := try(t.Context(), time.Minute, tool, "exec", "-C", dir, "redis-follower-0/redis", "--", "redis-cli", "-h", "redis-laeder", "ping"); err == nil {
		t.Errorf("a name that no service has answers: %s", stderr)
	}
	if got := strings.TrimSpace(inside("redis-leader-0", "sh", "-c", "cat /etc/hostname")); got != "redis-leader-0" {
		t.Errorf("hostname %q, want the pod's name", got)
	}
	for _, format := range []string{"{{.HostConfig.NetworkMode}}", "{{.HostConfig.IpcMode}}"} {
		web := run(t, time.Minute, "docker", "inspect", "--format", format, engineName(dir, "frontend-0_web"))
		digest := run(t, time.Minute, "docker", "inspect", "--format", format, engineName(dir, "frontend-0_digest"))
		if web != digest || !strings.HasPrefix(web, "container:") {
			t.Errorf("%s of the pod's containers: %q and %q", format, web, digest)
		}
	}
}
