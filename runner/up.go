package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/internal/cron"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// Up brings the app to what its definition says and keeps it there until ctx
// ends; then it returns nil and leaves everything running. With cfg.Once it
// returns as soon as everything is ready. A failure to prepare a first run
// removes what was made and is returned; any later failure is reported and
// tried again.
func Up(ctx context.Context, cfg Config) error {
	if !cfg.Watch {
		return up(ctx, cfg, nil)
	}
	w, err := watch.New(watch.Options{Notice: func(text string) {
		if cfg.Report != nil {
			cfg.Report(Event{Kind: EventNotice, Message: text})
		}
	}})
	if err != nil {
		return err
	}
	defer w.Close()
	return up(ctx, cfg, w)
}

// watcher tells when inputs change; nil when nobody watches.
type watcher interface {
	Set(groups []watch.Group)
	Changes(group string) <-chan watch.Change
}

var _ watcher = (*watch.Watcher)(nil)

func up(ctx context.Context, cfg Config, w watcher) error {
	c, err := cfg.Compile(ctx)
	if err != nil {
		return err
	}
	r, err := newSupervisor(ctx, cfg, c)
	if err != nil {
		return err
	}
	r.loop.source = c.Source
	return r.run(ctx, w, c.Watch)
}

// Plan compares without doing anything.
func Plan(ctx context.Context, cfg Config) (reconcile.Plan, error) {
	c, err := cfg.Compile(ctx)
	if err != nil {
		return reconcile.Plan{}, err
	}
	r, err := newSupervisor(ctx, cfg, c)
	if err != nil {
		return reconcile.Plan{}, err
	}
	l := &r.loop
	if l.seen, err = observe(ctx, cfg.Engine, r.id, c.State, r.agent.ref); err != nil {
		return reconcile.Plan{}, err
	}
	if err := r.openVault(ctx); err != nil {
		return reconcile.Plan{}, err
	}
	if cfg.Strict { // what a rollout comes to next depends on what is ready
		status, err := askGateway(ctx, cfg.Engine, l.seen)
		if err != nil {
			return reconcile.Plan{}, fmt.Errorf("gateway: %w", err)
		}
		l.rollouts.received = time.Now()
		l.seen.judge(status, nil, nil)
		l.rollouts.note(l.seen, status, l.rollouts.received)
	}
	return reconcile.Diff(r.wants(reconcile.Everything), l.seen.Observed, time.Now()), nil
}

// timing of the loop.
const (
	lookDelay   = 15 * time.Millisecond // several events of one cause are one look
	lookEvery   = 10 * time.Second      // events may be lost, so look now and then anyway
	engineRetry = time.Second           // between looks while the engine does not answer
)

func (r *supervisor) lookSoon() {
	if len(r.loop.gaps) > 0 {
		r.timer.Reset(gapLook)
		return
	}
	r.timer.Reset(lookDelay)
}

// gapLook is the time to a look while clients wait for a container to be swapped:
// one of a dozen questions to the engine makes each of its answers later.
const gapLook = 400 * time.Millisecond

// gap notes that clients wait for a container, or no longer.
func (r *supervisor) gap(container string, begins bool) {
	if begins {
		r.loop.gaps[container] = true
	} else if !r.loop.gaps[container] {
		return
	} else {
		delete(r.loop.gaps, container)
	}
	r.lookSoon()
}

// run is the loop: one goroutine that owns the state.
func (r *supervisor) run(ctx context.Context, w watcher, inputs []watch.Group) error {
	l := &r.loop
	ctx, stop := context.WithCancel(ctx)
	defer r.end(stop)
	r.timer = time.NewTimer(0)
	wake := time.NewTimer(time.Hour)
	timeout := r.deadline()
	events, broken := r.cfg.Engine.Events(ctx, r.id.selector())
	var changes, sources <-chan watch.Change
	if w != nil {
		r.setWatch(ctx, w, inputs)
		l.watched = inputs
		changes, sources = w.Changes(watch.Definitions), w.Changes(watch.Builds)
	}
	for {
		select {
		case f := <-r.calls:
			f()
		case <-events:
			r.lookSoon()
		case <-broken:
			events, broken = nil, nil // looks go on by the clock; see runLook
		case lost := <-r.lost:
			if lost == l.link {
				l.link = nil
				r.lookSoon()
			}
		case <-r.timer.C:
			if err := r.runLook(ctx); err != nil {
				return err
			}
			if events == nil && !l.unreachable {
				events, broken = r.cfg.Engine.Events(ctx, r.id.selector())
			}
		case <-wake.C:
		case res := <-r.applied:
			if err := r.finish(res); err != nil {
				return r.rollBack(err)
			}
			r.lookSoon()
			continue
		case c := <-changes:
			r.changed(ctx, c)
			continue
		case c := <-sources:
			r.changed(ctx, c)
			continue
		case o := <-r.cfg.Orders:
			r.obey(ctx, o)
			continue
		case <-r.cfg.Ask:
			r.askAll(ctx)
			continue
		case c := <-r.compiled:
			r.adopt(ctx, c, w)
		case <-timeout:
			return &NotReadyError{r.notReady()}
		case <-ctx.Done():
			return r.drainApply()
		}
		wake.Reset(r.decide(ctx))
		if done, err := r.done(); done {
			return err
		}
	}
}

// done reports whether there is nothing to stay for, with Once: everything is
// ready, or something has failed for good.
func (r *supervisor) done() (bool, error) {
	l := &r.loop
	if r.onlyRun != "" {
		return r.runOver(), nil
	}
	if !r.cfg.Once || l.seen == nil || l.stale || l.jobs.holds() {
		return false, nil
	}
	if failed := r.failed(); len(failed) > 0 {
		err := &FailedError{}
		for _, f := range failed {
			err.Reasons = append(err.Reasons, strings.TrimPrefix(f.object+": "+f.message, ": "))
		}
		return true, errors.Join(err, r.drainApply())
	}
	if !l.ready || l.main.busy() {
		return false, nil
	}
	return true, r.drainApply()
}

func (r *supervisor) deadline() <-chan time.Time {
	if !r.cfg.Once || r.cfg.Timeout == 0 {
		return nil
	}
	return time.After(r.cfg.Timeout)
}

// end stops what the loop started and lets go of the gateway.
func (r *supervisor) end(stop context.CancelFunc) {
	stop()
	r.fetching.Wait()
	for _, f := range r.loop.followers {
		f.stopRetry()
	}
	r.following.Wait()
	r.copies.close()
	for _, h := range r.loop.hooks {
		h.drop()
	}
	if r.loop.link != nil {
		r.loop.link.close()
	}
}

// drainApply waits for the steps under way, serving them meanwhile.
func (r *supervisor) drainApply() error {
	l := &r.loop
	l.main.drop()
	l.jobs.drop()
	for l.main.busy() || l.jobs.busy() {
		select {
		case f := <-r.calls:
			f()
		case res := <-r.applied:
			res.lane.cancel = nil
		}
	}
	return nil
}

// runLook looks, and copes with an engine that does not answer.
func (r *supervisor) runLook(ctx context.Context) error {
	l := &r.loop
	first := l.seen == nil
	err := r.look(ctx)
	switch {
	case err == nil && l.unreachable:
		l.unreachable = false
		r.report(EventNotice, "", "the engine answers again")
	case err == nil && first:
		if err := errors.Join(r.checkNames(), r.checkPorts()); err != nil {
			return err
		}
	case err != nil && first:
		return err
	case ctx.Err() != nil:
		return nil // the loop sees that it is to end
	case err != nil:
		if !l.unreachable {
			l.unreachable = true
			r.problem("engine", err.Error()+"; trying again")
		}
		r.timer.Reset(engineRetry)
		return nil
	}
	r.timer.Reset(lookEvery)
	return nil
}

// checkNames refuses to go on from what has other names on the engine than we
// would give: two sets of one app, and two of each of its volumes.
func (r *supervisor) checkNames() error {
	l := &r.loop
	if l.seen.Record == nil || l.seen.Record.State.Prefix() == l.desired.Prefix() {
		return nil
	}
	return fmt.Errorf("app %s: an earlier version of cuepod made it, whose names on the engine begin with %s in place of %s; take it down with `cuepod down` first (--volumes removes its data too)",
		r.id.App, l.seen.Record.State.Prefix(), l.desired.Prefix())
}

// checkPorts finds host ports that are taken before anything is made, where
// the engine is on this machine. Elsewhere the engine finds them at start.
func (r *supervisor) checkPorts() error {
	l := &r.loop
	if !r.local || r.onlyRun != "" {
		return nil
	}
	var taken []error
	for _, p := range l.desired.Portals {
		if l.seen.Portals[p.Service] == nil {
			if err := portFree(p); err != nil {
				taken = append(taken, portTaken(p, err))
			}
		}
	}
	for i := range l.desired.Pods {
		if p := &l.desired.Pods[i]; l.seen.Pods[p.Name] == nil {
			for _, port := range p.HostPorts {
				if l.seen.holds(port.HostPort, port.Protocol) {
					continue // what has it goes, or is told as a clash
				}
				if err := listens(port.HostIP, port.HostPort, port.Protocol); err != nil {
					taken = append(taken, hostPortTaken(p, []docker.HostPort{port}, err))
				}
			}
		}
	}
	return errors.Join(taken...)
}

// holds reports whether the app itself has a port of the machine: one that is
// published, or one that a pod in the machine's network listens on.
func (o *observation) holds(port int, protocol string) bool {
	for i := range o.all {
		c := &o.all[i]
		if c.State == engine.Running && slices.ContainsFunc(c.Publish, func(p engine.PortBinding) bool { return p.HostPort == port && p.Protocol == protocol }) {
			return true
		}
	}
	if o.Record == nil {
		return false
	}
	return slices.ContainsFunc(o.Record.State.Pods, func(p docker.Pod) bool {
		return p.HostNetwork && o.Pods[p.Name] != nil &&
			slices.ContainsFunc(p.HostPorts, func(h docker.HostPort) bool { return h.HostPort == port && h.Protocol == protocol })
	})
}

// portFree tries to listen where the portal will.
func portFree(p docker.Portal) error {
	for _, port := range p.Ports {
		for _, ip := range []string{loopback, loopback6} {
			// Only a port that is taken counts: not every machine has IPv6.
			if err := listens(ip, port.HostPort, port.Protocol); err != nil && (ip == loopback || errors.Is(err, syscall.EADDRINUSE)) {
				return err
			}
		}
	}
	return nil
}

// listens tries to listen on an address. That we may not, where the engine
// may, says nothing.
func listens(ip string, port int, protocol string) error {
	err := listen(ip, port, protocol)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

func listen(ip string, port int, protocol string) error {
	address := net.JoinHostPort(ip, strconv.Itoa(port))
	if protocol == "UDP" {
		conn, err := net.ListenPacket("udp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return listener.Close()
}

// rollBack removes what a first run made before it failed. It waits for nobody:
// no container of the app has run for long.
func (r *supervisor) rollBack(cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.drainApply(); err != nil {
		return errors.Join(cause, err)
	}
	if r.loop.link != nil {
		r.loop.link.close()
	}
	// Volumes that were there before hold the data of an earlier run.
	opts := DownOptions{Volumes: !r.loop.hadVolumes, Now: true}
	if err := Down(ctx, r.cfg.Engine, r.id, opts); err != nil {
		return errors.Join(cause, fmt.Errorf("and what was made could not be removed: %w", err))
	}
	return cause
}

// recompile starts a compile and drops an older one that still runs.
func (r *supervisor) recompile(ctx context.Context) {
	l := &r.loop
	if l.noticed.IsZero() {
		l.noticed = time.Now()
	}
	if l.cancelCompile != nil {
		l.cancelCompile()
	}
	compileCtx, cancel := context.WithCancel(ctx)
	l.cancelCompile = cancel
	go func() {
		c, err := r.cfg.Compile(compileCtx)
		if compileCtx.Err() != nil {
			return
		}
		select {
		case r.compiled <- compileResult{c, err}:
		case <-compileCtx.Done():
		}
	}()
}

// adopt takes a new definition, or keeps the last good one.
func (r *supervisor) adopt(ctx context.Context, c compileResult, w watcher) {
	l := &r.loop
	err := c.err
	if err == nil && c.compiled.State.App != r.id.App {
		err = fmt.Errorf("the app's name changed from %s to %s; run `cuepod down`, then `cuepod up`", r.id.App, c.compiled.State.App)
	}
	var parsed map[string]cron.Schedule
	if err == nil {
		parsed, err = schedules(c.compiled.State)
	}
	if err != nil {
		r.setWatch(ctx, w, watch.Union(l.watched, c.compiled.Watch)) // the fix may be in a file that is new to us, or in an old one
		if l.invalid != err.Error() {
			l.invalid = err.Error()
			r.report(EventInvalid, "", "%s", l.invalid)
		}
		return
	}
	l.watched = c.compiled.Watch
	r.tellLosses(c.compiled.Losses)
	if l.invalid != "" {
		l.invalid = ""
		r.report(EventFixed, "", "the definition is valid again")
	}
	if c.compiled.State.Equal(l.desired) {
		l.desired, l.source = c.compiled.State, c.compiled.Source // positions may have moved
		l.noticed = time.Time{}
		r.setWatch(ctx, w, l.watched)
		return
	}
	r.beginReload(c.compiled.Source)
	l.desired, l.schedules, l.stale = c.compiled.State, parsed, true
	r.setWatch(ctx, w, l.watched)
	r.followAll(ctx)
	r.keepFetches()
	l.ready = false
	clear(l.problems)
	for _, lane := range r.lanes() {
		lane.failures, lane.retryAt = 0, time.Time{}
		lane.drop()
	}
	r.lookSoon()
}
