package runner

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// strictly lets the rig replace pods as Kubernetes does.
func (r *rig) strictly() {
	r.options.Strict = true
	r.edits(func(a *app.App) {
		a.Pod("web").DependsOn = nil
		a.Pod("web").Replicas = 3
	})
}

// edits changes the definition while nobody looks.
func (r *rig) edits(f func(*app.App)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.app)
}

// revisions lists the pods of a workload that run, each with the image of its
// first container.
func (r *rig) revisions(workload string) string {
	images := map[string]string{}
	for _, c := range r.containers() {
		if c.Labels[labelWorkload] == workload && c.Labels[labelContainer] == "app" && c.State == engine.Running {
			images[c.Labels[labelPod]] = c.Image
		}
	}
	var out []string
	for _, pod := range slices.Sorted(maps.Keys(images)) {
		out = append(out, pod+" "+images[pod])
	}
	return strings.Join(out, ", ")
}

// bounds are the least and the most pods of a workload that were ready at once,
// and that were there, in the gateway's word.
type bounds struct{ least, most int }

func (r *rig) watchBounds(workload string) *bounds {
	b := &bounds{least: 1 << 30}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sees = func(s api.Status) {
		ready, there := 0, 0
		for name, p := range s.Pods {
			if strings.HasPrefix(name, workload+"-") {
				if p.Connected {
					there++
				}
				if p.Ready {
					ready++
				}
			}
		}
		b.least, b.most = min(b.least, ready), max(b.most, there)
	}
	return b
}

// conformance:S117
func TestStrict_RollsOutNewPodsWithoutEverHavingTooFewOrTooMany(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.strictly()
		r.ready()
		r.up()
		before := r.running()
		r.told()
		b := r.watchBounds("web")
		r.edit(func(a *app.App) { a.Pod("web").Containers[0].Image = "web:2" })
		time.Sleep(time.Minute)
		if got := r.revisions("web"); got != "web-0 web:2, web-1 web:2, web-2 web:2" {
			t.Errorf("there are %s", got)
		}
		if b.least != 3 || b.most != 4 {
			t.Errorf("at least %d ready and at most %d there, want 3 and 4", b.least, b.most)
		}
		want := "~shop_web-0 ~shop_web-0_app ~shop_web-0_log ~shop_web-1 ~shop_web-1_app ~shop_web-1_log ~shop_web-2 ~shop_web-2_app ~shop_web-2_log"
		if got := touched(before, r.running()); got != want {
			t.Errorf("touched %s", got)
		}
		told := r.told()
		for _, line := range []string{"pod web-3: serves while others are replaced", "pod web-0: container app: image web:1 -> web:2", "pod web-3: 3 replicas are enough", "shop is ready in"} {
			if !strings.Contains(told, line) {
				t.Errorf("not told %q:\n%s", line, told)
			}
		}
		r.settled()
	})
}

// What changes live in place, such as a probe, is a rollout when it is strict.
func TestStrict_WhateverOfTheTemplateChangesIsARollout(t *testing.T) {
	tests := []struct {
		name string
		edit func(*app.App)
		all  bool
	}{
		{"a probe", func(a *app.App) {
			p := *a.Pod("web").Containers[0].ReadinessProbe
			p.PeriodSeconds = 9
			a.Pod("web").Containers[0].ReadinessProbe = &p
		}, true},
		{"the grace period", func(a *app.App) { a.Pod("web").TerminationGracePeriodSeconds = 3 }, true},
		{"a label", func(a *app.App) { a.Pod("web").Labels = map[string]string{"a": "b"} }, true},
		{"a ConfigMap", func(a *app.App) { a.ConfigMaps[0].Data["a"] = "2" }, false},
		{"minReadySeconds", func(a *app.App) { a.Pod("web").MinReadySeconds = 2 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.strictly()
				r.ready()
				r.up()
				before := r.running()
				r.told()
				r.edit(tt.edit)
				time.Sleep(time.Minute)
				if told := r.told(); tt.name == "a probe" && !strings.Contains(told, "pod web-0: probes of container app changed") {
					t.Errorf("told:\n%s", told)
				}
				replaced := strings.Count(touched(before, r.running()), "~")
				if tt.all && replaced != 9 || !tt.all && replaced != 0 {
					t.Errorf("%d containers replaced: %s", replaced, touched(before, r.running()))
				}
				r.settled()
			})
		})
	}
}

// A supervisor that is killed in the middle of a rollout is followed by one that
// goes on with it.
func TestStrict_GoesOnAfterItsSupervisorIsKilled(t *testing.T) {
	for n := range 12 {
		inBubble(t, func(t *testing.T, r *rig) {
			r.strictly()
			r.ready()
			stop := r.up()
			b := r.watchBounds("web")
			r.edit(func(a *app.App) { a.Pod("web").Containers[0].Image = "web:2" })
			time.Sleep(time.Duration(n) * 20 * time.Millisecond)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			r.up()
			time.Sleep(time.Minute)
			if got := r.revisions("web"); got != "web-0 web:2, web-1 web:2, web-2 web:2" {
				t.Errorf("killed after %d ms: there are %s", n*20, got)
			}
			if b.least < 3 || b.most > 4 {
				t.Errorf("killed after %d ms: at least %d ready and at most %d there", n*20, b.least, b.most)
			}
			r.settled()
		})
	}
}

// conformance:S117
func TestStrict_PodsOfEarlierRevisionsKeepTheirPorts(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.strictly()
		r.edits(func(a *app.App) {
			a.Pod("web").Containers[0].Ports = []app.ContainerPort{{Name: "http", ContainerPort: 8001, Protocol: "TCP"}}
			a.Services[1].Ports[0].TargetPort = app.PortRef{Name: "http"}
		})
		r.ready()
		r.up()
		r.mu.Lock()
		r.unfit["web-3/app"] = true
		r.mu.Unlock()
		r.edit(func(a *app.App) { a.Pod("web").Containers[0].Ports[0].ContainerPort = 8002 })
		time.Sleep(time.Minute)
		ports := map[string]int{}
		for _, s := range r.last().Services {
			for _, b := range s.Ports[0].Backends {
				if s.Name == "web" {
					ports[b.Pod] = b.Port
				}
			}
		}
		if got := fmt.Sprint(ports); got != "map[web-0:8001 web-1:8001 web-2:8001 web-3:8002]" {
			t.Errorf("backends %s", got)
		}
	})
}

// conformance:S117
func TestRollout_ThatGoesNowhereIsReported(t *testing.T) {
	for _, strict := range []bool{false, true} {
		inBubble(t, func(t *testing.T, r *rig) {
			if strict {
				r.strictly()
			}
			deadline := 40
			r.edits(func(a *app.App) { a.Pod("web").ProgressDeadlineSeconds = &deadline })
			r.unfit["web-0/app"], r.unfit["web-1/app"] = true, true
			cfg := r.config()
			cfg.Once, cfg.Timeout = true, time.Hour
			began := time.Now()
			err := up(t.Context(), cfg, nil)
			var failed *FailedError
			if !errors.As(err, &failed) || !strings.HasPrefix(err.Error(), "deployment web: ProgressDeadlineExceeded: no progress for 40s; ") {
				t.Errorf("strict %t: %v", strict, err)
			}
			if took := time.Since(began); took < 40*time.Second || took > 45*time.Second {
				t.Errorf("strict %t: told after %v", strict, took)
			}
		})
	}
}

// conformance:S117
func TestRollout_ReadyOnceItsPodsHaveBeenForLongEnough(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.edits(func(a *app.App) { a.Pod("web").MinReadySeconds = 20 })
		began := time.Now()
		r.ready()
		if took := time.Since(began); took < 20*time.Second || took > 25*time.Second {
			t.Errorf("ready after %v", took)
		}
		r.up()
		time.Sleep(time.Minute)
		r.told()
		began = time.Now()
		r.edit(func(a *app.App) { a.Pod("web").Containers[0].Image = "web:2" })
		for !strings.Contains(r.revisions("web"), "web-1 web:2") {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took < 20*time.Second || took > 25*time.Second {
			t.Errorf("the second pod was replaced after %v", took)
		}
	})
}

// In place as well, Recreate stops all before anything new starts.
//
// conformance:S117
func TestRollout_RecreateInPlaceNeverRunsTwoRevisions(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.edits(func(a *app.App) { a.Pod("web").UpdateStrategy = &app.UpdateStrategy{Type: string(docker.Recreate)} })
		r.ready()
		r.up()
		mixed := ""
		r.edit(func(a *app.App) { a.Pod("web").Containers[0].Image = "web:2" })
		for range 10_000 {
			if got := r.revisions("web"); strings.Contains(got, "web:1") && strings.Contains(got, "web:2") {
				mixed = got
			}
			time.Sleep(time.Millisecond)
		}
		if got := r.revisions("web"); mixed != "" || got != "web-0 web:2, web-1 web:2" {
			t.Errorf("at once %q, then %q", mixed, got)
		}
		r.settled()
	})
}

// An app is ready though a replica is held back: the definition wants it so.
//
// conformance:S118
func TestStrict_IsReadyWithAPartition(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.strictly()
		one := 1
		r.edits(func(a *app.App) {
			a.Pod("web").Kind = "StatefulSet"
			a.Pod("web").UpdateStrategy = &app.UpdateStrategy{RollingUpdate: &app.RollingUpdate{Partition: &one}}
		})
		r.ready()
		r.edits(func(a *app.App) { a.Pod("web").Containers[0].Image = "web:2" })
		r.ready()
		if got := r.revisions("web"); got != "web-0 web:1, web-1 web:2, web-2 web:2" {
			t.Errorf("there are %s", got)
		}
	})
}
