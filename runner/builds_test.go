package runner

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/targets/docker"
)

// onBuild calls a function before each build, outside of any lock.
func (r *rig) onBuild(f func(ctx context.Context, ref string) error) {
	r.eng.SetHook(func(ctx context.Context, phase fake.Phase, op, object string) error {
		if phase == fake.Before && op == "BuildImage" {
			return f(ctx, object)
		}
		return nil
	})
}

// tally is a list that several goroutines write.
type tally struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (l *tally) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, text)
}

func (l *tally) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// A build of minutes keeps nothing else of the app from its change; a change of
// what it is built from ends it, and begins the one that counts.
//
//peers:7
func TestUp_SlowBuildKeepsNobodyWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		dir := r.source(map[string]string{"Dockerfile": "FROM web:1\nCOPY a.txt /a.txt\n", "a.txt": "one"})
		r.ready()
		r.up()
		var begins, breaks tally
		r.onBuild(func(ctx context.Context, ref string) error {
			begins.add(ref)
			select {
			case <-time.After(5 * time.Minute):
				return nil
			case <-ctx.Done():
				breaks.add(ref)
				return ctx.Err()
			}
		})
		save := func(text string) {
			if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			r.edit(func(*app.App) {})
			synctest.Wait()
		}
		before := r.running()
		save("two")
		r.told()
		r.edit(func(a *app.App) { a.Pod("db").Containers[0].Env[0] = app.EnvVar{Name: "LEVEL", Value: "debug"} })
		time.Sleep(20 * time.Second)
		begun, broken := begins.list(), breaks.list()
		if got := touched(before, r.running()); !strings.Contains(got, "_db") || strings.Contains(got, "_log") || len(begun) != 1 || len(broken) != 0 {
			t.Errorf("touched %q beside the build; %d begun, %d broken off", got, len(begun), len(broken))
		}
		save("three")
		time.Sleep(time.Second)
		begun, broken = begins.list(), breaks.list()
		if len(begun) != 2 || len(broken) != 1 || broken[0] != begun[0] || begun[1] == begun[0] {
			t.Errorf("begun %v, broken off %v", begun, broken)
		}
		time.Sleep(6 * time.Minute)
		begun = begins.list()
		if !r.runs("web-0_log", begun[1]) || !r.runs("web-1_log", begun[1]) || len(begun) != 2 {
			t.Errorf("the last one does not run: %v; begun %v", r.running(), begun)
		}
		if got := r.told(); strings.Contains(got, "problem") || strings.Contains(got, "failed") {
			t.Errorf("a build that was ended is no failure:\n%s", got)
		}
	})
}

// Builds of several containers go on beside each other, a few at a time.
func TestUp_BuildsGoOnBesideEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.source(map[string]string{"Dockerfile": "FROM web:1\n", "a.txt": "one"})
		one := r.shape
		const count = 7
		for i := range count {
			r.app.Pods = append(r.app.Pods, *r.app.Pod("db"))
			p := &r.app.Pods[len(r.app.Pods)-1]
			p.Name = "extra" + strconv.Itoa(i)
			p.Containers = []app.Container{{Name: "log", Image: "web:1", ImagePullPolicy: "IfNotPresent"}}
			p.Volumes, p.InitContainers = nil, nil
		}
		r.shape = func(s *docker.State) {
			one(s)
			for i := range s.Pods {
				if c := s.Pods[i].Container("log"); c != nil && strings.HasPrefix(s.Pods[i].Name, "extra") {
					c.Image = strings.Replace(c.Image, "/web/", "/"+s.Pods[i].Workload+"/", 1)
				}
			}
		}
		var mu sync.Mutex // over what follows
		running, most := 0, 0
		busy := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			running += n
			most = max(most, running)
		}
		r.onBuild(func(context.Context, string) error {
			busy(1)
			time.Sleep(time.Minute)
			busy(-1)
			return nil
		})
		began := time.Now()
		r.ready()
		mu.Lock()
		defer mu.Unlock()
		if took := time.Since(began); most != buildsAtOnce || took > 3*time.Minute {
			t.Errorf("%d builds at once, want %d; %d of a minute each took %v", most, buildsAtOnce, count+1, took)
		}
	})
}

// Each step that has work to do is told once.
func TestUp_TellsTheStepsOfABuild(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.source(map[string]string{"Dockerfile": "FROM web:1\nCOPY a.txt /a.txt\n", "a.txt": "one"})
		r.ready()
		var builds []string
		r.mu.Lock()
		for _, e := range r.events {
			if e.Kind == EventBuild {
				builds = append(builds, e.Message)
			}
		}
		r.mu.Unlock()
		if got := strings.Join(builds, "; "); got != "[1/3] FROM web:1; [2/3] COPY a.txt /a.txt" {
			t.Errorf("told %q", got)
		}
	})
}

// A rebuild that somebody asks for runs builds whose source is as it was: what they
// find elsewhere may be another. One that fails leaves what runs.
func TestUp_RebuildsWhenAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.source(map[string]string{"Dockerfile": "FROM web:1\nCOPY a.txt /a.txt\n", "a.txt": "one"})
		orders := make(chan Order)
		r.orders = orders
		r.ready()
		r.up()
		r.toldInAMinute()
		var builds tally
		fails := false
		r.onBuild(func(_ context.Context, ref string) error {
			builds.add(ref)
			if fails {
				return &engine.BuildError{Step: "[2/2] COPY a.txt /a.txt", Message: "no space left"}
			}
			return nil
		})
		before := r.running()
		orders <- OrderRebuild
		told := r.toldInAMinute()
		if n := len(builds.list()); n != 1 || !strings.Contains(told, "a rebuild was asked for") {
			t.Errorf("%d builds, told\n%s", n, told)
		}
		// The same comes of the same: nothing restarts.
		if got := touched(before, r.running()); got != "" {
			t.Errorf("touched %q", got)
		}
		// Something else comes of it.
		r.eng.AddImage("web:1", fake.Image{Image: engine.Image{Env: []string{"NEW=1"}}})
		orders <- OrderRebuild
		told = r.toldInAMinute()
		if got := touched(before, r.running()); got != "~shop_web-0_log ~shop_web-1_log" {
			t.Errorf("touched %q, told\n%s", got, told)
		}
		before, fails = r.running(), true
		orders <- OrderRebuild
		told = r.toldInAMinute()
		if got := touched(before, r.running()); got != "" || strings.Count(told, "no space left") != 1 || strings.Contains(told, "fixed") {
			t.Errorf("a build that fails: touched %q, told\n%s", got, told)
		}
	})
}
