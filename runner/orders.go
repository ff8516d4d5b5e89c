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
	if l.waiting == nil {
		l.waiting = map[string]bool{}
	}
	for _, p := range c.Paths {
		l.waiting[p] = true
	}
	r.report(EventNotice, "", "paused: %d changed %s; p lets what changed take effect", len(l.waiting), plural("file", len(l.waiting))+wait(len(l.waiting)))
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
		r.recompile(ctx)
		return
	case OrderRestart:
		r.restartApp()
		return
	case OrderPause:
		l.paused = !l.paused
	}
	switch {
	case l.paused:
		if l.cancelCompile != nil {
			l.cancelCompile() // what it was for waits as well
			if !l.noticed.IsZero() {
				l.waiting = map[string]bool{"": true}
			}
		}
		l.noticed = time.Time{}
		r.report(EventNotice, "", "paused: changes wait until p is pressed again; what runs goes on")
	case len(l.waiting) == 0:
		r.report(EventNotice, "", "going on: nothing has changed meanwhile")
	default:
		r.report(EventNotice, "", "going on with what has changed meanwhile")
		l.waiting = nil
		r.recompile(ctx)
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
