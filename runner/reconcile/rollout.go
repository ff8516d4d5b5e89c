package reconcile

import (
	"fmt"
	"slices"

	"github.com/cuepod/cuepod/targets/docker"
)

// pods makes and mends replicas. New and broken ones are worked on side by
// side; replicas of one workload that serve are changed one after the other,
// each only when the one before is ready again. Ordered replicas are also made
// one after the other, and changed from the last to the first.
func (b *builder) pods() {
	turn := map[string]int{} // by workload: what the next disruption waits for
	for i := range b.desired.State.Pods {
		if p := &b.desired.State.Pods[i]; !p.Ordered {
			b.takeTurn(p, turn)
		}
	}
	for i := range slices.Backward(b.desired.State.Pods) {
		if p := &b.desired.State.Pods[i]; p.Ordered && b.observed.Pods[p.Name] != nil {
			b.takeTurn(p, turn)
		}
	}
	b.newOrderedPods()
}

func (b *builder) takeTurn(p *docker.Pod, turn map[string]int) {
	prev, ok := turn[p.Workload]
	if !ok {
		prev = none
	}
	if last, disrupts := b.pod(p, prev); disrupts {
		turn[p.Workload] = b.awaitReady(p, last)
	}
}

func (b *builder) awaitReady(p *docker.Pod, after ...int) int {
	return b.add(Step{Op: AwaitReady, Object: "pod " + p.Name, Pod: p.Name}, after...)
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
		case !b.observed.Ready[p.Name]:
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

func (b *builder) newPodCause(p *docker.Pod) string {
	if n := b.running[p.Workload]; n > 0 {
		return fmt.Sprintf("replicas %d -> %d", n, b.wanted[p.Workload])
	}
	return "new pod"
}
