package runner

import (
	"fmt"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// Who leads connections and does not follow yet is waited for, and nobody else.
func TestBehind(t *testing.T) {
	seen := &observation{Observed: reconcile.Observed{Pods: map[string]*reconcile.Pod{}}}
	pod := func(name string, state reconcile.State, paused bool) {
		seen.Pods[name] = &reconcile.Pod{Name: name, Infra: &reconcile.Container{State: state, Paused: paused}}
	}
	pod("follows", reconcile.Running, false)
	pod("late", reconcile.Running, false)
	pod("cut-off", reconcile.Running, false)
	pod("new", reconcile.Running, false)
	pod("paused", reconcile.Running, true)
	pod("dead", reconcile.Exited, false)
	status := api.Status{Generation: 5, Pods: map[string]api.PodStatus{
		"follows": {Connected: true, Generation: 5}, "late": {Connected: true, Generation: 4}, "cut-off": {Generation: 3}, "new": {},
		"paused": {Connected: true, Generation: 4}, "dead": {Generation: 4}, "gone": {Generation: 4},
	}}
	for _, tt := range []struct {
		sent   int64
		linked bool
		pod    string
		want   string
	}{
		{5, true, "", "[the agent of pod cut-off the agent of pod late]"},
		{5, true, "late", "[the agent of pod late]"},
		{5, true, "follows", "[]"},
		{6, true, "follows", "[the gateway]"},
		{3, true, "", "[]"},
		{6, false, "", "[]"},
	} {
		if got := fmt.Sprint(behind(view{seen: seen, status: status, linked: tt.linked}, tt.sent, tt.pod)); got != tt.want {
			t.Errorf("%d, on the line %v: %s, want %s", tt.sent, tt.linked, got, tt.want)
		}
	}
}

func TestPortsOf(t *testing.T) {
	s := &docker.State{
		Pods: []docker.Pod{
			{Name: "one", Containers: []docker.Container{{Name: "app", TCP: []int{80}, Probes: []docker.Probe{
				{TCP: 81}, {TCP: 82, TCPHost: "elsewhere"}, {HTTP: &docker.HTTPProbe{Port: 80}}, {GRPC: &docker.GRPCProbe{Port: 83}}, {Exec: []string{"true"}}}}}},
			{Name: "two", Containers: []docker.Container{{Name: "app", TCP: []int{80}}, {Name: "other"}}},
		},
		Services: []docker.Service{{Ports: []docker.ServicePort{
			{Protocol: "TCP", Targets: map[string]int{"one": 90, "two": 91}}, {Protocol: "UDP", Targets: map[string]int{"one": 53, "two": 54}}}}},
	}
	s.Pods[1].Containers[0].UDP = []int{55}
	for what, want := range map[[2]string]string{{"one", "app"}: "[53]", {"two", "app"}: "[55]", {"two", "other"}: "[]", {"three", "app"}: "[]"} {
		if got := fmt.Sprint(datagramsOf(s, what[0], what[1])); got != want {
			t.Errorf("datagrams of %s/%s: %s, want %s", what[0], what[1], got, want)
		}
	}
	for what, want := range map[[2]string]string{
		{"one", "app"}: "[80 81 83 90]", {"two", "app"}: "[80]", {"two", "other"}: "[]", {"three", "app"}: "[]", {"one", "gone"}: "[]",
	} {
		if got := fmt.Sprint(portsOf(s, what[0], what[1])); got != want {
			t.Errorf("%s/%s: %s, want %s", what[0], what[1], got, want)
		}
	}
}
