package main

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/internal/sockfault"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
)

// TestSweep is what of the sweep fits a run of CI: points that the seed chooses,
// always the same. `make faults` runs all.
func TestSweep(t *testing.T) {
	if os.Getenv("CUEPOD_UPDATE") != "" {
		t.Skip("there is nothing to rewrite")
	}
	eng, err := dockerapi.New(dockerapi.Options{})
	if err == nil {
		_, err = eng.Info(t.Context())
	}
	if err != nil {
		if os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1" {
			t.Fatal(err)
		}
		t.Skip("no engine: ", err)
	}
	if err := eng.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := config{
		tool: os.Getenv("CUEPOD"), seed: 1, only: regexp.MustCompile(""),
		shapes: []string{"pod", "lifecycle", "services"}, sample: 1, kills: true, faults: true, hands: true,
	}
	if err := sweep(context.WithoutCancel(t.Context()), cfg, t.Output()); err != nil {
		t.Error(err)
	}
}

func TestPoints_TheSeedChoosesAlwaysTheSame(t *testing.T) {
	a := points("pod", up, sockfault.KillAfter, 40, 5, 7)
	b := points("pod", up, sockfault.KillAfter, 40, 5, 7)
	if len(a) != 5 || a[0] != b[0] || a[4] != b[4] || a[0].n >= a[4].n {
		t.Errorf("points %v and %v", a, b)
	}
	if all := points("pod", up, sockfault.KillAfter, 40, 0, 7); len(all) != 40 || all[39].n != 40 {
		t.Errorf("all points: %v", all)
	}
}

func TestCheckKept(t *testing.T) {
	before := world{containers: map[string]object{
		"p_web-0":      {id: "i", hash: "P", role: "infra", running: true},
		"p_web-0_main": {id: "1", hash: "A", infra: "i", running: true},
		"p_web-0_gone": {id: "2", hash: "B", infra: "i", running: false},
	}}
	changed := func(name string, o object) world {
		after := world{containers: map[string]object{}}
		for n, c := range before.containers {
			after.containers[n] = c
		}
		after.containers[name] = o
		return after
	}
	for what, tt := range map[string]struct {
		after world
		bad   string
	}{
		"nothing changed":                    {before, ""},
		"the same definition, another one":   {changed("p_web-0_main", object{id: "9", hash: "A", infra: "i", running: true}), "p_web-0_main"},
		"another definition":                 {changed("p_web-0_main", object{id: "9", hash: "Z", infra: "i", running: true}), ""},
		"it did not run":                     {changed("p_web-0_gone", object{id: "9", hash: "B", infra: "i", running: true}), ""},
		"the infra container, for no reason": {changed("p_web-0", object{id: "j", hash: "P", running: true}), "p_web-0"},
	} {
		err := checkKept(before, tt.after)
		if (err == nil) != (tt.bad == "") || err != nil && !strings.HasSuffix(err.Error(), tt.bad) {
			t.Errorf("%s: %v, want %q", what, err, tt.bad)
		}
	}
}

func TestEndpointOf(t *testing.T) {
	for path, want := range map[string]string{
		"/containers/0a1b/json":          "/containers/*/json",
		"/containers/json":               "/containers/json",
		"/containers/0a1b":               "/containers/*",
		"/images/cuepod/infra:0a1b/json": "/images/*/json",
		"/networks/create":               "/networks/create",
		"/volumes/shop-1f2e3d_data":      "/volumes/*",
		"/_ping":                         "/_ping",
	} {
		if got := endpointOf(sockfault.Request{Method: "GET", Path: path}); got.path != want {
			t.Errorf("%s is of %s, want %s", path, got.path, want)
		}
	}
}

func TestCheckMessage(t *testing.T) {
	if err := checkMessage(result{code: 1, out: "no"}); err == nil {
		t.Error("two letters pass for an explanation")
	}
	if err := checkMessage(result{code: 1, out: "goroutine 1 [running]:"}); err == nil {
		t.Error("a stack trace passes for an explanation")
	}
	if err := errors.Join(checkMessage(result{}), checkMessage(result{code: 1, out: "image x:1 is not on the engine; build it"})); err != nil {
		t.Error(err)
	}
}
