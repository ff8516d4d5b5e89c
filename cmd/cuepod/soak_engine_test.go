package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/internal/sockfault"
	"github.com/cuepod/cuepod/internal/testtool"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
	"github.com/cuepod/cuepod/targets/docker"
)

// TestSoak_OnARealEngine saves one change of an app's files after the other, valid
// and broken, while the engine's answers go wrong, containers are killed, removed
// and paused, and supervisors die and others begin. Now and then it is left alone,
// and then what is defined runs, files and all. In the end a fresh up of the same
// definition makes the same objects, and none are left after down --volumes. A
// supervisor that ends leaves no goroutine and no descriptor, and one that lives
// has no more of them, and no more memory, than at first.
//
// CUEPOD_SOAK is how many edits (make soak ENGINE=1: 200), CUEPOD_SEED repeats them.
func TestSoak_OnARealEngine(t *testing.T) {
	edits, seed := testtool.Number(t, "CUEPOD_SOAK", 24), testtool.Number(t, "CUEPOD_SEED", int(time.Now().UnixNano()%1e6))
	t.Logf("CUEPOD_SEED=%d CUEPOD_SOAK=%d", seed, edits)
	s := newSoak(t, uint64(seed))
	s.begin()
	first := s.third(edits/3, false)
	s.third(edits/3, true)
	last := s.third(edits/3, false)
	t.Logf("%v at first, %v at last; %d edits, %d of them broken, %d faults", first, last, s.edits, s.broken, s.faults)
	if err := grown(first, last); err != nil {
		t.Error(err)
	}
	s.release()
	s.asFresh()
}

// A soak that cannot fail shows nothing: each of its checks finds what it is for.
func TestSoak_FindsWhatIsLostAndLeft(t *testing.T) {
	s := newSoak(t, 1)
	s.deaf = true
	s.begin()
	s.settle()
	s.knobs["env"] = `"lost"`
	s.save("knobs.cue", s.knobs.text())
	if err := s.well(t.Context()); err == nil || !strings.Contains(err.Error(), "pod web-0") {
		t.Errorf("an edit that nobody follows: %v", err)
	}
	s.save("site/page.txt", "lost")
	if err := s.copied(t.Context()); err == nil || !strings.Contains(err.Error(), "site/page.txt") {
		t.Errorf("a file that nobody copies: %v", err)
	}
	s.release()
	before, size := s.objects(), s.size()
	eng := s.past()
	defer eng.Close()
	if err := eng.CreateVolume(t.Context(), engine.VolumeSpec{Name: s.id.Project() + "_stray", Labels: map[string]string{"dev.cuepod.id": s.id.ID()}}); err != nil {
		t.Fatal(err)
	}
	if got := lines(before, s.objects()); got != "+ volume stray" {
		t.Errorf("one more volume: %q", got)
	}
	if err := s.leaves(size, 0); err == nil { // the connection of eng
		t.Error("one more connection goes unnoticed")
	}
}

func TestGrown(t *testing.T) {
	first := soakSize{goroutines: 100, descriptors: 50, heap: 20 << 20}
	for want, now := range map[string]soakSize{
		"":            {goroutines: 104, descriptors: 54, heap: 24 << 20},
		"goroutines":  {goroutines: 130, descriptors: 50, heap: 20 << 20},
		"descriptors": {goroutines: 100, descriptors: 70, heap: 20 << 20},
		"heap":        {goroutines: 100, descriptors: 50, heap: 60 << 20},
	} {
		err := grown(first, now)
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v after %v: %v", now, first, err)
		}
	}
}

// soak is an app in a directory, on an engine with a proxy before it, with at most
// one supervisor.
type soak struct {
	t      *testing.T
	rand   *rand.Rand
	c      *cli
	id     runner.Identity
	socket string // of the engine
	listen string // of the proxy
	proxy  *sockfault.Proxy
	deaf   bool // supervisors follow no change

	plot
	edits, broken, faults int
	paused                []string // containers

	life *life // nil while nobody supervises

	mu  sync.Mutex
	log []string // guarded by mu: what was done and told since it was well
}

// life is one supervisor's.
type life struct {
	before  soakSize // when it began
	signals chan os.Signal
	cut     context.CancelFunc
	gone    chan error

	mu    sync.Mutex
	ready int // guarded by mu: how often all was ready, or the definition broken
}

func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	testtool.Docker(t, os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1")
	info, err := openEngine(t).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	socket, ok := strings.CutPrefix(info.Endpoint, "unix://")
	if !ok {
		t.Skipf("engine %s: a proxy of a Unix socket cannot stand in front of it", info.Endpoint)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{t: t, rand: rand.New(rand.NewPCG(seed, 2)), socket: socket, listen: filepath.Join(t.TempDir(), "s"),
		id: runner.Identity{App: fmt.Sprintf("soak-%d", os.Getpid()), Root: dir}}
	ref, archive := agenttest.Image(t, info.Arch)
	s.c, _, _ = newCLI(t)
	s.c.out, s.c.err, s.c.services = io.Discard, io.Discard, realServices()
	s.c.compileApart, s.c.worker = nil, nil // it is this process that is measured
	s.c.agent = func(string) (string, []byte, error) { return ref, archive, nil }
	s.c.engine = func(func(string) (string, bool)) (engine.Engine, error) {
		return dockerapi.New(dockerapi.Options{Flags: dockerapi.Flags{Host: "unix://" + s.listen}})
	}
	s.plot = newPlot(s.id.App)
	for name, text := range s.plot.files() {
		s.save(name, text)
	}
	s.connect()
	t.Cleanup(s.tidy)
	t.Cleanup(s.stopped) // before, and tidy comes even where that fails
	return s
}

// stopped tells of a failure and ends the supervisor.
func (s *soak) stopped() {
	if s.t.Failed() {
		s.mu.Lock()
		s.t.Logf("what happened last:\n%s", strings.Join(s.log, "\n"))
		s.mu.Unlock()
	}
	s.unpause()
	s.kill()
}

// tidy removes what is there, whatever has happened.
func (s *soak) tidy() {
	ctx := context.WithoutCancel(s.t.Context())
	eng := s.past()
	defer eng.Close()
	if err := runner.Down(ctx, eng, s.id, runner.DownOptions{Volumes: true, Now: true}); err != nil {
		s.t.Error(err)
	}
	if err := errors.Join(s.proxy.Close(), eng.RemoveImage(ctx, s.id.App+"-main:dev")); err != nil {
		s.t.Error(err)
	}
}

// past is the engine, past the proxy, by a client whose idle connections do not
// count for the process once it is closed.
func (s *soak) past() engine.Engine {
	s.t.Helper()
	eng, err := dockerapi.New(dockerapi.Options{Flags: dockerapi.Flags{Host: "unix://" + s.socket}})
	if err != nil {
		s.t.Fatal(err)
	}
	return eng
}

// connect puts a new proxy before the engine.
func (s *soak) connect() {
	s.t.Helper()
	var err error
	if s.proxy, err = sockfault.Start(s.listen, s.socket); err != nil {
		s.t.Fatal(err)
	}
}

func (s *soak) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const most = 400 // they are for a failure
	if len(s.log) == most {
		s.log = slices.Delete(s.log, 0, most/2)
	}
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

// flags are those of up.
func (s *soak) flags() upFlags {
	f := upFlags{definition: definition{dir: s.id.Root, live: true}, watch: !s.deaf, proxyMode: "auto"}
	f.again = &again{cache: &compiler.Cache{}}
	return f
}

// begin has a supervisor begin.
func (s *soak) begin() {
	l := &life{before: s.size(), signals: make(chan os.Signal, 1), gone: make(chan error, 1)}
	ctx, cut := context.WithCancel(s.t.Context())
	l.cut = cut
	s.life = l
	go func() { l.gone <- s.supervise(ctx, l) }()
}

// supervise is what cuepod up is, but for the terminal.
func (s *soak) supervise(ctx context.Context, l *life) error {
	eng, err := s.c.engine(s.c.lookupEnv)
	if err != nil {
		return err
	}
	defer eng.Close()
	up := s.c.newSupervision(eng, s.flags())
	defer up.f.again.close()
	up.show = func(e runner.Event) {
		s.note("%-8s %s", e.Kind, strings.TrimPrefix(e.Object+": "+e.Message, ": "))
		if e.Kind == runner.EventReady || e.Kind == runner.EventInvalid {
			l.mu.Lock()
			l.ready++
			l.mu.Unlock()
		}
	}
	err = up.run(ctx, l.signals)
	if up.start.lock != nil {
		up.start.lock.release()
	}
	return err
}

func (l *life) said() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready
}

// kill ends the supervisor as a kill of its process does for the engine: no
// request of it comes any more, whatever was under way.
func (s *soak) kill() {
	if s.life == nil {
		return
	}
	err := s.proxy.Close()
	s.life.cut()
	<-s.life.gone
	s.connect()
	s.over(err)
}

// release has it let go, as down and the key d do.
func (s *soak) release() {
	if s.life == nil {
		return
	}
	s.life.signals <- releaseRequest
	err := <-s.life.gone
	s.life.cut()
	s.over(err)
}

// over holds what a supervisor leaves behind in the process against what was
// there before it.
func (s *soak) over(err error) {
	s.t.Helper()
	before := s.life.before
	s.life = nil
	if err != nil {
		s.note("the supervisor said at its end: %v", err)
	}
	if err := s.leaves(before, 20*time.Second); err != nil {
		s.t.Fatal(err)
	}
}

// leaves is nil once the process holds no more than before.
func (s *soak) leaves(before soakSize, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		now := s.size()
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors {
			return nil
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 64<<10)
			return fmt.Errorf("a supervisor that has ended leaves %d goroutines and %d descriptors:\n%s",
				now.goroutines-before.goroutines, now.descriptors-before.descriptors, stacks[:goruntime.Stack(stacks, true)])
		}
	}
}

// third makes edits, and leaves the app alone after every few. It gives the size
// of the process at the end, for an app as it was at first. With deaths it takes
// several supervisors.
func (s *soak) third(edits int, deaths bool) soakSize {
	s.t.Helper()
	const between = 6 // edits, before it is left alone
	s.shape()
	s.settle()
	first := s.size()
	for n := range edits {
		if s.rand.IntN(3) == 0 {
			s.fault(deaths)
		}
		s.edit()
		s.pace()
		if n%between == between-1 {
			s.settle()
		}
	}
	s.shape()
	s.settle()
	last := s.size()
	if err := grown(first, last); err != nil && !deaths {
		s.t.Error(err)
	}
	return last
}

// pace waits until the last edit has had its effect, or for less.
func (s *soak) pace() {
	if s.rand.IntN(3) == 0 || s.life == nil {
		return
	}
	said := s.life.said()
	for until := time.Now().Add(time.Duration(s.rand.IntN(3000)) * time.Millisecond); time.Now().Before(until) && s.life.said() == said; {
		time.Sleep(10 * time.Millisecond)
	}
}

// settle ends all faults, mends what is broken, and waits until all is well.
func (s *soak) settle() {
	s.t.Helper()
	s.proxy.Set()
	s.unpause()
	s.mend()
	s.revive()
	var err error
	deaths := 0
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if err = errors.Join(s.well(s.t.Context()), s.copied(s.t.Context())); err == nil {
			break
		}
		if s.revive() {
			deaths++
		}
		if time.Now().After(deadline) || deaths > 3 {
			s.t.Fatalf("after %d edits it does not become well: %v", s.edits, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log[:0], fmt.Sprintf("all is well after %d edits", s.edits))
}

// revive begins another supervisor where there is none: one that began while the
// definition was broken or its first look at the engine failed, has said so and ended.
func (s *soak) revive() (begun bool) {
	if s.life != nil {
		select {
		case err := <-s.life.gone:
			if err == nil {
				s.t.Error("the supervisor ended by itself and said nothing")
			}
			s.life.cut()
			s.over(err)
		default:
		}
	}
	if s.life != nil {
		return false
	}
	s.begin()
	return true
}

// well is nil when every pod is ready and there is nothing to do.
func (s *soak) well(ctx context.Context) error {
	eng := s.past()
	defer eng.Close()
	st, err := runner.GetStatus(ctx, eng, s.id)
	if err != nil {
		return err
	}
	for _, p := range st.Pods {
		if !p.Ready && p.Phase != "Succeeded" {
			return fmt.Errorf("pod %s is %s and not ready", p.Name, p.Status)
		}
	}
	d := s.flags().definition
	defer d.again.close()
	cfg, err := s.c.config(d, eng, nil)
	if err != nil {
		return err
	}
	cfg.Report = func(runner.Event) {}
	plan, err := runner.Plan(ctx, cfg)
	if err == nil && !plan.Empty() {
		err = fmt.Errorf("there is something to do:\n%s", plan)
	}
	return err
}

// copied is nil when files are in the containers as they are in the module.
func (s *soak) copied(ctx context.Context) error {
	eng := s.past()
	defer eng.Close()
	for name, path := range map[string]string{"site/page.txt": "/srv/site/page.txt", "conf/file.txt": "/etc/conf/file.txt"} {
		var got bytes.Buffer
		code, err := runner.Exec(ctx, eng, s.id, runner.Target{Pod: "web-0", Container: "main"}, []string{"/testprog", "read", path}, runner.IO{Out: &got, Err: &got})
		if err != nil {
			return err
		}
		if want := s.saved[name]; code != 0 || got.String() != want {
			return fmt.Errorf("%s is %q in the container, want %q", name, got.String(), want)
		}
	}
	return nil
}

// asFresh holds what is there against what a fresh up makes of the definition, and
// against nothing after down.
func (s *soak) asFresh() {
	s.t.Helper()
	got := s.objects()
	s.down()
	f := s.flags()
	f.once, f.timeout = true, 2*time.Minute
	eng, err := s.c.engine(s.c.lookupEnv)
	if err != nil {
		s.t.Fatal(err)
	}
	defer eng.Close()
	up := s.c.newSupervision(eng, f)
	up.show = func(e runner.Event) { s.note("fresh: %s %s: %s", e.Kind, e.Object, e.Message) }
	if err := up.run(s.t.Context(), nil); err != nil {
		s.t.Fatal(err)
	}
	up.start.lock.release()
	if diff := lines(s.objects(), got); diff != "" {
		s.t.Errorf("beside a fresh up of the same definition there are\n%s", diff)
	}
	s.down()
}

func (s *soak) down() {
	s.t.Helper()
	eng := s.past()
	defer eng.Close()
	if err := runner.Down(s.t.Context(), eng, s.id, runner.DownOptions{Volumes: true, Now: true}); err != nil {
		s.t.Fatal(err)
	}
	if left := s.objects(); len(left) > 0 {
		s.t.Errorf("after down --volumes there are still %q", left)
	}
}

// objects is what is on the engine, without what differs from run to run: the
// number of a record, instances that are kept for their logs, and what has done
// its work and is not made again.
func (s *soak) objects() []string {
	s.t.Helper()
	eng := s.past()
	defer eng.Close()
	ctx, labels := s.t.Context(), map[string]string{"dev.cuepod.id": s.id.ID()}
	containers, e1 := eng.ListContainers(ctx, labels)
	volumes, e2 := eng.ListVolumes(ctx, labels)
	networks, e3 := eng.ListNetworks(ctx, labels)
	images, e4 := eng.ListImages(ctx, labels)
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		s.t.Fatal(err)
	}
	var out []string
	add := func(kind, name, more string) {
		out = append(out, strings.TrimSpace(kind+" "+strings.TrimPrefix(name, s.id.Project()+"_")+" "+more))
	}
	for _, c := range containers {
		role := c.Labels["dev.cuepod.role"]
		if !docker.IsPreviousName(c.Name) && role != "init" && !strings.Contains(c.Name, "_migrate") {
			add("container", serial.ReplaceAllString(c.Name, ""), role+" "+string(c.State)+" "+c.Labels["dev.cuepod.hash"])
		}
	}
	for _, v := range volumes {
		if !strings.Contains(v.Name, "_migrate") {
			add("volume", v.Name, "")
		}
	}
	for _, n := range networks {
		add("network", n.Name, "")
	}
	for _, i := range images {
		for _, ref := range i.Refs {
			if strings.HasPrefix(ref, "cuepod/") { // the name that the definition gives stays
				add("image", ref, "")
			}
		}
	}
	slices.Sort(out)
	return out
}

// serial is the number of a record or of a run of a job.
var serial = regexp.MustCompile(`\.[0-9]+`)

// lines are what one list has more than another, and what it lacks.
func lines(before, after []string) string {
	var out []string
	for _, l := range after {
		if !slices.Contains(before, l) {
			out = append(out, "+ "+l)
		}
	}
	for _, l := range before {
		if !slices.Contains(after, l) {
			out = append(out, "- "+l)
		}
	}
	return strings.Join(out, "\n")
}

// soakSize is what a process holds.
type soakSize struct {
	goroutines, descriptors int
	heap                    uint64 // bytes
}

func (n soakSize) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d KiB", n.goroutines, n.descriptors, n.heap>>10)
}

func (s *soak) size() soakSize {
	s.t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		s.t.Fatal(err)
	}
	for range 2 { // what a finalizer lets go of is freed the next time
		goruntime.GC()
	}
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return soakSize{goruntime.NumGoroutine(), len(open), m.HeapAlloc}
}

// grown is an error when there is more than what comes and goes: a few connections
// to the engine, each with its goroutines, on both sides of the proxy.
func grown(first, now soakSize) error {
	const connections = 4
	switch {
	case now.goroutines > first.goroutines+5*connections:
		return fmt.Errorf("goroutines grew: %v, then %v", first, now)
	case now.descriptors > first.descriptors+3*connections:
		return fmt.Errorf("descriptors grew: %v, then %v", first, now)
	case now.heap > first.heap+first.heap/2+8<<20:
		return fmt.Errorf("heap grew: %v, then %v", first, now)
	}
	return nil
}
