package runner

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// rig is an engine in memory with a stand-in for the gateway, and a definition
// that a test can change. It runs inside a synctest bubble, so that time costs
// nothing and "nothing more happens" can be waited for.
type rig struct {
	t   *testing.T
	eng *fake.Engine

	mu     sync.Mutex
	app    *app.App
	broken error
	events []Event
	unfit  map[string]bool     // containers, "pod/name", that the stand-in calls not ready
	unborn map[string]bool     // and not started
	served map[string]bool     // IDs of containers that were in a pod that is not drained; nil for none
	shape  func(*docker.State) // changes the rendered state; may be nil
	root   string              // of the module; "" is one that does not exist
	calls  int                 // see standsIn
	sees   func(api.Status)    // every verdict of the stand-in; may be nil
	garble int                 // so many messages reach the stand-in in pieces
	mute   bool                // the stand-in says nothing
	snap   api.Snapshot        // what the stand-in was told last

	orders    <-chan Order
	changesOf Changes // of the number of pods of web; may be nil

	options docker.Options // Strict makes the supervisor strict, too

	changes chan watch.Change
	groups  map[string]chan watch.Change // of followers
	asks    chan struct{}
}

const rigAgent = "cuepod/infra:test"

func newRig(t *testing.T) *rig {
	r := bareRig(t)
	t.Cleanup(r.eng.Shutdown)
	return r
}

// bareRig is a rig whose engine somebody shuts down.
func bareRig(t *testing.T) *rig {
	r := &rig{t: t, eng: fake.New(), app: rigApp(), unfit: map[string]bool{}, unborn: map[string]bool{}, changes: make(chan watch.Change)}
	r.eng.AddImage(rigAgent, fake.Image{Run: r.runAgent})
	r.eng.AddImage("web:1", fake.Image{Run: serve})
	r.eng.AddImage("web:2", fake.Image{Run: serve})
	r.eng.AddImage("init:1", fake.Image{Run: func(context.Context, fake.Process) int { return 0 }})
	return r
}

// serve says hello and runs until it is stopped.
func serve(ctx context.Context, p fake.Process) int {
	fmt.Fprintln(p.Stdout, "hello from", strings.Join(p.Args, " "))
	<-ctx.Done()
	return 0
}

// runAgent stands in for the agent: as a gateway it calls every pod connected
// and every running container ready, unless the test says otherwise.
func (r *rig) runAgent(ctx context.Context, p fake.Process) int {
	if p.Args[len(p.Args)-1] == "gateway" {
		lines := make(chan api.ToGateway)
		go readLines(ctx, p.Stdin, lines)
		var last api.Snapshot
		for {
			select {
			case msg := <-lines:
				r.mu.Lock()
				mute, garbled := r.mute, r.garble > 0
				r.garble--
				r.mu.Unlock()
				if garbled {
					_ = writeLine(p.Stdout, api.FromGateway{Garbled: true})
				}
				if garbled || mute {
					continue
				}
				if msg.Snapshot != nil && msg.Snapshot.Generation >= last.Generation {
					last = *msg.Snapshot
				}
				if msg.Snapshot != nil || msg.Report {
					status := r.judge(last)
					_ = writeLine(p.Stdout, api.FromGateway{Status: &status})
				}
			case <-ctx.Done():
				return 0
			}
		}
	}
	<-ctx.Done()
	return 0
}

func readLines(ctx context.Context, from io.Reader, to chan<- api.ToGateway) {
	scan := bufio.NewScanner(from)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var msg api.ToGateway
		if json.Unmarshal(scan.Bytes(), &msg) == nil {
			select {
			case to <- msg:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (r *rig) judge(s api.Snapshot) api.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := api.Status{Generation: s.Generation, Images: s.Images, Pods: map[string]api.PodStatus{}}
	for _, p := range s.Pods {
		for _, c := range p.Containers {
			if r.served != nil && !p.Draining && c.Running {
				r.served[c.ID] = true
			}
		}
		pod := api.PodStatus{Connected: p.IP != "", Generation: s.Generation, Ready: p.IP != "" && !p.Draining, Containers: map[string]api.ContainerStatus{}}
		for _, c := range p.Containers {
			started := c.Running && !r.unborn[p.Name+"/"+c.Name]
			ok := c.Running && !r.unfit[p.Name+"/"+c.Name]
			for _, probe := range c.Probes {
				switch network := probe.HTTP != nil || probe.TCP != nil || probe.GRPC != nil; {
				case network:
				case probe.Kind == api.Startup:
					started = started && c.Exec[api.Startup]
				case probe.Kind == api.Readiness:
					ok = ok && c.Exec[api.Readiness]
				}
			}
			ok = ok && started
			pod.Containers[c.Name] = api.ContainerStatus{ID: c.ID, Started: started, Ready: ok}
			pod.Ready = pod.Ready && ok
		}
		out.Pods[p.Name] = pod
	}
	r.snap = s
	if r.sees != nil {
		r.sees(out)
	}
	return out
}

// last is the snapshot that the gateway works from.
func (r *rig) last() api.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snap
}

// rigApp has two pods: web with two replicas, an init container, a volume of
// each kind and a published service, and db with a claim and a secret.
func rigApp() *app.App {
	probe := &app.Probe{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Number: 80}}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
	secret := &app.EnvVarSource{SecretKeyRef: &app.SecretKeySelector{Name: "creds", Key: "password"}}
	return &app.App{
		Name: "shop",
		Pods: []app.Pod{
			{Name: "db", Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 30,
				Containers: []app.Container{{Name: "db", Image: "web:1", ImagePullPolicy: "IfNotPresent",
					Env:          []app.EnvVar{{Name: "PASSWORD", ValueFrom: secret}},
					VolumeMounts: []app.VolumeMount{{Name: "data", MountPath: "/data"}}}},
				Volumes: []app.Volume{{Name: "data", Claim: &app.ClaimSource{ClaimName: "data"}}}},
			{Name: "web", Kind: "Deployment", Replicas: 2, TerminationGracePeriodSeconds: 30,
				DependsOn:      []app.Dependency{{Service: "db", Condition: "ready"}},
				InitContainers: []app.Container{{Name: "migrate", Image: "init:1", ImagePullPolicy: "IfNotPresent"}},
				Containers: []app.Container{
					{Name: "app", Image: "web:1", ImagePullPolicy: "IfNotPresent", ReadinessProbe: probe,
						Env:          []app.EnvVar{{Name: "LEVEL", Value: "info"}, {Name: "PASSWORD", ValueFrom: secret}},
						VolumeMounts: []app.VolumeMount{{Name: "conf", MountPath: "/etc/conf"}, {Name: "tmp", MountPath: "/tmp"}},
						Pos:          app.Pos{File: "app.cue", Line: 7, Column: 3}},
					{Name: "log", Image: "web:1", ImagePullPolicy: "IfNotPresent"},
				},
				Volumes: []app.Volume{
					{Name: "conf", ConfigMap: &app.ConfigMapSource{Name: "conf", DefaultMode: 0o644}},
					{Name: "tmp", EmptyDir: &app.EmptyDir{}},
				}},
		},
		Services: []app.Service{
			{Name: "db", Pod: "db", Type: "ClusterIP", SessionAffinity: "None", Ports: []app.ServicePort{{Name: "db", Port: 5432, Protocol: "TCP"}}},
			{Name: "web", Pod: "web", Type: "NodePort", SessionAffinity: "None", Pos: app.Pos{File: "app.cue", Line: 20, Column: 2},
				Ports: []app.ServicePort{{Name: "http", Port: 80, NodePort: 30080, Protocol: "TCP"}}},
		},
		ConfigMaps: []app.ConfigMap{{Name: "conf", Data: map[string]string{"a": "1"}}},
		Secrets:    []app.Secret{{Name: "creds", Keys: []app.SecretKey{{Name: "password", Generate: &app.GenerateSecret{Length: 20}}}}},
		Claims:     []app.Claim{{Name: "data", Storage: "1Gi"}},
	}
}

func (r *rig) id() Identity { return Identity{App: "shop", Root: cmp.Or(r.root, "/src/shop")} }

func (r *rig) config() Config {
	return Config{
		Engine: r.eng, Strict: r.options.Strict, Ask: r.asks,
		Compile: func(context.Context) (Compiled, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.broken != nil {
				return Compiled{}, r.broken
			}
			state, _, err := docker.Render(r.app, r.options)
			if err != nil {
				return Compiled{}, err
			}
			if r.shape != nil {
				r.shape(state)
			}
			c := Compiled{State: state, Root: r.id().Root}
			if web := r.app.Pod("web"); web != nil {
				c.Source = web.Replicas
			}
			return c, nil
		},
		Changes: r.changesOf, Orders: r.orders,
		Agent: func(string) (string, []byte, error) { return rigAgent, nil, nil },
		Secrets: SecretSources{
			LookupEnv: func(string) (string, bool) { return "", false },
			ReadFile:  func(string) ([]byte, error) { return nil, errors.New("no such file") },
		},
		Report: func(e Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
	}
}

func (r *rig) Set([]watch.Group) {}
func (r *rig) Changes(group string) <-chan watch.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.groups[group]; c != nil {
		return c
	}
	return r.changes
}

// up runs the supervisor until stop is called, which returns Up's error.
func (r *rig) up() (stop func() error) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	result := make(chan error, 1)
	go func() { result <- up(ctx, r.config(), r) }()
	synctest.Wait()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			err = <-result
			synctest.Wait()
		})
		return err
	}
	r.t.Cleanup(func() { _ = stop() })
	return stop
}

// ready brings the app up in one go.
func (r *rig) ready() {
	r.t.Helper()
	cfg := r.config()
	cfg.Once = true
	if err := up(r.t.Context(), cfg, nil); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// edit changes the definition as a save does.
func (r *rig) edit(f func(*app.App)) {
	r.mu.Lock()
	f(r.app)
	r.mu.Unlock()
	r.changes <- watch.Change{Paths: []string{"app.cue"}}
}

func (r *rig) breakDefinition(err error) {
	r.mu.Lock()
	r.broken = err
	r.mu.Unlock()
	r.changes <- watch.Change{}
}

// told returns the events since the last call, as "kind object: message".
func (r *rig) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out strings.Builder
	for _, e := range r.events {
		if e.Kind != EventStep {
			fmt.Fprintf(&out, "%s %s: %s\n", e.Kind, e.Object, e.Message)
		}
	}
	r.events = nil
	return out.String()
}

// running gives the IDs of the app's running containers by name.
func (r *rig) running() map[string]string {
	out := map[string]string{}
	for _, c := range r.containers() {
		if c.State == engine.Running {
			out[c.Name] = c.ID
		}
	}
	return out
}

func (r *rig) containers() []engine.Container {
	r.t.Helper()
	list, err := r.eng.ListContainers(r.t.Context(), r.id().selector())
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// everything lists all names on the engine, ours or not.
func (r *rig) everything() []string {
	var out []string
	containers, _ := r.eng.ListContainers(r.t.Context(), nil)
	for _, c := range containers {
		out = append(out, "container "+c.Name)
	}
	volumes, _ := r.eng.ListVolumes(r.t.Context(), nil)
	for _, v := range volumes {
		out = append(out, "volume "+v.Name)
	}
	networks, _ := r.eng.ListNetworks(r.t.Context(), nil)
	for _, n := range networks {
		out = append(out, "network "+n.Name)
	}
	return out
}

// touched compares two looks: +new, ~replaced, -gone.
func touched(before, after map[string]string) string {
	var out []string
	for name, id := range after {
		switch old, had := before[name]; {
		case !had:
			out = append(out, "+"+name)
		case old != id:
			out = append(out, "~"+name)
		}
	}
	for name := range before {
		if _, has := after[name]; !has {
			out = append(out, "-"+name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// dump is everything the engine would show to anybody, for secrets to be
// looked for.
func (r *rig) dump() string {
	var b bytes.Buffer
	for _, c := range r.containers() {
		fmt.Fprintf(&b, "%s %v\n", c.Name, c.Labels)
	}
	volumes, _ := r.eng.ListVolumes(r.t.Context(), nil)
	fmt.Fprintln(&b, volumes)
	return b.String()
}
