package runner

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// runHook carries out one hook of a container. Its errors quote neither what a
// command printed nor what a server answered, as there may be a secret in it.
func runHook(ctx context.Context, eng engine.Engine, h *docker.Hook, container, infra string) error {
	switch {
	case h.Exec != nil:
		code, err := eng.Exec(ctx, container, engine.ExecSpec{Cmd: h.Exec})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("its command cannot be run: %w", err)
		case code != 0:
			return fmt.Errorf("its command exited with code %d", code)
		}
	case h.HTTP != nil:
		return httpHook(ctx, eng, h.HTTP, infra)
	case h.Sleep != nil:
		select {
		case <-time.After(time.Duration(*h.Sleep) * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// httpHook has the agent ask from within the pod's network: where the engine
// is remote, nobody else reaches the pod's address. It goes over standard
// input, as headers may be nobody else's business.
func httpHook(ctx context.Context, eng engine.Engine, h *docker.HTTPHook, infra string) error {
	c, err := eng.InspectContainer(ctx, infra)
	if err != nil {
		return err
	}
	image, err := eng.InspectImage(ctx, c.Image)
	if err != nil {
		return err
	}
	get := api.Get{Host: h.Host, HTTPProbe: api.HTTPProbe{Port: h.Port, Path: h.Path, Scheme: h.Scheme, Headers: h.Headers}}
	if get.Host == "" {
		get.Host = c.IP
	}
	if deadline, ok := ctx.Deadline(); ok {
		get.Timeout = max(1, int(time.Until(deadline).Seconds()))
	}
	ask, err := json.Marshal(get)
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	var said bytes.Buffer
	code, err := eng.Exec(ctx, infra, engine.ExecSpec{
		Cmd:   append(slices.Clone(image.Entrypoint), api.RoleGet),
		Stdin: bytes.NewReader(append(ask, '\n')), Stderr: &said,
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case code != 0:
		return fmt.Errorf("its request failed: %s", strings.TrimSpace(said.String()))
	}
	return nil
}

// hookRun is the postStart hook of one container. The loop owns it, so that a
// plan that is dropped does not cut it short.
type hookRun struct {
	state  reconcile.HookState
	cancel context.CancelFunc // of the run under way; nil when there is none
	done   chan struct{}      // closed when state is final
	err    error              // why it failed; valid after done
}

func newHookRun(done bool) *hookRun {
	h := &hookRun{state: reconcile.HookDue, done: make(chan struct{})}
	if done {
		h.finish(nil)
	}
	return h
}

func (h *hookRun) finish(err error) {
	h.state, h.err = reconcile.HookDone, err
	if err != nil {
		h.state = reconcile.HookFailed
	}
	close(h.done)
}

// hooked reports whether nothing of a container's postStart hook is left to do.
func hooked(c *docker.Container, id string, hooks map[string]*hookRun) bool {
	h := hooks[id]
	return c.PostStart == nil || h != nil && h.state == reconcile.HookDone
}

// errHookLost is the end of a hook whose container ended first.
var errHookLost = errors.New("its container ended first")

// drop ends a hook whose container is gone, or that nobody waits for any more.
func (h *hookRun) drop() {
	if h.cancel != nil {
		h.cancel()
	}
	if h.state == reconcile.HookDue || h.state == reconcile.HookRuns {
		h.finish(errHookLost)
	}
}

// hookMark is a file in the infra container that says that the postStart hook of
// a container has succeeded: it lives as long as the pod. Without it, whoever
// supervises next runs the hook again, for it was perhaps not run to its end:
// as in Kubernetes, a hook runs at least once.
func hookMark(container string) string { return "post-start." + container }

// knowHooks finds out how the hooks of containers are that run and are new to us.
func (r *supervisor) knowHooks(ctx context.Context) error {
	l := &r.loop
	alive := map[string]bool{}
	for i := range l.present.Pods {
		p := &l.present.Pods[i]
		for _, c := range slices.Concat(p.Init, p.Containers) {
			m := l.seen.living(p.Name, c.Name)
			if c.PostStart == nil || m == nil || m.State != reconcile.Running || m.Hash != c.Hash {
				continue
			}
			alive[m.ID] = true
			if l.hooks[m.ID] != nil {
				continue
			}
			done, err := hookDone(ctx, r.cfg.Engine, m)
			if err != nil {
				return err
			}
			l.hooks[m.ID] = newHookRun(done)
		}
	}
	for id, h := range l.hooks {
		if !alive[id] {
			h.drop()
			delete(l.hooks, id)
		}
	}
	return nil
}

func hookDone(ctx context.Context, eng engine.Engine, m *reconcile.Container) (bool, error) {
	stream, err := eng.CopyFrom(ctx, m.Infra, "/"+hookMark(m.ID))
	if engine.KindOf(err) == engine.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, stream.Close()
}

// postStart begins a hook, unless it runs already, and waits for its end; that
// of a job's pod is seen when it comes.
func (e *executor) postStart(ctx, whole context.Context, s reconcile.Step) error {
	pod := e.state.Pod(s.Pod)
	c, err := e.eng().InspectContainer(whole, s.Name)
	if err != nil {
		return err
	}
	infra, err := e.eng().InspectContainer(whole, pod.EngineName)
	if err != nil {
		return err
	}
	var run *hookRun
	err = e.call(ctx, func() {
		run = e.beginHook(whole, s.Object, c.ID, infra.ID, pod.Container(s.Container).PostStart)
	})
	if err != nil || pod.Job != "" {
		return err
	}
	select {
	case <-run.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if run.err != nil {
		return fmt.Errorf("%w: %w", errNotYet, run.err)
	}
	return nil
}

// beginHook runs a container's hook in a goroutine of its own.
func (r *supervisor) beginHook(ctx context.Context, object, container, infra string, hook *docker.Hook) *hookRun {
	h := r.loop.hooks[container]
	if h == nil {
		h = newHookRun(false)
		r.loop.hooks[container] = h
	}
	if h.state != reconcile.HookDue {
		return h
	}
	ctx, h.cancel = context.WithCancel(ctx)
	h.state = reconcile.HookRuns
	r.judge()
	go func() {
		err := runHook(ctx, r.cfg.Engine, hook, container, infra)
		if err == nil {
			err = markHook(ctx, r.cfg.Engine, container, infra)
		}
		_ = r.call(ctx, func() { r.hookEnded(object, h, err) })
	}()
	return h
}

func markHook(ctx context.Context, eng engine.Engine, container, infra string) error {
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	header := &tar.Header{Name: hookMark(container), Mode: 0o600, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
	if err := errors.Join(t.WriteHeader(header), t.Close()); err != nil {
		return fmt.Errorf("mark of the hook: %w", err)
	}
	return eng.CopyTo(ctx, infra, "/", &buf)
}

// hookEnded notes how a hook ended. A container whose hook failed is stopped by
// the next plan, and its restart policy applies.
func (r *supervisor) hookEnded(object string, h *hookRun, err error) {
	if h.state != reconcile.HookRuns {
		return // dropped meanwhile
	}
	h.cancel()
	h.finish(err)
	if err != nil {
		r.problem(object, "PostStartHookError: the postStart hook failed: "+err.Error()+"; the container is stopped")
	}
	r.judge()
	r.push()
	r.lookSoon()
}

// preStop runs the hook of a container that is about to be stopped, within the
// grace period. That it fails is told and stops nothing.
func (h hands) preStop(ctx context.Context, s reconcile.Step) {
	if !h.clocks.once(s.ID) {
		return // an earlier plan has, and was dropped
	}
	ctx, cancel := context.WithTimeout(ctx, h.clocks.left(s))
	defer cancel()
	err := runHook(ctx, h.eng, s.Hook, s.ID, s.Infra)
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		h.tell(s.Object, "PreStopHook failed: it was not done within the grace period")
	default:
		h.tell(s.Object, "PreStopHook failed: "+err.Error())
	}
}
