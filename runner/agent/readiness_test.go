package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/api"
)

func TestPodStatus(t *testing.T) {
	net := func(kind string) api.Probe { return api.Probe{Kind: kind, TCP: &api.TCPProbe{Port: 1}} }
	exec := func(kind string) api.Probe { return api.Probe{Kind: kind} }
	up := func(exec map[string]bool, probes ...api.Probe) api.Container {
		return api.Container{Name: "c", ID: "1", Running: true, Exec: exec, Probes: probes}
	}
	says := func(id string, started, ready bool) *api.FromAgent {
		return &api.FromAgent{Generation: 1, Containers: map[string]api.ContainerStatus{"c": {ID: id, Started: started, Ready: ready}}}
	}
	all := func(v bool) map[string]bool {
		return map[string]bool{api.Startup: v, api.Readiness: v, api.Liveness: v}
	}
	for _, c := range []struct {
		what   string
		pod    api.Pod
		report *api.FromAgent
		want   string // pod ready; container started, ready
	}{
		{"no probes", api.Pod{Containers: []api.Container{up(nil)}}, says("1", true, true), "true true true"},
		{"no report yet", api.Pod{Containers: []api.Container{up(nil)}}, nil, "false true true"},
		{"no container yet", api.Pod{}, says("1", true, true), "false false false"},
		{"draining", api.Pod{Draining: true, Containers: []api.Container{up(nil)}}, says("1", true, true), "false true true"},
		{"not running", api.Pod{Containers: []api.Container{{Name: "c", ID: "1"}}}, says("1", true, true), "false false false"},
		{"not ready", api.Pod{Containers: []api.Container{up(nil, net(api.Readiness))}}, says("1", true, false), "false true false"},
		{"ready", api.Pod{Containers: []api.Container{up(nil, net(api.Readiness))}}, says("1", true, true), "true true true"},
		{"ready was the container before", api.Pod{Containers: []api.Container{up(nil, net(api.Readiness))}}, says("0", true, true), "false true false"},
		{"not started", api.Pod{Containers: []api.Container{up(nil, net(api.Startup))}}, says("1", false, false), "false false false"},
		{"started", api.Pod{Containers: []api.Container{up(nil, net(api.Startup))}}, says("1", true, true), "true true true"},
		{"exec probes without a verdict", api.Pod{Containers: []api.Container{up(nil, exec(api.Readiness))}}, says("1", true, false), "false true false"},
		{"exec probes that failed", api.Pod{Containers: []api.Container{up(all(false), exec(api.Startup), exec(api.Readiness))}}, says("1", true, true), "false false false"},
		{"exec probes that succeeded", api.Pod{Containers: []api.Container{up(all(true), exec(api.Startup), exec(api.Readiness))}}, says("1", false, false), "true true true"},
		{"exec startup, network readiness", api.Pod{Containers: []api.Container{up(all(true), exec(api.Startup), net(api.Readiness))}}, says("1", true, false), "false true false"},
		{"a liveness probe decides nothing", api.Pod{Containers: []api.Container{up(nil, net(api.Liveness))}}, says("1", true, true), "true true true"},
		{"one of two", api.Pod{Containers: []api.Container{up(nil), {Name: "d", ID: "2"}}}, says("1", true, true), "false true true"},
	} {
		st := podStatus(c.pod, c.report, false)
		got := fmt.Sprint(st.Ready, " ", st.Containers["c"].Started, " ", st.Containers["c"].Ready)
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
}

func TestReadyServices(t *testing.T) {
	in := []api.Service{{Name: "web", Ports: []api.ServicePort{{Port: 80, Backends: []api.Backend{
		{Pod: "a", IP: "10.1.2.3"}, {Pod: "b", IP: "10.1.2.4"}, {Pod: "c"}, {Pod: "gone", IP: "10.1.2.5"}}}}}}
	pods := map[string]api.Standing{"a": {Ready: true}, "b": {}, "c": {Ready: true}}
	out := readyServices(in, pods)
	if got := fmt.Sprint(out[0].Ports[0].Backends); got != "[{a  10.1.2.3 0 0}]" {
		t.Errorf("got %s", got)
	}
	in[0].NotReady = true
	in = append(in, api.Service{Name: "names", Headless: true, Backends: []api.Backend{{Pod: "a", IP: "10.1.2.3"}, {Pod: "b", IP: "10.1.2.4"}}})
	out = readyServices(in, pods)
	if got := fmt.Sprint(out[0].Ports[0].Backends); got != "[{a  10.1.2.3 0 0} {b  10.1.2.4 0 0} {gone  10.1.2.5 0 0}]" {
		t.Errorf("with publishNotReadyAddresses: got %s", got)
	}
	if got := fmt.Sprint(out[1].Backends); got != "[{a  10.1.2.3 0 0}]" {
		t.Errorf("without ports: got %s", got)
	}
	if len(in[0].Ports[0].Backends) != 4 {
		t.Error("the services that went in were changed")
	}
}

// conformance:S93 S94 S110
func TestReadyServices_WhoReceives(t *testing.T) {
	backends := []api.Backend{{Pod: "a", IP: "a"}, {Pod: "b", IP: "b"}, {Pod: "c", IP: "c"}, {Pod: "d"}}
	ready, leaving, not := api.Standing{Ready: true, Serving: true}, api.Standing{Serving: true}, api.Standing{}
	for _, c := range []struct {
		what    string
		service api.Service
		a, b, c api.Standing
		want    string
	}{
		{"ready alone", api.Service{}, ready, leaving, not, "a"},
		{"none ready: what still serves on its way out", api.Service{}, not, leaving, leaving, "bc"},
		{"none at all", api.Service{}, not, not, not, ""},
		{"a name without an address", api.Service{Headless: true}, not, leaving, leaving, ""},
		{"publishNotReadyAddresses", api.Service{NotReady: true}, ready, leaving, not, "abc"},
		{"and without an address", api.Service{NotReady: true, Headless: true}, not, leaving, not, "abc"},
	} {
		c.service.Ports = []api.ServicePort{{Port: 80, Backends: backends}}
		got := ""
		for _, b := range readyServices([]api.Service{c.service}, map[string]api.Standing{"a": c.a, "b": c.b, "c": c.c, "d": ready})[0].Ports[0].Backends {
			got += b.IP
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// Who lets connections wait is an endpoint where nobody else serves.
func TestReadyServices_WhoHolds(t *testing.T) {
	pods := map[string]api.Standing{
		"ready": {Ready: true, Serving: true}, "leaving": {Serving: true}, "left": {}, "held": {Held: true}, "both": {Serving: true, Held: true},
	}
	for _, tt := range []struct{ backends, want, headless string }{
		{"ready leaving left held", "[ready]", "[ready]"},
		{"held left", "[held]", "[held]"},
		{"leaving held", "[leaving]", "[held]"},
		{"both", "[both]", "[both]"},
	} {
		var all []api.Backend
		for _, pod := range strings.Fields(tt.backends) {
			all = append(all, api.Backend{Pod: pod, IP: "10.1.2.3"})
		}
		names := func(headless bool) string {
			out := []string{}
			for _, b := range receiving(api.Service{Headless: headless}, all, pods) {
				out = append(out, b.Pod)
			}
			return fmt.Sprint(out)
		}
		if names(false) != tt.want || names(true) != tt.headless {
			t.Errorf("of %s: %s and headless %s, want %s and %s", tt.backends, names(false), names(true), tt.want, tt.headless)
		}
	}
}

// Where a pod has rules its agent holds, and else the gateway; an agent that has
// said nothing yet holds nothing.
func TestPodStatus_Holds(t *testing.T) {
	pod := api.Pod{Draining: true, Containers: []api.Container{{Name: "c", ID: "1"}},
		Holds: []api.Hold{{Container: "c", ID: "1", Ports: []int{80, 81}, Next: []int{80}, Datagrams: []int{53}, Limit: 40}}}
	for _, tt := range []struct {
		report api.FromAgent
		held   bool
		ports  string
	}{
		{api.FromAgent{Generation: 7}, false, "[]"},
		{api.FromAgent{Generation: 7, Proxy: api.Proxy{Mode: api.ProxyNFTables}}, true, "[]"},
		{api.FromAgent{Generation: 6, Proxy: api.Proxy{Mode: api.ProxyUserspace}}, true, "[{53 true 40} {80 false 40} {81 false 40}]"},
		{api.FromAgent{Generation: 7, Proxy: api.Proxy{Mode: api.ProxyUserspace}, Held: api.Ports{TCP: []int{80}, UDP: []int{53}}}, true, "[{53 true 40} {80 false 40}]"},
		{api.FromAgent{Generation: 7, Proxy: api.Proxy{Mode: api.ProxyUserspace}}, true, "[]"},
	} {
		got := waits(pod, &tt.report, 7)
		if st := podStatus(pod, &tt.report, true); st.Held != tt.held || st.Ready || st.Serving || fmt.Sprint(got) != tt.ports {
			t.Errorf("%+v: %+v, the gateway holds %v", tt.report, st, got)
		}
	}
	if got := waits(api.Pod{}, &api.FromAgent{Proxy: api.Proxy{Mode: api.ProxyUserspace}}, 7); got != nil {
		t.Errorf("nothing is to be held: %v", got)
	}
	services := []api.Service{{Ports: []api.ServicePort{
		{Protocol: "TCP", Backends: []api.Backend{{Pod: "a", IP: "a", Port: 80}, {Pod: "b", IP: "b", Port: 80}, {Pod: "a", IP: "a", Port: 81}}},
		{Protocol: "UDP", Backends: []api.Backend{{Pod: "a", IP: "a", Port: 80}}}}}}
	marked := readyServices(services, map[string]api.Standing{"a": {Held: true, Serving: true, Waits: []api.Wait{{Port: 80, Limit: 40}}}, "b": {Serving: true}})
	var marks []int
	for _, p := range marked[0].Ports {
		for _, b := range p.Backends {
			marks = append(marks, b.Held)
		}
	}
	if fmt.Sprint(marks) != "[40 0 0 0]" {
		t.Errorf("%v", marks)
	}
}

func TestPortalTable(t *testing.T) {
	table, err := portalTable([]string{"tcp/30080=10.1.2.140:80", "udp/53=10.1.2.141:53"})
	if want := "TCP 0.0.0.0:30080 tcp/30080 -> 10.1.2.140:80\nUDP 0.0.0.0:53 udp/53 -> 10.1.2.141:53\n"; err != nil || table.String() != want {
		t.Errorf("got %s, %v", table, err)
	}
	for _, args := range [][]string{nil, {"tcp/80"}, {"80=10.1.2.3:80"}, {"tcp/x=10.1.2.3:80"}, {"tcp/0=10.1.2.3:80"}, {"sctp/80=10.1.2.3:80"},
		{"tcp/80=web:80"}, {"tcp/80=10.1.2.3"}, {"tcp/80=10.1.2.3:1", "tcp/80=10.1.2.3:2"}} {
		if table, err := portalTable(args); err == nil {
			t.Errorf("%q gives %s", args, table)
		}
	}
}
