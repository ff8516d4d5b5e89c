package runner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// freePort is a port of this machine that nobody has.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// listening is a container that greets on a port.
func listening(port int, hostPort int, hostIP string) app.Container {
	return waiting("main", func(c *app.Container) {
		c.Args = []string{"listen", ":" + strconv.Itoa(port)}
		c.Ports = []app.ContainerPort{{Name: "main", ContainerPort: port, HostPort: hostPort, HostIP: hostIP, Protocol: "TCP", Pos: app.Pos{File: "app.cue", Line: 7, Column: 3}}}
		c.ReadinessProbe = &app.Probe{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Number: port}}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
	})
}

func greeting(address string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	data, err := io.ReadAll(conn)
	return string(data), err
}

// elsewhere is an engine that does not tell that it is on this machine.
type elsewhere struct{ engine.Engine }

func (e elsewhere) Info(ctx context.Context) (engine.Info, error) {
	info, err := e.Engine.Info(ctx)
	info.Local = false
	return info, err
}

// A pod in the machine's network has its address, names and ports; services
// lead to it, and it finds services when its policy says so.
//
// conformance:S88 S90 S91 S92
func TestHostNetwork_OnARealEngine(t *testing.T) {
	port := freePort(t)
	node := podOf("node", listening(port, 0, ""))
	node.HostNetwork, node.DNSPolicy = true, "ClusterFirstWithHostNet"
	node.Containers[0].Env = []app.EnvVar{fieldVar("POD_IP", "status.podIP"), fieldVar("HOST_IP", "status.hostIP")}
	plain := podOf("plain", waiting("main"))
	plain.HostNetwork = true
	plain.HostAliases = []app.HostAlias{{IP: "10.9.9.9", Hostnames: []string{"foo.local"}}}
	service := serviceOf("node", "node", false, 80)
	service.Ports[0].TargetPort = app.PortRef{Number: port}
	b := newBed(t, &app.App{Name: "host", Pods: []app.Pod{node, plain, podOf("web", waiting("main"))}, Services: []app.Service{service}})
	b.up()

	for _, pod := range []string{"web-0", "node-0"} {
		for _, name := range []string{"node:80", "node.default.svc.cluster.local:80"} {
			if got := b.run(pod, "main", "dial", name); got != "hello\n" {
				t.Errorf("%s dials %s: %q", pod, name, got)
			}
		}
	}
	if got := b.run("plain-0", "main", "dial", "node.default.svc.cluster.local:80"); !strings.HasPrefix(got, "exit code 1") {
		t.Errorf("ClusterFirst in the machine's network asks for services: %q", got)
	}
	if got, err := greeting(fmt.Sprintf("127.0.0.1:%d", port)); got != "hello\n" {
		t.Errorf("from the machine: %q, %v", got, err)
	}
	env := b.env("node-0", "main")
	if ip := b.ip("node-0"); env["POD_IP"] != ip || env["HOST_IP"] != ip || ip == "" {
		t.Errorf("addresses %q, %q and %q", env["POD_IP"], env["HOST_IP"], ip)
	}
	host, err := os.Hostname()
	if got := b.run("node-0", "main", "hostname"); err != nil || got != host+"\n" {
		t.Errorf("host name %q, the machine's is %q, %v", got, host, err)
	}
	hosts := b.run("plain-0", "main", "read", "/etc/hosts")
	if !strings.HasPrefix(hosts, "# Kubernetes-managed hosts file (host network).\n") || !strings.Contains(hosts, "\thost.docker.internal\n") ||
		!strings.HasSuffix(hosts, "\n# Entries added by HostAliases.\n10.9.9.9\tfoo.local\n") {
		t.Errorf("hosts file\n%s", hosts)
	}
}

// A port of the machine that somebody has is told before a container starts,
// by us where the engine is on this machine, by the agent where it is not.
func TestHostNetwork_PortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	node := podOf("node", listening(port, 0, ""))
	node.HostNetwork = true
	b := newBed(t, &app.App{Name: "taken", Pods: []app.Pod{node}})
	err = runner.Up(t.Context(), b.cfg)
	if want := fmt.Sprintf("app.cue:7:3: pod node-0: a host port of 0.0.0.0:%d is in use by another program", port); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	if list, err := b.eng.ListContainers(t.Context(), map[string]string{"dev.cuepod.app": b.id.App}); err != nil || len(list) > 0 {
		t.Errorf("it has made %d containers, %v", len(list), err)
	}

	b.cfg.Engine, b.cfg.Timeout = elsewhere{b.eng}, 2*time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, ended := make(chan string, 100), make(chan error, 1)
	b.cfg.Report = func(e runner.Event) {
		if e.Kind == runner.EventProblem {
			select {
			case told <- e.Object + ": " + e.Message:
			default:
			}
		}
	}
	go func() { ended <- runner.Up(ctx, b.cfg) }()
	want := fmt.Sprintf("TCP port %d of the machine is in use by another program", port)
	for found := false; !found; {
		select {
		case text := <-told:
			found = strings.Contains(text, want)
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		}
	}
	if c, err := b.eng.InspectContainer(t.Context(), docker.ContainerName(b.id.Project(), "node-0", "main")); err == nil && c.State != engine.Created {
		t.Errorf("the container is %s", c.State)
	}
	taken.Close()
	if err := <-ended; err != nil {
		t.Errorf("once the port is free: %v", err)
	}
	if got, err := greeting(fmt.Sprintf("127.0.0.1:%d", port)); got != "hello\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// A host port is on the loopback unless it names an address, and leads to the
// pod.
//
// conformance:S92
func TestHostPort_OnARealEngine(t *testing.T) {
	own, all := freePort(t), freePort(t)
	b := newBed(t, &app.App{Name: "ports", Pods: []app.Pod{podOf("own", listening(8000, own, "")), podOf("all", listening(8000, all, "0.0.0.0"))}})
	b.up()
	ip := strings.Fields(lineWith(b.run("own-0", "main", "read", "/etc/hosts"), "host.docker.internal"))[0]
	for _, tt := range []struct {
		address string
		answers bool
	}{
		{fmt.Sprintf("127.0.0.1:%d", own), true}, {fmt.Sprintf("%s:%d", ip, own), false},
		{fmt.Sprintf("127.0.0.1:%d", all), true}, {fmt.Sprintf("%s:%d", ip, all), true},
	} {
		got, err := greeting(tt.address)
		if tt.answers != (got == "hello\n") {
			t.Errorf("%s: %q, %v; want an answer: %t", tt.address, got, err, tt.answers)
		}
	}
	// A pod that takes over the port of one that goes is no clash.
	b.app.Pods = []app.Pod{podOf("heir", listening(8000, own, ""))}
	b.up()
	if got, err := greeting(fmt.Sprintf("127.0.0.1:%d", own)); got != "hello\n" {
		t.Errorf("the heir: %q, %v", got, err)
	}
	_, _, err := docker.Render(&app.App{Name: "x", Pods: []app.Pod{podOf("a", listening(1, own, "")), podOf("b", listening(1, own, ""))}}, docker.Options{})
	var refused *docker.RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("two pods on one port: %v", err)
	}
}

func lineWith(text, word string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			return line
		}
	}
	return word
}
