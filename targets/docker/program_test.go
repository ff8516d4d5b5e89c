package docker

import (
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

// A container that stays may have its Go program from a copy, unless something
// else is where the program is. Its pod's agent needs no right for it, and the
// container is the same with and without.
func TestRender_ProgramsFromACopy(t *testing.T) {
	program := func(name string) app.Container {
		return app.Container{Name: name, Image: name + ":dev", Build: &app.Build{Go: "./" + name}}
	}
	definition := func() *app.App {
		hidden := program("hidden")
		hidden.VolumeMounts = []app.VolumeMount{{Name: "tmp", MountPath: "/app"}}
		return &app.App{Name: "shop", Pods: []app.Pod{
			{Name: "web", Kind: "Deployment", Replicas: 1, InitContainers: []app.Container{program("init")}, Containers: []app.Container{program("api"), hidden},
				Volumes: []app.Volume{{Name: "tmp", EmptyDir: &app.EmptyDir{}}}},
			{Name: "once", Kind: "Job", Containers: []app.Container{program("api")}},
		}}
	}
	render := func(live bool) *State {
		bases := map[string]string{"web/init": "b", "web/api": "b", "web/hidden": "b", "once/api": "b"}
		s, _, err := Render(definition(), Options{Live: live, Bases: bases})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	still, live := render(false), render(true)
	bases := map[string]string{"once/api": live.Jobs[0].Template.Containers[0].Build.Base}
	for _, name := range []string{"init", "api", "hidden"} {
		bases["web/"+name] = live.Pods[0].Container(name).Build.Base
	}
	for name, want := range map[string]string{"web/init": "", "web/api": "b", "web/hidden": "", "once/api": ""} {
		if bases[name] != want {
			t.Errorf("%s has the base %q, want %q", name, bases[name], want)
		}
	}
	if still.Pods[0].SyncVolume() != "" || live.Pods[0].SyncVolume() == "" || live.Jobs[0].Template.SyncVolume() != "" {
		t.Error("the volume for copies is where there are some")
	}
	if caps := live.Pods[0].Agent.Caps; len(caps) != len(still.Pods[0].Agent.Caps) {
		t.Errorf("the agent needs %v", caps)
	}
	if still.Pods[0].Container("api").Hash != live.Pods[0].Container("api").Hash {
		t.Error("the container is another one")
	}
}
