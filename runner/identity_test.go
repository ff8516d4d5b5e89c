package runner

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// checkout is the rig's app as it runs from a directory.
func (r *rig) checkout(root string) (Config, Identity) {
	id := Identity{App: "shop", Root: root}
	cfg := r.config()
	cfg.Once = true
	cfg.Compile = func(context.Context) (Compiled, error) {
		state, _, err := docker.Render(r.app, docker.Options{Project: id.Project()})
		return Compiled{State: state, Root: root}, err
	}
	return cfg, id
}

func (r *rig) namesOf(id Identity) []string {
	r.t.Helper()
	list, err := r.eng.ListContainers(r.t.Context(), id.selector())
	if err != nil {
		r.t.Fatal(err)
	}
	return names(list)
}

func TestUp_TwoCheckoutsOfOneAppRunSideBySide(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.app.Services[1].Type, r.app.Services[1].Ports[0].NodePort = "ClusterIP", 0 // a port of the host is one app's
		a, idA := r.checkout("/src/a")
		b, idB := r.checkout("/src/b")
		for _, cfg := range []Config{a, b} {
			if err := up(t.Context(), cfg, nil); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if x, y := r.namesOf(idA), r.namesOf(idB); len(x) != len(y) || slices.Equal(x, y) {
			t.Errorf("containers of one %q, of the other %q", x, y)
		}
		for _, cfg := range []Config{a, b} {
			if plan, err := Plan(t.Context(), cfg); err != nil || !plan.Empty() {
				t.Errorf("not settled (%v):\n%s", err, plan)
			}
		}
		before := r.namesOf(idB)
		if err := Down(t.Context(), r.eng, idA, DownOptions{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		if left := r.namesOf(idA); len(left) > 0 {
			t.Errorf("left of the first: %q", left)
		}
		if got := r.namesOf(idB); !slices.Equal(got, before) {
			t.Errorf("taking down one left of the other %q, want %q", got, before)
		}
	})
}

// What has our names and not our labels is somebody else's.
func TestUp_NeverTouchesForeignObjectsOfOurNames(t *testing.T) {
	foreign := map[string]func(r *rig) error{
		"shop_web-0_app": func(r *rig) error {
			id, err := r.eng.CreateContainer(t.Context(), engine.ContainerSpec{Name: "shop_web-0_app", Image: "web:1", Labels: map[string]string{"dev.cuepod.app": "shop"}})
			if err != nil {
				return err
			}
			return r.eng.StartContainer(t.Context(), id)
		},
		"shop_data": func(r *rig) error { return r.eng.CreateVolume(t.Context(), engine.VolumeSpec{Name: "shop_data"}) },
		"shop": func(r *rig) error {
			_, err := r.eng.CreateNetwork(t.Context(), engine.NetworkSpec{Name: "shop", Subnet: "172.30.0.0/16", Gateway: "172.30.0.1"})
			return err
		},
	}
	for name, make := range foreign {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				if err := make(r); err != nil {
					t.Fatal(err)
				}
				before := r.everything()
				cfg := r.config()
				cfg.Once = true
				err := up(t.Context(), cfg, nil)
				if err == nil || !strings.Contains(err.Error(), "not of this app") || !strings.Contains(err.Error(), "the name "+name+" ") {
					t.Errorf("error: %v", err)
				}
				if got := r.everything(); !slices.Equal(got, before) {
					t.Errorf("on the engine: %q, want %q", got, before)
				}
				if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
					t.Error(err)
				}
				if got := r.everything(); !slices.Equal(got, before) {
					t.Errorf("after down: %q, want %q", got, before)
				}
			})
		})
	}
}

func TestUp_RefusesToGoOnUnderOtherNames(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		before := r.everything()
		cfg, _ := r.checkout(r.id().Root)
		err := up(t.Context(), cfg, nil)
		if err == nil || !strings.Contains(err.Error(), "cuepod down") {
			t.Errorf("error: %v", err)
		}
		if got := r.everything(); !slices.Equal(got, before) {
			t.Errorf("on the engine: %q, want %q", got, before)
		}
	})
}

func TestIdentity_ProjectIsReadableAndAnotherForEachRoot(t *testing.T) {
	a, b := Identity{App: "shop", Root: "/src/a"}, Identity{App: "shop", Root: "/src/b"}
	if a.Project() == b.Project() || !strings.HasPrefix(a.Project(), "shop-") || len(a.Project()) != len("shop-")+projectHash {
		t.Errorf("projects %s and %s", a.Project(), b.Project())
	}
}
