package reconcile

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// instances lists the instances of a pod's container: the current one first.
func instances(w *world, pod string) (out []string) {
	m := w.Pods[pod].Living("app")
	for _, c := range []*Container{m, m.Previous, m.Next} {
		if c != nil {
			out = append(out, fmt.Sprintf("%s of %s %s", c.Name, c.Image, c.State))
		}
	}
	return out
}

// The next instance is made before the one that runs stops, and that one goes when
// the next has started: in between there is nothing but the stop and the start.
func TestDiff_MakesTheNextInstanceAhead(t *testing.T) {
	w := fleetWorld(t, inPlaceFleet(1))
	d := inPlaceFleet(2)
	d.Hold = true
	plan := Diff(d, w.Observed, w.now)
	order := func(op Op) int {
		return slices.IndexFunc(plan.Steps, func(s Step) bool {
			return s.Op == op && s.Pod == "web-0" && s.Container != "" || s.Op == op && op == Drain
		})
	}
	created, drained, held, stopped, started, removed := order(CreateContainer), order(Drain), order(Hold), order(StopContainer), order(StartContainer), order(RemoveContainer)
	for _, pair := range [][2]int{{created, drained}, {drained, held}, {held, stopped}, {stopped, started}, {started, removed}} {
		if pair[0] < 0 || !slices.Contains(plan.Steps[pair[1]].After, pair[0]) {
			t.Errorf("step %d does not come after step %d:\n%s", pair[1]+1, pair[0]+1, plan)
		}
	}
	if !slices.Contains(plan.Steps[held].Behind, slices.IndexFunc(plan.Steps, func(s Step) bool { return s.Op == WriteRecord })) {
		t.Errorf("connections are held while the record is written:\n%s", plan)
	}
}

// A run that is killed after any step of a swap is gone on with, whatever is
// wanted by then, and nothing is left of it.
func TestDiff_ASwapGoesOnFromAnyMoment(t *testing.T) {
	for revision := range 3 {
		d := inPlaceFleet(2)
		steps := len(Diff(d, fleetWorld(t, inPlaceFleet(1)).Observed, now).Steps)
		for n := range steps + 1 {
			t.Run(fmt.Sprintf("%d steps, then revision %d", n, revision+1), func(t *testing.T) {
				w := fleetWorld(t, inPlaceFleet(1))
				before := w.running()
				plan := Diff(d, w.Observed, w.now)
				do := w.doer(t, d, plan)
				for _, s := range plan.Steps[:n] {
					do(s)
					if m := w.Pods["web-0"].Living("app"); !m.running() && m.Previous == nil {
						t.Fatalf("after %s: %q, which nobody knows how to go on with", s, instances(w, "web-0"))
					}
				}
				want := inPlaceFleet(revision + 1)
				w.settle(t, want)
				for _, pod := range []string{"web-0", "web-1"} {
					if got := instances(w, pod); !slices.Equal(got, []string{fmt.Sprintf("shop_%s_app of web:%d running", pod, revision+1)}) {
						t.Errorf("%s: %q", pod, got)
					}
				}
				if revision == 0 && n == 0 && changedContainers(before, w.running()) != "" {
					t.Error("nothing was to be done")
				}
			})
		}
	}
}

// One whose next instance cannot be made runs on, and it is tried again. That is
// the twin of a change that can be made.
func TestDiff_OneThatCannotBeMadeReplacesNobody(t *testing.T) {
	w := fleetWorld(t, inPlaceFleet(1))
	d := inPlaceFleet(2)
	plan := Diff(d, w.Observed, w.now)
	do := w.doer(t, d, plan)
	for _, s := range plan.Steps {
		do(s)
		if s.Op == CreateContainer {
			break
		}
	}
	next := w.Pods["web-0"].Living("app").Next
	next.Waiting, next.Message, next.Tries, next.Created = "CreateContainerConfigError", "secret x is missing", 1, w.now
	plan = Diff(d, w.Observed, w.now)
	for _, s := range plan.Steps {
		if s.Pod == "web-0" && (s.Op == Drain || s.Op == StopContainer || s.Op == CreateContainer) {
			t.Fatalf("it is disturbed:\n%s", plan)
		}
	}
	if !slices.ContainsFunc(plan.Waits, func(x Wait) bool { return x.Object == "container web-0/app" && x.Until.After(w.now) }) {
		t.Errorf("nothing says what it waits for:\n%s", plan)
	}
	w.now = w.now.Add(time.Minute)
	w.settle(t, d)
	if got := instances(w, "web-0"); !slices.Equal(got, []string{"shop_web-0_app of web:2 running"}) {
		t.Errorf("when it can be made: %q", got)
	}
}

// Both run, as somebody started the one that is to go: there is one again.
func TestDiff_OneOfTwoInstancesThatRunStops(t *testing.T) {
	d := inPlaceFleet(1)
	w := fleetWorld(t, d)
	twin := *w.find("shop_web-0_app")
	twin.ID, twin.Name = w.id(), docker.PreviousName(twin.Name)
	w.Pods["web-0"].Members = append(w.Pods["web-0"].Members, twin)
	w.pair()
	w.settle(t, d)
	if got := instances(w, "web-0"); !slices.Equal(got, []string{"shop_web-0_app of web:1 running"}) || w.findID(twin.ID) != nil {
		t.Errorf("%q", got)
	}
}
