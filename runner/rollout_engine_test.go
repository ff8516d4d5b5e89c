package runner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
	"github.com/cuepod/cuepod/targets/docker"
)

// rolledApp has a Deployment with a surge, one that is recreated, and a set of
// which a partition holds the first replica back.
func rolledApp(name, revision string) *app.App {
	server := func(name, kind string, replicas int, u *app.UpdateStrategy) app.Pod {
		return app.Pod{Name: name, Kind: kind, Replicas: replicas, UpdateStrategy: u, TerminationGracePeriodSeconds: 2,
			Containers: []app.Container{{Name: "main", Image: enginetest.Ref, ImagePullPolicy: "Never", Args: []string{"listen", ":9000"},
				Env:            []app.EnvVar{{Name: "REVISION", Value: revision}},
				ReadinessProbe: &app.Probe{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Number: 9000}}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}}}}
	}
	one := 1
	return &app.App{Name: name, Pods: []app.Pod{
		server("roll", "Deployment", 3, nil),
		server("again", "Deployment", 2, &app.UpdateStrategy{Type: "Recreate"}),
		server("set", "StatefulSet", 2, &app.UpdateStrategy{RollingUpdate: &app.RollingUpdate{Partition: &one}}),
	}, Services: []app.Service{{Name: "roll", Pod: "roll", Type: "ClusterIP", SessionAffinity: "None", Ports: []app.ServicePort{{Name: "tcp", Port: 9000, Protocol: "TCP"}}}}}
}

// sampler looks at an app again and again, and notes what must not be.
type sampler struct {
	mu     sync.Mutex
	least  int // ready pods of roll
	most   int // pods of roll that are not over
	mixed  string
	before map[string]string // see hashesOf
}

func (s *sampler) look(ctx context.Context, eng engine.Engine, id runner.Identity) {
	status, err := runner.GetStatus(ctx, eng, id)
	if err != nil {
		return // the record is being written
	}
	ready, there := 0, 0
	revisions := map[bool]bool{}
	for _, p := range status.Pods {
		running := len(p.Containers) > 0 && p.Containers[0].State == "running"
		switch p.Workload {
		case "roll":
			if p.IP != "" {
				there++
			}
			if p.Ready {
				ready++
			}
		case "again":
			if c, err := eng.InspectContainer(ctx, p.Containers[0].ID); err == nil && running && c.State == engine.Running {
				revisions[revisionOf(c) == s.before[p.Name]] = true
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.least, s.most = min(s.least, ready), max(s.most, there)
	if len(revisions) > 1 {
		s.mixed = fmt.Sprint(revisions)
	}
}

// revisionOf is what the definition hashes to that a container was made from.
func revisionOf(c engine.Container) string { return c.Labels["dev.cuepod.hash"] }

// conformance:S117 S118
// conformance:negative S117
func TestRollout_OnARealEngine(t *testing.T) {
	eng, info := openEngine(t)
	ref, archive := agenttest.Image(t, info.Arch)
	id := runner.Identity{App: fmt.Sprintf("rolltest-%06x", rand.Uint32N(1<<24)), Root: t.TempDir()}
	t.Cleanup(func() {
		if err := runner.Down(context.WithoutCancel(t.Context()), eng, id, runner.DownOptions{Volumes: true, Now: true}); err != nil {
			t.Error(err)
		}
	})
	revision := "one"
	cfg := runner.Config{
		Engine: eng, Identity: id, Once: true, Timeout: 3 * time.Minute, Strict: true,
		Secrets: runner.SecretSources{LookupEnv: os.LookupEnv, ReadFile: os.ReadFile},
		Agent:   func(string) (string, []byte, error) { return ref, archive, nil },
		Compile: func(context.Context) (runner.Compiled, error) {
			state, _, err := docker.Render(rolledApp(id.App, revision), docker.Options{Strict: true, Project: id.Project()})
			return runner.Compiled{State: state, Root: id.Root}, err
		},
		Report: func(e runner.Event) { t.Log(e.Kind, e.Object, e.Message) },
	}
	if err := runner.Up(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	before := hashesOf(t, eng, id)

	ctx, stop := context.WithCancel(t.Context())
	s := &sampler{least: 1 << 30, before: before}
	done := make(chan bool)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			s.look(ctx, eng, id)
		}
	}()
	revision = "two"
	err := runner.Up(t.Context(), cfg)
	stop()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	if s.least < 3 || s.most > 4 || s.mixed != "" {
		t.Errorf("roll: at least %d ready and at most %d there, want 3 and 4; again: of two revisions at once %q", s.least, s.most, s.mixed)
	}
	after := hashesOf(t, eng, id)
	var kept []string
	for pod, hash := range after {
		if before[pod] == hash {
			kept = append(kept, pod)
		}
	}
	if len(after) != 7 || !slices.Equal(kept, []string{"set-0"}) {
		t.Errorf("pods %v, of which %v kept their revision; want 7, of which set-0 did", after, kept)
	}
}

// hashesOf gives the hash of every pod's container that runs.
func hashesOf(t *testing.T, eng engine.Engine, id runner.Identity) map[string]string {
	t.Helper()
	s, err := runner.GetStatus(t.Context(), eng, id)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range s.Pods {
		c, err := eng.InspectContainer(t.Context(), p.Containers[0].ID)
		if err != nil || !strings.HasPrefix(p.Containers[0].State, "running") {
			t.Fatalf("pod %s: %v %s", p.Name, err, p.Containers[0].State)
		}
		out[p.Name] = revisionOf(c)
	}
	return out
}
