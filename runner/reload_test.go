package runner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/reconcile"
)

func TestEffects(t *testing.T) {
	step := func(op reconcile.Op, role reconcile.Role, pod, container string) reconcile.Step {
		return reconcile.Step{Op: op, Role: role, Pod: pod, Container: container}
	}
	create, remove := reconcile.CreateContainer, reconcile.RemoveContainer
	infra, main := reconcile.RoleInfra, reconcile.RoleApp
	for _, tc := range []struct {
		want  string
		steps []reconcile.Step
	}{
		{"in force, nothing restarted", nil},
		{"+1 pod web-2", []reconcile.Step{step(create, infra, "web-2", ""), step(create, main, "web-2", "api")}},
		{"-2 pods a, b", []reconcile.Step{step(remove, infra, "a", ""), step(remove, infra, "b", "")}},
		{"1 pod anew db", []reconcile.Step{step(remove, infra, "db", ""), step(create, infra, "db", ""), step(create, main, "db", "x")}},
		{"1 container anew web-0/api", []reconcile.Step{step(remove, main, "web-0", "api"), step(create, main, "web-0", "api")}},
		{"+5 pods p0, p1, p2 and 2 more", []reconcile.Step{
			step(create, infra, "p0", ""), step(create, infra, "p1", ""), step(create, infra, "p2", ""), step(create, infra, "p3", ""), step(create, infra, "p4", ""),
		}},
		{"1 container anew web-0/api, 1 image built", []reconcile.Step{{Op: reconcile.BuildImage, Name: "x"}, step(create, main, "web-0", "api")}},
	} {
		var e effects
		e.add(reconcile.Plan{Steps: tc.steps})
		if got := e.String(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

// One line says what was changed, what it did and how long it took.
//
//peers:1 24
func TestUp_AReloadIsToldInOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.changesOf = func(before, after any) string { return fmt.Sprintf("app.cue:%d replicas %v -> %v", 14, before, after) }
		stop := r.up()
		time.Sleep(time.Minute)
		synctest.Wait()
		r.told()
		r.edit(func(a *app.App) { a.Pod("web").Replicas = 3 })
		time.Sleep(time.Minute)
		synctest.Wait()
		told := r.told()
		if !strings.Contains(told, "app.cue:14 replicas 2 -> 3: +1 pod web-2, ready in ") {
			t.Errorf("told\n%s", told)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// toldInAMinute is what is told until nothing more happens.
func (r *rig) toldInAMinute() string {
	time.Sleep(time.Minute)
	synctest.Wait()
	return r.told()
}

func TestUp_RestartsWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		orders := make(chan Order)
		r.orders = orders
		stop := r.up()
		ids := func() (infra, members []string) {
			for _, c := range r.containers() {
				switch roleOf(&c) {
				case reconcile.RoleInfra:
					infra = append(infra, c.ID)
				case reconcile.RoleApp, reconcile.RoleSidecar:
					members = append(members, c.ID)
				}
			}
			slices.Sort(infra)
			return infra, members
		}
		r.toldInAMinute()
		infra, members := ids()
		if len(infra) == 0 || len(members) == 0 {
			t.Fatal("nothing runs")
		}
		orders <- OrderRestart
		told := r.toldInAMinute()
		sameInfra, now := ids()
		if !slices.Equal(infra, sameInfra) {
			t.Errorf("pods were made anew: %v, then %v", infra, sameInfra)
		}
		if len(now) != len(members) || slices.ContainsFunc(now, func(id string) bool { return slices.Contains(members, id) }) {
			t.Errorf("containers %v, then %v; told\n%s", members, now, told)
		}
		if again := r.toldInAMinute(); again != "" {
			t.Errorf("and then told\n%s", again)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUp_PausedChangesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		orders := make(chan Order)
		r.orders = orders
		stop := r.up()
		r.toldInAMinute()
		orders <- OrderPause
		r.edit(func(a *app.App) { a.Pod("web").Replicas = 3 })
		if told := r.toldInAMinute(); !strings.Contains(told, "paused: changes wait") || strings.Contains(told, "web-2") {
			t.Errorf("paused, told\n%s", told)
		}
		orders <- OrderPause
		if told := r.toldInAMinute(); !strings.Contains(told, "pod web-2: replicas 2 -> 3") {
			t.Errorf("going on, told\n%s", told)
		}
		orders <- OrderPause
		orders <- OrderPause
		if told := r.toldInAMinute(); !strings.Contains(told, "nothing has changed meanwhile") {
			t.Errorf("without a change, told\n%s", told)
		}
		r.mu.Lock()
		r.app.Pod("web").Replicas = 2 // as if no event had come
		r.mu.Unlock()
		orders <- OrderRebuild
		if told := r.toldInAMinute(); !strings.Contains(told, "pod web-2: replicas 3 -> 2") {
			t.Errorf("compiled again, told\n%s", told)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
