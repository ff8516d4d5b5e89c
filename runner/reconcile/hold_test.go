package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/targets/docker"
)

// holding lists the stops of a plan, each with whether connections are held
// before it, and checks that they are from after the preStop hook on.
func holding(t *testing.T, p Plan) (out []string) {
	t.Helper()
	for _, s := range p.Steps {
		if s.Op != StopContainer || s.Role == RoleInfra {
			continue
		}
		held := false
		for _, before := range s.After {
			held = held || p.Steps[before].Op == Hold && p.Steps[before].ID == s.ID
		}
		for i, h := range p.Steps {
			if held && h.Op == PreStop && h.ID == s.ID && !slices.ContainsFunc(s.After, func(n int) bool { return p.Steps[n].Op == Hold && slices.Contains(p.Steps[n].After, i) }) {
				t.Errorf("connections are held before the preStop hook is done:\n%s", p)
			}
		}
		out = append(out, fmt.Sprintf("%s %v", s.Container, held))
	}
	return out
}

// Connections wait while a change of ours replaces a container in its living
// pod. They do not when it is restarted, when it goes for good or with its pod,
// and with --no-hold.
func TestDiff_HoldsConnectionsWhileAContainerIsReplaced(t *testing.T) {
	change := func(d *Desired) {
		for i := range d.State.Pods {
			c := &d.State.Pods[i].Containers[0]
			c.Hash, c.PreStop = "another", &docker.Hook{Exec: []string{"bye"}}
		}
	}
	tests := map[string]struct {
		noHold bool
		change func(*Desired, *world)
		want   string
	}{
		"its definition changed": {change: func(d *Desired, _ *world) { change(d) }, want: "app true, app true"},
		"with --no-hold":         {noHold: true, change: func(d *Desired, _ *world) { change(d) }, want: "app false, app false"},
		"its image was rebuilt":  {change: func(_ *Desired, w *world) { w.Images["web:1"] = "id of another" }, want: "app true, app true"},
		"it is down already": {change: func(d *Desired, w *world) {
			change(d)
			c := w.find("shop_web-0_app")
			c.State, c.Finished, c.ExitCode = Exited, now, 1
		}, want: "app true"},
		"its probe failed": {change: func(_ *Desired, w *world) { w.find("shop_web-0_app").Unhealthy = "liveness probe failed" }, want: "app false"},
		"the pod is made anew": {change: func(d *Desired, _ *world) {
			for i := range d.State.Pods {
				d.State.Pods[i].Hash = "another"
			}
		}, want: "app false, app false"},
		"fewer replicas": {change: func(d *Desired, _ *world) { *d = inPlaceFleet(1); d.State.Pods = d.State.Pods[:1] }, want: "app false"},
		"the container goes": {change: func(d *Desired, _ *world) {
			for i := range d.State.Pods {
				d.State.Pods[i].Containers[0].Name = "other"
			}
		}, want: "app false, app false"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := inPlaceFleet(1)
			w := fleetWorld(t, d)
			d = inPlaceFleet(1)
			tt.change(&d, w)
			d.Hold = !tt.noHold
			if got := strings.Join(holding(t, Diff(d, w.Observed, w.now)), ", "); got != tt.want {
				t.Errorf("stops, and whether connections are held: %s; want %s\n%s", got, tt.want, Diff(d, w.Observed, w.now))
			}
			w.settle(t, d)
		})
	}
}
