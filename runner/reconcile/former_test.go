package reconcile

import (
	"fmt"
	"testing"

	"github.com/cuepod/cuepod/targets/docker"
)

// inPlaceFleet is fleet without new pods: containers are replaced within them.
func inPlaceFleet(revision int) Desired {
	d := fleet(docker.Workload{Replicas: 2}, revision)
	d.Strict = false
	for i := range d.State.Pods {
		d.State.Pods[i].Hash = "the same"
		d.State.Pods[i].Containers[0].Probes = []docker.Probe{{Kind: "readiness", TCP: 8000 + revision}}
	}
	return d
}

// A container that has not been replaced yet is asked at the port that it has,
// also when the supervisor is another one by then, and the definition yet
// another. The twin is what is told without the record: the port that it will
// have.
//
// conformance:S96
func TestPresent_ContainersServeByTheirOwnPortsUntilTheyAreReplaced(t *testing.T) {
	// at holds what is told of every pod against what runs in it.
	at := func(w *world, d Desired, when string) {
		t.Helper()
		s := Present(d, &w.Observed)
		for _, p := range s.Pods {
			m := w.Pods[p.Name].Living("app")
			if !m.running() {
				continue
			}
			var revision int
			if _, err := fmt.Sscanf(m.Image, "web:%d", &revision); err != nil {
				t.Fatal(err)
			}
			target, probe := s.Services[0].Ports[0].Targets[p.Name], p.Containers[0].Probes[0].TCP
			if target != 8000+revision || probe != 8000+revision {
				t.Errorf("%s, pod %s runs %s: service to %d, probe at %d", when, p.Name, m.Image, target, probe)
			}
		}
	}
	w := fleetWorld(t, inPlaceFleet(1))
	d := inPlaceFleet(2)
	at(w, d, "before anything is done")
	w.Record.State = d.State
	if got := Present(d, &w.Observed).Services[0].Ports[0].Targets["web-0"]; got != 8002 {
		t.Errorf("the record does not know, and the service leads to %d", got)
	}
	w.Record.State = inPlaceFleet(1).State

	plan := Diff(d, w.Observed, w.now)
	do := w.doer(t, d, plan)
	replaced := 0
	for _, s := range plan.Steps {
		do(s)
		at(w, d, "after "+s.String())
		if s.Op == StartContainer {
			replaced++
		}
		if replaced == 1 {
			break // the supervisor is killed, or the definition changes
		}
	}
	d = inPlaceFleet(3)
	at(w, d, "as the definition changes again")
	plan = Diff(d, w.Observed, w.now)
	do = w.doer(t, d, plan)
	for _, s := range plan.Steps {
		do(s)
		at(w, d, "after "+s.String())
	}
	w.settle(t, d)
	if got := w.Record.Earlier; len(got) != 2 {
		t.Errorf("the record keeps %d, want what the two pods were", len(got))
	}
	if got := Diff(d, w.Observed, w.now); !got.Empty() {
		t.Errorf("it never ends:\n%s", got)
	}
}
