package runner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// rollouts is what the supervisor knows of rollouts beyond what is on the
// engine. Whoever comes after finds it out anew.
type rollouts struct {
	ready    map[string]readiness // by pod
	received time.Time            // of the last status
	known    map[string]bool      // pods that the plan under way is about
	begun    map[string]time.Time // since when a workload is not as it should be
}

// readiness is since when a pod is ready with the containers that it has.
type readiness struct {
	containers string
	since      time.Time
}

func newRollouts() rollouts {
	return rollouts{ready: map[string]readiness{}, begun: map[string]time.Time{}}
}

// note finds out since when pods are ready: in the gateway's word, which was
// there before us, or since we first saw it.
func (r *rollouts) note(seen *observation, status api.Status, now time.Time) {
	for name := range r.ready {
		if !seen.Ready[name] {
			delete(r.ready, name)
		}
	}
	for name, p := range seen.Pods {
		if !seen.Ready[name] {
			delete(seen.Since, name)
			continue
		}
		ids := memberIDs(p)
		if r.ready[name].containers != ids {
			since := now
			if s := status.Pods[name].Since; s != 0 && status.Time >= s {
				since = r.received.Add(-time.Duration(status.Time-s) * time.Millisecond)
			}
			r.ready[name] = readiness{ids, since}
		}
		seen.Since[name] = r.ready[name].since
	}
}

func memberIDs(p *reconcile.Pod) string {
	var ids []string
	for i := range p.Members {
		if m := &p.Members[i]; !m.Init {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// begin notes which pods a plan is about.
func (r *rollouts) begin(moves map[string]bool) { r.known = moves }

func (r *supervisor) moves() map[string]bool {
	return reconcile.Moves(r.wants(reconcile.AllButJobs), &r.loop.seen.Observed, time.Now())
}

// noticeMoves lets a plan under way make room for one that brings a rollout on:
// what it waits for may be another workload's pod.
func (r *supervisor) noticeMoves() {
	l := &r.loop
	if !r.cfg.Strict || !l.main.busy() || l.stale {
		return
	}
	for name := range r.moves() {
		if !l.rollouts.known[name] {
			l.main.drop()
			return
		}
	}
}

// watchRollouts tells of rollouts that go nowhere, and returns how long until
// there is something new to tell.
func (r *supervisor) watchRollouts(ctx context.Context, now time.Time) time.Duration {
	l := &r.loop
	if l.seen == nil || l.stale || r.onlyRun != "" {
		return idle
	}
	stalled, next := r.stalled(now)
	if slices.ContainsFunc(stalled, func(f failure) bool { return !l.failed[f.key] }) {
		r.noticeFailures(ctx, false)
	}
	if r.cfg.Strict && l.main.busy() {
		r.noticeMoves() // a pod may be available by now
		next = min(next, time.Second)
	}
	return next
}

// presentOf is the recorded state with the pods as they are there.
func presentOf(seen *observation) *docker.State {
	return reconcile.Present(reconcile.Desired{State: seen.Record.State, AgentImage: seen.Record.AgentImage, Strict: seen.Record.Strict}, &seen.Observed)
}

// available reports whether a pod has been ready for as long as it has to be.
func (r *supervisor) available(pod string) bool {
	l := &r.loop
	minReady := 0
	if p := l.desired.Pod(pod); p != nil {
		if w := l.desired.Workload(p.Workload); w != nil {
			minReady = w.MinReady
		}
	}
	return podReady(view{seen: l.seen, status: l.status}, pod) && l.seen.Available(pod, minReady, time.Now())
}

// progressDeadlineExceeded is Kubernetes' word for a rollout that goes nowhere.
const progressDeadlineExceeded = "ProgressDeadlineExceeded"

// stalled lists the workloads whose rollouts have made no progress for as long
// as they may, and gives how long it is until the next one is among them. A
// pod that is made and one that gets available are progress.
func (r *supervisor) stalled(now time.Time) (out []failure, next time.Duration) {
	l := &r.loop
	next = idle
	for _, p := range reconcile.Progressing(r.wants(reconcile.AllButJobs), &l.seen.Observed, now) {
		w := l.desired.Workload(p.Workload)
		key := p.Workload + " " + w.Revision
		maps.DeleteFunc(l.rollouts.begun, func(k string, _ time.Time) bool {
			return strings.HasPrefix(k, p.Workload+" ") && (p.Complete || k != key)
		})
		if p.Complete {
			continue
		}
		if l.rollouts.begun[key].IsZero() {
			l.rollouts.begun[key] = now
		}
		last := l.rollouts.begun[key]
		if p.Last.After(last) {
			last = p.Last
		}
		deadline := time.Duration(w.ProgressDeadline) * time.Second
		if left := last.Add(deadline).Sub(now); left > 0 {
			next = min(next, left+time.Millisecond)
			continue
		}
		out = append(out, failure{
			key: "rollout " + key, object: strings.ToLower(string(w.Kind)) + " " + w.Name,
			message: fmt.Sprintf("%s: no progress for %v; %s", progressDeadlineExceeded, deadline, p.Why),
		})
	}
	return out, next
}
