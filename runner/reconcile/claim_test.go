package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/targets/docker"
)

// set is a StatefulSet with a claim for each replica.
func set(replicas int, scaled, deleted bool) Desired {
	w := docker.Workload{Kind: docker.StatefulSet, Replicas: replicas, MaxUnavailable: 1}
	if scaled {
		w.ScaledClaims = []string{"data"}
	}
	if deleted {
		w.DeletedClaims = []string{"data"}
	}
	d := fleet(w, 1)
	for i := range d.State.Pods {
		p := &d.State.Pods[i]
		name := docker.ClaimName("shop", "data-"+p.Name)
		d.State.Volumes = append(d.State.Volumes, docker.Volume{Name: name, Kind: docker.Claim, Claim: "data-" + p.Name})
		p.Containers[0].Mounts = append(p.Containers[0].Mounts, docker.Mount{Volume: name, Path: "/data"})
	}
	return d
}

func claimNames(w *world) string {
	return strings.Join(slices.DeleteFunc(slices.Sorted(maps.Keys(w.Volumes)), func(v string) bool { return !strings.HasPrefix(v, "shop_data-") }), " ")
}

// Claims of a set stay when it shrinks and when it goes, unless its policy says
// that they go with it.
//
// conformance:S118
func TestClaims_GoWithTheirReplicaOnlyWhenToldTo(t *testing.T) {
	for _, scaled := range []bool{false, true} {
		w := fleetWorld(t, set(3, scaled, false))
		w.waves(t, set(3, scaled, false))
		w.Volumes["shop_data-web-x"] = true // somebody else's
		w.Volumes["shop_data-web-007"] = true
		w.waves(t, set(1, scaled, false))
		want := "shop_data-web-0 shop_data-web-007 shop_data-web-1 shop_data-web-2 shop_data-web-x"
		if scaled {
			want = "shop_data-web-0 shop_data-web-007 shop_data-web-x"
		}
		if got := claimNames(w); got != want {
			t.Errorf("whenScaled %t: claims %s, want %s", scaled, got, want)
		}
	}
	for _, deleted := range []bool{false, true} {
		w := fleetWorld(t, set(2, false, deleted))
		w.waves(t, set(2, false, deleted))
		none := Desired{State: &docker.State{App: "shop"}, AgentImage: agentImage, Strict: true}
		w.settle(t, none)
		want := "shop_data-web-0 shop_data-web-1"
		if deleted {
			want = ""
		}
		if got := claimNames(w); got != want {
			t.Errorf("whenDeleted %t: claims %s, want %s", deleted, got, want)
		}
		if got, want := len(DeletedClaims(set(2, false, deleted).State, map[string]bool{"shop_data-web-0": true, "shop_other": true})), 0; deleted != (got != want) {
			t.Errorf("whenDeleted %t: %d claims go with the app", deleted, got)
		}
	}
}

// A set's pod that is lost comes again under its name, with its claim.
//
// conformance:S118
func TestRollout_ALostReplicaComesAgainUnderItsName(t *testing.T) {
	d := set(3, true, true)
	w := fleetWorld(t, d)
	w.waves(t, d)
	w.Pods["web-1"].Infra.State = Exited
	if got := fmt.Sprint(w.waves(t, d)); got != "[0r1+ 1r1+ 2r1+]" || claimNames(w) != "shop_data-web-0 shop_data-web-1 shop_data-web-2" {
		t.Errorf("%s, claims %s", got, claimNames(w))
	}
}
