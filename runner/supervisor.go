package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/cuepod/cuepod/internal/cron"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// supervisor keeps one app as its definition says. All fields below `loop` are
// owned by the goroutine in run; steps of a plan reach them through call.
type supervisor struct {
	cfg   Config
	id    Identity
	log   *slog.Logger
	local bool // the engine shares this machine's network

	engine  engine.Info    // as it was at the beginning
	machine docker.Machine // the engine's
	lowers  lowers
	agent   struct {
		ref     string
		archive []byte
	}
	board *board

	timer *time.Timer // of the next look

	calls    chan func()
	applied  chan applyResult
	onlyRun  string // of a job, with Run: nothing else is looked after
	compiled chan compileResult
	lost     chan *link
	fetching sync.WaitGroup // see fetch
	building chan struct{}  // has one of its places for each build under way

	copies    *copies
	programs  programs
	following sync.WaitGroup    // see devFollower
	notes     sync.Mutex        // of noted
	noted     map[string]string // by container ID: what it has acted on, where nothing is written down

	loop struct {
		certificates map[string]api.Certificate // made so far, by host
		noHTTPS      bool                       // the authority failed
		desired      *docker.State
		// present is desired with the pods as they were seen last: those of jobs, and
		// those that are of an earlier revision or beyond the wanted ones.
		present   *docker.State
		schedules map[string]cron.Schedule
		watched   []watch.Group // what desired depends on
		source    any           // what it was made of
		noticed   time.Time     // since when a change waits to be adopted; zero for none
		reload    reload
		paused    bool            // changes wait
		waiting   map[string]bool // changed paths that do
		// recompileLater is whether one of them is of the definition, or of a build.
		recompileLater bool
		seen           *observation
		stale          bool // something changed that the next look has to see before the next plan
		slots          map[string]int
		secrets        *secrets
		status         api.Status
		link           *link
		heard          bool // on this line: the gateway has said what is in force
		lastSent       api.Snapshot
		podSince       map[string]int64 // generation in which what a pod's agent must do last changed
		sent           int64

		draining  map[string]bool
		holds     map[string][]api.Hold // by pod: containers that are being swapped
		gaps      map[string]bool       // names of containers from their hold to the next one's start
		unhealthy map[string]bool       // container IDs for whose restart a plan made room
		stopping  map[string]bool       // container IDs that a plan stops or has stopped, so that their exit is no news
		exec      execVerdicts
		hooks     map[string]*hookRun // postStart, by the ID of the container
		clocks    *clocks
		rollouts  rollouts

		main, jobs lane

		followers map[string]*devFollower // by key
		heeded    map[string]bool         // groups whose changes reach us
		again     map[string]string       // why containers are to be started anew that nothing else is wrong with, by ID
		met       map[string]bool         // container IDs of followers, that have been looked at since they started

		fetches map[string]*fetch // by image reference: under way, failed, or done lately
		broken  map[string]bool   // containers whose image could not be built, see fetch.users
		kept    map[string]bool   // images of ours that the engine does not remove
		// outdated are IDs of images that were to be built again, with their reference.
		outdated map[string]string

		fresh      bool // nothing of the app existed when we came, but for volumes
		hadVolumes bool
		ready      bool      // as last told
		began      time.Time // of what was last told: start or change
		problems   map[string]bool
		losses     map[string]bool // told, by Loss.Key
		failed     map[string]bool // told, of jobs by run and of pods

		cancelCompile context.CancelFunc
		invalid       string // the definition error on show
		unreachable   bool
	}
}

type applyResult struct {
	lane *lane
	plan reconcile.Plan
	errs []error
}

type compileResult struct {
	compiled Compiled
	err      error
}

// errStale stops the waits of a plan that no longer fits the world. It is never
// shown.
var errStale = errors.New("the plan is out of date")

func newSupervisor(ctx context.Context, cfg Config, c Compiled) (*supervisor, error) {
	r := &supervisor{
		cfg: cfg, log: cfg.Log, board: newBoard(),
		id:    Identity{App: c.State.App, Root: c.Root},
		calls: make(chan func()), applied: make(chan applyResult, 2),
		compiled: make(chan compileResult, 1), lost: make(chan *link, 4),
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.cfg.Report == nil {
		r.cfg.Report = func(Event) {}
	}
	l := &r.loop
	l.desired, l.present = c.State, c.State
	l.main.scope, l.jobs.scope = reconcile.AllButJobs, reconcile.OnlyJobs
	var err error
	if l.schedules, err = schedules(c.State); err != nil {
		return nil, err
	}
	l.holds, l.gaps = map[string][]api.Hold{}, map[string]bool{}
	l.podSince, l.draining, l.stopping, l.unhealthy = map[string]int64{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	l.problems, l.losses, l.failed = map[string]bool{}, map[string]bool{}, map[string]bool{}
	l.fetches, l.broken, l.kept, l.outdated = map[string]*fetch{}, map[string]bool{}, map[string]bool{}, map[string]string{}
	l.followers, l.heeded, l.again, l.met = map[string]*devFollower{}, map[string]bool{}, map[string]string{}, map[string]bool{}
	l.exec, l.hooks, l.clocks, l.rollouts = newExecVerdicts(), map[string]*hookRun{}, newClocks(), newRollouts()
	r.building = make(chan struct{}, buildsAtOnce)
	info, err := cfg.Engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	r.local, r.engine, r.machine = info.Local, info, docker.Machine{CPUs: info.NumCPU, Memory: info.Memory}
	if r.agent.ref, r.agent.archive, err = cfg.Agent(info.Arch); err != nil {
		return nil, err
	}
	r.copies = newCopies(cfg.Engine, r.id.Root, r.agent.ref)
	r.tellLosses(c.Losses)
	return r, nil
}

// call runs f on the loop's goroutine and waits for it.
func (r *supervisor) call(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case r.calls <- func() { f(); close(done) }:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	<-done
	return nil
}

func (r *supervisor) report(kind EventKind, object, format string, args ...any) {
	r.cfg.Report(Event{Kind: kind, Object: object, Message: fmt.Sprintf(format, args...)})
}

// look observes the engine, tells the gateway, and notices what happened since
// the last look.
func (r *supervisor) look(ctx context.Context) error {
	l := &r.loop
	seen, err := observe(ctx, r.cfg.Engine, r.id, l.desired, r.agent.ref)
	if err != nil {
		return err
	}
	before := l.seen
	r.seeFetches(seen)
	l.seen, l.stale = seen, false
	l.present = reconcile.Present(r.wants(reconcile.Everything), &seen.Observed)
	l.slots = assignSlots(l.desired.Services, seen.slots)
	if before == nil {
		l.fresh = len(seen.all) == 0 && seen.network == ""
		l.hadVolumes = len(seen.volumes) > 0
		r.resumeHolds()
	}
	if err := r.openVault(ctx); err != nil {
		return err
	}
	if err := r.knowHooks(ctx); err != nil {
		return err
	}
	r.followGateway(ctx)
	r.runExecProbes(ctx)
	r.markAgain()
	r.judge()
	r.meetFollowed(ctx)
	r.noticeExits(ctx, before)
	r.noticeFailures(ctx, before == nil)
	r.noticeRepairs()
	r.tellPaused()
	r.forgetStopped()
	r.push()
	return nil
}

func (r *supervisor) judge() {
	l := &r.loop
	if l.seen == nil {
		return
	}
	l.seen.judge(l.status, l.exec.unhealthy(), l.hooks)
	l.rollouts.note(l.seen, l.status, time.Now())
	r.noticeUnhealthy()
	r.noticeMoves()
	r.board.update(func(v *view) {
		v.seen, v.status, v.sent, v.linked = l.seen, l.status, l.sent, l.link != nil
	})
}

// noticeUnhealthy lets a plan that waits make room for the restart of a
// container, once for each.
func (r *supervisor) noticeUnhealthy() {
	l := &r.loop
	for _, p := range l.seen.Pods {
		for i := range p.Members {
			m := &p.Members[i]
			if m.Unhealthy == "" && m.PostStart != reconcile.HookFailed || p.Job != "" || l.stopping[m.ID] || l.unhealthy[m.ID] {
				continue
			}
			l.unhealthy[m.ID] = true
			l.main.drop()
		}
	}
}

// openVault reads key and secrets of an app that is there already. A record
// whose vault lacks something, as a run was killed before it wrote it or the
// definition asks for more, is incomplete: the record step makes it whole, and
// reports what cannot be had.
func (r *supervisor) openVault(ctx context.Context) error {
	l := &r.loop
	if l.secrets != nil || l.seen.Record == nil {
		return nil
	}
	v, err := readVault(ctx, r.cfg.Engine, l.seen.Record.ID)
	if err != nil {
		return err
	}
	s, changed, err := resolveSecrets(l.desired.Secrets, v, r.cfg.Secrets, rand.Reader)
	if r.onlyRun != "" && err == nil && changed {
		err = errors.New("a secret of the app was never made; run `cuepod up` first")
	}
	if r.onlyRun != "" && err != nil {
		return err
	}
	if tolerable(err) != nil || changed {
		l.seen.Record.Incomplete = true
		return nil
	}
	if err != nil {
		r.problem("", err.Error())
	}
	l.secrets = s
	return nil
}

// followGateway keeps the line to a running gateway.
func (r *supervisor) followGateway(ctx context.Context) {
	l := &r.loop
	g := l.seen.Gateway
	if g == nil || g.State != reconcile.Running || l.link != nil || l.secrets == nil {
		return
	}
	var opened *link
	opened, err := openLink(ctx, r.cfg.Engine, g.ID,
		func(msg api.FromGateway) { _ = r.call(ctx, func() { r.receive(ctx, opened, msg) }) },
		func(error) { r.lost <- opened })
	if err != nil {
		r.log.Debug("gateway does not answer", "error", err)
		return
	}
	if err := opened.send(r.greeting()); err != nil {
		opened.close()
		return
	}
	l.link, l.heard, l.status, l.lastSent = opened, false, api.Status{}, api.Snapshot{}
}

// greeting is what a line to the gateway begins with.
func (r *supervisor) greeting() api.ToGateway {
	return api.ToGateway{Bootstrap: &api.Bootstrap{Key: r.loop.secrets.vault.Key}, Report: true}
}

// sendAgain repeats what the gateway may not have understood.
func (r *supervisor) sendAgain() {
	l := &r.loop
	err := l.link.send(r.greeting())
	if err == nil && l.lastSent.Generation != 0 {
		err = l.link.send(api.ToGateway{Snapshot: &l.lastSent})
	}
	if err != nil {
		r.log.Debug("not sent again", "error", err)
		l.link.close()
	}
}

func (r *supervisor) receive(ctx context.Context, from *link, msg api.FromGateway) {
	l := &r.loop
	if from != l.link {
		return
	}
	if msg.Error != "" {
		r.problem("gateway", msg.Error)
	}
	if msg.Garbled {
		r.sendAgain()
	}
	if msg.Status == nil {
		return
	}
	l.status = *msg.Status
	for name, p := range l.status.Pods {
		if p.Late != "" {
			r.problem("pod "+name, p.Late)
		}
	}
	l.rollouts.received = time.Now()
	if l.status.Generation > l.sent && l.sent != 0 {
		// The supervisor before us had a clock ahead of ours, and the gateway
		// holds our snapshot for an old one.
		l.sent, l.lastSent = l.status.Generation, api.Snapshot{}
		r.push()
	}
	if !l.heard {
		l.heard = true
		r.runExecProbes(ctx)
		r.push()
	}
	r.judge()
}

// push gives the gateway a snapshot if it differs from the last one. The first
// goes out once the gateway has said what is in force: it carries verdicts that
// only the supervisor before us had found.
func (r *supervisor) push() {
	l := &r.loop
	if l.link == nil || !l.heard || l.secrets == nil || l.seen.Network == "" {
		return
	}
	in := snapshotInput{
		state: l.present, seen: l.seen, slots: l.slots, draining: l.draining, holds: l.holds, exec: l.exec.byContainer(), secret: l.secrets.lookup,
		machine: r.machine, images: r.missingImages(time.Now()), proxy: r.cfg.ProxyMode, certificates: r.certificates(l.present, time.Now()),
	}
	snap := in.snapshot()
	snap.Pods = append(snap.Pods, leaving(snap, l.lastSent, l.seen)...)
	snap.Generation = l.lastSent.Generation
	if reflect.DeepEqual(snap, l.lastSent) {
		return
	}
	// Generations grow across supervisors, which only the clock makes sure of.
	snap.Generation = max(l.sent+1, time.Now().UnixMilli())
	for _, p := range snap.Pods {
		if !reflect.DeepEqual(agentWork(p), agentWork(podOf(l.lastSent, p.Name))) {
			l.podSince[p.Name] = snap.Generation
		}
	}
	if err := l.link.send(api.ToGateway{Snapshot: &snap}); err != nil {
		r.log.Debug("snapshot not sent", "error", err)
		l.link.close()
		return
	}
	l.lastSent, l.sent = snap, snap.Generation
	r.judge()
}

// leaving are the pods of the last snapshot that are not defined any more and
// still run. Their agents are told that they are on their way out: readiness
// alone is probed until the end.
func leaving(now, last api.Snapshot, seen *observation) []api.Pod {
	var out []api.Pod
	for _, p := range last.Pods {
		if infra := seen.infra(p.Name); podOf(now, p.Name).Name == "" && infra != nil && infra.State == engine.Running && infra.IP == p.IP {
			p.Draining = true
			out = append(out, p)
		}
	}
	return out
}

// agentWork is what an agent has to have done before containers may start.
func agentWork(p api.Pod) api.Pod {
	return api.Pod{Name: p.Name, IP: p.IP, Names: p.Names, Files: p.Files, Dirs: p.Dirs, Messages: p.Messages}
}

func podOf(s api.Snapshot, name string) api.Pod {
	if i := slices.IndexFunc(s.Pods, func(p api.Pod) bool { return p.Name == name }); i >= 0 {
		return s.Pods[i]
	}
	return api.Pod{}
}

// noticeExits tells about containers that ended without being asked to, and
// lets a plan under way make room for the answer.
func (r *supervisor) noticeExits(ctx context.Context, before *observation) {
	l := &r.loop
	if before == nil {
		return
	}
	for name, p := range l.seen.Pods {
		old := before.Pods[name]
		if old == nil || !r.concerns(p.Job) {
			continue
		}
		for i := range p.Members {
			m := &p.Members[i]
			if l.unhealthy[m.ID] && m.State == reconcile.Exited && wasRunning(old, m.ID) {
				l.main.drop() // it was stopped in order to be started again
			}
			if m.Started.IsZero() {
				continue // it never ran, and is on its way out
			}
			if m.Init && p.Job == "" || m.State != reconcile.Exited || l.stopping[m.ID] || !wasRunning(old, m.ID) {
				continue
			}
			if l.clocks.runs(m.Infra) {
				continue // its pod ends: nothing follows from it
			}
			r.tellExit(ctx, p, m)
			if p.Job != "" {
				l.jobs.drop()
			} else {
				l.main.drop()
			}
		}
		if p.Infra != nil && p.Infra.State == reconcile.Exited && old.Infra != nil && old.Infra.State == reconcile.Running && !l.stopping[p.Infra.ID] {
			r.report(EventProblem, "pod "+name, "its infra container exited with code %d; the pod is made anew", p.Infra.ExitCode)
		}
	}
}

// forgetStopped drops marks on containers that are gone.
func (r *supervisor) forgetStopped() {
	l := &r.loop
	gone := func(id string) bool { return l.seen.byID(id) == nil }
	for _, marks := range []map[string]bool{l.stopping, l.unhealthy} {
		for id := range marks {
			if gone(id) {
				delete(marks, id)
			}
		}
	}
	l.clocks.forget(gone)
}

func wasRunning(p *reconcile.Pod, id string) bool {
	return slices.ContainsFunc(p.Members, func(m reconcile.Container) bool { return m.ID == id && m.State != reconcile.Exited })
}

// decide compares and starts a plan, or tells that all is as it should be. It
// returns how long to wait before deciding again when nothing happens: until
// the end of a back-off or of the pause after a failure.
func (r *supervisor) decide(ctx context.Context) time.Duration {
	l := &r.loop
	now := time.Now()
	wait := idle
	for _, lane := range r.lanes() {
		if lane.busy() && !lane.wake.IsZero() && !now.Before(lane.wake) {
			lane.wake = time.Time{}
			lane.drop() // what was to be waited for is due: make room for it
		} else if lane.busy() && !lane.wake.IsZero() {
			wait = min(wait, lane.wake.Sub(now))
		}
		if l.seen == nil || l.stale || lane.busy() || !r.mayPlan(lane) {
			continue
		}
		wait = min(wait, r.decideLane(ctx, lane, now))
	}
	return min(wait, r.watchRollouts(ctx, now))
}

func (r *supervisor) decideLane(ctx context.Context, lane *lane, now time.Time) time.Duration {
	if now.Before(lane.retryAt) {
		return lane.retryAt.Sub(now)
	}
	plan := reconcile.Diff(r.wants(lane.scope), r.loop.seen.Observed, now)
	r.tellNeverPulled(plan)
	r.undrain(lane, plan)
	if !plan.Empty() {
		r.start(ctx, lane, plan)
		return until(lane.wake, now)
	}
	if lane == &r.loop.main {
		r.tellReady(plan)
	}
	return until(plan.Wake(), now)
}

// undrain gives pods back to their services that a plan does not drain. One that
// a plan was about to stop, which was dropped, stays out of them: its preStop
// hook may have run.
func (r *supervisor) undrain(lane *lane, plan reconcile.Plan) {
	l := &r.loop
	drains, changed := map[string]bool{}, lane == &l.main && r.unhold(plan)
	for _, s := range plan.Steps {
		if s.Op == reconcile.Drain {
			drains[s.Pod] = true
		}
	}
	for pod := range l.draining {
		p := l.seen.Pods[pod]
		if ofJob := p != nil && p.Job != ""; !drains[pod] && ofJob == (lane == &l.jobs) {
			delete(l.draining, pod)
			changed = true
		}
	}
	if changed {
		r.push()
	}
}

// until is how long to wait for a moment; zero is no moment.
func until(wake, now time.Time) time.Duration {
	if wake.IsZero() {
		return idle
	}
	return max(wake.Sub(now), 0) + time.Millisecond
}

// wants is a part of what should be.
func (r *supervisor) wants(scope reconcile.Scope) reconcile.Desired {
	l := &r.loop
	return reconcile.Desired{
		State: l.desired, AgentImage: r.agent.ref, Schedules: l.schedules, Scope: scope, OnlyRun: r.onlyRun,
		Backoff: r.backoff(), Strict: r.cfg.Strict, Offline: r.cfg.Offline, Hold: r.cfg.Watch && !r.cfg.NoHold,
	}
}

// backoff is how to wait between restarts: as asked for, or as recorded.
func (r *supervisor) backoff() reconcile.Backoff {
	if r.cfg.Backoff == "" && r.loop.seen != nil && r.loop.seen.Record != nil {
		return r.loop.seen.Record.Backoff
	}
	return r.cfg.Backoff
}

// idle is for ever, as far as a loop with other events is concerned.
const idle = time.Hour

func (r *supervisor) start(ctx context.Context, lane *lane, plan reconcile.Plan) {
	l := &r.loop
	r.tellPlan(plan, lane)
	applyCtx, cancel := context.WithCancelCause(ctx)
	lane.wake = plan.Wake()
	lane.cancel, lane.state = cancel, reconcile.WithJobs(plan.State, &l.seen.Observed, plan)
	lane.aside = reconcile.OnlyCrons(plan, lane.state, &l.seen.Observed)
	l.rollouts.begin(r.moves())
	e := &executor{supervisor: r, desired: l.desired, state: lane.state, earlier: plan.Earlier, slots: l.slots, backoff: r.backoff(),
		quiet: plan.Follows(), begin: func(s reconcile.Step) *fetch { return r.beginFetch(ctx, s, lane.state) },
		hands: hands{eng: r.cfg.Engine, id: r.id, clocks: l.clocks, tell: func(object, message string) {
			_ = r.call(ctx, func() { r.report(EventProblem, object, "%s", message) })
		}}}
	go func() {
		r.applied <- applyResult{lane, plan, runPlan(applyCtx, plan, e.do)}
	}()
}

// Delays between plans that fail: the engine may need a moment, a person more.
const (
	retryFirst = 1 * time.Second
	retryMax   = 30 * time.Second
)

// finish takes a plan's result. It returns an error when the app could not
// even begin to run.
func (r *supervisor) finish(res applyResult) error {
	l := &r.loop
	lane := res.lane
	lane.cancel(nil)
	lane.cancel, l.stale = nil, true
	for i, step := range res.plan.Steps {
		switch {
		case step.Op == reconcile.StopContainer && lane == &l.main && step.Role != reconcile.RoleInfra && res.errs[i] != nil:
			delete(l.stopping, step.ID) // it runs on, and its end will be news
		}
	}
	l.clocks.settle(res.plan.Steps, res.errs)
	if lane == &l.main {
		clear(l.gaps) // of steps that were not come to
	}
	var failed, fatal []error
	for i, err := range res.errs {
		var s *skipped
		if err == nil || errors.As(err, &s) || errors.Is(err, errStale) || errors.Is(err, context.Canceled) {
			continue
		}
		step := res.plan.Steps[i]
		if fetches(step.Op) && !l.fresh {
			continue // fetched has told it, and when it is tried again
		}
		err = explain(step, lane.state, err)
		if !errors.Is(err, errNotYet) {
			failed = append(failed, err)
		}
		if preparation(step) && !errors.Is(err, errNotYet) {
			fatal = append(fatal, err)
		}
	}
	if lane == &l.main {
		if l.fresh && len(fatal) > 0 {
			return errors.Join(fatal...)
		}
		l.fresh = false
	}
	if len(failed) == 0 {
		lane.failures, lane.retryAt = 0, time.Time{}
		return nil // the next plan says which pods go on draining
	}
	r.undrain(lane, reconcile.Plan{})
	for _, err := range failed {
		r.problem("", err.Error())
	}
	lane.retryAt = time.Now().Add(min(retryFirst<<min(lane.failures, 5), retryMax))
	lane.failures++
	return nil
}

// preparation reports whether a step makes what the app needs before any of
// its own containers can run. When such a step fails on a first run, nothing
// half-made must stay.
func preparation(s reconcile.Step) bool {
	switch s.Op {
	case reconcile.LoadImage, reconcile.PullImage, reconcile.BuildImage, reconcile.CompileProgram, reconcile.CreateNetwork, reconcile.CreateVolume, reconcile.WriteRecord, reconcile.CreateContainer:
		return true
	case reconcile.StartContainer:
		return s.Role == reconcile.RoleGateway || s.Role == reconcile.RolePortal || s.Role == reconcile.RoleInfra
	case reconcile.Connect:
		return true
	}
	return false
}
