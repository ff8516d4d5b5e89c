package dockerapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/cuepod/cuepod/runner/engine"
)

// execPoll is how often Exec asks for the exit code: the engine closes the
// streams a moment before it knows.
const execPoll = 10 * time.Millisecond

// Logs implements engine.Engine.
func (c *Client) Logs(ctx context.Context, id string, opts engine.LogOptions, stdout, stderr io.Writer) error {
	const op = "read the logs of container"
	ask := container.LogsOptions{
		ShowStdout: true, ShowStderr: true,
		Follow: opts.Follow, Timestamps: opts.Timestamps, Tail: "all",
	}
	if opts.Tail >= 0 {
		ask.Tail = strconv.Itoa(opts.Tail)
	}
	if !opts.Since.IsZero() {
		ask.Since = fmt.Sprintf("%d.%09d", opts.Since.Unix(), opts.Since.Nanosecond())
	}
	// A terminal has one stream of output, and the engine does not frame it.
	got, err := c.api.ContainerInspect(ctx, id)
	if err != nil {
		return c.fail(op, id, err)
	}
	body, err := c.api.ContainerLogs(ctx, id, ask)
	if err != nil {
		return c.fail(op, id, err)
	}
	defer body.Close()
	if got.Config != nil && got.Config.Tty {
		_, err = io.Copy(stdout, body)
		return c.fail(op, id, orContext(ctx, err))
	}
	_, err = stdcopy.StdCopy(stdout, stderr, body)
	return c.fail(op, id, orContext(ctx, err))
}

// orContext prefers the reason for a stream that we ended ourselves.
func orContext(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return cmp.Or(ctx.Err(), err)
}

// Exec implements engine.Engine. When ctx ends it returns; the API has no way
// to end the command, which goes on until it writes. A read of Stdin that is
// under way when the command ends is not waited for.
func (c *Client) Exec(ctx context.Context, id string, spec engine.ExecSpec) (int, error) {
	const op = "run a command in container"
	created, err := c.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: spec.Cmd, Env: spec.Env, Tty: spec.TTY,
		AttachStdin: spec.Stdin != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return 0, c.fail(op, id, err)
	}
	conn, err := c.api.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{Tty: spec.TTY})
	if err != nil {
		return 0, c.fail(op, id, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.Close)()
	if err := pump(conn, spec); err != nil {
		return 0, c.fail(op, id, orContext(ctx, err))
	}
	if ctx.Err() != nil {
		return 0, c.fail(op, id, ctx.Err())
	}
	code, err := c.execExit(ctx, created.ID)
	return code, c.fail(op, id, err)
}

// pump moves a command's streams until its output ends.
func pump(conn types.HijackedResponse, spec engine.ExecSpec) error {
	if spec.Stdin != nil {
		go func() {
			// A broken pipe means that the command does not read its input;
			// that is its right.
			_, _ = io.Copy(conn.Conn, spec.Stdin)
			_ = conn.CloseWrite()
		}()
	}
	stdout, stderr := orDiscard(spec.Stdout), orDiscard(spec.Stderr)
	if spec.TTY {
		_, err := io.Copy(stdout, conn.Reader)
		return err
	}
	_, err := stdcopy.StdCopy(stdout, stderr, conn.Reader)
	return err
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

func (c *Client) execExit(ctx context.Context, execID string) (int, error) {
	tick := time.NewTicker(execPoll)
	defer tick.Stop()
	for {
		got, err := c.api.ContainerExecInspect(ctx, execID)
		if err != nil {
			return 0, err
		}
		if !got.Running {
			return got.ExitCode, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}

// Attach implements engine.Engine. ctx is only for setting up.
func (c *Client) Attach(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	conn, err := c.handshake(ctx, id)
	if err != nil {
		return nil, c.fail("attach to container", id, err)
	}
	out, in := io.Pipe()
	s := &attached{conn: conn, out: out, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_, err := stdcopy.StdCopy(in, io.Discard, conn.Reader)
		in.CloseWithError(cmp.Or(err, io.EOF))
	}()
	return s, nil
}

// handshake sets up an attachment, for as long as our patience lasts: the
// library's own call does not end with its context.
func (c *Client) handshake(ctx context.Context, id string) (types.HijackedResponse, error) {
	ctx, done := within(ctx, askPatience)
	defer done()
	type result struct {
		conn types.HijackedResponse
		err  error
	}
	answer := make(chan result, 1)
	go func() {
		conn, err := c.api.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
		answer <- result{conn, err}
	}()
	select {
	case r := <-answer:
		return r.conn, heard(ctx, r.err)
	case <-ctx.Done():
		go func() { // it ends when the engine answers or goes
			if r := <-answer; r.err == nil {
				r.conn.Close()
			}
		}()
		return types.HijackedResponse{}, heard(ctx, ctx.Err())
	}
}

// attached is one attachment. Its goroutine ends when the connection does.
type attached struct {
	conn types.HijackedResponse
	out  *io.PipeReader
	done chan struct{}
}

func (s *attached) Read(p []byte) (int, error)  { return s.out.Read(p) }
func (s *attached) Write(p []byte) (int, error) { return s.conn.Conn.Write(p) }

// Close detaches. The container's standard input stays open for the next one.
func (s *attached) Close() error {
	err := s.conn.Conn.Close()
	s.out.Close() // lets go of a write that nobody reads
	<-s.done
	return err
}

// CopyTo implements engine.Engine.
func (c *Client) CopyTo(ctx context.Context, id, dir string, tar io.Reader) error {
	return c.fail("copy into container", id,
		c.api.CopyToContainer(ctx, id, dir, tar, container.CopyToContainerOptions{}))
}

// CopyFrom implements engine.Engine.
func (c *Client) CopyFrom(ctx context.Context, id, path string) (io.ReadCloser, error) {
	body, _, err := c.api.CopyFromContainer(ctx, id, path)
	if err != nil {
		return nil, c.fail("copy from container", id, fmt.Errorf("%s: %w", path, err))
	}
	return body, nil
}

// Events implements engine.Engine.
func (c *Client) Events(ctx context.Context, labels map[string]string) (<-chan engine.Event, <-chan error) {
	filter := labelFilter(labels)
	filter.Add("type", string(events.ContainerEventType))
	messages, broken := c.api.Events(ctx, events.ListOptions{Filters: filter})
	out, errs := make(chan engine.Event), make(chan error, 1)
	go func() {
		for {
			select {
			case m := <-messages:
				e, ok := toEvent(m)
				if !ok {
					continue
				}
				select {
				case out <- e:
				case <-ctx.Done(): // the library reports it on broken
				}
			case err := <-broken:
				if err == nil {
					err = errors.New("the stream of events ended")
				}
				errs <- c.fail("watch events", "", orContext(ctx, err))
				return
			}
		}
	}()
	return out, errs
}

// toEvent translates an event that the contract knows. The labels come mixed
// with the engine's own attributes.
func toEvent(m events.Message) (engine.Event, bool) {
	action := m.Action
	switch action {
	case events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy, events.ActionOOM:
	case events.ActionRemove: // podman's destroy
		action = events.ActionDestroy
	case "died": // podman's own API says died, its compatible one die
		action = events.ActionDie
	default:
		return engine.Event{}, false
	}
	e := engine.Event{
		Action: string(action), ID: m.Actor.ID, Name: m.Actor.Attributes["name"],
		Labels: maps.Clone(m.Actor.Attributes), Time: time.Unix(0, m.TimeNano),
	}
	e.ExitCode, _ = strconv.Atoi(m.Actor.Attributes["exitCode"]) // absent but for die
	for _, own := range []string{"name", "image", "exitCode", "execDuration", "signal"} {
		delete(e.Labels, own)
	}
	return e, true
}
