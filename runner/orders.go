package runner

import (
	"context"
	"time"

	"github.com/cuepod/cuepod/runner/watch"
)

// changed takes a change of what the state is made of. While somebody has it
// paused, changes are collected and told.
func (r *supervisor) changed(ctx context.Context, c watch.Change) {
	l := &r.loop
	if !l.paused {
		r.recompile(ctx)
		return
	}
	l.recompileLater = true
	r.tellWaiting(c.Paths)
}

// tellWaiting tells that changes wait until somebody lets them take effect.
func (r *supervisor) tellWaiting(paths []string) {
	l := &r.loop
	if l.waiting == nil {
		l.waiting = map[string]bool{}
	}
	if len(paths) == 0 {
		paths = []string{""} // events were lost: nobody knows which
	}
	for _, p := range paths {
		l.waiting[p] = true
	}
	n := len(l.waiting)
	r.report(EventNotice, "", "paused: %d changed %s; p lets what changed take effect", n, plural("file", n)+wait(n))
}

func wait(n int) string {
	if n == 1 {
		return " waits"
	}
	return " wait"
}

// obey does what somebody asks for.
func (r *supervisor) obey(ctx context.Context, o Order) {
	l := &r.loop
	switch o {
	case OrderRebuild:
		r.report(EventNotice, "", "compiling again")
		r.rebuild(ctx)
		r.recompile(ctx)
	case OrderRestart:
		r.restartApp()
	case OrderPause:
		if l.paused = !l.paused; l.paused {
			r.pause()
		} else {
			r.goOn(ctx)
		}
	}
}

func (r *supervisor) pause() {
	l := &r.loop
	if l.cancelCompile != nil {
		l.cancelCompile() // what it was for waits as well
		l.recompileLater = !l.noticed.IsZero()
	}
	l.noticed = time.Time{}
	r.report(EventNotice, "", "paused: changes wait until p is pressed again; what runs goes on")
}

// goOn lets take effect what has changed while it was paused.
func (r *supervisor) goOn(ctx context.Context) {
	l := &r.loop
	if len(l.waiting) == 0 && !l.recompileLater {
		r.report(EventNotice, "", "going on: nothing has changed meanwhile")
	} else {
		r.report(EventNotice, "", "going on with what has changed meanwhile")
	}
	if l.recompileLater {
		r.recompile(ctx)
	}
	l.waiting, l.recompileLater = nil, false
	r.followAll(ctx)
}

// rebuild runs the builds of all images again, though what they are made of is as
// it was: what a build finds elsewhere may be another by now. Containers are
// replaced where an image came out differently.
func (r *supervisor) rebuild(ctx context.Context) {
	l := &r.loop
	if l.seen == nil {
		return
	}
	for _, s := range buildSteps(l.desired) {
		if id := l.seen.Images[s.Name]; id != "" {
			l.outdated[id] = s.Name
		}
		f := r.beginFetch(ctx, s, l.desired)
		if !f.again {
			f.again = true
			r.report(EventPlan, s.Object, "a rebuild was asked for")
		}
	}
}

// askedFor is the cause of a restart that a person asked for.
const askedFor = "a restart was asked for"

// restartApp starts all containers of the app anew that run to stay, in their
// pods and in the order of a rollout. Jobs go on.
func (r *supervisor) restartApp() {
	l := &r.loop
	again := map[string]string{}
	if l.seen != nil {
		for i := range l.desired.Pods {
			p := &l.desired.Pods[i]
			seen := l.seen.Pods[p.Name]
			if seen == nil {
				continue
			}
			for _, c := range p.Lasting() {
				if m := seen.Living(c.Name); m != nil && !m.Started.IsZero() {
					again[m.ID] = askedFor
				}
			}
		}
	}
	r.report(EventNotice, "", "restarting %s", count(len(again), "container"))
	if len(again) > 0 {
		r.startAnew(again)
	}
}
