package compose_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/compose"
)

func rawText(name, text string) app.Raw { return app.Raw{Name: name, Kind: app.RawString, Text: text} }

func rawList(name string, items ...app.Raw) app.Raw {
	return app.Raw{Name: name, Kind: app.RawList, Items: items}
}

func rawStruct(name string, fields ...app.Raw) app.Raw {
	return app.Raw{Name: name, Kind: app.RawStruct, Items: fields}
}

// hatched has two replicas of a container with a hatch, and a service of its
// own in the app's.
func hatched(fields ...app.Raw) *app.App {
	hatch := &app.Hatch{Raw: rawStruct("", fields...)}
	extra := rawStruct("debug", rawText("image", "debug:$TAG"), rawList("profiles", rawText("", "debug")))
	return &app.App{
		Name:    "x",
		Compose: &app.Hatch{Raw: rawStruct("", rawStruct("services", extra), rawText("x-owner", "blue"))},
		Pods: []app.Pod{{Name: "web", Kind: "Deployment", Replicas: 2, Containers: []app.Container{{
			Name: "c", Image: "i", Env: []app.EnvVar{{Name: "A", Value: "$HOME"}}, Compose: hatch,
			SecurityContext: app.SecurityContext{Capabilities: app.Capabilities{Add: []string{"NET_ADMIN"}}},
		}}}},
	}
}

// What Compose reads is the definition's own and the hatch's, in which its
// variables are variables.
func TestHatch_IsWhatComposeReads(t *testing.T) {
	out, err := compose.Render(hatched(
		rawList("devices", rawText("", "/dev/fuse:/dev/fuse")),
		rawList("cap_add", rawText("", "SYS_ADMIN")),
		rawStruct("environment", rawText("B", "${TAG}-$$TAG")),
		app.Raw{Name: "shm_size", Kind: app.RawNumber, Text: "67108864"},
	), compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Findings) != 1 || out.Findings[0].Code != "compose/replicas-unrolled" {
		t.Errorf("findings: %v", out.Findings)
	}
	project, err := load(t, out.Files[0].Data, map[string]string{"TAG": "7"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web-0-c", "web-1-c"} {
		s := project.Services[name]
		got := map[string]string{}
		for k, v := range s.Environment {
			got[k] = *v
		}
		if diff := cmp.Diff(map[string]string{"A": "$HOME", "B": "7-$TAG"}, got); diff != "" {
			t.Errorf("%s: environment: %s", name, diff)
		}
		if diff := cmp.Diff([]string{"NET_ADMIN", "SYS_ADMIN"}, s.CapAdd); diff != "" {
			t.Errorf("%s: capabilities: %s", name, diff)
		}
		if len(s.Devices) != 1 || s.Devices[0].Source != "/dev/fuse" || s.ShmSize != 67108864 {
			t.Errorf("%s: devices %v, shared memory %d", name, s.Devices, s.ShmSize)
		}
	}
	if debug := project.DisabledServices["debug"]; debug.Image != "debug:7" {
		t.Errorf("the app's own service: %+v", debug)
	}
	if project.Extensions["x-owner"] != "blue" {
		t.Errorf("extensions: %v", project.Extensions)
	}
}

// A contradiction is told once, not for each replica.
func TestHatch_ContradictsOnce(t *testing.T) {
	_, err := compose.Render(hatched(rawText("restart", "no")), compose.Options{})
	var clash *targets.ContradictionError
	if !errors.As(err, &clash) || len(clash.Lines) != 1 {
		t.Errorf("got %v", err)
	}
}

// A service of the app's hatch cannot have the name that the pods answer to.
func TestHatch_KeepsNamesApart(t *testing.T) {
	a := hatched()
	a.Services = []app.Service{{Name: "debug", Pod: "web", Type: "ClusterIP", Ports: []app.ServicePort{{Name: "http", Port: 80}}}}
	_, err := compose.Render(a, compose.Options{})
	var clash *targets.ContradictionError
	if !errors.As(err, &clash) || len(clash.Lines) != 1 || !strings.Contains(clash.Lines[0], "compose.services.debug: the name is already that of services.debug") {
		t.Errorf("got %v", err)
	}
}
