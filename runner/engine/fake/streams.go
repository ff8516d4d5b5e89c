package fake

import (
	"context"
	"errors"
	"io"
	"maps"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
)

// Logs implements engine.Engine.
func (e *Engine) Logs(ctx context.Context, id string, opts engine.LogOptions, stdout, stderr io.Writer) error {
	const method, op = "Logs", "read the logs of container"
	if err := e.enter(ctx, method, id); err != nil {
		return wrap(op, id, err)
	}
	e.mu.Lock()
	b, err := e.need(id)
	e.mu.Unlock()
	if err == nil && b.logs.off {
		err = errors.New("configured logging driver does not support reading")
	}
	if err == nil {
		err = e.copyLogs(ctx, b, opts, stdout, stderr)
	}
	return e.leave(ctx, method, op, id, err)
}

func (e *Engine) copyLogs(ctx context.Context, b *box, opts engine.LogOptions, stdout, stderr io.Writer) error {
	all := b.logs.from(0)
	next := 0
	if opts.Tail >= 0 {
		next = max(0, len(all)-opts.Tail)
	}
	for {
		// In this order: what changes after each look shows in the next.
		more := b.logs.changed()
		e.mu.Lock()
		running := b.proc != nil
		e.mu.Unlock()
		lines := b.logs.from(next)
		next += len(lines)
		for _, l := range lines {
			if err := l.print(opts, stdout, stderr); err != nil {
				return err
			}
		}
		if !opts.Follow || !running {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l logLine) print(opts engine.LogOptions, stdout, stderr io.Writer) error {
	if l.at.Before(opts.Since) {
		return nil
	}
	text := l.text
	if opts.Timestamps {
		text = append([]byte(l.at.UTC().Format(time.RFC3339Nano)+" "), text...)
	}
	w := stdout
	if l.stderr {
		w = stderr
	}
	_, err := w.Write(text)
	return err
}

// Exec implements engine.Engine with the image's Exec program. Its ctx ends
// with the caller's or with the container.
func (e *Engine) Exec(ctx context.Context, id string, spec engine.ExecSpec) (int, error) {
	const method, op = "Exec", "run a command in container"
	if err := e.enter(ctx, method, id); err != nil {
		return 0, wrap(op, id, err)
	}
	e.mu.Lock()
	b, err := e.need(id)
	if err == nil && b.proc == nil {
		err = failf(engine.Other, "container %s is not running", id)
	}
	if err != nil {
		e.mu.Unlock()
		return 0, e.leave(ctx, method, op, id, err)
	}
	p, run, world := b.proc, b.image.Exec, e.execWorld(b, spec)
	e.mu.Unlock()
	code, err := runExec(ctx, p, run, world)
	return code, e.leave(ctx, method, op, id, err)
}

func (e *Engine) execWorld(b *box, spec engine.ExecSpec) Process {
	world := Process{
		Spec: b.spec, Args: spec.Cmd, Env: mergeEnv(b.env, spec.Env),
		Stdin: spec.Stdin, Stdout: spec.Stdout, Stderr: spec.Stderr,
		Killed: b.proc.killed, engine: e, box: b,
	}
	if b.ip.IsValid() {
		world.IP = b.ip.String()
	}
	if world.Stdin == nil {
		world.Stdin = eof{}
	}
	if world.Stdout == nil {
		world.Stdout = io.Discard
	}
	if world.Stderr == nil {
		world.Stderr = io.Discard
	}
	if spec.TTY { // one stream, as a terminal has
		world.Stderr = world.Stdout
	}
	return world
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func runExec(ctx context.Context, p *process, run Program, world Process) (int, error) {
	if run == nil {
		return exitNotFound, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	code := make(chan int, 1)
	go func() { code <- run(ctx, world) }()
	select {
	case c := <-code:
		// One that was given up ends, too, and often before that is noticed here.
		return c, ctx.Err()
	case <-p.done:
		return exitKilled, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Attach implements engine.Engine.
func (e *Engine) Attach(ctx context.Context, id string) (conn io.ReadWriteCloser, err error) {
	err = e.call(ctx, "Attach", "attach to container", id, func() error {
		b, err := e.need(id)
		if err != nil {
			return err
		}
		if b.proc == nil {
			return failf(engine.Other, "container %s is not running", id)
		}
		conn = attached{b.proc.stdout.join(), b.proc.stdin}
		return nil
	})
	return conn, err
}

// attached reads a container's output and writes its input. Closing it closes
// neither for others.
type attached struct {
	*pipe
	stdin *pipe
}

func (a attached) Write(b []byte) (int, error) { return a.stdin.Write(b) }

// watcher is one subscription to events.
type watcher struct {
	labels map[string]string
	queue  []engine.Event
	more   chan struct{} // has one token while the queue may not be empty
	broken chan error
}

// Events implements engine.Engine.
func (e *Engine) Events(ctx context.Context, labels map[string]string) (<-chan engine.Event, <-chan error) {
	const method, op = "Events", "watch events"
	out, errs := make(chan engine.Event), make(chan error, 1)
	w := &watcher{labels: maps.Clone(labels), more: make(chan struct{}, 1), broken: make(chan error, 1)}
	err := e.call(ctx, method, op, "", func() error {
		e.watchers[w] = true
		return nil
	})
	if err != nil {
		errs <- err
		return out, errs
	}
	go func() {
		err := e.deliver(ctx, w, out)
		e.mu.Lock()
		delete(e.watchers, w)
		e.mu.Unlock()
		errs <- wrap(op, "", err)
	}()
	return out, errs
}

// deliver hands out a watcher's events until its stream breaks.
func (e *Engine) deliver(ctx context.Context, w *watcher, out chan<- engine.Event) error {
	for {
		e.mu.Lock()
		queue := w.queue
		w.queue = nil
		e.mu.Unlock()
		for _, event := range queue {
			select {
			case out <- event:
			case err := <-w.broken:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-w.more:
		case err := <-w.broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// BreakEvents ends all event streams with an error.
func (e *Engine) BreakEvents(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.watchers {
		w.broken <- &kindError{engine.Unreachable, err}
		delete(e.watchers, w)
	}
}

// tell queues an event for everybody who watches.
func (e *Engine) tell(b *box, action string) {
	event := engine.Event{Action: action, ID: b.id, Name: b.spec.Name, Time: time.Now()}
	if action == "die" {
		event.ExitCode = b.exitCode
	}
	for w := range e.watchers {
		if !carries(b.spec.Labels, w.labels) {
			continue
		}
		event.Labels = maps.Clone(b.spec.Labels)
		w.queue = append(w.queue, event)
		select {
		case w.more <- struct{}{}:
		default:
		}
	}
}
