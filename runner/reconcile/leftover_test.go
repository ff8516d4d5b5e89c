package reconcile

import (
	"testing"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// A run that was killed after the last container of a replica and before its
// volumes leaves nothing for ever.
func TestDiff_RemovesVolumesOfReplicasThatAreGone(t *testing.T) {
	s := &docker.State{App: "shop", Workloads: []docker.Workload{{Name: "web"}}, Pods: []docker.Pod{{Name: "web-0", Workload: "web"}}}
	b := newBuilder(Desired{State: s}, Observed{Volumes: map[string]bool{
		"shop_web-0_tmp": true, "shop_web-1_tmp": true, "shop_web-1-0_tmp": true, "shop_data-web-1": true, "shop_vault_keys": true, "shop_other-1_tmp": true,
	}}, time.Time{})
	b.removeLeftVolumes()
	if len(b.steps) != 1 || b.steps[0].Op != RemoveVolume || b.steps[0].Name != "shop_web-1_tmp" {
		t.Errorf("steps %+v", b.steps)
	}
}
