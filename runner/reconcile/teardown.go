package reconcile

import (
	"maps"
	"slices"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// Teardown is the plan that removes an app: portals and pods side by side, then
// the gateway, the volumes, the record and the network. volumes and records
// name what goes; everything else stays.
func Teardown(project string, o Observed, volumes, records []string) Plan {
	const cause = "down"
	b := newBuilder(Desired{State: &docker.State{App: project}, Strict: o.Record != nil && o.Record.Strict}, o, time.Time{})
	var gone []int
	for _, service := range slices.Sorted(maps.Keys(o.Portals)) {
		gone = append(gone, b.remove(o.Portals[service], Step{Object: "portal " + service, Role: RolePortal, Service: service, Cause: cause}))
	}
	turn := map[string][]int{} // by ordered workload: the removal of the replica before
	for _, name := range newestFirst(o.Pods) {
		p := o.Pods[name]
		ends := append(slices.Clone(turn[p.Workload]), b.removeMembers(p, cause, turn[p.Workload]...)...)
		if b.ordered(p) {
			turn[p.Workload] = ends
		}
		gone = append(gone, ends...)
	}
	for i := range o.Jobs {
		for _, id := range append(slices.Clone(o.Jobs[i].Stale), o.Jobs[i].ID) {
			gone = append(gone, b.removeObject(id, "job "+o.Jobs[i].Name, RoleJob, cause, gone...))
		}
	}
	for _, name := range sortedNames(o.Crons) {
		gone = append(gone, b.removeCron(name, cause, gone...)...)
	}
	gone = append(gone, b.remove(o.Gateway, Step{Object: "gateway", Role: RoleGateway, Cause: cause}, gone...))
	for _, r := range records {
		gone = append(gone, b.add(Step{Op: RemoveContainer, Object: "record " + r, Role: RoleRecord, Name: r, ID: r, Cause: cause}, gone...))
	}
	for _, v := range volumes {
		b.add(Step{Op: RemoveVolume, Object: "volume " + v, Name: v, Cause: cause}, gone...)
	}
	if o.Network != "" {
		b.add(Step{Op: RemoveNetwork, Object: "network " + project, ID: o.Network, Cause: cause}, gone...)
	}
	return Plan{Steps: b.steps}
}
