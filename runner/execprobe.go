package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/probe"
	"github.com/cuepod/cuepod/targets/docker"
)

// Exec probes run here, through the engine, as the agent cannot enter another
// container. Their verdicts go to the gateway with every snapshot; while no
// supervisor runs, the last verdict stands, and the next supervisor goes on from it.

// execKey names one exec probe of one container instance.
type execKey struct {
	container string // ID
	kind      string
}

type execProbe struct {
	pod    string
	spec   docker.Probe
	worker probe.Worker
	cancel context.CancelFunc
}

// execVerdicts are the exec probes at work. The loop owns it.
type execVerdicts struct{ probes map[execKey]*execProbe }

func newExecVerdicts() execVerdicts { return execVerdicts{map[execKey]*execProbe{}} }

// byContainer gives the verdicts in the form of the wire.
func (e execVerdicts) byContainer() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for key, p := range e.probes {
		if out[key.container] == nil {
			out[key.container] = map[string]bool{}
		}
		out[key.container][key.kind] = p.worker.Verdict == probe.Success
	}
	return out
}

// unhealthy gives the containers that have to be restarted, and why.
func (e execVerdicts) unhealthy() map[string]string {
	out := map[string]string{}
	for key, p := range e.probes {
		if key.kind != api.Readiness && p.worker.Verdict == probe.Failure {
			out[key.container] = fmt.Sprintf("%s probe failed: %s", key.kind, p.worker.Message)
		}
	}
	return out
}

// runExecProbes starts the probes of containers that run and stops the others.
func (r *supervisor) runExecProbes(ctx context.Context) {
	l := &r.loop
	wanted := map[execKey]bool{}
	for i := range l.present.Pods {
		p := &l.present.Pods[i]
		for _, c := range p.Lasting() {
			m := l.seen.member(p.Name, c.Name)
			if m == nil || m.State != engine.Running || !hooked(c, m.ID, l.hooks) {
				continue
			}
			for _, spec := range c.Probes {
				// A pod on its way out is not to be restarted: only readiness goes on.
				if len(spec.Exec) == 0 || l.draining[p.Name] && spec.Kind != api.Readiness {
					continue
				}
				key := execKey{m.ID, spec.Kind}
				wanted[key] = true
				if !l.heard && l.exec.probes[key] == nil {
					continue // what there is to go on from is not known yet
				}
				r.startExecProbe(ctx, key, spec, p, c.Name, m.Started)
			}
		}
	}
	for key, p := range l.exec.probes {
		// What is not defined any more runs until it has stopped.
		if leaving := key.kind == api.Readiness && l.present.Pod(p.pod) == nil && l.seen.runs(key.container); !wanted[key] && !leaving {
			p.cancel()
			delete(l.exec.probes, key)
		}
	}
}

func (r *supervisor) startExecProbe(ctx context.Context, key execKey, spec docker.Probe, pod *docker.Pod, container string, since time.Time) {
	old := r.loop.exec.probes[key]
	if old != nil && reflect.DeepEqual(old.spec, spec) {
		return
	}
	worker := resumed(spec.Kind, key.container, r.loop.status.Pods[pod.Name].Containers[container])
	if old != nil { // a changed probe goes on from the verdict there was
		old.cancel()
		worker.Verdict, worker.Message = old.worker.Verdict, old.worker.Message
	}
	probeCtx, cancel := context.WithCancel(ctx)
	p := &execProbe{pod: pod.Name, spec: spec, worker: worker, cancel: cancel}
	r.loop.exec.probes[key] = p
	if worker.Hold {
		return
	}
	target := execTarget{pod: *pod, container: container, id: key.container, since: since}
	go r.execLoop(probeCtx, key, p, target)
}

// resumed is a probe of a container of which something is known: what was said of
// it holds until the probe says otherwise.
func resumed(kind, id string, known api.ContainerStatus) probe.Worker {
	w := probe.NewWorker(kind)
	switch {
	case known.ID != id:
	case kind == api.Startup && known.Started:
		w.Verdict, w.Hold = probe.Success, true
	case kind == api.Readiness && known.Ready:
		w.Verdict = probe.Success
	}
	return w
}

// execTarget is the container that a probe runs in.
type execTarget struct {
	pod       docker.Pod
	container string // its name
	id        string
	since     time.Time // when it started: initial delays count from here
}

// execLoop tries until the verdict is final or the probe is stopped.
func (r *supervisor) execLoop(ctx context.Context, key execKey, p *execProbe, target execTarget) {
	if key.kind != api.Startup {
		err := r.board.wait(ctx, func(v view) (bool, error) {
			c := v.status.Pods[target.pod.Name].Containers[target.container]
			return c.ID == key.container && c.Started, nil
		})
		if err != nil {
			return
		}
	}
	wait := time.Until(target.since.Add(time.Duration(p.spec.InitialDelay) * time.Second))
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		outcome := r.exec(ctx, target, p.spec)
		var now probe.Worker
		err := r.call(ctx, func() {
			before := p.worker.Verdict
			p.worker = p.worker.Next(wireProbe(p.spec), outcome)
			now = p.worker
			if p.worker.Verdict != before {
				r.push()
				r.judge()
				r.lookSoon()
			}
		})
		if err != nil || now.Hold {
			return
		}
		wait = now.Pause(wireProbe(p.spec), 0)
	}
}

// maxProbeOutput is how much of a probe's output a message quotes.
const maxProbeOutput = 256

// exec runs a probe's command. What could not be carried out is tried again,
// see probe.Tries.
func (r *supervisor) exec(ctx context.Context, target execTarget, p docker.Probe) probe.Outcome {
	var o probe.Outcome
	for range probe.Tries {
		marker := newMarker()
		var late bool
		o, late = execOnce(ctx, r.cfg.Engine, target.id, p, marker)
		if late {
			r.killLate(ctx, target, marker)
		}
		if o.Result != probe.Unknown || ctx.Err() != nil {
			break
		}
	}
	return o
}

// execOnce runs a probe's command once. It reports whether the command was
// still running when its time was over.
func execOnce(ctx context.Context, eng engine.Engine, container string, p docker.Probe, marker string) (o probe.Outcome, late bool) {
	timeout := time.Duration(p.Timeout) * time.Second
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var out bytes.Buffer
	code, err := eng.Exec(limited, container, engine.ExecSpec{Cmd: p.Exec, Env: []string{api.Marker + "=" + marker}, Stdout: &out, Stderr: &out})
	switch {
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return probe.Outcome{Result: probe.Failure, Message: fmt.Sprintf("no answer within %v", timeout)}, true
	case err != nil:
		return probe.Outcome{Message: err.Error()}, false // unknown: the probe itself could not be carried out
	case code == 0:
		return probe.Outcome{Result: probe.Success}, false
	}
	text := strings.TrimSpace(out.String())
	if len(text) > maxProbeOutput {
		text = text[:maxProbeOutput] + "..."
	}
	return probe.Outcome{Result: probe.Failure, Message: strings.TrimSpace(fmt.Sprintf("exit code %d %s", code, text))}, false
}
