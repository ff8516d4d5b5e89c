package runner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
	"github.com/cuepod/cuepod/targets/docker"
)

// Last words come from the default path and any other one, whoever the container
// runs as, from the log where it asks for that, and of the instance before.
//
// conformance:S19 S20 S37
//
//conformance:negative S37
func TestLastWords_OnARealEngine(t *testing.T) {
	eng, info := openEngine(t)
	ref, archive := agenttest.Image(t, info.Arch)
	id := runner.Identity{App: fmt.Sprintf("wordstest-%06x", rand.Uint32N(1<<24)), Root: t.TempDir()}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := runner.Down(ctx, eng, id, runner.DownOptions{Volumes: true, Now: true}); err != nil {
			t.Error(err)
		}
	})
	state := &docker.State{App: id.App, Namespace: "default", Services: []docker.Service{}}
	pod := func(name string, policy docker.RestartPolicy, containers ...docker.Container) {
		p := docker.Pod{Name: name, Workload: name, EngineName: docker.InfraName(id.App, name), Hostname: name, GracePeriod: 2, Hash: name, RestartPolicy: policy}
		v := docker.Volume{Name: docker.VolumeName(id.App, name, ".messages"), Kind: docker.Messages, Pod: name}
		p.Mounts = []docker.Mount{{Volume: v.Name, Path: docker.MessagesDir}}
		for _, c := range containers {
			c.EngineName, c.Image, c.PullPolicy, c.Hash = docker.ContainerName(id.App, name, c.Name), enginetest.Ref, "Never", c.Name
			p.Containers = append(p.Containers, c)
		}
		state.Pods, state.Volumes = append(state.Pods, p), append(state.Volumes, v)
	}
	pod("once", docker.RestartNever,
		docker.Container{Name: "default", User: "1234", Cmd: []string{"write", "/dev/termination-log", "from the default path"}},
		docker.Container{Name: "other", ReadOnlyRoot: true, MessagePath: "/words/last", Cmd: []string{"write", "/words/last", "from another path"}},
		docker.Container{Name: "log", MessageFromLog: true, Cmd: []string{"dial", "127.0.0.1:1"}})
	pod("again", docker.RestartAlways, docker.Container{Name: "c", Cmd: []string{"write", "/dev/termination-log", "every time"}})
	probe := []docker.Probe{{Kind: "readiness", TCP: 9000, Period: 1, Timeout: 1, SuccessThreshold: 1, FailureThreshold: 1}}
	pod("open", "", docker.Container{Name: "c", Cmd: []string{"listen", ":9000"}, Probes: probe})
	pod("shut", "", docker.Container{Name: "c", Cmd: []string{"listen", "127.0.0.1:9000"}, Probes: probe})
	cfg := runner.Config{
		Engine: eng, Identity: id, Secrets: runner.SecretSources{LookupEnv: os.LookupEnv, ReadFile: os.ReadFile},
		Agent: func(string) (string, []byte, error) { return ref, archive, nil },
		Compile: func(context.Context) (runner.Compiled, error) {
			return runner.Compiled{State: state, Root: id.Root}, nil
		},
		Report: func(e runner.Event) { t.Log(e.Kind, e.Object, e.Message) },
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runner.Up(ctx, cfg) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	seen := func() map[string]string {
		out := map[string]string{}
		s, err := runner.GetStatus(t.Context(), eng, id)
		if err != nil {
			return out
		}
		for _, p := range s.Pods {
			for _, c := range p.Containers {
				key := p.Name + "/" + c.Name
				out[key] = c.Message
				if c.LastState != nil {
					out[key+" before"] = c.LastState.Message
				}
				if c.Ready {
					out[key+" ready"] = "yes"
				}
			}
		}
		return out
	}
	want := map[string]string{
		"once/default": "from the default path", "once/other": "from another path", "once/log": "connection refused",
		"again/c before": "every time", "open/c ready": "yes", "shut/c": "connection refused",
	}
	var missing []string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		missing = nil
		got := seen()
		for key, text := range want {
			if !strings.Contains(got[key], text) {
				missing = append(missing, fmt.Sprintf("%s: %q, want %q", key, got[key], text))
			}
		}
		if len(missing) == 0 {
			if got["shut/c ready"] != "" {
				t.Error("what listens on 127.0.0.1 alone is ready")
			}
			return
		}
	}
	t.Errorf("not in time:\n%s", strings.Join(missing, "\n"))
}
