package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// What a person is told while up runs.

// problem tells about a failure once, until everything is ready again.
func (r *supervisor) problem(object, message string) {
	key := object + "\x00" + message
	if r.loop.problems[key] {
		return
	}
	r.loop.problems[key] = true
	r.loop.ready = false
	r.cfg.Report(Event{Kind: EventProblem, Object: object, Message: message})
}

// tellLosses tells what a definition leaves out here, each loss once.
func (r *supervisor) tellLosses(losses []Loss) {
	for _, loss := range losses {
		if !r.loop.losses[loss.Key] {
			r.loop.losses[loss.Key] = true
			r.report(EventLoss, "", "%s", loss.Text)
		}
	}
}

func (r *supervisor) tellPlan(p reconcile.Plan, lane *lane) {
	l := &r.loop
	if p.Follows() || p.Aside() {
		return // who has it done tells: see devFollower
	}
	if lane == &l.main { // an app is as ready as before when a job begins
		l.ready = false
		if l.began.IsZero() {
			l.began = time.Now()
		}
	}
	l.reload.add(p)
	for _, line := range p.Summary() {
		r.report(EventPlan, "", "%s", line)
	}
}

// tellReady tells once that everything is ready.
func (r *supervisor) tellReady(p reconcile.Plan) {
	l := &r.loop
	waits := slices.ContainsFunc(p.Waits, func(w reconcile.Wait) bool { return !w.Job && !w.Aside })
	if waits || len(r.notReady()) > 0 {
		return
	}
	if l.ready {
		return
	}
	l.ready = true
	clear(l.problems)
	took := ""
	if !l.began.IsZero() {
		took = fmt.Sprintf(" in %.1f s", time.Since(l.began).Seconds())
	}
	line := l.reload.line()
	if line == "" {
		line = r.id.App + " is"
	}
	l.began, l.reload = time.Time{}, reload{}
	r.report(EventReady, "", "%s ready%s", line, took)
}

// notReady lists what is not ready and why.
func (r *supervisor) notReady() []string {
	l := &r.loop
	if l.seen == nil {
		return []string{"the engine has not been seen yet"}
	}
	v := view{seen: l.seen, status: l.status, linked: l.link != nil}
	if !v.linked {
		return []string{"gateway: not on the line"}
	}
	var out []string
	paused := l.seen.pausedFrame()
	for _, object := range slices.Sorted(maps.Keys(paused)) {
		out = append(out, object+": "+pausedWords(paused[object]))
	}
	for i := range l.desired.Pods {
		p := l.present.Pod(l.desired.Pods[i].Name)
		if r.available(p.Name) && podStarted(v, p) || reconcile.Ended(p, l.seen.Pods[p.Name]) == reconcile.Succeeded {
			continue
		}
		why := cmp.Or(r.whyImage(p), whyNotReady(v, p))
		if podReady(v, p.Name) && podStarted(v, p) {
			why = "ready, and not yet for as long as minReadySeconds says"
		}
		if reconcile.Ended(p, l.seen.Pods[p.Name]) == reconcile.Failed {
			why = "it failed"
		}
		out = append(out, "pod "+p.Name+": "+why)
	}
	for i := range l.desired.Jobs {
		if s := jobStatus(&l.seen.Observed, &l.desired.Jobs[i]); s.Status != string(reconcile.JobComplete) && s.Status != "Suspended" && s.Status != "" {
			out = append(out, "job "+s.Name+": "+s.words())
		}
	}
	return out
}

// words say how a job that is not complete is.
func (s JobStatus) words() string {
	if s.Status == string(reconcile.JobFailed) {
		return "it failed: " + s.Reason
	}
	text := strings.ToLower(s.Status)
	if s.Completions != nil {
		text += fmt.Sprintf(", %d of %d complete", s.Succeeded, *s.Completions)
	}
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d failed", s.Failed)
	}
	return text
}

// failure is something that failed for good.
type failure struct {
	key     string // the same for the same failure
	object  string
	message string
	pod     *reconcile.Pod // whose last words tell more; may be nil
}

// failed lists what failed for good: jobs, and pods that are not started again.
func (r *supervisor) failed() []failure {
	l := &r.loop
	var out []failure
	for i := range l.desired.Pods {
		p := l.present.Pod(l.desired.Pods[i].Name)
		o := l.seen.Pods[p.Name]
		if reconcile.Ended(p, o) != reconcile.Failed || reconcile.Outdated(p, o) {
			continue
		}
		out = append(out, failure{"pod " + p.Name + " " + lastFailed(o).ID, "pod " + p.Name, "it failed", o})
	}
	stalled, _ := r.stalled(time.Now())
	out = append(out, stalled...)
	for i := range l.desired.Jobs {
		j := &l.desired.Jobs[i]
		if j.Cron != nil {
			continue
		}
		for _, run := range l.seen.RunsOf(j.Name) {
			if run.Result == reconcile.JobFailed && run.Hash == j.Hash && newestRun(&l.seen.Observed, j.Name) == run {
				out = append(out, r.jobFailure(run))
			}
		}
	}
	return append(out, r.failedBuilds()...)
}

func newestRun(o *reconcile.Observed, workload string) *reconcile.Job {
	runs := o.RunsOf(workload)
	if len(runs) == 0 {
		return nil
	}
	return runs[len(runs)-1]
}

func (r *supervisor) jobFailure(run *reconcile.Job) failure {
	f := failure{key: run.Name + " " + run.Run, object: "job " + run.Name, message: "it failed: " + run.Reason}
	if pods := r.loop.seen.PodsOf(run); len(pods) > 0 {
		f.pod = pods[len(pods)-1]
	}
	return f
}

// lastFailed is the container of a pod that failed last.
func lastFailed(p *reconcile.Pod) reconcile.Container {
	var last reconcile.Container
	for _, m := range p.Members {
		if m.ExitCode != 0 && !m.Finished.Before(last.Finished) {
			last = m
		}
	}
	return last
}

// lastWords say which container of a pod failed, and the end of its log.
func (r *supervisor) lastWords(ctx context.Context, p *reconcile.Pod) string {
	if p == nil {
		return ""
	}
	m := lastFailed(p)
	if m.ID == "" {
		return ""
	}
	return fmt.Sprintf("; container %s/%s exited with code %d%s", p.Name, m.Key, m.ExitCode, lastLines(ctx, r.cfg.Engine, m.ID))
}

// noticeFailures tells once of what failed for good. That a run of a CronJob
// failed is a problem, and no news to who comes later.
func (r *supervisor) noticeFailures(ctx context.Context, first bool) {
	l := &r.loop
	if r.onlyRun != "" {
		return // whoever follows the run tells how it ended
	}
	for _, f := range r.failed() {
		if !l.failed[f.key] {
			l.failed[f.key] = true
			l.ready = false
			r.report(EventFailed, f.object, "%s%s", f.message, r.lastWords(ctx, f.pod))
		}
	}
	for i := range l.seen.Jobs {
		run := &l.seen.Jobs[i]
		if run.Result != reconcile.JobFailed || run.Name == run.Workload || l.failed[run.Name+" "+run.Run] {
			continue
		}
		f := r.jobFailure(run)
		l.failed[f.key] = true
		if !first {
			r.report(EventProblem, f.object, "%s%s", f.message, r.lastWords(ctx, f.pod))
		}
	}
}

func whyNotReady(v view, p *docker.Pod) string {
	infra := v.seen.infra(p.Name)
	if infra != nil && infra.State == engine.Paused {
		return whyPaused(v.seen.Pods[p.Name])
	}
	if infra == nil || infra.State != engine.Running {
		return "it has not started"
	}
	for i := range p.Init {
		if p.Init[i].Sidecar {
			continue // its readiness counts below
		}
		if m := v.seen.member(p.Name, p.Init[i].Name); m != nil && (m.State == engine.Running || m.ExitCode != 0) {
			if m.State == engine.Running {
				return "init container " + p.Init[i].Name + " is running"
			}
			return fmt.Sprintf("init container %s exited with code %d", p.Init[i].Name, m.ExitCode)
		}
	}
	status := v.status.Pods[p.Name]
	for _, d := range p.Lasting() {
		name := d.Name
		m := v.seen.member(p.Name, name)
		switch c := status.Containers[name]; {
		case m == nil:
			return "container " + name + " has not started"
		case m.State == engine.Exited:
			return fmt.Sprintf("container %s exited with code %d", name, m.ExitCode)
		case m.State == engine.Paused:
			return whyPaused(v.seen.Pods[p.Name])
		case m.State == engine.Created:
			return strings.TrimSuffix(fmt.Sprintf("container %s did not start: %s", name, m.Error), ": ")
		case c.ID == m.ID && c.Ready:
		case c.Message != "":
			return "container " + name + ": " + c.Message
		default:
			return "container " + name + " is not ready"
		}
	}
	if status.Error != "" {
		return status.Error
	}
	return "its readiness is not known yet"
}

// tellExit tells that a container ended by itself, with the end of its log.
func (r *supervisor) tellExit(ctx context.Context, p *reconcile.Pod, m *reconcile.Container) {
	stays := false
	if d := r.loop.present.Pod(p.Name); d != nil {
		if c := d.Container(m.Key); c != nil {
			stays = reconcile.Stays(d, c, m)
		}
	}
	if stays && m.ExitCode == 0 {
		return // it is done
	}
	how := fmt.Sprintf("exited with code %d", m.ExitCode)
	if m.OOMKilled {
		how = "was killed for using more memory than its limit"
	}
	next := "starting it again"
	if wait := r.backoff().Delay(m.Backoff); wait > 0 {
		next = fmt.Sprintf("starting it again in %v", wait)
	}
	if p.Job == "" {
		r.loop.ready = false
		if r.loop.began.IsZero() {
			r.loop.began = time.Now()
		}
	}
	if !stays {
		how += "; " + next
	}
	r.report(EventProblem, "container "+p.Name+"/"+m.Key, "%s%s", how, lastLines(ctx, r.cfg.Engine, m.ID))
}

// explain gives an error of a step the words of the definition: the object, the
// cause, and what to do next.
func explain(s reconcile.Step, state *docker.State, err error) error {
	where := line(s, state)
	switch engine.KindOf(err) {
	case engine.PortTaken:
		return explainPort(s, state, err)
	case engine.NameTaken:
		return fmt.Errorf("%s: something that is not of this app has the name %s on the engine; remove it, or rename the app: %w", s.Object, nameOf(s, state), err)
	}
	switch s.Op {
	case reconcile.PullImage:
		return explainImage(s, state, err)
	case reconcile.BuildImage, reconcile.CompileProgram:
		return explainBuild(s, state, err)
	}
	return fmt.Errorf("%s%s: %s: %w", where, s.Object, s.Op, err)
}

func nameOf(s reconcile.Step, state *docker.State) string {
	if s.Name != "" {
		return s.Name
	}
	return state.Prefix()
}

// line is where the definition names a step's container, for messages.
func line(s reconcile.Step, state *docker.State) string {
	if c := containerOf(s, state); c != nil && c.Line != "" && c.Line != "-" {
		return c.Line + ": "
	}
	return ""
}

func explainImage(s reconcile.Step, state *docker.State, err error) error {
	what, next := "is not on the engine and cannot be pulled", "build or load it (`docker images` lists what is there), or correct the name"
	if s.Cause == reconcile.PolicyAlways {
		what, next = "cannot be pulled, and imagePullPolicy is Always", "--offline takes the image that is on the engine; imagePullPolicy: \"IfNotPresent\" always does"
	}
	return fmt.Errorf("%simage %s, needed by %s, %s: %w\n  %s", line(s, state), s.Name, usersOf(s.Name, state), what, err, next)
}

// explainBuild names the container, its line, the Dockerfile's, and shows the
// end of what the step that failed had printed.
func explainBuild(s reconcile.Step, state *docker.State, err error) error {
	text := fmt.Errorf("%simage of %s cannot be built: %w", line(s, state), usersOf(s.Name, state), causeError(err))
	var fault *engine.BuildError
	if !errors.As(err, &fault) || strings.TrimSpace(fault.Output) == "" {
		return text
	}
	return fmt.Errorf("%w\n    %s", text, strings.ReplaceAll(lastOf(fault.Output), "\n", "\n    "))
}

// lastOf keeps the last lines of an output.
func lastOf(output string) string {
	const most = 20
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// causeError is an engine's own error, without what we put before it.
func causeError(err error) error {
	var e *engine.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func explainPort(s reconcile.Step, state *docker.State, err error) error {
	if s.Role == reconcile.RoleGateway {
		return fmt.Errorf("the HTTP port of the app is taken; choose another with --http-port: %w", err)
	}
	for _, p := range state.Portals {
		if p.Service == s.Service {
			return portTaken(p, err)
		}
	}
	if p := state.Pod(s.Pod); p != nil && len(p.HostPorts) > 0 {
		return hostPortTaken(p, p.HostPorts, err)
	}
	return fmt.Errorf("%s: %w", s.Object, err)
}

// hostPortTaken tells that one of the ports of a pod is somebody else's.
func hostPortTaken(p *docker.Pod, ports []docker.HostPort, err error) error {
	var all []string
	for _, h := range ports {
		all = append(all, fmt.Sprintf("%s:%d", h.HostIP, h.HostPort))
	}
	where := ""
	if l := ports[0].Line; l != "" && l != "-" {
		where = l + ": "
	}
	return fmt.Errorf("%spod %s: a host port of %s is in use by another program; stop that, or choose another: %w", where, p.Name, strings.Join(all, ", "), err)
}

func portTaken(p docker.Portal, err error) error {
	var ports []string
	for _, port := range p.Ports {
		ports = append(ports, fmt.Sprintf("%s:%d", loopback, port.HostPort))
	}
	where := ""
	if p.Line != "" && p.Line != "-" {
		where = p.Line + ": "
	}
	return fmt.Errorf("%sservice %s: a port of %s is in use by another program; stop that, or give the service another port: %w", where, p.Service, strings.Join(ports, ", "), err)
}
