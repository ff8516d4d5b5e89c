package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/build"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/targets/docker"
)

// onPull calls a function before each pull, outside of any lock.
func (r *rig) onPull(f func(ctx context.Context, ref string) error) {
	r.eng.SetHook(func(ctx context.Context, phase fake.Phase, op, object string) error {
		if phase == fake.Before && op == "PullImage" {
			return f(ctx, object)
		}
		return nil
	})
}

func (r *rig) editLog(f func(*app.Container)) {
	r.edit(func(a *app.App) { f(&a.Pod("web").Containers[1]) })
	synctest.Wait()
}

// runs reports whether a container of the app runs from an image.
func (r *rig) runs(name, image string) bool {
	for _, c := range r.containers() {
		if strings.HasSuffix(c.Name, name) && c.State == engine.Running {
			return c.Image == image
		}
	}
	return false
}

// conformance:S3 S27
func TestUp_ImageThatIsNowhereHoldsOnlyItsContainer(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		before := r.running()
		r.told()
		pulls := 0
		r.onPull(func(context.Context, string) error { pulls++; return nil })
		r.edit(func(a *app.App) {
			a.Pod("web").Containers[1].Image = "nowhere/log:2"
			a.Pod("db").Containers[0].Env[0] = app.EnvVar{Name: "LEVEL", Value: "debug"}
		})
		time.Sleep(30 * time.Second)
		if got := touched(before, r.running()); !strings.HasPrefix(got, "~") || strings.Contains(got, "_log") || !strings.Contains(got, "_db") || strings.Contains(got, " ") {
			t.Errorf("touched %q, want the database alone", got)
		}
		if pulls < 4 || pulls > 6 { // after 0, 1, 3, 7, 15 s
			t.Errorf("%d tries in half a minute", pulls)
		}
		got := r.told()
		for _, want := range []string{"nowhere/log:2", "needed by web/log", "manifest for nowhere/log:2 not found", "tried again in 1s"} {
			if strings.Count(got, want) == 0 {
				t.Errorf("%q is not told:\n%s", want, got)
			}
		}
		if strings.Count(got, "problem") != 1 {
			t.Errorf("told, not once:\n%s", got)
		}
		r.eng.AddRemote("nowhere/log:2", fake.Image{Run: serve})
		time.Sleep(30 * time.Second)
		if !r.runs("web-0_log", "nowhere/log:2") || !r.runs("web-1_log", "nowhere/log:2") {
			t.Error("the containers did not come once the image was there")
		}
		if got := r.told(); !strings.Contains(got, "ready") {
			t.Errorf("not ready:\n%s", got)
		}
	})
}

// A change of the definition tries at once, whatever the pause had grown to.
func TestUp_ChangeResetsThePauseOfAPull(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		r.editLog(func(c *app.Container) { c.Image = "nowhere/log:2" })
		time.Sleep(10 * time.Minute)
		r.eng.AddRemote("nowhere/log:2", fake.Image{Run: serve})
		r.editLog(func(c *app.Container) { c.Args = []string{"again"} })
		time.Sleep(time.Second)
		if !r.runs("web-0_log", "nowhere/log:2") {
			t.Error("not tried again at once")
		}
	})
}

// A pull that takes minutes keeps no other container from its restart, and is
// not broken off by it.
func TestUp_SlowPullKeepsNobodyWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		r.eng.AddRemote("big:1", fake.Image{Run: serve})
		begun, broken := 0, 0
		r.onPull(func(ctx context.Context, _ string) error {
			begun++
			select {
			case <-time.After(5 * time.Minute):
				return nil
			case <-ctx.Done():
				broken++
				return ctx.Err()
			}
		})
		r.editLog(func(c *app.Container) { c.Image = "big:1" })
		for range 3 { // later restarts wait for their back-off, beside the pull
			before := r.running()
			var name string
			for n := range before {
				if strings.HasSuffix(n, "_db") {
					name = n
				}
			}
			if err := r.eng.Crash(name, 1, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
			if now := r.running(); now[name] == "" || now[name] == before[name] {
				t.Errorf("%s was not restarted during the pull", name)
			}
		}
		time.Sleep(5 * time.Minute)
		if begun != 1 || broken != 0 {
			t.Errorf("%d pulls begun, %d broken off", begun, broken)
		}
		if !r.runs("web-0_log", "big:1") {
			t.Error("the container did not follow once the image was there")
		}
	})
}

func TestUp_PullThatNobodyNeedsAnyMoreIsBrokenOff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		stop := r.up()
		var broken []string
		r.onPull(func(ctx context.Context, ref string) error {
			<-ctx.Done()
			broken = append(broken, ref)
			return ctx.Err()
		})
		r.editLog(func(c *app.Container) { c.Image = "wrong:1" })
		time.Sleep(time.Second)
		r.editLog(func(c *app.Container) { c.Image = "web:2" })
		time.Sleep(time.Second)
		if len(broken) != 1 || !r.runs("web-0_log", "web:2") {
			t.Errorf("broken off %v; %v", broken, r.running())
		}
		r.editLog(func(c *app.Container) { c.Image = "slow:1" })
		time.Sleep(time.Second)
		if err := stop(); err != nil || len(broken) != 2 { // and none outlives the supervisor
			t.Errorf("%v, broken off %v", err, broken)
		}
	})
}

// conformance:S3
func TestUp_ErrImageNeverPull(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		r.told()
		r.onPull(func(_ context.Context, ref string) error { t.Errorf("%s was pulled", ref); return nil })
		r.editLog(func(c *app.Container) { c.Image, c.ImagePullPolicy = "ours:1", "Never" })
		time.Sleep(time.Minute)
		if got := r.told(); strings.Count(got, "container web-0/log: ErrImageNeverPull") != 1 || !strings.Contains(got, "container web-0/log") {
			t.Errorf("told:\n%s", got)
		}
		r.eng.AddImage("ours:1", fake.Image{Run: serve}) // somebody has loaded it
		time.Sleep(time.Minute)
		if !r.runs("web-0_log", "ours:1") || !r.runs("web-1_log", "ours:1") {
			t.Error("the containers did not come once the image was there")
		}
	})
}

// Always asks the registry before each start, and uses what came.
func TestUp_PullPolicyAlways(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.app.Pod("web").Containers[1].Image, r.app.Pod("web").Containers[1].ImagePullPolicy = "moving:1", "Always"
		r.eng.AddImage("moving:1", fake.Image{Image: engine.Image{ID: "old"}, Run: serve})
		r.eng.AddRemote("moving:1", fake.Image{Image: engine.Image{ID: "new"}, Run: serve})
		pulls := 0
		var down error
		r.onPull(func(context.Context, string) error { pulls++; return down })
		r.ready()
		imageOf := func(suffix string) string {
			for _, c := range r.containers() {
				if strings.HasSuffix(c.Name, suffix) {
					return c.ImageID
				}
			}
			return ""
		}
		if pulls != 1 || imageOf("web-0_log") != "new" || imageOf("web-1_log") != "new" {
			t.Errorf("%d pulls; images %q and %q", pulls, imageOf("web-0_log"), imageOf("web-1_log"))
		}
		stop := r.up()
		time.Sleep(time.Minute)
		down = errors.New("connection refused")
		var name string
		for n := range r.running() {
			if strings.HasSuffix(n, "web-0_log") {
				name = n
			}
		}
		if err := r.eng.Crash(name, 1, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if r.running()[name] != "" || pulls < 3 {
			t.Errorf("started without asking the registry; %d pulls", pulls)
		}
		if got := r.told(); !strings.Contains(got, "imagePullPolicy is Always") || !strings.Contains(got, "--offline") || !strings.Contains(got, "connection refused") {
			t.Errorf("told:\n%s", got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		before := pulls
		ctx, cancel := context.WithCancel(t.Context())
		cfg := r.config()
		cfg.Offline = true
		result := make(chan error, 1)
		go func() { result <- up(ctx, cfg, r) }()
		time.Sleep(time.Minute)
		cancel()
		if err := <-result; err != nil || pulls != before || r.running()[name] == "" {
			t.Errorf("offline: %v, %d more pulls, %v", err, pulls-before, r.running())
		}
	})
}

// All that a first run lacks is told at once.
func TestUp_FirstRunTellsEveryMissingImage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.app.Pod("web").Containers[0].Image = "nowhere/app:1"
		r.app.Pod("db").Containers[0].Image = "nowhere/db:1"
		r.onPull(func(_ context.Context, ref string) error {
			if ref == "nowhere/db:1" {
				time.Sleep(time.Second)
			}
			return nil
		})
		cfg := r.config()
		cfg.Once, cfg.Timeout = true, time.Hour
		err := up(t.Context(), cfg, nil)
		if err == nil || !strings.Contains(err.Error(), "nowhere/app:1") || !strings.Contains(err.Error(), "nowhere/db:1") {
			t.Errorf("error %v", err)
		}
		if left := r.everything(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// source makes the log container one that is built from a directory.
func (r *rig) source(files map[string]string) (context string) {
	r.t.Helper()
	dir := r.t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, "ctx", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.root = dir
	r.shape = func(s *docker.State) {
		for i := range s.Pods {
			c := s.Pods[i].Container("log")
			if c == nil {
				continue
			}
			c.Build = &docker.Build{Context: "ctx", Name: "mine/log:dev"}
			src, err := build.Read(r.t.Context(), dir, c.Build, build.Options{})
			if err != nil {
				r.t.Error(err)
			}
			c.Image = "cuepod/shop/web/log:" + src.Hash
			c.Hash = "h" + src.Hash
		}
	}
	return filepath.Join(dir, "ctx")
}

func TestUp_BuildsImagesAndFollowsTheirSource(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		dir := r.source(map[string]string{"Dockerfile": "FROM web:1\nCOPY a.txt /a.txt\n", "a.txt": "one"})
		builds := 0
		r.eng.SetHook(func(_ context.Context, phase fake.Phase, op, _ string) error {
			if phase == fake.Before && op == "BuildImage" {
				builds++
			}
			return nil
		})
		r.ready()
		r.up()
		image := func() string {
			for _, c := range r.containers() {
				if strings.HasSuffix(c.Name, "web-0_log") {
					return c.Image
				}
			}
			return ""
		}
		first := image()
		if builds != 1 || !strings.HasPrefix(first, "cuepod/shop/web/log:") {
			t.Errorf("%d builds, image %q", builds, first)
		}
		if img, err := r.eng.InspectImage(t.Context(), "mine/log:dev"); err != nil || img.Labels[labelID] != r.id().ID() {
			t.Errorf("under its own name: %+v, %v", img, err)
		}
		before := r.running()
		save := func(name, text string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			r.edit(func(*app.App) {})
			time.Sleep(time.Minute)
		}
		save("a.txt", "one")
		if builds != 1 || touched(before, r.running()) != "" {
			t.Errorf("%d builds, touched %q though nothing changed", builds, touched(before, r.running()))
		}
		save("a.txt", "two")
		if got := touched(before, r.running()); builds != 2 || strings.Count(got, "~") != 2 || strings.Count(got, "_log") != 2 {
			t.Errorf("%d builds, touched %q", builds, got)
		}
		if _, err := r.eng.InspectImage(t.Context(), first); engine.KindOf(err) != engine.NotFound {
			t.Errorf("the image before is still there: %v", err)
		}

		// A build that fails changes nothing, says where, and is not tried again.
		good, running := image(), r.running()
		r.told()
		save("Dockerfile", "FROM web:1\n\nCOPY b.txt /b.txt\n")
		told := r.told()
		for _, want := range []string{"image of web/log cannot be built", "ctx/Dockerfile:3", "COPY b.txt", "not found"} {
			if !strings.Contains(told, want) {
				t.Errorf("%q is not told:\n%s", want, told)
			}
		}
		if builds != 3 || image() != good || touched(running, r.running()) != "" {
			t.Errorf("%d builds, touched %q", builds, touched(running, r.running()))
		}
		save("b.txt", "there")
		if told := r.told(); !strings.Contains(told, "fixed") || builds != 4 || image() == good {
			t.Errorf("%d builds, image %q; told:\n%s", builds, image(), told)
		}
		save("Dockerfile", "BROKEN\n")
		r.told()
		save("Dockerfile", "FROM web:1\n\nCOPY b.txt /b.txt\n")
		if told := r.told(); !strings.Contains(told, "fixed") {
			t.Errorf("back to what was built before is a fix as well; told:\n%s", told)
		}
	})
}

func TestUp_FailedBuildOfAFirstRunLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.source(map[string]string{"Dockerfile": "FROM web:1\nRUN [\"/bin/false\"]\n"})
		r.eng.AddImage("web:1", fake.Image{Run: func(_ context.Context, p fake.Process) int {
			_, _ = p.Stdout.Write([]byte("cannot compile\n"))
			return 7
		}})
		cfg := r.config()
		cfg.Once, cfg.Timeout = true, time.Hour
		err := up(t.Context(), cfg, nil)
		for _, want := range []string{"web/log", "ctx/Dockerfile:2", "exit code: 7", "cannot compile"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not say %q", err, want)
			}
		}
		if left := r.everything(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestDown_VolumesTakesTheImagesThatWereBuilt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.source(map[string]string{"Dockerfile": "FROM web:1\n"})
		r.ready()
		images := func() int {
			list, err := r.eng.ListImages(t.Context(), r.id().selector())
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		if err := Down(t.Context(), r.eng, r.id(), DownOptions{}); err != nil || images() != 1 {
			t.Errorf("down: %v, %d images, want the one: the next run needs it", err, images())
		}
		apps, err := ListBuilt(t.Context(), r.eng)
		if want := (App{Name: r.id().App, Root: r.id().Root}); err != nil || len(apps) != 1 || apps[0] != want {
			t.Errorf("images are left of %+v, %v; want %+v", apps, err, want)
		}
		if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		if apps, err := ListBuilt(t.Context(), r.eng); err != nil || len(apps) > 0 {
			t.Errorf("a name that somebody gave is not ours to remove, and yet there is %+v, %v", apps, err)
		}
		list, err := r.eng.ListImages(t.Context(), r.id().selector())
		if err != nil || len(list) != 1 || len(list[0].Refs) != 1 || list[0].Refs[0] != "mine/log:dev" {
			t.Errorf("left %+v, %v; want what somebody named, and that alone", list, err)
		}
	})
}

// A claim outlives the app that made it: a run that fails to begin again must
// not take it along.
func TestUp_FailedStartKeepsTheClaimsOfAnEarlierRun(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		if err := Down(t.Context(), r.eng, r.id(), DownOptions{}); err != nil {
			t.Fatal(err)
		}
		before := r.everything()
		r.app.Pod("web").Containers[0].Image = "nowhere/app:1"
		cfg := r.config()
		cfg.Once, cfg.Timeout = true, time.Hour
		if err := up(t.Context(), cfg, nil); err == nil {
			t.Error("no error")
		}
		if diff := cmp.Diff(before, r.everything()); len(before) == 0 || diff != "" {
			t.Errorf("what the run before left (-want +got):\n%s", diff)
		}
	})
}

// ps is another process: it hears from the gateway why an image is not there.
//
// conformance:S3 S27
func TestStatus_TellsWhyAnImageIsNotThere(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		r.edit(func(a *app.App) {
			for _, c := range []app.Container{
				{Name: "none", Image: "nowhere:1", ImagePullPolicy: "IfNotPresent"},
				{Name: "ours", Image: "ours:1", ImagePullPolicy: "Never"},
			} {
				a.Pod("db").Containers = append(a.Pod("db").Containers, c)
			}
		})
		time.Sleep(10 * time.Second)
		st, err := GetStatus(t.Context(), r.eng, r.id())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range st.Pods {
			if p.Workload != "db" {
				continue
			}
			got := map[string]ContainerStatus{}
			for _, c := range p.Containers {
				got[c.Name] = c
			}
			if c := got["none"]; c.State != "waiting" || c.Reason != "ImagePullBackOff" || !strings.Contains(c.Message, "manifest for nowhere:1 not found") || c.RetryAt.IsZero() {
				t.Errorf("an image that is nowhere: %+v", c)
			}
			if c := got["ours"]; c.State != "waiting" || c.Reason != "ErrImageNeverPull" {
				t.Errorf("an image that may not be pulled: %+v", c)
			}
			if p.Ready || got["db"].State != "running" {
				t.Errorf("the pod: %+v", p)
			}
			return
		}
		t.Error("no pod db")
	})
}
