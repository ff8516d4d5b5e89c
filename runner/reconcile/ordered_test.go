package reconcile

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cuepod/cuepod/targets/docker"
)

func ordered(s *docker.State) {
	for i := range s.Pods {
		s.Pods[i].Ordered = s.Pods[i].Workload == "web"
	}
}

// infraSteps are the indexes of the steps of a kind on the pods' infra containers.
func infraSteps(p Plan, op Op) map[string]int {
	out := map[string]int{}
	for i, s := range p.Steps {
		if s.Role == RoleInfra && s.Op == op {
			out[s.Pod] = i
		}
	}
	return out
}

// conformance:S118
func TestOrdered_StartsOneAfterTheOther(t *testing.T) {
	w := newWorld("postgres:1", "web:1", "log:1")
	d := shopState(ordered)
	p := Diff(d, w.Observed, now)
	golden(t, "ordered-start", p.String())
	created := infraSteps(p, CreateContainer)
	ready := none
	for i, s := range p.Steps {
		if s.Op == AwaitReady && s.Pod == "web-0" {
			ready = i
		}
	}
	if ready == none || !reaches(p, created["web-1"], ready) {
		t.Errorf("web-1 does not wait for web-0:\n%s", p)
	}
	w.settle(t, d)
}

// conformance:S118
func TestOrdered_WaitsForTheOneBeforeThatIsThereAndNotReady(t *testing.T) {
	w := runningShop(t)
	d := shopState(ordered)
	w.settle(t, d)
	w.removePodForTest("web-1")
	w.Ready["web-0"] = false
	p := Diff(d, w.Observed, now)
	if first := p.Steps[0]; first.Op != AwaitReady || first.Pod != "web-0" || !reaches(p, infraSteps(p, CreateContainer)["web-1"], 0) {
		t.Errorf("plan:\n%s", p)
	}
	w.Ready["web-0"] = true
	if p := Diff(d, w.Observed, now); p.Steps[0].Op == AwaitReady {
		t.Errorf("waits for what is ready:\n%s", p)
	}
}

// removePodForTest takes a pod away as a person would.
func (w *world) removePodForTest(name string) {
	delete(w.Pods, name)
	delete(w.Volumes, "shop_"+name+"_tmp")
}

// conformance:S118
func TestOrdered_StopsAndChangesInReverse(t *testing.T) {
	w := runningShop(t)
	w.settle(t, shopState(ordered))
	change := shopState(ordered, func(s *docker.State) {
		for i := range s.Pods {
			s.Pods[i].Containers[0].Hash += "x"
		}
	})
	p := Diff(change, w.Observed, now)
	var drains []string
	for _, s := range p.Steps {
		if s.Op == Drain {
			drains = append(drains, s.Pod)
		}
	}
	if len(drains) != 3 || drains[1] != "web-1" || drains[2] != "web-0" {
		t.Errorf("changed in the order %v:\n%s", drains, p)
	}
	gone := shopState(ordered, func(s *docker.State) { s.Pods, s.Volumes, s.Portals = s.Pods[:1], s.Volumes[:1], nil })
	for name, p := range map[string]Plan{"removal": Diff(gone, w.Observed, now), "down": Teardown("shop", w.Observed, nil, nil)} {
		stops := infraSteps(p, StopContainer)
		if !reaches(p, stops["web-0"], stops["web-1"]) || name == "down" && reaches(p, stops["db-0"], stops["web-1"]) {
			t.Errorf("%s: web-0 does not wait for web-1, or db-0 does:\n%s", name, p)
		}
	}
}

// Whatever is left of a plan when it is dropped and made anew, and whatever the
// record says by then, the replicas of a set stop from the last to the first.
//
// conformance:S118
func TestOrdered_StopsInReverseThoughPlansAreDropped(t *testing.T) {
	set := docker.Workload{Kind: docker.StatefulSet, Replicas: 3, MaxUnavailable: 1}
	var three, zero, gone [2]Desired // strict or not
	for i, strict := range []bool{false, true} {
		empty := set
		empty.Replicas = 0
		three[i], zero[i], gone[i] = fleet(set, 1), fleet(empty, 1), fleet(empty, 1)
		gone[i].State.Workloads = nil
		three[i].Strict, zero[i].Strict, gone[i].Strict = strict, strict, strict
	}
	for i := range three {
		for name, d := range map[string]Desired{"no replicas": zero[i], "no set": gone[i]} {
			for cut := 3; cut < 9; cut++ { // a drain alone is repeated for ever
				dropPlans(t, fleetWorld(t, three[i]), d, fmt.Sprintf("%s, %d steps", name, cut), cut, false)
				dropPlans(t, fleetWorld(t, three[i]), d, fmt.Sprintf("%s, the last %d steps", name, cut), cut, true)
			}
		}
	}
}

// dropPlans carries out a few steps of each plan, the first or the last that its
// graph allows, until nothing is left to do.
func dropPlans(t *testing.T, w *world, d Desired, name string, cut int, last bool) {
	t.Helper()
	for range 40 {
		p := Diff(d, w.Observed, w.now)
		do, done := w.doer(t, d, p), map[int]bool{}
		for range min(cut, len(p.Steps)) {
			next := none
			for i, s := range p.Steps {
				if !done[i] && !slices.ContainsFunc(s.After, func(a int) bool { return !done[a] }) {
					checkTurn(t, name, w, s, p)
					if next == none || last {
						next = i
					}
				}
			}
			done[next] = true
			do(p.Steps[next])
		}
	}
	if len(w.Pods) > 0 {
		t.Errorf("%s: there are still %v", name, sortedNames(w.Pods))
	}
}

// checkTurn finds a step that begins the end of a pod while a later one is there.
func checkTurn(t *testing.T, name string, w *world, s Step, p Plan) {
	t.Helper()
	if s.Op != Drain && s.Op != PreStop && s.Op != StopContainer && s.Op != RemoveContainer || s.Pod == "" {
		return
	}
	for other := range w.Pods {
		if serial(other) > serial(s.Pod) {
			t.Fatalf("%s: %s while %s is there:\n%s", name, s, other, p)
		}
	}
}
