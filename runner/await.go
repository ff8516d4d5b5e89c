package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// settled waits until the gateway has taken the latest snapshot.
func (e *executor) settled(ctx context.Context) error {
	if err := e.call(ctx, func() { e.lookSoon() }); err != nil {
		return err
	}
	return e.board.wait(ctx, func(v view) (bool, error) {
		return v.linked && v.sent != 0 && v.status.Generation >= v.sent, nil
	})
}

// bootstrapEvery is how long an agent gets to call the gateway before it is
// told again whom to call.
const bootstrapEvery = 3 * time.Second

// awaitAgent makes sure that the pod's agent serves names and has written the
// files. An agent that is not on the line is told whom to call.
func (e *executor) awaitAgent(ctx context.Context, pod string) error {
	synced := func(v view) (bool, error) {
		infra := v.seen.infra(pod)
		if infra == nil || infra.State != engine.Running {
			return false, nil
		}
		s := v.status.Pods[pod]
		var since int64
		var ip string
		if err := e.call(ctx, func() { since, ip = e.loop.podSince[pod], podOf(e.loop.lastSent, pod).IP }); err != nil {
			return false, err
		}
		if !s.Connected || ip != infra.IP || since == 0 || s.Generation < since {
			return false, nil // what is said is of the agent before
		}
		if s.Error != "" {
			return false, fmt.Errorf("agent: %s", s.Error)
		}
		return true, nil
	}
	for {
		if ok, err := synced(e.board.get()); ok || err != nil {
			return err
		}
		if !e.board.get().status.Pods[pod].Connected {
			if err := e.bootstrap(ctx, pod); err != nil {
				return err
			}
		}
		round, cancel := context.WithTimeout(ctx, bootstrapEvery)
		err := e.board.wait(round, synced)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// bootstrap tells a pod's agent whom to call. It goes over standard input, as
// the token is nobody else's business.
func (e *executor) bootstrap(ctx context.Context, pod string) error {
	infra := e.state.Pod(pod).EngineName
	c, err := e.eng().InspectContainer(ctx, infra)
	if err != nil {
		return err
	}
	if c.State != engine.Running {
		return fmt.Errorf("pod %s: its infra container is %s", pod, c.State)
	}
	_, addr, err := e.network(ctx)
	if err != nil {
		return err
	}
	var key string
	if err := e.call(ctx, func() { key = e.loop.secrets.vault.Key }); err != nil {
		return err
	}
	stream, err := e.eng().Attach(ctx, infra)
	if err != nil {
		return err
	}
	defer stream.Close()
	if _, err := io.WriteString(stream, "\n"); err != nil {
		return fmt.Errorf("pod %s: %w", pod, err)
	}
	return writeLine(stream, api.Bootstrap{
		Pod:     pod,
		Gateway: net.JoinHostPort(addr.gateway(), strconv.Itoa(api.ControlPort)),
		Token:   api.Token(key, pod),
	})
}

func (e *executor) awaitExit(ctx context.Context, s reconcile.Step) error {
	code, err := e.exitOf(ctx, s.Name)
	if err != nil {
		return err
	}
	if code == 0 {
		return nil
	}
	tail := lastLines(context.WithoutCancel(ctx), e.eng(), s.Name)
	_ = e.call(ctx, func() {
		e.problem(s.Object, fmt.Sprintf("exited with code %d; it is tried again%s", code, tail))
	})
	return fmt.Errorf("%w: exited with code %d", errNotYet, code)
}

// waitRound is how long one call waits for a container's end before it is asked
// how the container is: an engine may lose an answer.
const waitRound = 30 * time.Second

// exitOf waits for a container's end.
func (e *executor) exitOf(ctx context.Context, name string) (int, error) {
	for {
		round, cancel := context.WithTimeout(ctx, waitRound)
		code, err := e.eng().WaitContainer(round, name)
		over := round.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !over {
			return code, err
		}
		c, err := e.eng().InspectContainer(ctx, name)
		if err != nil || c.State == engine.Exited {
			return c.ExitCode, err
		}
	}
}

// awaitStarted waits until a sidecar runs and its startup probe, if it has one,
// has succeeded.
func (e *executor) awaitStarted(ctx context.Context, s reconcile.Step) error {
	return e.board.wait(ctx, func(v view) (bool, error) {
		m, c := v.seen.living(s.Pod, s.Container), v.status.Pods[s.Pod].Containers[s.Container]
		return m != nil && m.State == reconcile.Running && c.ID == m.ID && c.Started, nil
	})
}

// awaitReady gives a pod back to its services and waits until it is ready, and
// has been for as long as it has to be.
func (e *executor) awaitReady(ctx context.Context, pod string, hold time.Duration) error {
	if err := e.undrained(ctx, pod); err != nil {
		return err
	}
	for {
		if err := e.board.wait(ctx, func(v view) (bool, error) { return podReady(v, pod), nil }); err != nil || hold == 0 {
			return err
		}
		round, cancel := context.WithTimeout(ctx, hold)
		err := e.board.wait(round, func(v view) (bool, error) { return !podReady(v, pod), nil })
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return nil // it was ready all the time
		}
	}
}

// undrained gives a pod back to its services. A pod that is made anew is not on
// its way out any more, and others may wait for it.
func (e *executor) undrained(ctx context.Context, pod string) error {
	return e.call(ctx, func() {
		delete(e.loop.draining, pod)
		e.lookSoon()
	})
}

// podReady reports whether the gateway calls exactly the containers ready that
// run now: its word may be about those before them.
func podReady(v view, pod string) bool {
	p, s := v.seen.Pods[pod], v.status.Pods[pod]
	if p == nil || p.Infra == nil || p.Infra.Paused || !s.Ready {
		return false
	}
	for i := range p.Members {
		m := &p.Members[i]
		if !m.Init && (m.State != reconcile.Running || m.Paused || s.Containers[m.Key].ID != m.ID) {
			return false
		}
	}
	return true
}

func (e *executor) awaitService(ctx context.Context, s reconcile.Step) error {
	return e.board.wait(ctx, func(v view) (bool, error) {
		for i := range e.state.Services {
			if e.state.Services[i].Name != s.Service {
				continue
			}
			for _, pod := range e.state.Services[i].Pods {
				if s.Condition == "started" && podStarted(v, e.state.Pod(pod)) || podReady(v, pod) {
					return true, nil
				}
			}
		}
		return false, nil
	})
}

func podStarted(v view, p *docker.Pod) bool {
	for i := range p.Containers {
		m := v.seen.member(p.Name, p.Containers[i].Name)
		if m == nil || m.State != engine.Running {
			return false
		}
	}
	return true
}

// lastLines gives the end of a container's log for a message, each line on its
// own, or "".
func lastLines(ctx context.Context, eng engine.Engine, container string) string {
	const lines = 5
	var out bytes.Buffer
	if err := eng.Logs(ctx, container, engine.LogOptions{Tail: lines}, &out, &out); err != nil || out.Len() == 0 {
		return ""
	}
	return "; its last words:\n    " + strings.ReplaceAll(strings.TrimRight(out.String(), "\n"), "\n", "\n    ")
}
