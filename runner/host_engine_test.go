package runner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
)

// What the machine reaches: node ports and the router on both loopback addresses,
// pods and virtual addresses directly. What others reach of it: nothing.
//
// conformance:S101
func TestHost_OnARealEngine(t *testing.T) {
	listening := func(c *app.Container) { c.Args = []string{"listen", ":9000"} }
	service := serviceOf("db", "web", false, 5000)
	service.Type, service.Ports[0].TargetPort = "NodePort", app.PortRef{Number: 9000}
	b := newBed(t, &app.App{Name: "host", Pods: []app.Pod{podOf("web", waiting("main", listening))}, Services: []app.Service{service}})
	if info, err := b.eng.Info(t.Context()); err != nil || !info.Local {
		t.Skip("the engine is on another machine")
	}
	b.up()
	st, err := runner.GetStatus(t.Context(), b.eng, b.id)
	if err != nil || len(st.Services) != 1 || len(st.Services[0].URLs) == 0 {
		t.Fatalf("%+v, %v", st, err)
	}
	u, err := url.Parse(st.Services[0].URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(u.Port())
	if port < 30000 || port > 32767 {
		t.Errorf("node port %d", port)
	}
	infra, err := b.eng.InspectContainer(t.Context(), b.id.Project()+"_"+b.podName("web"))
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{
		fmt.Sprintf("127.0.0.1:%d", port), st.Services[0].VIP + ":5000", infra.IP + ":9000",
	}
	if ln, err := net.Listen("tcp", "[::1]:0"); err == nil {
		ln.Close()
		addresses = append(addresses, fmt.Sprintf("[::1]:%d", port))
	}
	for _, addr := range addresses {
		if got := said(addr); got != "hello\n<nil>" {
			t.Errorf("%s: %q", addr, got)
		}
	}
	b.scan(port)

	// The same port after a restart of everything.
	if err := runner.Down(t.Context(), b.eng, b.id, runner.DownOptions{Now: true}); err != nil {
		t.Fatal(err)
	}
	b.up()
	if got := said(addresses[0]); got != "hello\n<nil>" {
		t.Errorf("after down and up, %s: %q", addresses[0], got)
	}
}

// scan looks for the app's ports of the machine at the machine's other addresses:
// from the app's own network, from another network, and from the machine.
func (b *bed) scan(nodePort int) {
	b.t.Helper()
	ports := []int{nodePort}
	all, err := b.eng.ListContainers(b.t.Context(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range all {
		for _, p := range c.Publish {
			if strings.HasPrefix(c.Name, b.id.Project()+"_") && p.HostPort != nodePort {
				ports = append(ports, p.HostPort)
			}
		}
	}
	if len(ports) < 2 {
		b.t.Errorf("only the ports %v are published: the router has none", ports)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		b.t.Fatal(err)
	}
	var targets []string
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			for _, p := range ports {
				targets = append(targets, net.JoinHostPort(ip.IP.String(), strconv.Itoa(p)))
			}
		}
	}
	if len(targets) == 0 {
		b.t.Error("the machine has no address but loopback's")
	}
	stranger := b.stranger()
	for _, target := range targets {
		if conn, err := net.DialTimeout("tcp", target, time.Second); err == nil {
			conn.Close()
			b.t.Errorf("the machine answers at %s", target)
		}
		if got := b.run(b.podName("web"), "main", "dial", target); !strings.HasPrefix(got, "exit code 1") {
			b.t.Errorf("a container of the app's network reaches %s: %q", target, got)
		}
		if code, err := b.eng.Exec(b.t.Context(), stranger, engine.ExecSpec{Cmd: []string{"/testprog", "dial", target}}); err != nil || code == 0 {
			b.t.Errorf("a container of another network reaches %s (%v)", target, err)
		}
	}
}

// stranger is a container in a network of its own.
func (b *bed) stranger() string {
	b.t.Helper()
	name := fmt.Sprintf("cuepod-stranger-%06x", rand.Uint32N(1<<24))
	labels := map[string]string{"dev.cuepod.test": name}
	subnet := fmt.Sprintf("10.%d.%d.", 200+rand.IntN(40), rand.IntN(256))
	if _, err := b.eng.CreateNetwork(b.t.Context(), engine.NetworkSpec{Name: name, Labels: labels, Subnet: subnet + "0/24", IPRange: subnet + "0/25", Gateway: subnet + "1"}); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = b.eng.RemoveContainer(context.WithoutCancel(b.t.Context()), name)
		_ = b.eng.RemoveNetwork(context.WithoutCancel(b.t.Context()), name)
	})
	if _, err := b.eng.CreateContainer(b.t.Context(), engine.ContainerSpec{Name: name, Image: enginetest.Ref, Labels: labels, Network: name, Cmd: []string{"wait"}}); err != nil {
		b.t.Fatal(err)
	}
	if err := b.eng.StartContainer(b.t.Context(), name); err != nil {
		b.t.Fatal(err)
	}
	return name
}
