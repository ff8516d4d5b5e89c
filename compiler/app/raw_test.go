package app

import (
	"reflect"
	"testing"
)

func TestRaw_Field(t *testing.T) {
	name := Raw{Name: "name", Kind: RawString, Text: "web"}
	raw := &Raw{Kind: RawStruct, Items: []Raw{{Name: "metadata", Kind: RawStruct, Items: []Raw{name}}}}
	if got := raw.Field("metadata", "name"); !reflect.DeepEqual(got, &name) {
		t.Errorf("got %v", got)
	}
	if got := raw.String("metadata", "name"); got != "web" {
		t.Errorf("got %q", got)
	}
	for _, path := range [][]string{{"x"}, {"metadata", "x"}, {"metadata", "name", "x"}} {
		if got := raw.Field(path...); got != nil {
			t.Errorf("%v: got %v", path, got)
		}
	}
	var none *Hatch
	if raw.String("metadata") != "" || none.Field() != nil || none.Field("x") != nil {
		t.Error("what is not there is there")
	}
}

func TestClusterScoped(t *testing.T) {
	for kind, want := range map[string]bool{
		"Namespace": true, "ClusterRole": true, "ClusterIssuer": true, "StorageClass": true,
		"Role": false, "CronJob": false, "Widget": false,
	} {
		if got := ClusterScoped(kind); got != want {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

func TestApp_HatchFields(t *testing.T) {
	hatch := func(fields ...Raw) *Hatch { return &Hatch{Raw: Raw{Kind: RawStruct, Items: fields}} }
	field := func(name string, fields ...Raw) Raw { return Raw{Name: name, Kind: RawStruct, Items: fields} }
	a := &App{
		Compose: hatch(field("services", field("extra")), field("networks")),
		Pods: []Pod{{
			Name: "web", Kubernetes: hatch(field("workload", field("metadata"), field("spec", field("strategy"))), field("podSpec", field("affinity"))),
			InitContainers: []Container{{Name: "wait", Compose: hatch(field("build"))}},
			Containers:     []Container{{Name: "app", Kubernetes: hatch(field("lifecycle"))}},
			Volumes:        []Volume{{Name: "logs", Kubernetes: hatch(field("hostPath"))}},
		}},
		Services: []Service{{Name: "web", Kubernetes: hatch(field("trafficDistribution"))}},
	}
	want := []HatchField{
		{Target: "compose", Path: "compose.services.extra"},
		{Target: "compose", Path: "compose.networks"},
		{Target: "kubernetes", Path: "pods.web.kubernetes.workload.metadata"},
		{Target: "kubernetes", Path: "pods.web.kubernetes.workload.spec.strategy"},
		{Target: "kubernetes", Path: "pods.web.kubernetes.podSpec.affinity"},
		{Target: "compose", Path: "pods.web.initContainers.wait.compose.build"},
		{Target: "kubernetes", Path: "pods.web.containers.app.kubernetes.lifecycle"},
		{Target: "kubernetes", Path: "pods.web.volumes.logs.kubernetes.hostPath"},
		{Target: "kubernetes", Path: "services.web.kubernetes.trafficDistribution"},
	}
	if got := a.HatchFields(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
