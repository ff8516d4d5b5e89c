package reconcile

import (
	"strings"

	"github.com/cuepod/cuepod/targets/docker"
)

// removeLeftVolumes removes what was left of replicas that are neither defined
// nor there: a run was killed between the last container and the volumes.
func (b *builder) removeLeftVolumes() {
	for i := range b.defined.Workloads {
		w := b.defined.Workloads[i].Name
		if b.defined.Job(w) != nil {
			continue // its pods may have the same names
		}
		prefix := docker.InfraName(b.desired.State.Prefix(), w+"-")
		for _, name := range sortedNames(b.observed.Volumes) {
			rest, ok := strings.CutPrefix(name, prefix)
			number, _, of := strings.Cut(rest, "_")
			pod := w + "-" + number
			if !ok || !of || number == "" || strings.Trim(number, "0123456789") != "" || b.observed.Pods[pod] != nil || b.desired.State.Pod(pod) != nil {
				continue
			}
			b.add(Step{Op: RemoveVolume, Object: "volume " + name, Name: name, Pod: pod, Cause: "its pod is gone"})
		}
	}
}
