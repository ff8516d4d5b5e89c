package runner

import (
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

// What a follower does when files have changed: the part that may take long.

// devDone is what became of an action.
type devDone struct {
	put, removed int
	copying      time.Duration
	verb         string // what followed, for people: "restarted"; "" for nothing
	acting       time.Duration
	waits        bool // a change waits for somebody to ask
	problems     []string
	again        bool // it is worth another try by itself
}

// doAction carries an action out in every pod. It is the part that may take long.
func (r *supervisor) doAction(ctx context.Context, a *devAction) devDone {
	var done devDone
	var due []devTarget
	digests := map[string]string{} // by container
	for _, t := range a.targets {
		how := bringHow{acted: a.dev.OnChange == docker.NoAction, look: a.dev.Trigger == docker.Manual && !a.asked}
		got, err := r.copies.bring(ctx, t.copied, how)
		if err != nil {
			done.fail(a, t, err)
			continue
		}
		for _, text := range got.errors {
			done.problem(a, t, text)
		}
		done.put, done.removed = max(done.put, got.put), max(done.removed, got.removed)
		if acted := r.actedOn(t.container, got.acted); how.look {
			done.waits = done.waits || got.changed() || acted != "" && acted != got.digest
		} else if a.dev.OnChange == docker.NoAction && t.running {
			r.note(t.container, got.digest)
		} else if acted != got.digest && (acted != "" || len(t.c.Synced()) > 0) || got.changed() {
			due = append(due, t)
			digests[t.container] = got.digest
		} else if acted == "" {
			r.note(t.container, got.digest)
		}
	}
	done.copying = time.Since(a.began)
	if len(due) > 0 {
		began := time.Now()
		r.react(ctx, a, due, digests, &done)
		done.acting = time.Since(began)
	}
	return done
}

func (d *devDone) problem(a *devAction, t devTarget, text string) {
	if len(a.targets) > 1 {
		text = t.pod + ": " + text
	}
	if !slices.Contains(d.problems, text) {
		d.problems = append(d.problems, text)
	}
}

func (d *devDone) fail(a *devAction, t devTarget, err error) {
	d.problem(a, t, "files cannot be copied: "+err.Error())
	d.again = true
}

// react does what follows a change, in the containers that have not acted on it.
// One that does not run is started anew whatever follows: the change may be what
// it needs.
func (r *supervisor) react(ctx context.Context, a *devAction, due []devTarget, digests map[string]string, done *devDone) {
	var restart []devTarget
	for _, t := range due {
		var err error
		switch {
		case !t.running || a.dev.OnChange == docker.Restart:
			restart = append(restart, t)
			continue
		case a.dev.OnChange == docker.ExecIn:
			done.verb, err = "ran "+a.dev.Exec[0], r.runIn(ctx, t, a.dev.Exec)
		case a.dev.OnChange == docker.Signal:
			done.verb, err = "sent "+a.dev.Signal, r.cfg.Engine.SignalContainer(ctx, t.container, a.dev.Signal)
		}
		if err == nil {
			err = r.markActed(ctx, t, digests[t.container])
		}
		if err != nil {
			done.verb = ""
			done.problem(a, t, err.Error())
			var own *commandError
			done.again = done.again || !errors.As(err, &own)
		}
	}
	if len(restart) > 0 {
		r.restartAll(ctx, a, restart, done)
	}
}

// actedOn is the digest on which a container acted last, as far as is known.
func (r *supervisor) actedOn(container, written string) string {
	if written != "" {
		return written
	}
	r.notes.Lock()
	defer r.notes.Unlock()
	return r.noted[container]
}

// note remembers what a container has acted on that has no copy to write it beside.
func (r *supervisor) note(container, digest string) {
	r.notes.Lock()
	defer r.notes.Unlock()
	if r.noted == nil {
		r.noted = map[string]string{}
	}
	r.noted[container] = digest
}

func (r *supervisor) forgetNote(container string) {
	r.notes.Lock()
	defer r.notes.Unlock()
	delete(r.noted, container)
}

func (r *supervisor) markActed(ctx context.Context, t devTarget, digest string) error {
	r.note(t.container, digest)
	return r.copies.acted(ctx, t.copied, digest)
}

// commandError is a command of the user's that failed.
type commandError struct {
	command string
	code    int
	output  string
}

func (e *commandError) Error() string {
	text := fmt.Sprintf("%s failed with code %d", e.command, e.code)
	if e.output != "" {
		text += "\n    " + strings.ReplaceAll(e.output, "\n", "\n    ")
	}
	return text
}

// commandLimit is how long a command may take that follows a change. One that
// lasts longer is no step on the way to something.
const commandLimit = 10 * time.Minute

// runIn runs a command in a container, as its user.
func (r *supervisor) runIn(ctx context.Context, t devTarget, command []string) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	out := &tail{}
	code, err := r.cfg.Engine.Exec(ctx, t.container, engine.ExecSpec{Cmd: command, Stdout: out, Stderr: out})
	if err == nil && code != 0 {
		err = &commandError{command[0], code, lastOf(out.String())}
	}
	return err
}

// restartAll has the next plan replace containers, in place, and waits until
// that is done.
func (r *supervisor) restartAll(ctx context.Context, a *devAction, list []devTarget, done *devDone) {
	ids, again := map[string]bool{}, map[string]string{}
	for _, t := range list {
		ids[t.container], again[t.container] = true, reconcile.FilesChanged
	}
	err := r.call(ctx, func() { r.startAnew(again) })
	limited, cancel := context.WithTimeout(ctx, restartLimit)
	defer cancel()
	if err == nil {
		err = r.board.wait(limited, func(v view) (bool, error) { return restarted(v.seen, list, ids), nil })
	}
	switch {
	case err == nil:
		done.verb = "restarted"
	case ctx.Err() == nil:
		done.verb = "restart is under way" // what keeps it is told by whoever does it
	}
}

// restartLimit is how long a restart is waited for, to tell that it is done.
const restartLimit = 30 * time.Second

// restarted reports whether other instances run in place of some.
func restarted(seen *observation, list []devTarget, ids map[string]bool) bool {
	if seen == nil {
		return false
	}
	for _, t := range list {
		p := seen.Pods[t.pod]
		if p == nil {
			continue // it went
		}
		if m := p.Living(t.c.Name); m == nil || ids[m.ID] || m.Started.IsZero() {
			return false
		}
	}
	return true
}

// startAnew has the next plan replace containers in place; the causes are by ID.
func (r *supervisor) startAnew(causes map[string]string) {
	l := &r.loop
	maps.Copy(l.again, causes)
	r.markAgain()
	l.main.failures, l.main.retryAt = 0, time.Time{}
	l.main.drop() // it may wait for what this is the cure of
	r.lookSoon()
}

// markAgain marks the containers that are to be started anew.
func (r *supervisor) markAgain() {
	l := &r.loop
	if l.seen == nil {
		return
	}
	for id := range l.again {
		if l.seen.byID(id) == nil {
			delete(l.again, id)
		}
	}
	for _, p := range l.seen.Pods {
		for i := range p.Members {
			m := &p.Members[i]
			m.Again = l.again[m.ID]
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

const maxTail = 8 << 10 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > maxTail {
		t.text = slices.Clone(t.text[len(t.text)-maxTail:])
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }
