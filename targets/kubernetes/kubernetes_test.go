package kubernetes_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

func sample() *app.App {
	return &app.App{
		Name: "x",
		Pods: []app.Pod{{
			Name: "web", Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 30,
			Containers: []app.Container{{Name: "c", Image: "i:1", EnvFrom: []app.EnvFromSource{{ConfigMapRef: &app.ConfigMapEnvSource{Name: "m"}}}}},
			Volumes:    []app.Volume{{Name: "v", ConfigMap: &app.ConfigMapSource{Name: "m"}}},
		}},
		Services:   []app.Service{{Name: "web", Pod: "web", Ports: []app.ServicePort{{Name: "http", Port: 80}}}},
		ConfigMaps: []app.ConfigMap{{Name: "m", Data: map[string]string{"a": "1", "b": "2"}}},
	}
}

func render(t *testing.T, a *app.App, format kubernetes.Format) targets.Output {
	t.Helper()
	out, err := kubernetes.Render(a, kubernetes.Options{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A changed ConfigMap is another ConfigMap, everywhere it is named; what is no
// change is the same.
func TestRender_ConfigMapNameFollowsItsData(t *testing.T) {
	names := func(data map[string]string) []string {
		a := sample()
		a.ConfigMaps[0].Data = data
		file := string(render(t, a, kubernetes.YAML).Files[0].Data)
		found := regexp.MustCompile(`m-[0-9a-f]{8}\b`).FindAllString(file, -1)
		if len(found) != 3 || found[0] != found[1] || found[1] != found[2] {
			t.Fatalf("%v: the ConfigMap, envFrom and the volume say %q", data, found)
		}
		return found
	}
	first := names(map[string]string{"a": "1", "b": "2"})
	for _, same := range []map[string]string{{"b": "2", "a": "1"}} {
		if got := names(same); !slices.Equal(got, first) {
			t.Errorf("%v: %q, was %q", same, got, first)
		}
	}
	for _, other := range []map[string]string{nil, {"a": "1"}, {"a": "2", "b": "1"}, {"a": "1b", "": "2"}, {"a": "1", "b": "2", "c": ""}} {
		if got := names(other); slices.Equal(got, first) {
			t.Errorf("%v has the name of other data, %q", other, got)
		}
	}
}

func TestRender_Formats(t *testing.T) {
	var names []string
	for _, f := range render(t, sample(), kubernetes.Dir).Files {
		names = append(names, f.Name)
		if !strings.HasPrefix(string(f.Data), "apiVersion: ") || strings.Contains(string(f.Data), "---") {
			t.Errorf("%s is not one document:\n%s", f.Name, f.Data)
		}
	}
	if want := []string{"configmap-m.yaml", "deployment-web.yaml", "service-web.yaml"}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}

	file := render(t, sample(), kubernetes.JSON).Files[0]
	var list struct {
		Kind  string
		Items []struct{ Kind string }
	}
	if err := json.Unmarshal(file.Data, &list); err != nil {
		t.Fatal(err)
	}
	if file.Name != "manifests.json" || list.Kind != "List" || len(list.Items) != 3 || list.Items[0].Kind != "ConfigMap" {
		t.Errorf("%s: %+v", file.Name, list)
	}
}

func TestRender_Errors(t *testing.T) {
	for want, change := range map[string]func(*app.App){
		`pod web: kind "Jab" is not supported`:  func(a *app.App) { a.Pods[0].Kind = "Jab" },
		`pod web: volume v: it has no source`:   func(a *app.App) { a.Pods[0].Volumes[0].ConfigMap = nil },
		`service web: there is no pod "absent"`: func(a *app.App) { a.Services[0].Pod = "absent" },
	} {
		a := sample()
		change(a)
		if _, err := kubernetes.Render(a, kubernetes.Options{}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := kubernetes.Render(sample(), kubernetes.Options{Format: "toml"}); err == nil {
		t.Error("an unknown format passes")
	}
}

// A selector cannot change once it exists, so nothing but the names is in it.
func TestRender_SelectorIsStable(t *testing.T) {
	a := sample()
	before := string(render(t, a, kubernetes.YAML).Files[0].Data)
	a.Labels = map[string]string{"team": "a", "app.kubernetes.io/name": "other", "app.kubernetes.io/version": "2"}
	a.Pods[0].Labels = map[string]string{"app.kubernetes.io/component": "other"}
	out := render(t, a, kubernetes.YAML)
	selector := regexp.MustCompile(`(?s)matchLabels:.*?template:`)
	if was, is := selector.FindString(before), selector.FindString(string(out.Files[0].Data)); was == "" || was != is {
		t.Errorf("selector was\n%s\nis\n%s", was, is)
	}
	if len(out.Findings) != 2 {
		t.Errorf("findings: %v", out.Findings)
	}
}

// An object in a file of its own never takes the place of one of ours.
func TestRender_ObjectsInEveryFormat(t *testing.T) {
	str := func(name, text string) app.Raw { return app.Raw{Name: name, Kind: app.RawString, Text: text} }
	a := sample()
	a.Objects = []app.Object{{Name: "web", Body: app.Raw{Kind: app.RawStruct, Items: []app.Raw{
		str("apiVersion", "v1"), str("kind", "ConfigMap"),
		{Name: "metadata", Kind: app.RawStruct, Items: []app.Raw{str("name", "m")}},
		{Name: "ratio", Kind: app.RawNumber, Text: "1.0"},
	}}}}
	var names []string
	for _, f := range render(t, a, kubernetes.Dir).Files {
		names = append(names, f.Name)
	}
	if want := []string{"configmap-m.yaml", "deployment-web.yaml", "object-web.yaml", "service-web.yaml"}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	if file := render(t, a, kubernetes.JSON).Files[0]; !json.Valid(file.Data) || !strings.Contains(string(file.Data), `"ratio": 1.0`) {
		t.Errorf("%s", file.Data)
	}
}
