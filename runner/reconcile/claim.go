package reconcile

import (
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/targets/docker"
)

// Claims of a StatefulSet's replicas stay when their replica or their set goes,
// unless its persistentVolumeClaimRetentionPolicy says Delete.

// claimsOf are the volumes that are there of the claims from a template of a
// set, each with the pod it is for.
func claimsOf(s *docker.State, volumes map[string]bool, template, set string) map[string]string {
	prefix := docker.ClaimName(s.Prefix(), template+"-"+set+"-")
	out := map[string]string{}
	for name := range volumes {
		number, ok := strings.CutPrefix(name, prefix)
		if n, err := strconv.Atoi(number); ok && err == nil && strconv.Itoa(n) == number {
			out[name] = set + "-" + number
		}
	}
	return out
}

// DeletedClaims are the volumes of claims that go with the sets of a state.
func DeletedClaims(s *docker.State, volumes map[string]bool) map[string]bool {
	out := map[string]bool{}
	if s == nil {
		return out
	}
	for i := range s.Workloads {
		for _, template := range s.Workloads[i].DeletedClaims {
			for name := range claimsOf(s, volumes, template, s.Workloads[i].Name) {
				out[name] = true
			}
		}
	}
	return out
}

// removeClaims removes the claims of replicas that are scaled away, and of sets
// that are not defined any more.
func (b *builder) removeClaims() {
	s := b.defined
	for i := range s.Workloads {
		w := &s.Workloads[i]
		for _, template := range w.ScaledClaims {
			volumes := claimsOf(s, b.observed.Volumes, template, w.Name)
			for _, name := range sortedNames(volumes) {
				if pod := volumes[name]; s.Pod(pod) == nil {
					b.removeClaim(name, pod, "replicas are scaled away: whenScaled is Delete")
				}
			}
		}
	}
	if r := b.observed.Record; r != nil && r.State != nil {
		for i := range r.State.Workloads {
			w := &r.State.Workloads[i]
			if s.Workload(w.Name) != nil {
				continue
			}
			for _, template := range w.DeletedClaims {
				volumes := claimsOf(s, b.observed.Volumes, template, w.Name)
				for _, name := range sortedNames(volumes) {
					b.removeClaim(name, volumes[name], "its StatefulSet is not defined any more: whenDeleted is Delete")
				}
			}
		}
	}
}

func (b *builder) removeClaim(volume, pod, cause string) {
	if b.defined.Volume(volume) != nil {
		return // a claim of its own that has the name
	}
	after := none
	if last, ok := b.gone[pod]; ok {
		after = last
	}
	b.add(Step{Op: RemoveVolume, Object: "volume " + volume, Name: volume, Cause: cause}, after)
}
