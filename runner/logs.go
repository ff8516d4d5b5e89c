package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// Logs gives the output of containers line by line, each line once, to emit,
// which is never called twice at a time. Without targets it is every container
// of the app. With Follow it goes on, containers that appear later included,
// until ctx ends.
func Logs(ctx context.Context, eng engine.Engine, id Identity, targets []Target, opts LogOptions, emit func(LogLine)) error {
	f := newFollower(eng, targets, opts, emit)
	events, broken := eng.Events(ctx, id.selector()) // before the list, so that none falls between
	found, err := f.open(ctx, id)
	if err != nil {
		return err
	}
	if !found {
		containers, err := eng.ListContainers(ctx, id.selector())
		if err != nil {
			return err
		}
		if opts.Previous && slices.ContainsFunc(containers, func(c engine.Container) bool { return f.matches(&c) }) {
			return errors.New("no container that is asked for has been restarted: there is no previous instance")
		}
		return noTarget(containers, id, targets)
	}
	if !opts.Follow {
		f.wg.Wait()
		return f.err
	}
	for {
		select {
		case ev := <-events:
			if ev.Action == "start" {
				f.opts.Tail = -1 // a container that is new: all it said
				if _, err := f.open(ctx, id); err != nil {
					return err
				}
			}
		case <-broken:
			// The engine may be restarting. What is new is seen when it answers
			// again; that it does not is the error.
			select {
			case <-time.After(engineRetry):
			case <-ctx.Done():
				continue
			}
			events, broken = eng.Events(ctx, id.selector())
			f.opts.Tail = -1
			if _, err := f.open(ctx, id); err != nil && ctx.Err() == nil {
				return fmt.Errorf("following logs: %w", err)
			}
		case <-ctx.Done():
			f.wg.Wait()
			return nil
		}
	}
}

type follower struct {
	eng     engine.Engine
	targets []Target
	opts    LogOptions
	run     string          // of a job; "" for any or none
	seen    map[string]bool // container IDs that are read, or that are not asked for
	begun   bool            // a first look has been taken
	wg      sync.WaitGroup

	mu   sync.Mutex // of what follows
	emit func(LogLine)
	err  error
	// ended are the times of the last lines of containers that ended: one that is
	// started again as it is goes on from there.
	ended map[string]time.Time
}

func newFollower(eng engine.Engine, targets []Target, opts LogOptions, emit func(LogLine)) *follower {
	return &follower{eng: eng, targets: targets, opts: opts, emit: emit, seen: map[string]bool{}, ended: map[string]time.Time{}}
}

// open starts to read every container that matches and is not read yet.
func (f *follower) open(ctx context.Context, id Identity) (found bool, err error) {
	containers, err := f.eng.ListContainers(ctx, id.selector())
	if err != nil {
		return false, err
	}
	return f.openAll(ctx, containers), nil
}

func (f *follower) openAll(ctx context.Context, containers []engine.Container) (found bool) {
	plain := map[string]engine.State{}
	for i := range containers {
		plain[containers[i].Name] = containers[i].State
	}
	defer func() { f.begun = true }()
	tail := f.opts.Tail // of those that are there now: later ones say all
	for i := range containers {
		c := &containers[i]
		if !f.matches(c) {
			continue
		}
		if !f.instance(c, plain) {
			continue
		}
		found = true
		switch last, again := f.startedAgain(c); {
		case !f.seen[c.ID] && c.State != engine.Created:
			f.seen[c.ID] = true
			f.wg.Go(func() { f.read(ctx, c, tail, f.opts.Since) })
		case again:
			f.wg.Go(func() { f.read(ctx, c, -1, last) })
		}
	}
	return found
}

// startedAgain reports whether a container runs whose output has ended, and since
// when what it says is new.
func (f *follower) startedAgain(c *engine.Container) (last time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ok = f.ended[c.ID]
	ok = ok && c.State == engine.Running
	if ok {
		delete(f.ended, c.ID)
	}
	if !last.IsZero() {
		last = last.Add(1)
	}
	return last, ok
}

// instance reports whether an instance of a container is meant: the current
// one, or the one before it. Who follows reads every instance from the first
// look on: one that is a previous one by then was one that is new in between. One
// that runs is the current one as long as the next is only made.
func (f *follower) instance(c *engine.Container, plain map[string]engine.State) bool {
	current, previous := strings.CutSuffix(c.Name, docker.PreviousName(""))
	next, ok := plain[current]
	previous = previous && ok && (next != engine.Created || c.State != engine.Running)
	if previous && !f.opts.Previous && !f.begun {
		f.seen[c.ID] = true
		return false
	}
	return previous || !f.opts.Previous
}

func (f *follower) matches(c *engine.Container) bool {
	if f.run != "" && c.Labels[labelRun] != f.run {
		return false
	}
	switch roleOf(c) {
	case reconcile.RoleApp, reconcile.RoleSidecar:
	case reconcile.RoleInit:
		if !f.opts.Init && !slices.ContainsFunc(f.targets, func(t Target) bool { return t.Container == c.Labels[labelContainer] }) {
			return false
		}
	default:
		return false
	}
	return len(f.targets) == 0 || slices.ContainsFunc(f.targets, func(t Target) bool { return t.matches(c) })
}

// matches reports whether a container is meant: its pod, workload or run of a
// job, and its name where one is given.
func (t Target) matches(c *engine.Container) bool {
	pod := t.Pod == c.Labels[labelPod] || t.Pod == c.Labels[labelWorkload] || t.Pod == c.Labels[labelJob]
	return pod && (t.Container == "" || t.Container == c.Labels[labelContainer])
}

func (f *follower) read(ctx context.Context, c *engine.Container, tail int, since time.Time) {
	last := since
	line := func(stderr bool) *lineWriter {
		return &lineWriter{emit: func(text string) {
			at, text := cutTime(text)
			f.mu.Lock()
			defer f.mu.Unlock()
			last = at
			f.emit(LogLine{Pod: c.Labels[labelPod], Container: c.Labels[labelContainer], Stderr: stderr, Text: text, Time: at})
		}}
	}
	stdout, stderr := line(false), line(true)
	err := f.eng.Logs(ctx, c.ID, engine.LogOptions{Follow: f.opts.Follow, Tail: tail, Since: since, Timestamps: true}, stdout, stderr)
	stdout.flush()
	stderr.flush()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended[c.ID] = last
	// A container that is removed while we read it is not an error.
	if err != nil && ctx.Err() == nil && engine.KindOf(err) != engine.NotFound {
		f.err = err
	}
}

// cutTime splits the engine's timestamp from a line.
func cutTime(s string) (time.Time, string) {
	stamp, rest, ok := strings.Cut(s, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if !ok || err != nil {
		return time.Time{}, s
	}
	return at, rest
}

// lineWriter cuts a stream into lines.
type lineWriter struct {
	emit func(string)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		w.emit(strings.TrimSuffix(string(w.rest[:i]), "\r"))
		w.rest = w.rest[i+1:]
	}
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.emit(string(w.rest))
		w.rest = nil
	}
}

// noTarget says what there is instead of what was asked for.
func noTarget(containers []engine.Container, id Identity, targets []Target) error {
	var have []string
	for i := range containers {
		if c := &containers[i]; roleOf(c) == reconcile.RoleApp || roleOf(c) == reconcile.RoleSidecar {
			have = append(have, c.Labels[labelPod]+"/"+c.Labels[labelContainer])
		}
	}
	if len(have) == 0 {
		return fmt.Errorf("app %s: %w", id.App, ErrNoApp)
	}
	var asked []string
	for _, t := range targets {
		asked = append(asked, strings.TrimSuffix(t.Pod+"/"+t.Container, "/"))
	}
	slices.Sort(have)
	have = slices.Compact(have)
	return fmt.Errorf("no container %s; the app has: %s", strings.Join(asked, ", "), strings.Join(have, ", "))
}
