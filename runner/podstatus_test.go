package runner

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

var statusNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// statusCase is a pod in words: "init", "sidecar" and "regular" containers by
// name, and how each is on the engine. One that is not named there is missing.
type statusCase struct {
	name     string
	policy   docker.RestartPolicy
	init     string            // "a b", a sidecar with a star: "a b*"
	regular  string            // "x y"
	engine   map[string]string // running, ready, created, exit N, oom N, looping N, error: see statusCase.observed
	noInfra  bool
	leaving  bool
	phase    string
	word     string
	ready    string // conditions that are False, with their reason
	restarts int
}

const statusInfra = "infra id"

func (tc statusCase) input() podInput {
	p := &docker.Pod{Name: "web-0", Workload: "web", RestartPolicy: tc.policy, QoS: docker.BestEffort}
	o := &reconcile.Pod{Name: "web-0", Infra: &reconcile.Container{ID: statusInfra, State: reconcile.Running, IP: "10.1.0.9"}}
	word := api.PodStatus{Containers: map[string]api.ContainerStatus{}}
	add := func(names string, init bool) (out []docker.Container) {
		for _, n := range strings.Fields(names) {
			name, sidecar := strings.CutSuffix(n, "*")
			out = append(out, docker.Container{Name: name, Sidecar: sidecar})
			if how, ok := tc.engine[name]; ok {
				m, w := observedAs(name, how)
				m.Init = init
				o.Members = append(o.Members, m)
				word.Containers[name] = w
			}
		}
		return out
	}
	p.Init, p.Containers = add(tc.init, true), add(tc.regular, false)
	if tc.noInfra {
		o = nil
	}
	return podInput{pod: p, seen: o, word: word, leaving: tc.leaving, now: statusNow}
}

// observedAs reads how a container is: "running", "started" (past its startup
// probe), "ready"; "created"; "exit 3" with a restart that is due; "looping 3"
// in back-off; "oom 0" with the engine's flag; "refused" by the engine.
func observedAs(name, how string) (reconcile.Container, api.ContainerStatus) {
	kind, number, _ := strings.Cut(how, " ")
	code := 0
	fmt.Sscan(number, &code)
	c := reconcile.Container{ID: "id " + name, Key: name, Infra: statusInfra, ExitCode: code, Started: statusNow.Add(-time.Minute)}
	w := api.ContainerStatus{ID: c.ID}
	switch kind {
	case "running", "started", "ready":
		c.State = reconcile.Running
		w.Started, w.Ready = kind != "running", kind == "ready"
	case "created":
		c.State, c.Started = reconcile.Created, time.Time{}
	case "refused":
		c.State, c.Started, c.Created, c.Error = reconcile.Created, time.Time{}, statusNow.Add(-time.Minute), "no such file"
		c.ExitCode = 127
	case "exit", "oom", "looping":
		c.State, c.Finished, c.OOMKilled = reconcile.Exited, statusNow.Add(-time.Second), kind == "oom"
		if kind == "looping" {
			c.Restarts, c.Backoff = 3, 4
		}
	}
	return c, w
}

// The cases of Kubernetes' own tests of getPhase, in our words, and what
// kubectl shows for them.
//
// conformance:S1 S2 S3 S4
//
//conformance:negative S2
func TestPodStatus(t *testing.T) {
	type m = map[string]string
	const always, onFailure, never = docker.RestartAlways, docker.RestartOnFailure, docker.RestartNever
	const notReady = "ContainersReady=ContainersNotReady Ready=ContainersNotReady"
	const notInitialised = "Initialized=ContainersNotInitialized " + notReady
	const completed = "ContainersReady=PodCompleted Ready=PodCompleted"
	const failed = "ContainersReady=PodFailed Ready=PodFailed"
	for _, tc := range []statusCase{
		{name: "nothing yet", regular: "x y", noInfra: true, phase: "Pending", word: "ContainerCreating", ready: "PodReadyToStartContainers= " + notReady},
		{name: "all waiting", regular: "x y", phase: "Pending", word: "ContainerCreating", ready: notReady},
		{name: "one created, one running", regular: "x y", engine: m{"x": "created", "y": "ready"}, phase: "Pending", word: "ContainerCreating", ready: notReady},
		{name: "all running", regular: "x y", engine: m{"x": "ready", "y": "ready"}, phase: "Running", word: "Running"},
		{name: "an init container that somebody removed was done", init: "a", regular: "x", engine: m{"x": "ready"}, phase: "Running", word: "Running"},
		{name: "running and not ready", regular: "x y", engine: m{"x": "ready", "y": "started"}, phase: "Running", word: "Running", ready: notReady},

		{name: "always: all stopped, due", policy: always, regular: "x y", engine: m{"x": "exit 0", "y": "exit 0"}, phase: "Running", word: "Completed", ready: notReady},
		{name: "always: one stopped", policy: always, regular: "x y", engine: m{"x": "ready", "y": "exit 3"}, phase: "Running", word: "Error", ready: notReady},
		{name: "always: one done, one ready", policy: always, regular: "x y", engine: m{"x": "ready", "y": "exit 0"}, phase: "Running", word: "NotReady", ready: notReady},
		{name: "always: a crash loop is Running", policy: always, regular: "x y", engine: m{"x": "looping 3", "y": "ready"}, phase: "Running", word: "CrashLoopBackOff", ready: notReady, restarts: 3},
		{name: "always: exit 0 loops as well", policy: always, regular: "x", engine: m{"x": "looping 0"}, phase: "Running", word: "CrashLoopBackOff", ready: notReady, restarts: 3},
		{name: "out of memory though it exited with 0", policy: never, regular: "x", engine: m{"x": "oom 0"}, phase: "Succeeded", word: "OOMKilled", ready: completed},
		{name: "cannot be run", policy: always, regular: "x", engine: m{"x": "refused"}, phase: "Running", word: "RunContainerError", ready: notReady},

		{name: "never: all succeeded", policy: never, regular: "x y", engine: m{"x": "exit 0", "y": "exit 0"}, phase: "Succeeded", word: "Completed", ready: completed},
		{name: "never: all failed", policy: never, regular: "x y", engine: m{"x": "exit 1", "y": "exit 2"}, phase: "Failed", word: "Error", ready: failed},
		{name: "never: one failed", policy: never, regular: "x y", engine: m{"x": "exit 2", "y": "exit 0"}, phase: "Failed", word: "Error", ready: failed},
		{name: "never: one runs", policy: never, regular: "x y", engine: m{"x": "ready", "y": "exit 2"}, phase: "Running", word: "Error", ready: notReady},
		{name: "never: one waits", policy: never, regular: "x y", engine: m{"y": "exit 0"}, phase: "Pending", word: "ContainerCreating", ready: notReady},
		{name: "on failure: all succeeded", policy: onFailure, regular: "x y", engine: m{"x": "exit 0", "y": "exit 0"}, phase: "Succeeded", word: "Completed", ready: completed},
		{name: "on failure: one failed", policy: onFailure, regular: "x y", engine: m{"x": "exit 2", "y": "exit 0"}, phase: "Running", word: "Error", ready: notReady},
		{name: "on failure: in back-off", policy: onFailure, regular: "x y", engine: m{"x": "looping 2", "y": "exit 0"}, phase: "Running", word: "CrashLoopBackOff", ready: notReady, restarts: 3},

		{name: "init: none yet", init: "a b", regular: "x", phase: "Pending", word: "Init:0/2", ready: notInitialised},
		{name: "init: the first runs", init: "a b", regular: "x", engine: m{"a": "running"}, phase: "Pending", word: "Init:0/2", ready: notInitialised},
		{name: "init: the second's turn", init: "a b", regular: "x", engine: m{"a": "exit 0"}, phase: "Pending", word: "Init:1/2", ready: notInitialised},
		{name: "init: failed, never", policy: never, init: "a b", regular: "x", engine: m{"a": "exit 1"}, phase: "Failed", word: "Init:Error", ready: "Initialized=ContainersNotInitialized " + failed},
		{name: "init: failed, due again", init: "a b", regular: "x", engine: m{"a": "exit 1"}, phase: "Pending", word: "Init:Error", ready: notInitialised},
		{name: "init: in back-off", init: "a b", regular: "x", engine: m{"a": "looping 1"}, phase: "Pending", word: "Init:CrashLoopBackOff", ready: notInitialised, restarts: 3},
		{name: "init: done", init: "a b", regular: "x", engine: m{"a": "exit 0", "b": "exit 0"}, phase: "Pending", word: "PodInitializing", ready: notReady},
		{name: "init: done and running", init: "a b", regular: "x", engine: m{"a": "exit 0", "b": "exit 0", "x": "ready"}, phase: "Running", word: "Running"},
		{name: "init: restarts of init containers are forgotten", init: "a", regular: "x", engine: m{"a": "exit 0", "x": "looping 1"}, phase: "Running", word: "CrashLoopBackOff", ready: notReady, restarts: 3},

		{name: "sidecar: not started", init: "a*", regular: "x", engine: m{"a": "running"}, phase: "Pending", word: "Init:0/1", ready: notInitialised},
		{name: "sidecar: started", init: "a*", regular: "x", engine: m{"a": "ready"}, phase: "Pending", word: "PodInitializing", ready: notReady},
		{name: "sidecar: all run", init: "a*", regular: "x", engine: m{"a": "ready", "x": "ready"}, phase: "Running", word: "Running"},
		{name: "sidecar: its readiness counts", init: "a*", regular: "x", engine: m{"a": "started", "x": "ready"}, phase: "Running", word: "Running", ready: notReady},
		{name: "sidecar: restarting after all began", init: "a*", regular: "x", engine: m{"a": "running", "x": "ready"}, phase: "Running", word: "Init:0/1", ready: notReady},
		{name: "sidecar: its code fails no pod", policy: never, init: "a*", regular: "x", engine: m{"a": "exit 1", "x": "exit 0"}, phase: "Succeeded", word: "Completed", ready: completed},

		{name: "on its way out", regular: "x", engine: m{"x": "ready"}, leaving: true, phase: "Running", word: "Terminating"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.input().status()
			var not []string
			for _, c := range got.Conditions {
				if !c.True() {
					not = append(not, c.Type+"="+c.Reason)
				}
			}
			if got.Phase != tc.phase || got.Status != tc.word || strings.Join(not, " ") != tc.ready || got.Restarts != tc.restarts {
				t.Errorf("got phase %s, word %s, not %q, restarts %d\nwant %s, %s, %q, %d\n%+v",
					got.Phase, got.Status, strings.Join(not, " "), got.Restarts, tc.phase, tc.word, tc.ready, tc.restarts, got.Containers)
			}
			if got.QoSClass != "BestEffort" {
				t.Errorf("QoS class %q", got.QoSClass)
			}
		})
	}
}

// conformance:S20 S25
func TestPodStatus_CrashLoopTellsWhenAndWhy(t *testing.T) {
	in := statusCase{policy: docker.RestartAlways, regular: "x", engine: map[string]string{"x": "looping 3"}}.input()
	c := in.status().Containers[0]
	if c.LastState == nil || c.LastState.ExitCode != 3 || c.LastState.Reason != "Error" || c.LastState.FinishedAt.IsZero() {
		t.Errorf("last state %+v", c.LastState)
	}
	if wait := c.RetryAt.Sub(statusNow); wait != 7*time.Second || c.Message != "back-off 8s restarting failed container=x pod=web-0" {
		t.Errorf("next in %v: %s", wait, c.Message)
	}
	in.backoff = reconcile.KubernetesBackoff
	if wait := in.status().Containers[0].RetryAt.Sub(statusNow); wait != 79*time.Second {
		t.Errorf("with Kubernetes' delays the next is in %v", wait)
	}
}
