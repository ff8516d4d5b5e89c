package runner

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/targets/docker"
)

// A command that cannot be run at all is tried three times, and what it found is
// thrown away: it restarts nobody.
//
// conformance:S33 S41
func TestUp_ExecProbeThatCannotBeCarriedOutChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		tries := 0
		r.eng.SetHook(func(_ context.Context, ph fake.Phase, op, _ string) error {
			if ph == fake.Before && op == "Exec" {
				r.mu.Lock()
				defer r.mu.Unlock()
				tries++
				return errors.New("the engine cannot run it")
			}
			return nil
		})
		r.app.Pod("db").Containers[0].LivenessProbe = &app.Probe{Exec: &app.ExecAction{Command: []string{"check"}}, PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 1}
		r.up()
		time.Sleep(5 * time.Second)
		before := r.running()
		time.Sleep(time.Minute)
		r.mu.Lock()
		defer r.mu.Unlock()
		if tries == 0 || tries%3 != 0 {
			t.Errorf("%d tries", tries)
		}
		if got := touched(before, r.running()); got != "" {
			t.Errorf("touched %s", got)
		}
	})
}

// Initial delays count from when the container started, for exec probes too,
// whoever supervises by then.
// What one supervisor's probes found holds for the next, which may be gone before
// its own probes have found anything.
func TestUp_ExecVerdictsOutliveTheirSupervisor(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		slow := make(chan struct{})
		close(slow)
		r.eng.AddImage("web:1", fake.Image{Run: serve, Exec: func(ctx context.Context, _ fake.Process) int {
			select {
			case <-slow:
				return 0
			case <-ctx.Done():
				return 1
			}
		}})
		check := func() *app.Probe {
			return &app.Probe{Exec: &app.ExecAction{Command: []string{"check"}}, PeriodSeconds: 10, TimeoutSeconds: 60, SuccessThreshold: 1, FailureThreshold: 3}
		}
		c := &r.app.Pod("db").Containers[0]
		c.StartupProbe, c.ReadinessProbe = check(), check()
		r.ready()
		slow = make(chan struct{})
		wasReady := func() bool { return r.status().Pods[0].Ready }
		for range 2 {
			r.ready()
			if !wasReady() {
				t.Fatal("the pod is not ready any more though nothing found it so")
			}
		}
		stop := r.up()
		time.Sleep(time.Minute)
		if !wasReady() {
			t.Error("the pod is not ready any more while its probes take their time")
		}
		time.Sleep(5 * time.Minute) // three of them failed
		if wasReady() {
			t.Error("the pod is ready though its probe fails")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUp_ExecProbesCountTheirDelayFromTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var asked time.Time
		r.eng.AddImage("web:1", fake.Image{Run: serve, Exec: func(context.Context, fake.Process) int {
			r.mu.Lock()
			defer r.mu.Unlock()
			if asked.IsZero() {
				asked = time.Now()
			}
			return 0
		}})
		r.app.Pod("db").Containers[0].LivenessProbe = &app.Probe{Exec: &app.ExecAction{Command: []string{"check"}}, InitialDelaySeconds: 100, PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 1}
		r.ready()
		started := r.container("shop_db-0_db").Started
		time.Sleep(40 * time.Second)
		r.up()
		time.Sleep(2 * time.Minute)
		r.mu.Lock()
		defer r.mu.Unlock()
		if after := asked.Sub(started); after < 100*time.Second || after > 102*time.Second {
			t.Errorf("the first probe came %v after the start", after)
		}
	})
}

// The machine's loopback is not the pod's: a server that is bound to the pod's
// must not pass because the agent is in there.
//
// conformance:S37
//
//conformance:negative S37
func TestSnapshot_ProbesOfTheMachinesLoopbackLeaveThePod(t *testing.T) {
	in := snapshotInput{seen: &observation{addresses: candidate("app", 0)}}
	for _, host := range []string{"127.0.0.1", "127.1.2.3", "localhost", "::1"} {
		for _, p := range []api.Probe{{HTTP: &api.HTTPProbe{Host: host}}, {TCP: &api.TCPProbe{Host: host}}} {
			got := in.outside(&docker.Pod{}, p)
			if h := hostOf(got); h != in.seen.addresses.host() {
				t.Errorf("%s: %q is asked", host, h)
			}
		}
		if got := in.outside(&docker.Pod{HostNetwork: true}, api.Probe{TCP: &api.TCPProbe{Host: host}}); got.TCP.Host != host {
			t.Errorf("with the machine's network %s: %q is asked", host, got.TCP.Host)
		}
	}
	for _, host := range []string{"", "10.1.2.3", "db"} {
		if got := in.outside(&docker.Pod{}, api.Probe{TCP: &api.TCPProbe{Host: host}}); got.TCP.Host != host {
			t.Errorf("%q: %q is asked", host, got.TCP.Host)
		}
	}
}

func hostOf(p api.Probe) string {
	if p.HTTP != nil {
		return p.HTTP.Host
	}
	return p.TCP.Host
}
