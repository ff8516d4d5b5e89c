package reconcile

import (
	"fmt"
	"slices"

	"github.com/cuepod/cuepod/targets/docker"
)

// pods makes and mends replicas. New and broken ones are worked on side by
// side; replicas of one workload that serve are changed one after the other, or
// as many at a time as may be away, each only when one before it is ready again.
// Ordered replicas are also made one after the other, and changed from the last
// to the first. Of a strict rollout there are only pods that may go now.
func (b *builder) pods() {
	turns := map[string]*turns{}
	stopping := b.recreated()
	for i := range b.desired.State.Pods {
		if p := &b.desired.State.Pods[i]; !p.Ordered && !stopping[p.Workload] {
			b.takeTurn(p, turns)
		}
	}
	for i := range slices.Backward(b.desired.State.Pods) {
		if p := &b.desired.State.Pods[i]; p.Ordered && b.observed.Pods[p.Name] != nil {
			b.takeTurn(p, turns)
		}
	}
	b.newOrderedPods()
}

// recreated stops what has to be made anew of a workload whose strategy is
// Recreate, and names those workloads: the next plan starts the new ones, when
// nothing old runs any more.
func (b *builder) recreated() map[string]bool {
	out := map[string]bool{}
	if b.desired.Strict {
		return out
	}
	for i := range b.desired.State.Pods {
		p := &b.desired.State.Pods[i]
		w, o := b.desired.State.Workload(p.Workload), b.observed.Pods[p.Name]
		if w == nil || w.Strategy != docker.Recreate || w.Replicas < 2 || o == nil {
			continue
		}
		if cause := b.rebuildCause(p, o); cause != "" && o.Infra.running() && b.hasRunningMember(o) {
			b.removePod(o, cause)
			out[w.Name] = true
		} else if cause == "" && b.stopOutdated(p, o) {
			out[w.Name] = true
		}
	}
	return out
}

// stopOutdated removes the running containers of a pod that have to be replaced,
// and reports whether there is one.
func (b *builder) stopOutdated(p *docker.Pod, o *Pod) bool {
	cause, image := b.disruption(p, o, nil)
	if cause == "" {
		return false
	}
	drained := b.add(Step{Op: Drain, Object: "pod " + p.Name, Pod: p.Name, Cause: cause}, image)
	for i := range p.Containers {
		m := o.Living(p.Containers[i].Name)
		if m.running() && b.replaceCause(&p.Containers[i], m, p.Name) != "" {
			b.removeAlone(memberStep(p.Name, m, b.replaceCause(&p.Containers[i], m, p.Name)), m, drained)
		}
	}
	return true
}

// turns are what the next disruptions of a workload wait for, in a circle: as
// many as may be away at a time.
type turns struct {
	after []int
	next  int
}

func (b *builder) turnsOf(workload string) *turns {
	t := &turns{after: []int{none}}
	w := b.desired.State.Workload(workload)
	switch {
	case w == nil:
	case b.desired.Strict, w.Strategy == docker.Recreate:
		t.after = nil // nobody waits
	case w.Strategy == docker.RollingUpdate:
		for len(t.after) < w.MaxUnavailable {
			t.after = append(t.after, none)
		}
	}
	return t
}

func (b *builder) takeTurn(p *docker.Pod, all map[string]*turns) {
	t := all[p.Workload]
	if t == nil {
		t = b.turnsOf(p.Workload)
		all[p.Workload] = t
	}
	if len(t.after) == 0 {
		b.pod(p, none)
		return
	}
	turn := t.next % len(t.after)
	if last, disrupts := b.pod(p, t.after[turn]); disrupts {
		t.after[turn] = b.awaitReady(p, last)
		t.next++
	}
}

func (b *builder) awaitReady(p *docker.Pod, after ...int) int {
	return b.add(Step{Op: AwaitReady, Object: "pod " + p.Name, Pod: p.Name, MinReady: b.minReady(p)}, after...)
}

// newOrderedPods makes the replicas that are missing, each when the one before
// it is ready.
func (b *builder) newOrderedPods() {
	gate := map[string]int{} // by workload: until when the next one waits
	for i := range b.desired.State.Pods {
		p := &b.desired.State.Pods[i]
		if !p.Ordered {
			continue
		}
		before, ok := gate[p.Workload]
		if !ok {
			before = none
		}
		switch {
		case b.observed.Pods[p.Name] == nil:
			gate[p.Workload] = b.createPod(p, b.newPodCause(p), before)
		case !b.observed.Available(p.Name, b.minReady(p), b.now):
			gate[p.Workload] = before
		default:
			continue
		}
		if b.hasNewAfter(p) {
			gate[p.Workload] = b.awaitReady(p, gate[p.Workload])
		}
	}
}

// hasNewAfter reports whether a later replica of the workload is missing.
func (b *builder) hasNewAfter(p *docker.Pod) bool {
	return slices.ContainsFunc(b.desired.State.Pods, func(q docker.Pod) bool {
		return q.Workload == p.Workload && q.Ordinal > p.Ordinal && b.observed.Pods[q.Name] == nil
	})
}

// minReady is for how many seconds a pod has to be ready to be available.
func (b *builder) minReady(p *docker.Pod) int {
	if w := b.desired.State.Workload(p.Workload); w != nil {
		return w.MinReady
	}
	return 0
}

func (b *builder) newPodCause(p *docker.Pod) string {
	if why := b.control.causes[p.Name]; why != "" {
		return why
	}
	if n := b.running[p.Workload]; n > 0 {
		return fmt.Sprintf("replicas %d -> %d", n, b.wanted[p.Workload])
	}
	return "new pod"
}
