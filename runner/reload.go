package runner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/reconcile"
)

// reload is what one line says of a change once everything is ready again: what
// was changed, and what that did.
type reload struct {
	changes []string // by whoever edits, in order
	effects effects
}

// beginReload begins to tell of a new definition. Changes that are adopted
// before an earlier one was ready are told with it.
func (r *supervisor) beginReload(source any) {
	l := &r.loop
	if r.cfg.Changes != nil && l.source != nil && source != nil {
		if text := r.cfg.Changes(l.source, source); text != "" {
			l.reload.changes = append(l.reload.changes, text)
		}
	}
	l.source = source
	l.began = time.Now()
	if !l.noticed.IsZero() {
		l.began = l.noticed // compiling is part of what somebody waits for
	}
	l.noticed = time.Time{}
}

// add notes what a plan does.
func (d *reload) add(p reconcile.Plan) {
	if len(d.changes) > 0 {
		d.effects.add(p)
	}
}

// line is what changed and what it did; "" when nothing is known to have been
// changed.
func (d *reload) line() string {
	if len(d.changes) == 0 {
		return ""
	}
	what := d.changes[len(d.changes)-1]
	if n := len(d.changes) - 1; n > 0 {
		what += fmt.Sprintf(", after %d more", n)
	}
	return what + ": " + d.effects.String() + ","
}

// effects are what plans do to pods and containers, in a person's words.
type effects struct {
	made, gone, swapped []string // pods, pods, containers as pod/name
	built               []string
}

func (e *effects) add(p reconcile.Plan) {
	for _, s := range p.Steps {
		switch {
		case s.Op == reconcile.CreateContainer && s.Role == reconcile.RoleInfra:
			e.made = include(e.made, s.Pod)
		case s.Op == reconcile.RemoveContainer && s.Role == reconcile.RoleInfra:
			e.gone = include(e.gone, s.Pod)
		case s.Op == reconcile.CreateContainer && s.Pod != "" && s.Role != reconcile.RoleInit:
			e.swapped = include(e.swapped, s.Pod+"/"+s.Container)
		case builds(s.Op) && !s.Aside:
			e.built = include(e.built, s.Name)
		}
	}
}

func include(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// String is "+1 pod web-2", "-2 pods a, b", "pod db anew", "container web-0/api
// anew", or that it came into force without any of it.
func (e *effects) String() string {
	var anew, made, gone, swapped []string
	for _, pod := range e.made {
		if slices.Contains(e.gone, pod) {
			anew = append(anew, pod)
		} else {
			made = append(made, pod)
		}
	}
	for _, pod := range e.gone {
		if !slices.Contains(e.made, pod) {
			gone = append(gone, pod)
		}
	}
	for _, c := range e.swapped {
		if pod, _, _ := strings.Cut(c, "/"); !slices.Contains(e.made, pod) {
			swapped = append(swapped, c)
		}
	}
	var parts []string
	say := func(form string, noun string, names []string) {
		if len(names) > 0 {
			parts = append(parts, fmt.Sprintf(form, len(names), plural(noun, len(names)), some(names)))
		}
	}
	say("+%d %s %s", "pod", made)
	say("-%d %s %s", "pod", gone)
	say("%d %s anew %s", "pod", anew)
	say("%d %s anew %s", "container", swapped)
	say("%d %s built%.0s", "image", e.built)
	if len(parts) == 0 {
		return "in force, nothing restarted"
	}
	return strings.Join(parts, ", ")
}

func plural(noun string, n int) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// some are the first few names.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
