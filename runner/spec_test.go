package runner

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// What a pod says of its network and namespaces is the infra container's, of
// its containers theirs, and the engine takes it.
func TestSpecs_PassOnWhatAPodSays(t *testing.T) {
	id, a := Identity{App: "shop", Root: "/src"}, candidate("x", 0)
	pod := &docker.Pod{
		Name: "web-0", EngineName: "shop_web-0", Hostname: "web-0", Domain: "web.test",
		Sysctls: map[string]string{"net.core.somaxconn": "9"}, PID: docker.PodPID,
		HostPorts: []docker.HostPort{{HostIP: "0.0.0.0", HostPort: 8081, Port: 80, Protocol: "TCP"}},
		Containers: []docker.Container{{
			Name: "app", EngineName: "shop_web-0_app", Image: "web:1", GroupAdd: []string{"7"}, Privileged: true, Unconfined: true,
			AppArmor: "mine", UnmaskedProc: true, Stdin: true, StdinOnce: true, TTY: true, StopSignal: "SIGINT",
			Env: []docker.EnvVar{{Name: "POD", Source: docker.Verbatim, Value: "web-0"}},
			Mounts: []docker.Mount{
				{HostPath: "/src/data", Create: true, Path: "/data", SubPathExpr: "$(POD)/x"},
				{HostPath: "/src/mnt", Create: true, Propagation: "rslave", Path: "/mnt"},
				{Volume: "shop_web-0_tmp", Path: "/tmp", SubPath: "s", ReadOnly: true},
			},
		}},
	}
	infra := infraSpec(id, pod, "agent:1", "net", a)
	got := engine.ContainerSpec{
		Network: infra.Network, Hostname: infra.Hostname, ExtraHosts: infra.ExtraHosts, CapAdd: infra.CapAdd,
		Sysctls: infra.Sysctls, Publish: infra.Publish, ShareableIPC: infra.ShareableIPC, HostIPC: infra.HostIPC,
	}
	want := engine.ContainerSpec{
		Network: "net", Hostname: "web-0", ExtraHosts: []string{"host.docker.internal:" + a.host()}, CapAdd: []string{"NET_ADMIN", "NET_BIND_SERVICE"},
		Sysctls: map[string]string{"net.core.somaxconn": "9"}, ShareableIPC: true,
		Publish: []engine.PortBinding{{HostIP: "0.0.0.0", HostPort: 8081, ContainerPort: 80, Protocol: "TCP"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("infra (-want +got):\n%s", diff)
	}
	if err := infra.Check(); err != nil {
		t.Error(err)
	}

	rt := runtime{infraID: "i", infra: "shop_web-0"}
	member, err := memberSpec(id, pod, &pod.Containers[0], reconcile.RoleApp, rt)
	if err != nil {
		t.Fatal(err)
	}
	if err := member.Check(); err != nil {
		t.Error(err)
	}
	mounts := []engine.Mount{
		{HostPath: "/src/data", Create: true, Path: "/data", SubPath: "web-0/x"},
		{HostPath: "/src/mnt", Propagation: "rslave", Path: "/mnt"}, // it has to be there
		{Volume: "shop_web-0_tmp", Path: "/tmp", SubPath: "s", ReadOnly: true, NoCopy: true},
	}
	if diff := cmp.Diff(mounts, member.Mounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	if member.JoinPID != "shop_web-0" || member.HostPID || !member.Privileged || !member.SeccompUnconfined || member.AppArmor != "mine" || !member.UnmaskedProc ||
		!member.OpenStdin || !member.StdinOnce || !member.TTY || member.StopSignal != "SIGINT" || len(member.GroupAdd) != 1 {
		t.Errorf("member %+v", member)
	}

	pod.PID, pod.HostIPC = docker.HostPID, true
	if member, err = memberSpec(id, pod, &pod.Containers[0], reconcile.RoleApp, rt); err != nil || !member.HostPID || member.JoinPID != "" {
		t.Errorf("the machine's processes: %+v, %v", member, err)
	}
	if infra = infraSpec(id, pod, "agent:1", "net", a); !infra.HostIPC || infra.ShareableIPC {
		t.Errorf("the machine's IPC: %+v", infra)
	}
	pod.PID = ""
	if member, err = memberSpec(id, pod, &pod.Containers[0], reconcile.RoleApp, rt); err != nil || member.HostPID || member.JoinPID != "" {
		t.Errorf("its own processes: %+v, %v", member, err)
	}
	pod.Containers[0].Mounts[0].SubPathExpr = "$(NOBODY)"
	if _, err = memberSpec(id, pod, &pod.Containers[0], reconcile.RoleApp, rt); err == nil || !strings.Contains(err.Error(), "NOBODY") {
		t.Errorf("a sub-path with an unknown variable: %v", err)
	}
}

// In the machine's network the infra container has no network, name or ports
// of its own, and no rights over it.
//
// conformance:S91
func TestInfraSpec_HostNetwork(t *testing.T) {
	a := candidate("x", 0)
	pod := &docker.Pod{Name: "web-0", EngineName: "shop_web-0", HostNetwork: true,
		HostPorts: []docker.HostPort{{HostIP: "0.0.0.0", HostPort: 80, Port: 80, Protocol: "TCP"}}}
	s := infraSpec(Identity{App: "shop"}, pod, "agent:1", "net", a)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if !s.HostNetwork || s.Network != "" || len(s.Publish) > 0 || len(s.CapAdd) > 0 {
		t.Errorf("spec %+v", s)
	}
	if got := podIP(pod, &engine.Container{}, a); got != a.host() {
		t.Errorf("address %s, want %s", got, a.host())
	}
}

// That a replica stops in its turn is read back from what is there.
func TestSpecs_TellThatAPodIsOrdered(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		spec := infraSpec(Identity{App: "shop", Root: "/src"}, &docker.Pod{Name: "web-0", Ordered: ordered}, "agent:1", "net", candidate("x", 0))
		seen := &observation{Observed: reconcile.Observed{Pods: map[string]*reconcile.Pod{}}}
		seen.sort(&engine.Container{Labels: spec.Labels})
		if got := seen.Pods["web-0"].Ordered; got != ordered {
			t.Errorf("ordered %v is read as %v", ordered, got)
		}
	}
}
