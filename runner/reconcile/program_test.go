package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/targets/docker"
)

// programRef is what the image of the n-th program is called.
func programRef(n int) string { return fmt.Sprintf("cuepod/shop/web/log:%d", n) }

// programShop is the shop with the n-th program in the log containers.
func programShop(n int, change ...func(*docker.Container)) Desired {
	return shopState(withLog(func(c *docker.Container) {
		c.Image, c.Hash, c.Build = programRef(n), fmt.Sprintf("c-log%d", n), &docker.Build{Go: "./log", Base: "base"}
		for _, f := range change {
			f(c)
		}
	}))
}

// runningPrograms is a world in which the first program runs from its image.
func runningPrograms(t *testing.T) *world {
	w := newWorld("postgres:1", "web:1")
	w.settle(t, programShop(1))
	for name := range w.Pods {
		w.Ready[name] = true
	}
	return w
}

// programs is what the log containers run: an image, or a copy over another.
func (w *world) programs() string {
	var out []string
	for _, pod := range []string{"web-0", "web-1"} {
		m := w.Pods[pod].Living("log")
		switch {
		case !m.running():
			out = append(out, "nothing")
		case m.Program != "":
			out = append(out, w.copies[pod+"/log/"+m.Program]+" by copy")
		default:
			out = append(out, m.Image)
		}
	}
	return strings.Join(slices.Compact(out), ", ")
}

func ops(p Plan) (out []Op) {
	for _, s := range p.Steps {
		out = append(out, s.Op)
	}
	return out
}

// A program that changed runs by a copy as soon as it is compiled, and its image
// follows when nobody waits for it.
func TestDiff_ChangedProgramNeedsNoImage(t *testing.T) {
	w := runningPrograms(t)
	before := w.running()
	p := Diff(programShop(2), w.Observed, now)
	index := func(op Op) int { return slices.Index(ops(p), op) }
	if index(BuildImage) >= 0 || index(RemoveImage) >= 0 || p.Aside() {
		t.Fatalf("images are built or removed:\n%s", p)
	}
	if reaches(p, index(CreateContainer), index(CompileProgram)) {
		t.Errorf("what is there already is waited for:\n%s", p)
	}
	for i, s := range p.Steps {
		if (s.Op == StopContainer || s.Op == Drain) && !reaches(p, i, index(CompileProgram)) || s.Op == StopContainer && !reaches(p, i, index(PutProgram)) {
			t.Errorf("step %d does not wait for the program:\n%s", i+1, p)
		}
	}
	w.carryOut(t, programShop(2), p)
	if got := w.programs(); got != programRef(2)+" by copy" {
		t.Errorf("runs %s", got)
	}
	if got, want := changedContainers(before, w.running()), "~shop_web-0_log ~shop_web-1_log"; got != want {
		t.Errorf("touched %q, want %q", got, want)
	}
	before = w.running()
	p = Diff(programShop(2), w.Observed, now)
	if got := ops(p); len(got) != 1 || got[0] != BuildImage || !p.Aside() || len(p.Summary()) != 0 {
		t.Errorf("then comes\n%s", p)
	}
	w.settle(t, programShop(2))
	if got := changedContainers(before, w.running()); got != "" || w.Images[programRef(2)] == "" {
		t.Errorf("the image touched %q", got)
	}
}

// What runs by a copy is not exchanged under it, and old images go.
func TestDiff_ProgramsTakeTurnsInTheirSlots(t *testing.T) {
	w := runningPrograms(t)
	for n := 2; n < 6; n++ {
		d := programShop(n)
		p := Diff(d, w.Observed, now)
		for _, s := range p.Steps {
			if m := w.Pods["web-0"].Living("log"); s.Op == PutProgram && s.Pod == "web-0" && s.Slot == m.Program {
				t.Errorf("program %d is put over the one that runs", n)
			}
		}
		w.settle(t, d)
		if got := w.programs(); got != programRef(n)+" by copy" {
			t.Errorf("runs %s", got)
		}
	}
	if len(w.Built) != 2 {
		t.Errorf("left %v, of which one is run from and one is of what runs", w.Built)
	}
}

// The next start after a crash is like any other, from the image.
func TestDiff_CrashedProgramStartsFromItsImage(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(w *world)
		want string
	}{
		{"the image is there", func(w *world) { w.settle(t, programShop(2)) }, programRef(2)},
		{"the image is not there", func(*world) {}, programRef(2) + " by copy"},
		{"somebody new supervises", func(w *world) { w.Fetches = nil }, programRef(2) + " by copy"},
		{"the other image is gone, too", func(w *world) { w.Fetches, w.Built = nil, nil; delete(w.Images, programRef(1)) }, programRef(2)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := runningPrograms(t)
			d := programShop(2)
			w.carryOut(t, d, Diff(d, w.Observed, now))
			tc.edit(w)
			for _, pod := range []string{"web-0", "web-1"} {
				m := w.Pods[pod].Living("log")
				m.State, m.ExitCode, m.Finished = Exited, 1, now.Add(-1)
			}
			w.settle(t, d)
			if got := w.programs(); got != tc.want {
				t.Errorf("runs %s", got)
			}
			if m := w.Pods["web-0"].Living("log"); m.Restarts != 1 || m.Previous == nil {
				t.Errorf("%d restarts: a crash is no change", m.Restarts)
			}
		})
	}
}

// Without an image that differs in nothing but the program there is nothing to
// copy over.
func TestDiff_OtherThanTheProgramNeedsAnImage(t *testing.T) {
	for name, change := range map[string]func(*docker.Container){
		"another base": func(c *docker.Container) { c.Build.Base = "other" },
		"no base":      func(c *docker.Container) { c.Build.Base = "" },
	} {
		w := runningPrograms(t)
		d := programShop(2, change)
		got := ops(Diff(d, w.Observed, now))
		if !slices.Contains(got, BuildImage) || slices.Contains(got, PutProgram) || slices.Contains(got, CompileProgram) {
			t.Errorf("%s: %v", name, got)
		}
		w.settle(t, d)
		if got := w.programs(); got != programRef(2) {
			t.Errorf("%s: runs %s", name, got)
		}
	}
}

// A program that does not compile leaves what runs.
func TestDiff_ProgramThatDoesNotCompile(t *testing.T) {
	w := runningPrograms(t)
	before := w.running()
	w.Fetches = map[string]Fetch{programRef(2): {Failures: 1, Final: true, Reason: ErrImageBuild, Message: "undefined: x", Ended: now}}
	p := Diff(programShop(2), w.Observed, now)
	w.carryOut(t, programShop(2), p)
	if got := changedContainers(before, w.running()); got != "" || len(p.Waits) == 0 || p.Waits[0].Code != ErrImageBuild {
		t.Errorf("touched %q:\n%s", got, p)
	}
}

// Wherever a run is killed, whoever comes next ends with the program that is
// defined: the same one, the one before, or another.
func TestDiff_ProgramFromWhereverItWasLeft(t *testing.T) {
	for _, next := range []int{2, 1, 3} {
		for _, knows := range []bool{true, false} {
			for cut := 0; ; cut++ {
				w := runningPrograms(t)
				d := programShop(2)
				p := Diff(d, w.Observed, now)
				if cut > len(p.Steps) {
					break
				}
				do := w.doer(t, d, p)
				for _, s := range p.Steps[:cut] {
					do(s)
				}
				if !knows || next != 2 {
					w.Fetches = nil
				}
				w.settle(t, programShop(next))
				got := w.programs()
				got = strings.Replace(strings.TrimSuffix(got, " by copy"), " by copy,", ",", 1)
				if got != programRef(next) {
					t.Fatalf("left after %d steps, then program %d: runs %s", cut, next, w.programs())
				}
				if again := Diff(programShop(next), w.Observed, now); !again.Empty() {
					t.Fatalf("left after %d steps, then program %d: still to do\n%s", cut, next, again)
				}
			}
		}
	}
}

// A pod that is new while the image is not there has its program from a copy, which
// its agent has to be there for. So it is with copies of files.
func TestDiff_CopiesWaitForTheAgent(t *testing.T) {
	w := runningPrograms(t)
	d := programShop(2)
	w.carryOut(t, d, Diff(d, w.Observed, now))
	w.removePodForTest("web-1")
	wait := func(p Plan) {
		t.Helper()
		agent := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Op == StartContainer && s.Role == RoleInfra && s.Pod == "web-1" })
		for i, s := range p.Steps {
			if s.Pod == "web-1" && s.Container == "log" && (s.Op == CreateContainer || s.Op == PutProgram) && !reaches(p, i, agent) {
				t.Errorf("step %d does not wait for the agent:\n%s", i+1, p)
			}
		}
	}
	wait(Diff(d, w.Observed, now))
	w.settle(t, d)
	if got := w.programs(); got != programRef(2)+" by copy" {
		t.Errorf("runs %s", got)
	}
	wait(Diff(shopState(withLog(func(c *docker.Container) {
		c.Dev = &docker.Dev{Sync: []docker.Sync{{From: "src", To: "/src"}}}
	})), newWorld("postgres:1", "web:1", "log:1").Observed, now))
}
