package reconcile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// withLog changes the log container of the web pods.
func withLog(f func(*docker.Container)) func(*docker.State) {
	return func(s *docker.State) {
		for i := range s.Pods {
			if c := s.Pods[i].Container("log"); c != nil {
				f(c)
			}
		}
	}
}

// newImage is an edit to an image that is nowhere yet.
func newImage(c *docker.Container) { c.Image, c.Hash = "log:2", "c-log2" }

// conformance:S3 S27
func TestDiff_ImageThatIsNotThere(t *testing.T) {
	failed := func(n int, ago time.Duration) Fetch {
		return Fetch{Failures: n, Ended: now.Add(-ago), Reason: ErrImagePull, Message: "no such tag"}
	}
	build := func(c *docker.Container) { newImage(c); c.Build = &docker.Build{Context: "."} }
	policy := func(policy string) func(*docker.Container) {
		return func(c *docker.Container) { newImage(c); c.PullPolicy = policy }
	}
	for _, tc := range []struct {
		name   string
		change func(*docker.Container)
		fetch  Fetch
		step   Op     // that brings the image; "" for none
		code   string // of the wait, if there is none
		words  string
	}{
		{"it is asked for", newImage, Fetch{}, PullImage, "", ""},
		{"it is built", build, Fetch{}, BuildImage, "", ""},
		{"it is on its way", newImage, Fetch{Running: true}, "", "", "is being pulled"},
		{"it is being built", build, Fetch{Running: true}, "", "", "is being built"},
		{"the registry said no", newImage, failed(1, 0), "", ImagePullBackOff, "no such tag; next try in 1s"},
		{"the pause is over", newImage, failed(1, time.Second), PullImage, "", ""},
		{"the pause grows", newImage, failed(4, time.Second), "", ImagePullBackOff, "next try in 7s"},
		{"the pause has an end", newImage, failed(40, 59*time.Second), "", ImagePullBackOff, "next try in 1s"},
		{"another try is under way", newImage, Fetch{Running: true, Failures: 2}, "", "", "is being pulled"},
		{"it may not be pulled", policy("Never"), Fetch{}, "", ErrImageNeverPull, "imagePullPolicy is Never"},
		{"a build that fails for good", build, Fetch{Failures: 1, Reason: ErrImageBuild, Message: "exit code: 1", Final: true, Ended: now.Add(-time.Hour)}, "", ErrImageBuild, "exit code: 1"},
		{"it is pulled anyway", policy("Always"), Fetch{}, PullImage, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := runningShop(t)
			before := w.running()
			w.Fetches = map[string]Fetch{"log:2": tc.fetch}
			d := shopState(withLog(tc.change))
			p := Diff(d, w.Observed, now)
			fetch := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Op == PullImage || s.Op == BuildImage })
			if tc.step != "" {
				if fetch < 0 || p.Steps[fetch].Op != tc.step {
					t.Fatalf("no step %q:\n%s", tc.step, p)
				}
				for i, s := range p.Steps {
					if (s.Op == Drain || s.Op == StopContainer || s.Op == CreateContainer) && !reaches(p, i, fetch) {
						t.Errorf("step %d does not wait for the image:\n%s", i+1, p)
					}
				}
				return
			}
			if fetch >= 0 {
				t.Errorf("a step brings the image:\n%s", p)
			}
			if len(p.Waits) != 2 || p.Waits[0].Code != tc.code || !strings.Contains(p.Waits[0].Reason, tc.words) {
				t.Errorf("waits %+v", p.Waits)
			}
			w.carryOut(t, d, p)
			if got := changedContainers(before, w.running()); got != "" {
				t.Errorf("touched %q: what runs goes on until the image is there", got)
			}
		})
	}
}

// A container that ends while what should replace it cannot be had is started again
// as it is, after a pause that does not grow.
func TestDiff_LastGoodIsStartedAgain(t *testing.T) {
	t.Run("a change of its own", func(t *testing.T) {
		lastGoodIsStartedAgain(t, shopState(withLog(newImage)), "~shop_web-0_log ~shop_web-1_log", "log")
	})
	t.Run("a change of the pod too", func(t *testing.T) {
		lastGoodIsStartedAgain(t, shopState(withLog(newImage), func(s *docker.State) {
			for i := range s.Pods {
				if s.Pods[i].Workload == "web" {
					s.Pods[i].Hash = "other"
				}
			}
		}), "~shop_web-0 ~shop_web-0_app ~shop_web-0_log ~shop_web-1 ~shop_web-1_app ~shop_web-1_log", "log", "app")
	})
}

func lastGoodIsStartedAgain(t *testing.T, d Desired, replaced string, ends ...string) {
	w := runningShop(t)
	before := w.running()
	w.Fetches = map[string]Fetch{"log:2": {Failures: 1, Reason: ErrImageBuild, Message: "exit code: 1", Final: true, Ended: now}}
	w.settle(t, d)
	for range 3 {
		for _, name := range ends {
			c := w.Pods["web-0"].Member(name)
			c.State, c.ExitCode, c.Started, c.Finished = Exited, 1, w.now, w.now
		}
		p := Diff(d, w.Observed, w.now)
		if !p.Empty() || !p.Wake().Equal(w.now.Add(time.Second)) {
			t.Fatalf("wakes at %v:\n%s", p.Wake(), p)
		}
		w.now = w.now.Add(time.Second)
		w.settle(t, d)
		if got := changedContainers(before, w.running()); got != "" {
			t.Errorf("touched %q", got)
		}
	}
	w.Fetches = nil
	w.settle(t, d)
	if got := changedContainers(before, w.running()); got != replaced {
		t.Errorf("touched %q, want %q", got, replaced)
	}
}

// One that has done its work stays as it is.
func TestDiff_LastGoodThatIsDoneStays(t *testing.T) {
	w := runningShop(t)
	d := shopState(func(s *docker.State) {
		withLog(newImage)(s)
		for i := range s.Pods {
			s.Pods[i].RestartPolicy = "Never"
		}
	})
	w.Fetches = map[string]Fetch{"log:2": {Failures: 1, Reason: ErrImageBuild, Final: true, Ended: now}}
	w.settle(t, d)
	log := w.Pods["web-0"].Member("log")
	log.State, log.ExitCode, log.Finished = Exited, 0, w.now
	w.now = w.now.Add(time.Hour)
	if p := Diff(d, w.Observed, w.now); !p.Empty() {
		t.Errorf("it does something:\n%s", p)
	}
}

// Only what needs the image waits: the rest of the same pod is made, and the
// other pods.
func TestDiff_MissingImageHoldsOnlyItsContainer(t *testing.T) {
	w := runningShop(t)
	d := shopState(func(s *docker.State) {
		extra := s.Pods[1]
		extra.Name, extra.Workload, extra.EngineName = "new-0", "new", "shop_new-0"
		extra.Mounts, extra.Init, extra.DependsOn = nil, nil, nil
		extra.Containers = []docker.Container{
			{Name: "a", EngineName: "shop_new-0_a", Image: "nowhere:1", Hash: "a"},
			{Name: "b", EngineName: "shop_new-0_b", Image: "log:1", Hash: "b"},
		}
		s.Pods = append(s.Pods, extra)
	})
	w.Fetches = map[string]Fetch{"nowhere:1": {Failures: 1, Ended: now, Reason: ErrImagePull, Message: "not found"}}
	before := w.running()
	w.settle(t, d)
	if got, want := changedContainers(before, w.running()), "+shop_new-0 +shop_new-0_b"; got != want {
		t.Errorf("touched %q, want %q", got, want)
	}
	p := Diff(d, w.Observed, now)
	if wake := p.Wake(); !wake.Equal(now.Add(time.Second)) {
		t.Errorf("wakes at %v:\n%s", wake, p)
	}
	w.Fetches = nil
	w.settle(t, d)
	if got, want := changedContainers(before, w.running()), "+shop_new-0 +shop_new-0_a +shop_new-0_b"; got != want {
		t.Errorf("touched %q, want %q", got, want)
	}
}

// An init container whose image is missing holds the pod's containers.
func TestDiff_MissingImageOfInitContainer(t *testing.T) {
	w := newWorld("postgres:1", "log:1", "web:1")
	d := shopState(func(s *docker.State) {
		for i := range s.Pods {
			for n := range s.Pods[i].Init {
				s.Pods[i].Init[n].Image = "nowhere:1"
			}
		}
	})
	w.Record = &Record{ID: "r", State: shopState().State, AgentImage: agentImage} // it ran before
	w.Fetches = map[string]Fetch{"nowhere:1": {Failures: 1, Ended: now, Reason: ErrImagePull}}
	w.settle(t, d)
	for name := range w.running() {
		if strings.Contains(name, "web-0_") {
			t.Errorf("%s runs before its init container", name)
		}
	}
	if w.running()["shop_db-0_postgres"] == "" {
		t.Error("the other pod does not run")
	}
}

// Of a new app nothing is made before every image is there, those of jobs
// included.
func TestDiff_NewAppWaitsForAllImages(t *testing.T) {
	w := newWorld("postgres:1", "web:1")
	d := shopState()
	p := Diff(d, w.Observed, now)
	fetch := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Op == PullImage })
	for i, s := range p.Steps {
		if s.Op == CreateNetwork && !reaches(p, i, fetch) {
			t.Errorf("the network does not wait for the image:\n%s", p)
		}
	}
	w.Fetches = map[string]Fetch{"log:1": {Running: true}}
	p = Diff(d, w.Observed, now)
	if len(p.Steps) != 1 || p.Steps[0].Op != LoadImage || len(p.Waits) == 0 {
		t.Errorf("the plan while an image is on its way:\n%s", p)
	}
}

func TestDiff_PullPolicyAlways(t *testing.T) {
	always := withLog(func(c *docker.Container) { c.PullPolicy = "Always" })
	pulls := func(d Desired, w *world) int {
		n := 0
		for _, s := range Diff(d, w.Observed, now).Steps {
			if s.Op == PullImage {
				n++
			}
		}
		return n
	}
	crash := func(t *testing.T) *world {
		w := runningShop(t)
		for _, pod := range []string{"web-0", "web-1"} {
			c := w.find("shop_" + pod + "_log")
			c.State, c.ExitCode, c.Finished = Exited, 1, now
		}
		return w
	}
	d := shopState(always)
	if n := pulls(d, runningShop(t)); n != 0 {
		t.Errorf("%d pulls though nothing is made", n)
	}
	w := crash(t)
	if n := pulls(d, w); n != 1 {
		t.Errorf("%d pulls for two restarts at once, want one", n)
	}
	w.Fetches = map[string]Fetch{"log:1": {Ended: now.Add(-time.Second)}}
	if n := pulls(d, w); n != 0 {
		t.Errorf("%d pulls right after one", n)
	}
	w.Fetches = map[string]Fetch{"log:1": {Ended: now.Add(-time.Minute)}}
	if n := pulls(d, w); n != 1 {
		t.Errorf("%d pulls a minute after one", n)
	}
	w.Fetches = map[string]Fetch{"log:1": {Ended: now, Failures: 1, Reason: ErrImagePull, Message: "down"}}
	before := w.running()
	w.settle(t, d)
	if got := changedContainers(before, w.running()); got != "" {
		t.Errorf("touched %q: as in Kubernetes, no pull no start", got)
	}
	d.Offline = true
	if n := pulls(d, w); n != 0 {
		t.Errorf("%d pulls offline", n)
	}
	w.settle(t, d)
	if got, want := changedContainers(before, w.running()), "+shop_web-0_log +shop_web-1_log"; got != want {
		t.Errorf("offline: touched %q, want %q", got, want)
	}
}

func TestDiff_RemovesBuiltImagesThatNobodyUses(t *testing.T) {
	built := func(ref string) func(*docker.State) {
		return withLog(func(c *docker.Container) {
			c.Image, c.Hash, c.Build = ref, "h-"+ref, &docker.Build{Context: "."}
		})
	}
	w := newWorld("postgres:1", "web:1", "log:1")
	w.settle(t, shopState(built("cuepod/shop/web/log:1")))
	w.Built = []Image{{Ref: "cuepod/shop/web/log:1", ID: "id of cuepod/shop/web/log:1"}, {Ref: "cuepod/shop/gone/x:1", ID: "x"}}
	w.settle(t, shopState(built("cuepod/shop/web/log:1")))
	if len(w.Built) != 1 {
		t.Errorf("left %v: the image of a container that is gone is not needed", w.Built)
	}
	d := shopState(built("cuepod/shop/web/log:2"))
	for i, s := range Diff(d, w.Observed, now).Steps {
		if s.Op == RemoveImage {
			t.Errorf("step %d removes an image that a container runs from", i+1)
		}
	}
	w.settle(t, d)
	if len(w.Built) != 0 {
		t.Errorf("left %v after it was replaced", w.Built)
	}
	// An engine refuses to remove it while the instance before is still there, and
	// who was refused does not ask again.
	w.Built = []Image{{Ref: "cuepod/shop/web/log:0", ID: "id of the one before"}}
	log := w.find("shop_web-0_log")
	log.Previous = &Container{ID: "p", Name: docker.PreviousName(log.Name), Key: "log", Infra: log.Infra, State: Exited, ImageID: "id of the one before", Hash: log.Hash}
	if p := Diff(d, w.Observed, now); slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Op == RemoveImage }) {
		t.Errorf("an instance that is kept uses the image:\n%s", p)
	}
}
