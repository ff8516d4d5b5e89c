package agenttest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/image"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
)

const (
	key      = "the app's key"
	patience = 90 * time.Second // the engine is slow when the machine is busy
)

// openEngine returns the engine, or skips the test; with CUEPOD_REQUIRE_ENGINE=1
// it fails it.
func openEngine(t *testing.T) (engine.Engine, engine.Info) {
	t.Helper()
	e, err := dockerapi.New(dockerapi.Options{})
	var info engine.Info
	if err == nil {
		t.Cleanup(func() { e.Close() })
		info, err = e.Info(t.Context())
	}
	if err != nil {
		if os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1" {
			t.Fatalf("CUEPOD_REQUIRE_ENGINE=1: %v", err)
		}
		t.Skipf("needs a container engine: %v", err)
	}
	return e, info
}

// world is a network with a gateway on a real engine, removed after the test.
type world struct {
	t           *testing.T
	engine      engine.Engine
	infra, echo string // image references
	name        string // prefix of everything
	labels      map[string]string
	prefix      string // "10.1.2."
	gateway     string // container ID
	status      chan api.Status
	traffic     chan api.TrafficReport
	stream      io.ReadWriteCloser
}

func newWorld(t *testing.T) *world {
	e, info := openEngine(t)
	w := &world{t: t, engine: e, status: make(chan api.Status, 1), traffic: make(chan api.TrafficReport, 1), name: fmt.Sprintf("cuepod-agenttest-%08x", rand.Uint32())}
	w.labels = map[string]string{"dev.cuepod.agenttest": w.name}
	t.Cleanup(w.remove)
	w.infra = w.load(agenttest.Image(t, info.Arch))
	w.echo = w.load(image.Archive(agenttest.Binary(t, "./testdata/echo", info.Arch), info.Arch))
	for range 50 {
		w.prefix = fmt.Sprintf("10.%d.%d.", 100+rand.IntN(100), rand.IntN(256))
		_, err := e.CreateNetwork(t.Context(), engine.NetworkSpec{
			Name: w.name, Labels: w.labels, Subnet: w.prefix + "0/24", IPRange: w.prefix + "0/25", Gateway: w.prefix + "1"})
		if err == nil {
			break
		}
		if engine.KindOf(err) != engine.SubnetTaken {
			t.Fatal(err)
		}
	}
	w.gateway = w.start(engine.ContainerSpec{Name: "gateway", Image: w.infra, Cmd: []string{"gateway"}, OpenStdin: true,
		Network: w.name, IP: w.prefix + "2", CapDrop: []string{"ALL"}, CapAdd: []string{"NET_ADMIN", "NET_BIND_SERVICE"},
		Publish: []engine.PortBinding{{HostIP: "127.0.0.1", ContainerPort: api.HTTPPort, Protocol: "TCP"}}})
	w.supervise()
	return w
}

func (w *world) load(ref string, archive []byte) string {
	w.t.Helper()
	if err := w.engine.LoadImage(w.t.Context(), bytes.NewReader(archive)); err != nil {
		w.t.Fatal(err)
	}
	return ref
}

// remove takes everything down again.
func (w *world) remove() {
	ctx := context.WithoutCancel(w.t.Context())
	list, err := w.engine.ListContainers(ctx, w.labels)
	if err != nil {
		w.t.Error(err)
	}
	for _, c := range list {
		if w.t.Failed() {
			var logs bytes.Buffer
			_ = w.engine.Logs(ctx, c.ID, engine.LogOptions{Tail: 50}, &logs, &logs)
			w.t.Logf("%s (%s %d): %s", c.Name, c.State, c.ExitCode, &logs)
		}
		if err := w.engine.RemoveContainer(ctx, c.ID); err != nil {
			w.t.Error(err)
		}
	}
	volumes, _ := w.engine.ListVolumes(ctx, w.labels)
	for _, v := range volumes {
		if err := w.engine.RemoveVolume(ctx, v.Name); err != nil {
			w.t.Error(err)
		}
	}
	networks, _ := w.engine.ListNetworks(ctx, w.labels)
	for _, n := range networks {
		if err := w.engine.RemoveNetwork(ctx, n.ID); err != nil {
			w.t.Error(err)
		}
	}
}

// start runs a container of the world.
func (w *world) start(spec engine.ContainerSpec) (id string) {
	w.t.Helper()
	spec.Name = w.name + "-" + spec.Name
	spec.Labels = w.labels
	id, err := w.engine.CreateContainer(w.t.Context(), spec)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.engine.StartContainer(w.t.Context(), id); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// run runs a command in a container of its own to its end; join is the
// container whose network it shares, "" for a plain container on the network.
func (w *world) run(join string, mounts []engine.Mount, cmd ...string) []string {
	w.t.Helper()
	spec := engine.ContainerSpec{Image: w.echo, Cmd: cmd, JoinContainer: join, Mounts: mounts}
	if join == "" {
		spec.Network = w.name
	}
	return w.output(spec)
}

// output runs a container to its end and returns the lines it printed.
func (w *world) output(spec engine.ContainerSpec) []string {
	w.t.Helper()
	spec.Name = fmt.Sprintf("run-%08x", rand.Uint32())
	id := w.start(spec)
	if _, err := w.engine.WaitContainer(w.t.Context(), id); err != nil {
		w.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := w.engine.Logs(w.t.Context(), id, engine.LogOptions{Tail: -1}, &out, &out); err != nil {
		w.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// supervise attaches to the gateway as a supervisor does.
func (w *world) supervise() {
	w.t.Helper()
	stream, err := w.engine.Attach(w.t.Context(), w.gateway)
	if err != nil {
		w.t.Fatal(err)
	}
	w.stream = stream
	var reader sync.WaitGroup
	reader.Go(func() {
		lines := bufio.NewScanner(stream)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var m api.FromGateway
			if json.Unmarshal(lines.Bytes(), &m) != nil {
				continue
			}
			if m.Error != "" {
				w.t.Errorf("the gateway says: %s", m.Error)
			}
			if m.Traffic != nil {
				w.traffic <- *m.Traffic
			}
			if m.Status != nil {
				select {
				case <-w.status:
				default:
				}
				w.status <- *m.Status
			}
		}
	})
	w.t.Cleanup(func() { stream.Close(); reader.Wait() })
	w.send(stream, api.ToGateway{Bootstrap: &api.Bootstrap{Key: key}, Report: true})
}

// send writes a line, after the end of whatever a killed writer left.
func (w *world) send(to io.Writer, v any) {
	w.t.Helper()
	line, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(to, "\n%s\n", line); err != nil {
		w.t.Fatal(err)
	}
}

// await waits for a Status that satisfies ok.
func (w *world) await(what string, ok func(api.Status) bool) {
	w.t.Helper()
	deadline := time.After(patience)
	var last api.Status
	for {
		select {
		case last = <-w.status:
			if ok(last) {
				return
			}
		case <-deadline:
			w.t.Fatalf("waited in vain for %s; the last status: %+v", what, last)
		}
	}
}

// pod starts a pod's infra container and tells it whom to call.
func (w *world) pod(name string, mounts ...engine.Mount) (id, ip string) {
	w.t.Helper()
	id = w.start(engine.ContainerSpec{Name: name, Image: w.infra, Cmd: []string{"pod"}, OpenStdin: true, Network: w.name, Hostname: name,
		ShareableIPC: true, CapDrop: []string{"ALL"}, CapAdd: []string{"NET_ADMIN", "NET_BIND_SERVICE"}, NoNewPrivileges: true, Mounts: mounts})
	c, err := w.engine.InspectContainer(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	stream, err := w.engine.Attach(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	defer stream.Close()
	w.send(stream, api.Bootstrap{Pod: name, Gateway: fmt.Sprintf("%s2:%d", w.prefix, api.ControlPort), Token: api.Token(key, name)})
	return id, c.IP
}

func TestEngine_PodsServeAndAreServed(t *testing.T) {
	w := newWorld(t)
	volume := func(name string) engine.Mount {
		if err := w.engine.CreateVolume(t.Context(), engine.VolumeSpec{Name: w.name + "-" + name, Labels: w.labels}); err != nil {
			t.Fatal(err)
		}
		return engine.Mount{Volume: w.name + "-" + name, Path: "/volumes/" + name, NoCopy: true}
	}
	config, scratch := volume("config"), volume("scratch")
	infra0, ip0 := w.pod("web-0", config, scratch)
	infra1, ip1 := w.pod("web-1")

	vip, everybody := w.prefix+"140", uint32(0o777)
	backends := []api.Backend{{Pod: "web-0", IP: ip0, Port: 8000}, {Pod: "web-1", IP: ip1, Port: 8000}}
	snapshot := api.Snapshot{
		Generation: 1, App: "shop", Namespace: "default",
		Services: []api.Service{
			{Name: "web", VIP: vip, Ports: []api.ServicePort{{Name: "http", Port: 80, Protocol: "TCP", Backends: backends}}},
			{Name: "peers", Headless: true, Ports: []api.ServicePort{{Name: "http", Port: 8000, Protocol: "TCP", Backends: backends}}},
		},
		Pods: []api.Pod{
			{Name: "web-0", IP: ip0, Dirs: []api.Dir{{Path: scratch.Path, Mode: &everybody}}, Files: []api.FileVolume{{Dir: config.Path, Files: []api.File{
				{Path: "greeting", Mode: 0o440, Data: []byte("hello")}}}}},
			{Name: "web-1", IP: ip1},
		},
	}
	w.send(w.stream, api.ToGateway{Snapshot: &snapshot})
	w.await("both agents to apply the snapshot", func(s api.Status) bool {
		return s.Pods["web-0"].Generation == 1 && s.Pods["web-1"].Generation == 1
	})

	// The names are there before the containers, and nothing is ready: refused at once.
	got := w.run(infra0, nil, "get", "http://web/")
	if !strings.Contains(got[0], "connection refused") {
		t.Errorf("a service without endpoints: %q, want connection refused", got[0])
	}
	app0 := w.start(engine.ContainerSpec{Name: "app-0", Image: w.echo, Cmd: []string{"serve", ":8000"}, JoinContainer: infra0})
	app1 := w.start(engine.ContainerSpec{Name: "app-1", Image: w.echo, Cmd: []string{"serve", "127.0.0.1:8000"}, JoinContainer: infra1})
	snapshot.Generation = 2
	for i, id := range []string{app0, app1} {
		snapshot.Pods[i].Containers = []api.Container{{Name: "app", ID: id, Running: true, Probes: []api.Probe{{
			Kind: api.Readiness, Period: 1, Timeout: 1, SuccessThreshold: 1, FailureThreshold: 1,
			HTTP: &api.HTTPProbe{Port: 8000, Path: "/", Scheme: "HTTP"}}}}}
	}
	w.send(w.stream, api.ToGateway{Snapshot: &snapshot})
	w.await("web-0 to be ready, and web-1 to fail for listening on localhost only", func(s api.Status) bool {
		return s.Pods["web-0"].Ready && !s.Pods["web-1"].Ready && s.Pods["web-1"].Containers["app"].Message != ""
	})

	t.Run("names", func(t *testing.T) {
		got := w.run(infra1, nil, "lookup", "web", "web.default", "web.default.svc", "web.default.svc.cluster.local", "peers", "nothere.default.svc.cluster.local",
			w.name+"-gateway") // which the engine's own name server knows
		for i, want := range []string{vip, vip, vip, vip, ip0, "no such host", w.prefix + "2"} {
			if !strings.Contains(got[i], want) {
				t.Errorf("line %d: %q, want %s", i, got[i], want)
			}
		}
	})
	t.Run("names through glibc", func(t *testing.T) {
		const redis = "redis:7.0" // of the examples: its client resolves as C programs do
		if _, err := w.engine.InspectImage(t.Context(), redis); err != nil {
			t.Skipf("needs the image %s (make images): %v", redis, err)
		}
		for name, found := range map[string]bool{"web": true, "web.default": true, "web.default.svc": true, "web.default.svc.cluster.local": true, "nothere": false} {
			got := w.output(engine.ContainerSpec{Image: redis, Entrypoint: []string{"redis-cli", "-h", name, "-p", "80", "PING"}, JoinContainer: infra1})
			if unknown := strings.Contains(got[0], "Name or service not known"); unknown == found || !found != strings.Contains(got[0], "Could not connect") {
				t.Errorf("%s: %q; want the name found %v, and then an answer", name, got, found)
			}
		}
	})
	t.Run("virtual address", func(t *testing.T) {
		for _, join := range []string{infra0, infra1, ""} { // itself, a neighbour, a container without an agent
			for _, line := range w.run(join, nil, "get", "http://"+vip+"/", "http://"+vip+"/") {
				if !strings.HasPrefix(line, "web-0 ") {
					t.Errorf("from %.12s: %q, want web-0", join, line)
				}
			}
		}
	})
	t.Run("volumes", func(t *testing.T) {
		got := w.run(infra0, []engine.Mount{{Volume: config.Volume, Path: "/config", ReadOnly: true}, {Volume: scratch.Volume, Path: "/scratch"}},
			"cat", "/config/greeting", "/etc/resolv.conf")
		if got[0] != "hello" || !strings.HasPrefix(got[1], "search default.svc.cluster.local svc.cluster.local cluster.local") {
			t.Errorf("got %q", got)
		}
		got = w.run(infra0, []engine.Mount{{Volume: config.Volume, Path: "/config", ReadOnly: true}, {Volume: scratch.Volume, Path: "/scratch"}},
			"mode", "/config/greeting", "/scratch")
		if got[0] != "-r--r-----" || got[1] != "drwxrwxrwx" {
			t.Errorf("modes %q, want -r--r----- and drwxrwxrwx", got)
		}
	})
	t.Run("HTTP by host", func(t *testing.T) {
		c, err := w.engine.InspectContainer(t.Context(), w.gateway)
		if err != nil || len(c.Publish) == 0 {
			t.Fatal(err, c.Publish)
		}
		req, _ := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/", c.Publish[0].HostPort), nil)
		req.Host = "web.shop.localhost"
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || !strings.HasPrefix(string(body), "web-0 ") {
			t.Errorf("%s: %q", res.Status, body)
		}
	})
	t.Run("portal", func(t *testing.T) {
		id := w.start(engine.ContainerSpec{Name: "portal", Image: w.infra, Cmd: []string{"portal", "tcp/30080=" + vip + ":80"}, Network: w.name,
			CapDrop: []string{"ALL"}, Publish: []engine.PortBinding{{HostIP: "127.0.0.1", ContainerPort: 30080, Protocol: "TCP"}}})
		c, err := w.engine.InspectContainer(t.Context(), id)
		if err != nil || len(c.Publish) == 0 {
			t.Fatal(err, c.Publish)
		}
		eventually(t, func() error {
			res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", c.Publish[0].HostPort))
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if body, _ := io.ReadAll(res.Body); !strings.HasPrefix(string(body), "web-0 ") {
				return fmt.Errorf("%s: %q", res.Status, body)
			}
			return nil
		})
	})
	t.Run("without a supervisor", func(t *testing.T) {
		fmt.Fprint(w.stream, `{"snapshot":{"generation":9,"pods":[{"na`) // killed in the middle of a line
		w.stream.Close()
		if got := w.run(infra1, nil, "get", "http://web/"); !strings.HasPrefix(got[0], "web-0 ") {
			t.Errorf("got %q, want web-0", got)
		}
		// The readiness probe goes on and takes the endpoint away.
		if err := w.engine.StopContainer(t.Context(), app0, time.Second); err != nil {
			t.Fatal(err)
		}
		w.supervise()
		w.await("web-0 to be found not ready", func(s api.Status) bool { return s.Generation == 2 && !s.Pods["web-0"].Ready })
		if got := w.run(infra1, nil, "get", "http://web/"); !strings.Contains(got[0], "connection refused") {
			t.Errorf("got %q, want connection refused", got)
		}
	})
	t.Run("ends at once", func(t *testing.T) {
		for _, id := range []string{infra1, w.gateway} {
			if err := w.engine.StopContainer(t.Context(), id, time.Minute); err != nil {
				t.Fatal(err)
			}
			if c, err := w.engine.InspectContainer(t.Context(), id); err != nil || c.ExitCode != 0 {
				t.Errorf("%s: exit code %d, %v; want 0", c.Name, c.ExitCode, err)
			}
		}
	})
}

func eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
