package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/nft"
	"github.com/cuepod/cuepod/runner/agent/swap"
	"github.com/cuepod/cuepod/runner/dns"
	"github.com/cuepod/cuepod/runner/probe"
)

const testKey = "key"

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// hub is a gateway in this process, and the supervisor that talks to it.
type hub struct {
	t       *testing.T
	in      *io.PipeWriter
	control string
	http    string

	mu      sync.Mutex
	status  *api.Status
	traffic *api.TrafficReport
	errors  []string
	garbled int
}

func newHub(t *testing.T) *hub {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	h := &hub{t: t, in: inW}
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	control, web := listen(), listen()
	h.control, h.http = control.Addr().String(), web.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		newGateway(gatewayConfig{stdin: inR, stdout: outW, log: quiet(), control: control, http: web, openRefusals: func() (refusals, error) { return nil, errors.New("not in a test") }}).run(ctx)
	})
	wg.Go(func() {
		readLines(outR, maxLine, h.heard, nil)
	})
	t.Cleanup(func() {
		cancel()
		inW.Close()
		outR.Close()
		wg.Wait()
	})
	h.send(api.ToGateway{Bootstrap: &api.Bootstrap{Key: testKey}})
	return h
}

func (h *hub) heard(m api.FromGateway) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.Garbled {
		h.garbled++
	}
	if m.Status != nil {
		h.status = m.Status
	}
	if m.Traffic != nil {
		h.traffic = m.Traffic
	}
	if m.Error != "" {
		h.errors = append(h.errors, m.Error)
	}
}

func (h *hub) send(m any) {
	h.t.Helper()
	line, err := json.Marshal(m)
	if err != nil {
		h.t.Fatal(err)
	}
	h.write("\n" + string(line) + "\n")
}

func (h *hub) write(s string) {
	h.t.Helper()
	if _, err := io.WriteString(h.in, s); err != nil {
		h.t.Fatal(err)
	}
}

// await waits until the last Status satisfies ok.
func (h *hub) await(what string, ok func(api.Status) bool) {
	h.t.Helper()
	agenttest.Eventually(h.t, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.status == nil || !ok(*h.status) {
			return fmt.Errorf("waiting for %s: %+v", what, h.status)
		}
		return nil
	})
}

// A line that another writer parted is none, and the gateway says so.
func TestGateway_TellsThatALineWasGarbled(t *testing.T) {
	h := newHub(t)
	h.write(`{"snapshot":{"generation":7,"po` + "\n" + `{"report":true}` + "\n" + `ds":[]}}` + "\n")
	agenttest.Eventually(t, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.garbled != 2 || h.status == nil {
			return fmt.Errorf("garbled %d times, status %+v", h.garbled, h.status)
		}
		return nil
	})
	h.send(api.ToGateway{Snapshot: &api.Snapshot{Generation: 7}})
	h.await("the snapshot", func(s api.Status) bool { return s.Generation == 7 })
}

// agent is a pod's agent in this process, its probes told what to find.
type agent struct {
	dir string
	dns string
	in  *io.PipeWriter

	mu     sync.Mutex
	result probe.Outcome
}

func newAgent(t *testing.T, h *hub, name string) *agent {
	t.Helper()
	return newAgentSeeing(t, h, name, listeningPorts)
}

func newAgentSeeing(t *testing.T, h *hub, name string, listening func() (map[swap.Port]bool, error)) *agent {
	t.Helper()
	inR, inW := io.Pipe()
	a := &agent{dir: t.TempDir(), in: inW, result: probe.Outcome{Result: probe.Success}}
	conf := filepath.Join(a.dir, "resolv.conf")
	hosts := filepath.Join(a.dir, "hosts")
	for path, content := range map[string]string{conf: "nameserver 127.0.0.1\nsearch corp.test\n", hosts: "127.0.0.1\tlocalhost engine\n"} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	udp, tcp, err := dns.Listen(netip.MustParseAddrPort("127.0.0.1:0")) // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	a.dns = tcp.Addr().String()
	udp.Close()
	tcp.Close()
	p, err := newPod(podConfig{stdin: inR, log: quiet(), resolvConf: conf, hosts: hosts, dnsAddr: netip.MustParseAddrPort(a.dns), probe: a.probe, listening: listening,
		openPlane: func() (*nft.Plane, error) { return nil, errors.New("not in this test") }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.run(ctx) })
	t.Cleanup(func() {
		cancel()
		inW.Close()
		wg.Wait()
	})
	a.boot(t, api.Bootstrap{Pod: name, Gateway: h.control, Token: api.Token(testKey, name)})
	return a
}

func (a *agent) boot(t *testing.T, b api.Bootstrap) {
	t.Helper()
	line, _ := json.Marshal(b)
	if _, err := fmt.Fprintf(a.in, "\n{\"half\": \n%s\n", line); err != nil {
		t.Fatal(err)
	}
}

func (a *agent) probe(context.Context, string, api.Probe) probe.Outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.result
}

func (a *agent) find(o probe.Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.result = o
}

func (a *agent) lookup(t *testing.T, name string) (string, error) {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, a.dns)
	}}
	got, err := r.LookupHost(t.Context(), name)
	return strings.Join(got, " "), err
}

// snapshot is one service over pods that serve on addresses of the loopback.
func snapshot(generation int64, vip string, pods ...string) *api.Snapshot {
	s := &api.Snapshot{Generation: generation, App: "shop", Namespace: "default"}
	var backends []api.Backend
	for i, name := range pods {
		ip := fmt.Sprintf("127.88.0.%d", i+1)
		backends = append(backends, api.Backend{Pod: name, IP: ip, Port: 18080, Hostname: name})
		s.Pods = append(s.Pods, api.Pod{Name: name, IP: ip, Containers: []api.Container{{Name: "app", ID: "id-" + name, Running: true,
			Probes: []api.Probe{{Kind: api.Readiness, TCP: &api.TCPProbe{Port: 18080}, Period: 1, Timeout: 1, SuccessThreshold: 1, FailureThreshold: 1}}}}})
	}
	s.Services = []api.Service{
		{Name: "web", VIP: vip, Ports: []api.ServicePort{{Name: "http", Port: 18000, Protocol: "TCP", Backends: backends}}},
		{Name: "peers", Headless: true, Ports: []api.ServicePort{{Name: "http", Port: 18080, Protocol: "TCP", Backends: backends}}},
	}
	return s
}

// serveAs answers HTTP with a word.
func serveAs(t *testing.T, addr, word string) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else who still sends is reset
		io.WriteString(w, word)
	})}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
}

func ask(addr, host string) (string, error) {
	req, err := http.NewRequest("GET", "http://"+addr+"/", nil)
	if err != nil {
		return "", err
	}
	req.Host, req.Close = host, true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func TestGateway_MovesEndpointsAsProbesSay(t *testing.T) {
	agenttest.NoLeaks(t)
	const vip = "127.88.1.1"
	serveAs(t, "127.88.0.1:18080", "from web-0")
	serveAs(t, "127.88.0.2:18080", "from web-1")
	h := newHub(t)
	h.send(api.ToGateway{Snapshot: snapshot(7, vip, "web-0", "web-1")})
	h.await("the snapshot", func(s api.Status) bool {
		return s.Generation == 7 && !s.Pods["web-0"].Connected && !s.Pods["web-0"].Ready
	})
	if _, err := net.Dial("tcp", vip+":18000"); err == nil {
		t.Error("a service without ready pods takes connections")
	}
	zero, one := newAgent(t, h, "web-0"), newAgent(t, h, "web-1")
	h.await("both pods", func(s api.Status) bool {
		return s.Pods["web-0"].Ready && s.Pods["web-1"].Ready && s.Pods["web-0"].Generation == 7
	})
	agenttest.Eventually(t, func() error {
		if got, err := one.lookup(t, "peers.default.svc.cluster.local"); len(strings.Fields(got)) != 2 {
			return fmt.Errorf("peers: %s, %v", got, err)
		}
		return nil
	})
	if got, err := zero.lookup(t, "web.default.svc.cluster.local"); got != vip {
		t.Errorf("web: %s, %v", got, err)
	}

	one.find(probe.Outcome{Result: probe.Failure, Message: "busy"})
	h.await("web-1 to fail", func(s api.Status) bool {
		return !s.Pods["web-1"].Ready && s.Pods["web-1"].Containers["app"].Message == "readiness probe failed: busy"
	})
	for range 10 {
		if got, err := ask(vip+":18000", "x"); got != "from web-0" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if got, err := ask(h.http, "web.shop.localhost"); got != "from web-0" {
		t.Errorf("by host: %q, %v", got, err)
	}
	agenttest.Eventually(t, func() error {
		if got, err := zero.lookup(t, "peers.default.svc.cluster.local"); got != "127.88.0.1" {
			return fmt.Errorf("peers: %s, %v", got, err)
		}
		return nil
	})

	// The last one receives while it still serves on its way out, as in a cluster.
	next := snapshot(8, vip, "web-0", "web-1")
	next.Pods[0].Draining = true
	h.send(api.ToGateway{Snapshot: next})
	h.await("web-0 to drain", func(s api.Status) bool { return s.Generation == 8 && !s.Pods["web-0"].Ready })
	if got, err := ask(vip+":18000", "x"); got != "from web-0" {
		t.Errorf("a service whose last pod drains: %q, %v", got, err)
	}
	next.Generation, next.Pods[0].Containers[0].Running = 9, false
	h.send(api.ToGateway{Snapshot: next})
	h.await("web-0 to stop", func(s api.Status) bool { return s.Generation == 9 && !s.Pods["web-0"].Serving })
	if _, err := net.Dial("tcp", vip+":18000"); err == nil {
		t.Error("a service whose last pod is gone takes connections")
	}
}

func TestGateway_NewContainerIsNotReadyByTheOldOnesProbe(t *testing.T) {
	agenttest.NoLeaks(t)
	h := newHub(t)
	h.send(api.ToGateway{Snapshot: snapshot(1, "127.88.1.2", "web-0")})
	a := newAgent(t, h, "web-0")
	h.await("web-0", func(s api.Status) bool { return s.Pods["web-0"].Ready })
	a.find(probe.Outcome{Result: probe.Failure, Message: "not yet"})
	next := snapshot(2, "127.88.1.2", "web-0")
	next.Pods[0].Containers[0].ID = "new"
	h.send(api.ToGateway{Snapshot: next})
	h.await("the new container", func(s api.Status) bool {
		c := s.Pods["web-0"].Containers["app"]
		return s.Generation == 2 && c.ID == "new" && !c.Ready && c.Message != ""
	})
	a.find(probe.Outcome{Result: probe.Success})
	h.await("it to be ready", func(s api.Status) bool { return s.Pods["web-0"].Ready })
}

func TestGateway_AgentWritesFilesBeforeItReportsTheGeneration(t *testing.T) {
	agenttest.NoLeaks(t)
	h := newHub(t)
	a := newAgent(t, h, "web-0")
	s := snapshot(1, "127.88.1.3", "web-0")
	for i, content := range []string{"one", "two"} {
		s.Generation = int64(i + 1)
		s.Pods[0].Files = []api.FileVolume{{Dir: a.dir, Files: []api.File{{Path: "key", Mode: 0o644, Data: []byte(content)}}}}
		h.send(api.ToGateway{Snapshot: s})
		h.await("the agent to apply", func(st api.Status) bool { return st.Pods["web-0"].Generation == s.Generation })
		if got, err := os.ReadFile(filepath.Join(a.dir, "key")); string(got) != content {
			t.Errorf("generation %d: %q, %v", s.Generation, got, err)
		}
	}
	if got, _ := os.ReadFile(filepath.Join(a.dir, "resolv.conf")); !strings.HasPrefix(string(got), "search default.svc.cluster.local ") {
		t.Errorf("resolv.conf is %q", got)
	}
	s.Generation = 3
	s.Pods[0].Files[0].Dir = filepath.Join(a.dir, "missing")
	h.send(api.ToGateway{Snapshot: s})
	h.await("the agent to say what is wrong", func(st api.Status) bool { return strings.Contains(st.Pods["web-0"].Error, "missing") })
}

func TestGateway_RefusesStrangers(t *testing.T) {
	agenttest.NoLeaks(t)
	h := newHub(t)
	h.send(api.ToGateway{Snapshot: snapshot(1, "127.88.1.4", "web-0", "web-1")})
	for _, line := range []string{
		`{"pod":"web-0"}`,
		`{"pod":"web-0","token":"` + api.Token(testKey, "web-1") + `"}`,
		`{"pod":"web-0","token":"` + api.Token("", "web-0") + `"}`,
		`no hello`,
		strings.Repeat("x", 2*maxHello),
	} {
		conn, err := net.Dial("tcp", h.control)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(conn, line)
		if got, _ := io.ReadAll(conn); len(got) != 0 {
			t.Errorf("%.40q was told %q", line, got)
		}
		conn.Close()
	}
	h.send(api.ToGateway{Report: true})
	h.await("a status", func(s api.Status) bool { return s.Generation == 1 && !s.Pods["web-0"].Connected })
}

func TestGateway_OlderSnapshotIsIgnoredAndSaid(t *testing.T) {
	agenttest.NoLeaks(t)
	h := newHub(t)
	h.send(api.ToGateway{Snapshot: snapshot(5, "127.88.1.5", "web-0")})
	h.write(`{"snapshot":{"generation":6,"pods":[{"na`) // killed
	h.send(api.ToGateway{Snapshot: snapshot(4, "127.88.1.5")})
	agenttest.Eventually(t, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if fmt.Sprint(h.errors) != "[snapshot 4 is older than 5, which is in force: ignored]" {
			return fmt.Errorf("errors %q", h.errors)
		}
		return nil
	})
	h.send(api.ToGateway{Report: true})
	h.await("generation 5", func(s api.Status) bool { return s.Generation == 5 && len(s.Pods) == 1 })
}

func TestPod_ReconnectsAndRepeatsItsReport(t *testing.T) {
	agenttest.NoLeaks(t)
	h := newHub(t)
	h.send(api.ToGateway{Snapshot: snapshot(3, "127.88.1.6", "web-0")})
	a := newAgent(t, h, "web-0")
	h.await("web-0", func(s api.Status) bool { return s.Pods["web-0"].Ready })
	// The gateway is replaced: the new one knows nothing until the agent calls.
	h2 := newHub(t)
	h2.send(api.ToGateway{Snapshot: snapshot(3, "127.88.1.7", "web-0")})
	a.boot(t, api.Bootstrap{Pod: "web-0", Gateway: h2.control, Token: api.Token(testKey, "web-0")})
	h2.await("web-0 at the new gateway", func(s api.Status) bool { return s.Pods["web-0"].Ready })
	// The old one goes on with the last it heard.
	h.await("the loss of the line", func(s api.Status) bool { return !s.Pods["web-0"].Connected && s.Pods["web-0"].Ready })
}

func TestMain_Usage(t *testing.T) {
	for _, args := range [][]string{nil, {"dance"}} {
		var out, errs strings.Builder
		if code := Main(args, strings.NewReader(""), &out, &errs); code != 2 || !strings.Contains(errs.String(), "usage: ") || out.Len() != 0 {
			t.Errorf("%q: exit code %d, %q, %q", args, code, &out, &errs)
		}
	}
	var errs strings.Builder
	if code := Main([]string{"portal", "nonsense"}, nil, io.Discard, &errs); code != 1 || !strings.Contains(errs.String(), "cuepod-agent portal: ") {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}
