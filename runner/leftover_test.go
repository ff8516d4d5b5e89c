package runner

import (
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// What a supervisor that was killed, or somebody's hand, left behind.

func TestUp_RemovesARecordThatALaterOneReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		before := r.everything()
		record := r.container("shop_record.1")
		labels := map[string]string{}
		for k, v := range record.Labels {
			labels[k] = v
		}
		labels[labelGeneration] = "2"
		spec := engine.ContainerSpec{Name: "shop_record.2", Image: rigAgent, Labels: labels}
		spec.Mounts = []engine.Mount{{Volume: "shop_vault_keys", Path: vaultDir, NoCopy: true}}
		if _, err := r.eng.CreateContainer(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		r.ready()
		want := slices.Clone(before)
		want[slices.Index(want, "container shop_record.1")] = "container shop_record.2"
		slices.Sort(want)
		if got := r.everything(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("on the engine %q, want %q", got, want)
		}
	})
}

// A label is input: an app whose record is damaged comes up, and goes down.
func TestUpAndDown_ADamagedRecord(t *testing.T) {
	damaged := func(t *testing.T, r *rig) {
		t.Helper()
		r.ready()
		record := r.container("shop_record.1")
		if err := r.eng.RemoveContainer(t.Context(), record.ID); err != nil {
			t.Fatal(err)
		}
		record.Labels[labelManifest] = "H4sI" // the beginning of one
		spec := engine.ContainerSpec{Name: record.Name, Image: rigAgent, Labels: record.Labels}
		spec.Mounts = []engine.Mount{{Volume: "shop_vault_keys", Path: vaultDir, NoCopy: true}}
		if _, err := r.eng.CreateContainer(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("up", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			damaged(t, r)
			before := r.running()
			r.ready()
			if got := touched(before, r.running()); got != "" {
				t.Errorf("touched %q", got)
			}
			for _, name := range r.everything() {
				if strings.HasPrefix(name, "container shop_record.") && name != "container shop_record.2" {
					t.Errorf("left %s", name)
				}
			}
		})
	})
	t.Run("down", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			damaged(t, r)
			if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
				t.Fatal(err)
			}
			if got := r.everything(); len(got) > 0 {
				t.Errorf("left %q", got)
			}
		})
	})
}

// A down that was killed may have left the network alone: it has to be found.
func TestList_AnAppOfWhichOnlyTheNetworkIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		if _, err := r.eng.CreateNetwork(t.Context(), engine.NetworkSpec{Name: "shop", Labels: r.id().labels(), Subnet: "10.3.0.0/22", Gateway: "10.3.0.1"}); err != nil {
			t.Fatal(err)
		}
		apps, err := List(t.Context(), r.eng)
		if err != nil || !slices.Equal(apps, []App{{Name: "shop", Root: "/src/shop"}}) {
			t.Errorf("got %v, %v", apps, err)
		}
	})
}

// The engine shows a container that is being removed as one that ended.
func TestNoticeExits_NotOfAContainerThatNeverRan(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c, err := r.config().Compile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSupervisor(t.Context(), r.config(), c)
		if err != nil {
			t.Fatal(err)
		}
		seen := func(state reconcile.State) *observation {
			o := arrange(nil)
			o.Pods["web-0"] = &reconcile.Pod{Name: "web-0", Members: []reconcile.Container{{ID: "1", Key: "app", State: state}}}
			return o
		}
		s.loop.seen = seen(reconcile.Exited)
		s.noticeExits(t.Context(), seen(reconcile.Created))
		if got := r.told(); got != "" {
			t.Errorf("told:\n%s", got)
		}
	})
}
