package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

// The rules themselves are shown by the cases in ../testdata, with positions;
// here are the edges that no definition would show well.

func TestFieldPath(t *testing.T) {
	for path, want := range map[string]bool{
		"metadata.name": true, "metadata.namespace": true, "spec.nodeName": true, "status.podIP": true, "status.hostIP": true,
		"metadata.labels['app']": true, "metadata.annotations['example.com/a.b']": true,
		"": false, "metadata": false, "metadata.labels": false, "metadata.labels['']": false, "metadata.labels['a'": false,
		"metadata.labels[\"a\"]": false, "metadata.labels['a/b/c']": false, "metadata.uid": true, "status.podIPs": true, "status.hostIPs": true, "spec.serviceAccountName": true, "spec.hostname": false,
	} {
		if got := fieldPath(path, envFields()); got != want {
			t.Errorf("fieldPath(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestRelativePath(t *testing.T) {
	for path, want := range map[string]bool{
		"a": true, "a/b.txt": true, "..a": true, "a..b": true, "./a": true,
		"": false, "/a": false, "..": false, "../a": false, "a/../b": false, "a\x00": false,
	} {
		if got := relativePath(path); got != want {
			t.Errorf("relativePath(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestQualifiedName(t *testing.T) {
	for key, want := range map[string]bool{
		"a": true, "A.b_c-d": true, "example.com/a": true, strings.Repeat("a", 63): true, strings.Repeat("a", 253) + "/a": true,
		"": false, "-a": false, "a-": false, "/a": false, "a/": false, "Example.com/a": false, "a/b/c": false,
		strings.Repeat("a", 64): false, strings.Repeat("a", 254) + "/a": false,
	} {
		if got := qualifiedName(key); got != want {
			t.Errorf("qualifiedName(%q) = %v, want %v", key, got, want)
		}
	}
}

func pod(name, dependsOn string) app.Pod {
	p := app.Pod{Name: name, Kind: "Deployment", Replicas: 1, Containers: []app.Container{{Name: "main", Image: "x"}}}
	if dependsOn != "" {
		p.DependsOn = []app.Dependency{{Service: dependsOn}}
	}
	return p
}

func service(name, pod string) app.Service {
	return app.Service{Name: name, Pod: pod, Type: "ClusterIP", Ports: []app.ServicePort{{Name: "x", Port: 1, Protocol: "TCP"}}}
}

func TestApp_ChainOfDependenciesIsNoCycle(t *testing.T) {
	a := &app.App{Name: "shop"}
	a.Pods = []app.Pod{pod("a", "b"), pod("b", "c"), pod("c", ""), pod("d", "b")}
	a.Services = []app.Service{service("b", "b"), service("c", "c")}
	if got := App(a); len(got) > 0 {
		t.Errorf("problems: %v", got)
	}
}

func TestApp_EachCycleIsReportedOnce(t *testing.T) {
	a := &app.App{Name: "shop"}
	a.Pods = []app.Pod{pod("a", "b"), pod("b", "a"), pod("c", "a")}
	a.Services = []app.Service{service("a", "a"), service("b", "b")}
	got := App(a)
	if len(got) != 1 || !strings.Contains(got[0].Message, "a -> b -> a") {
		t.Errorf("problems: %v", got)
	}
}

// conformance:S74
func TestApp_SizesAtTheLimit(t *testing.T) {
	a := &app.App{Name: "shop", ConfigMaps: []app.ConfigMap{{Name: "m", Data: map[string]string{"k": strings.Repeat("x", maxConfigMap-1)}}}}
	if got := App(a); len(got) > 0 {
		t.Errorf("problems at the limit: %v", got)
	}
	a.ConfigMaps[0].Data["k"] += "x"
	if got := App(a); len(got) != 1 {
		t.Errorf("problems above the limit: %v, want one", got)
	}
}

func TestIndexes(t *testing.T) {
	for text, want := range map[string]int{"0": 1, "0,2-4": 4, "1-9": 9, "9": 1} {
		if got, err := indexes(text, 10); err != nil || got != want {
			t.Errorf("indexes(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10", "0-10", "3,3", "4,2", "2-2", "3-1", "-1", "1-2-3", "a", "1,", " 1"} {
		if got, err := indexes(text, 10); err == nil {
			t.Errorf("indexes(%q) = %d, want an error", text, got)
		}
	}
}

func TestWindowsUser(t *testing.T) {
	for name, want := range map[string]bool{
		"ContainerUser": true, `NT AUTHORITY\SYSTEM`: true, `shop.example\web`: true, "a b": true,
		"": false, `a\`: false, `\a`: false, `a\b\c`: false, "a/b": false, "...": false, "a\x00": false, ".shop\\a": false, strings.Repeat("a", 105): false,
	} {
		if got := windowsUser(name); got != want {
			t.Errorf("windowsUser(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestAmount(t *testing.T) {
	for text, want := range map[app.CountOrPercent]int{"": 25, "0": 0, "0%": 0, "3": 3, "150%": 150, "99999999999999999999%": maxID} {
		if got := amount(text, 25); got != want {
			t.Errorf("amount(%q) = %d, want %d", text, got, want)
		}
	}
}

// A pod needs what its sidecars need, and then the most of what an init
// container needs beside those before it, and of all others together.
func TestRequestsOf(t *testing.T) {
	ctr := func(policy, cpu string) app.Container {
		return app.Container{RestartPolicy: policy, Resources: app.Resources{Requests: map[string]app.Quantity{"cpu": app.Quantity(cpu)}}}
	}
	cpu := func(r *app.Resources) app.Quantity { return orLimit(r, "cpu") }
	for _, c := range []struct {
		init, main []app.Container
		want       int64
	}{
		{nil, []app.Container{ctr("", "1"), ctr("", "500m")}, 1500},
		{[]app.Container{ctr("", "2")}, []app.Container{ctr("", "1")}, 2000},
		{[]app.Container{ctr("Always", "1"), ctr("", "2")}, []app.Container{ctr("", "1")}, 3000},
		{[]app.Container{ctr("", "2"), ctr("Always", "1")}, []app.Container{ctr("", "500m")}, 2000},
		{[]app.Container{ctr("", "2"), ctr("Always", "1")}, []app.Container{ctr("", "1500m")}, 2500},
	} {
		if got := requestsOf(&app.Pod{InitContainers: c.init, Containers: c.main}, cpu); got != c.want {
			t.Errorf("%v beside %v: %d, want %d", c.init, c.main, got, c.want)
		}
	}
}

func TestKeyOfPath(t *testing.T) {
	c := &checker{}
	p := c.place("pods.web", app.Pos{File: "a.cue", Line: 1})
	p.lines = map[string]app.Pos{"hostPID": {File: "a.cue", Line: 7}}
	for _, q := range []struct {
		place place
		path  string
		line  int
	}{
		{p.field("hostPID"), "pods.web.hostPID", 7},
		{p.field("os", "name"), "pods.web.os.name", 1},
		{p.key("my-key_1"), "pods.web.my-key_1", 1},
		{p.key("a.b/c"), `pods.web."a.b/c"`, 1},
		{p.item(3).field("a"), "pods.web[3].a", 1},
		{p.at(app.Pos{File: "a.cue", Line: 5}), "pods.web", 5},
		{p.at(app.Pos{}), "pods.web", 1},
	} {
		if q.place.path != q.path || q.place.pos.Line != q.line {
			t.Errorf("%s at line %d, want %s at line %d", q.place.path, q.place.pos.Line, q.path, q.line)
		}
	}
}

// A field of a new version of Kubernetes' API is checked for the kinds that it
// belongs to before the schema can offer it.
func TestKindFields_AreAllThatAreNotOfEveryPod(t *testing.T) {
	known := map[string]bool{}
	for _, own := range []string{"kind", "labels", "annotations", "dependsOn", "kubernetes"} {
		known[own] = true
	}
	for field := range strings.FieldsSeq(kubernetesType("PodSpec")) {
		name, _, _ := strings.Cut(field, "=")
		known[name] = true
	}
	for _, f := range kindFields(&app.Pod{}) {
		known[f.name] = true
	}
	for _, field := range app.Fields("Pod") {
		name, _, _ := strings.Cut(field, " ")
		if !known[name] {
			t.Errorf("nothing says which kinds have %s: add it to kindFields", name)
		}
	}
}

func TestSources_AreAllOfAVolume(t *testing.T) {
	_, all := chosen(sources(&app.Volume{})...)
	for _, field := range app.Fields("Volume") {
		if name, _, _ := strings.Cut(field, " "); name != "kubernetes" && !slices.Contains(all, name) {
			t.Errorf("sources lacks %s", name)
		}
	}
}
