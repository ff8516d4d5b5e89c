package check

import (
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
