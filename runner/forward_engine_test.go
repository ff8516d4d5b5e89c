package runner_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// forward runs PortForward until the test ends and gives what it says.
func (b *bed) forward(target string, ports ...runner.ForwardPort) chan string {
	b.t.Helper()
	lines := make(chan string, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- runner.PortForward(ctx, runner.ForwardConfig{
			Engine: b.eng, Identity: b.id, Target: target, Ports: ports, Addresses: []string{"localhost"}, Report: func(line string) { lines <- line },
		})
	}()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("port-forward %s: %v", target, err)
		}
	})
	return lines
}

// expect gives the first line that matches, and its groups.
func expect(t *testing.T, lines chan string, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		select {
		case line := <-lines:
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-time.After(time.Minute):
			t.Fatalf("nobody says %s", pattern)
		}
	}
}

func said(addr string) string {
	conn, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	data, err := io.ReadAll(conn)
	return fmt.Sprint(string(data), err)
}

// A port that only the pod itself can reach is reached through the engine's API,
// several at a time, and after the pod was replaced.
func TestPortForward_OnARealEngine(t *testing.T) {
	listening := func(c *app.Container) { c.Args = []string{"listen", "127.0.0.1:9000"} }
	b := newBed(t, &app.App{Name: "forward", Pods: []app.Pod{podOf("web", waiting("main", listening))},
		Services: []app.Service{{Name: "db", Pod: "web", Type: "ClusterIP", SessionAffinity: "None",
			Ports: []app.ServicePort{{Name: "main", Port: 5000, Protocol: "TCP", TargetPort: app.PortRef{Number: 9000}}}}}})
	b.up()
	pod := b.podName("web")
	lines := b.forward("pod/"+pod, runner.ForwardPort{Remote: "9000"}, runner.ForwardPort{Remote: "9001"})
	local := expect(t, lines, `Forwarding from (127\.0\.0\.1:\d+) -> 9000`)[1]
	silent := expect(t, lines, `Forwarding from (127\.0\.0\.1:\d+) -> 9001`)[1]
	for range 5 {
		if got := said(local); got != "hello\n<nil>" {
			t.Errorf("%s: %q", local, got)
		}
	}
	if got := said(strings.Replace(local, "127.0.0.1", "[::1]", 1)); got != "hello\n<nil>" && !strings.Contains(got, "cannot assign") {
		t.Errorf("by IPv6: %q", got)
	}
	if got := said(silent); strings.HasPrefix(got, "hello") {
		t.Errorf("a port where nobody listens: %q", got)
	}
	expect(t, lines, "error forwarding port 9001: pod "+pod+": .*connection refused")

	service := expect(t, b.forward("service/db", runner.ForwardPort{Remote: "main"}), `Forwarding from (127\.0\.0\.1:\d+) -> 9000`)[1]
	if got := said(service); got != "hello\n<nil>" {
		t.Errorf("the service: %q", got)
	}

	if err := b.eng.StopContainer(t.Context(), docker.InfraName(b.id.Project(), pod), 0); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "lost connection to pod "+pod)
	b.up()
	for deadline := time.Now().Add(time.Minute); ; {
		got := said(local)
		if got == "hello\n<nil>" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the pod was replaced: %q", got)
		}
	}
}

func TestPortForward_Refuses(t *testing.T) {
	b := newBed(t, &app.App{Name: "forward", Pods: []app.Pod{podOf("web", waiting("main"))}, Services: []app.Service{serviceOf("db", "web", false, 80)}})
	b.up()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, c := range []struct{ target, remote, want string }{
		{"pod/nobody", "80", `pods "nobody" not found`},
		{"service/nobody", "80", `services "nobody" not found`},
		{"service/db", "81", "service db does not have a service port 81"},
		{"web", "metrics", "no service leads to a port named metrics"},
		{"web", "80", "unable to listen on port"},
	} {
		err := runner.PortForward(t.Context(), runner.ForwardConfig{
			Engine: b.eng, Identity: b.id, Target: c.target, Addresses: []string{"localhost"}, Report: func(string) {},
			Ports: []runner.ForwardPort{{Local: busy.Addr().(*net.TCPAddr).Port, Remote: c.remote}},
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %s", c.target, c.remote, err, c.want)
		}
	}
}

// podName is the name of a workload's only replica.
func (b *bed) podName(workload string) string {
	b.t.Helper()
	all, err := b.eng.ListContainers(b.t.Context(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range all {
		if strings.HasPrefix(c.Name, b.id.Project()+"_"+workload) && c.State == engine.Running {
			return c.Labels["dev.cuepod.pod"]
		}
	}
	b.t.Fatalf("no pod of %s runs", workload)
	return ""
}
