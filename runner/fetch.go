package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// fetch is one image on its way to the engine. It belongs to the supervisor and
// not to the plan that asked for it: a pull of a minute must neither be broken
// off because some container crashed, nor keep that one from its restart. A
// plan's step begins it and waits; when the plan is dropped the fetch goes on,
// the next comparison sees that it is under way, and its end is one more thing
// to look at.
type fetch struct {
	reconcile.Fetch // owned by the loop

	step   reconcile.Step
	users  string // who needs it: "web/app"
	text   string // what a person is told of a final failure
	again  bool   // somebody asked for it though the image is there
	cancel context.CancelFunc
	joined atomic.Int32 // steps that wait for it
	done   chan struct{}
	err    error // valid once done is closed
}

// fetch brings an image, or waits for whoever does already.
func (e *executor) fetch(ctx context.Context, s reconcile.Step) error {
	if c := containerOf(s, e.state); c != nil && c.Build == nil && c.PullPolicy == "Never" {
		return &engine.Error{Kind: engine.ImageMissing, Op: "pull image", Object: s.Name, Err: errors.New("it is not on the engine, and imagePullPolicy is Never")}
	}
	var f *fetch
	if err := e.call(ctx, func() { f = e.begin(s); f.joined.Add(1) }); err != nil {
		return err
	}
	defer f.joined.Add(-1)
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// beginFetch starts to bring an image, unless that is under way. It runs on the
// loop. life is the supervisor's context.
func (r *supervisor) beginFetch(life context.Context, s reconcile.Step, state *docker.State) *fetch {
	l := &r.loop
	old := l.fetches[s.Name]
	if old != nil && old.Running {
		return old
	}
	f := &fetch{step: s, users: usersOf(s.Name, state), done: make(chan struct{})}
	if old != nil {
		f.Fetch = old.Fetch
	}
	f.Running = true
	l.fetches[s.Name] = f
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(life)
	c := containerOf(s, state)
	r.fetching.Go(func() {
		defer close(f.done)
		defer f.cancel()
		began := time.Now()
		err := r.bring(ctx, s, c)
		if r.call(life, func() { r.fetched(f, err, time.Since(began)) }) != nil {
			f.err = context.Cause(life)
		}
	})
	return f
}

// bring pulls or builds.
func (r *supervisor) bring(ctx context.Context, s reconcile.Step, c *docker.Container) error {
	meter := newMeter(s.Op)
	progress := func(p engine.Progress) {
		if step := meter.begins(p); step != "" {
			_ = r.call(ctx, func() { r.report(EventBuild, s.Object, "%s", step) })
		}
		if text, due := meter.add(p); due {
			_ = r.call(ctx, func() { r.report(EventProgress, s.Object, "%s", text) })
		}
	}
	switch {
	case builds(s.Op):
		select {
		case r.building <- struct{}{}:
			defer func() { <-r.building }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		b := builder{eng: r.cfg.Engine, id: r.id, arch: r.engine.Arch, env: r.cfg.Secrets.LookupEnv, cache: r.cfg.Sources, compiled: &r.programs}
		if s.Op == reconcile.CompileProgram {
			return b.onlyProgram(ctx, c, progress)
		}
		return b.image(ctx, c, progress)
	case r.cfg.Offline:
		return &engine.Error{Kind: engine.ImageMissing, Op: "pull image", Object: s.Name, Err: errors.New("--offline: no registry is asked")}
	}
	return r.cfg.Engine.PullImage(ctx, s.Name, progress)
}

// fetched takes the end of a fetch.
func (r *supervisor) fetched(f *fetch, err error, took time.Duration) {
	l := &r.loop
	f.Running, f.Ended, f.err = false, time.Now(), err
	r.lookSoon()
	if err != nil {
		r.report(EventProgress, f.step.Object, "") // what is told of it follows
	}
	if errors.Is(err, context.Canceled) { // nobody needs it any more: see keepFetches
		delete(l.fetches, f.step.Name)
		r.dropAll()
		return
	}
	if err == nil {
		if f.step.Aside && f.Failures > 0 {
			r.report(EventFixed, "", "the image of %s is built", f.users)
		}
		f.Failures, f.Reason, f.Message, f.Final = 0, "", "", false
		f.Program = f.step.Op == reconcile.CompileProgram
		if !f.Program {
			r.programs.forget(f.step.Name) // its image has it
		}
		if !f.step.Aside {
			r.report(EventStep, f.step.Object, "%s in %.1f s", fetchVerb(f.step.Op), took.Seconds())
		}
		if f.joined.Load() == 0 {
			r.dropAll() // whoever waits for it now gets room
		}
		return
	}
	if f.again && l.seen.Images[f.step.Name] != "" {
		delete(l.fetches, f.step.Name)
		r.problem("", explain(f.step, l.present, err).Error()+"\n  what was built before goes on running")
		return
	}
	f.Failures++
	f.Reason, f.Message, f.Final = fetchFailure(f.step.Op, err)
	if l.fresh {
		return // the plan fails, and the run with it
	}
	r.dropAll()
	text := explain(f.step, l.present, err).Error()
	if f.step.Aside { // the app is as ready as before
		if f.Failures == 1 {
			r.report(EventProblem, "", "%s\n  what runs has its program from a copy; the image is tried again", text)
		}
		return
	}
	if builds(f.step.Op) {
		for user := range strings.SplitSeq(f.users, ", ") {
			l.broken[user] = true
		}
	}
	if f.Final {
		f.text = text // see failedBuilds
		return
	}
	first, longest := r.backoff().Delay(1), r.backoff().Delay(1<<10)
	r.problem("", fmt.Sprintf("%s\n  it is tried again in %v, then ever later up to every %v", text, first, longest))
}

// builds reports whether a step makes what is in an image.
func builds(op reconcile.Op) bool {
	return op == reconcile.BuildImage || op == reconcile.CompileProgram
}

func fetchVerb(op reconcile.Op) string {
	switch op {
	case reconcile.BuildImage:
		return "built"
	case reconcile.CompileProgram:
		return "compiled"
	}
	return "pulled"
}

// missingImages are those that containers wait for, and why.
func (r *supervisor) missingImages(now time.Time) map[string]api.Image {
	out := map[string]api.Image{}
	for ref, f := range r.loop.fetches {
		if f.Failures > 0 {
			reason, retry := f.Why(r.backoff(), now)
			out[ref] = api.Image{Reason: reason, Message: f.Message, Retry: retry}
		}
	}
	for _, c := range reconcile.NeverPulled(r.loop.desired, &r.loop.seen.Observed) {
		out[c.Image] = api.Image{Reason: reconcile.ErrImageNeverPull, Message: reconcile.NeverPullMessage(c.Image)}
	}
	if len(out) == 0 {
		return nil // as it comes back over the wire
	}
	return out
}

// whyImage is why a container of a pod waits for its image, or "".
func (r *supervisor) whyImage(p *docker.Pod) string {
	missing := r.missingImages(time.Now())
	for _, c := range slices.Concat(p.Init, p.Containers) {
		if why, ok := missing[c.Image]; ok && r.loop.seen.member(p.Name, c.Name) == nil {
			return "container " + c.Name + ": " + why.Reason + ": " + why.Message
		}
	}
	return ""
}

// failedBuilds are those that fail again until somebody changes something.
func (r *supervisor) failedBuilds() []failure {
	var out []failure
	for _, ref := range slices.Sorted(maps.Keys(r.loop.fetches)) {
		if f := r.loop.fetches[ref]; f.Final && !f.Running && f.text != "" {
			out = append(out, failure{key: ref + " " + f.Ended.String(), message: f.text})
		}
	}
	return out
}

// noticeRepairs tells that an image whose build had failed is there, or what a
// container needs of it.
func (r *supervisor) noticeRepairs() {
	l := &r.loop
	for i := range l.desired.Pods {
		p := &l.desired.Pods[i]
		for _, c := range slices.Concat(p.Init, p.Containers) {
			user := p.Workload + "/" + c.Name
			if l.broken[user] && (l.seen.Images[c.Image] != "" || l.seen.Fetches[c.Image].Program) {
				delete(l.broken, user)
				r.report(EventFixed, "", "the image of %s is built", user)
			}
		}
	}
}

// tellNeverPulled tells once which containers wait for an image that may not be
// pulled: no try fails that could tell it.
func (r *supervisor) tellNeverPulled(p reconcile.Plan) {
	for _, w := range p.Waits {
		if w.Code == reconcile.ErrImageNeverPull {
			r.problem(w.Object, w.Reason)
		}
	}
}

// dropAll lets the plans under way make room for a new one.
func (r *supervisor) dropAll() {
	for _, lane := range r.lanes() {
		lane.drop()
	}
}

// fetchFailure puts a failure into Kubernetes' words. It is final where the
// same try would fail the same way.
func fetchFailure(op reconcile.Op, err error) (reason, message string, final bool) {
	if op == reconcile.PullImage {
		return reconcile.ErrImagePull, causeError(err).Error(), false
	}
	var fault *engine.BuildError
	if !errors.As(err, &fault) {
		return reconcile.ErrImageBuild, causeError(err).Error(), false
	}
	return reconcile.ErrImageBuild, fault.Error(), !fetchesBase(fault)
}

// fetchesBase reports whether a build failed for want of a base image, or of a
// module of Go's: that may be there the next time, while the same source fails
// the same way.
func fetchesBase(fault *engine.BuildError) bool {
	step := strings.ToUpper(fault.Step)
	if strings.HasPrefix(fault.Step, "go build ") {
		return regexp.MustCompile(`dial (tcp|udp)|i/o timeout|TLS handshake|50\d [A-Z]`).MatchString(fault.Message + fault.Output)
	}
	return strings.Contains(step, "] FROM ") || strings.Contains(step, "LOAD METADATA") || strings.Contains(step, "] RESOLVE ")
}

// keepFetches forgets what is known of images when the definition changes, and
// stops what nobody needs any more. What is still needed goes on.
func (r *supervisor) keepFetches() {
	l := &r.loop
	needed := reconcile.ImagesOf(l.desired)
	r.programs.keep(needed)
	for ref, f := range l.fetches {
		switch {
		case !f.Running:
			delete(l.fetches, ref)
		case !slices.Contains(needed, ref):
			f.cancel()
		}
	}
	clear(l.kept) // whoever used them may have gone
}

// seeFetches adds what the engine does not know to an observation.
func (r *supervisor) seeFetches(o *observation) {
	o.Fetches = map[string]reconcile.Fetch{}
	for ref, f := range r.loop.fetches {
		o.Fetches[ref] = f.Fetch
	}
	named := map[string]bool{}
	for _, img := range o.Built {
		named[img.ID] = true
	}
	for id, ref := range r.loop.outdated {
		if o.Images[ref] != "" && !named[id] { // nothing but its ID names it any more
			o.Built = append(o.Built, reconcile.Image{Ref: id, ID: id})
		}
	}
	o.Built = slices.DeleteFunc(o.Built, func(img reconcile.Image) bool { return r.loop.kept[img.Ref] })
}

// removeImage removes what was built and is not needed any more. One that
// somebody else's container uses stays.
func (e *executor) removeImage(ctx context.Context, ref string) error {
	err := e.eng().RemoveImage(ctx, ref)
	if engine.KindOf(err) == engine.ImageInUse {
		return e.call(ctx, func() { e.loop.kept[ref] = true })
	}
	if err == nil {
		err = e.call(ctx, func() { delete(e.loop.outdated, ref) })
	}
	return err
}

// usersOf names the containers that need an image, by workload.
func usersOf(ref string, state *docker.State) string {
	var out []string
	add := func(workload string, list []docker.Container) {
		for _, c := range list {
			if c.Image == ref {
				out = append(out, workload+"/"+c.Name)
			}
		}
	}
	for i := range state.Pods {
		add(state.Pods[i].Workload, state.Pods[i].Init)
		add(state.Pods[i].Workload, state.Pods[i].Containers)
	}
	for i := range state.Jobs {
		add(state.Jobs[i].Name, state.Jobs[i].Template.Init)
		add(state.Jobs[i].Name, state.Jobs[i].Template.Containers)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}
