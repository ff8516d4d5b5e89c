package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// hand is something that somebody does to a running app behind its supervisor's
// back, with the docker command. The supervisor has to make it good.
type hand struct {
	name string
	// do gets names on the engine through of: of("frontend-0_main").
	do func(ctx context.Context, docker func(...string) error, of func(string) string) error
}

// hands are done to the app "services". Source: reliability F23 to F27.
func hands() []hand {
	type dock = func(...string) error
	type name = func(string) string
	simple := func(args ...string) func(context.Context, dock, name) error {
		return func(_ context.Context, docker dock, of name) error {
			last := len(args) - 1
			return docker(append(append([]string{}, args[:last]...), of(args[last]))...)
		}
	}
	return []hand{
		{"removes a container", simple("rm", "-f", "frontend-0_main")},
		{"removes an infra container", simple("rm", "-f", "frontend-0")},
		{"removes the gateway", simple("rm", "-f", "gateway")},
		{"removes the portal", simple("rm", "-f", "portal_frontend")},
		{"removes the record", simple("rm", "-f", "record.1")},
		{"stops a container", simple("stop", "-t", "1", "backend-0_main")},
		{"kills an infra container", simple("kill", "backend-0")},
		{"kills the gateway", simple("kill", "gateway")},
		{"kills the portal", simple("kill", "portal_frontend")},
		{"restarts a container", simple("restart", "-t", "1", "frontend-0_side")},
		{"restarts an infra container", simple("restart", "-t", "1", "frontend-0")},
		{"changes a container's memory", simple("update", "--memory", "64m", "--memory-swap", "64m", "frontend-0_side")},
		{"renames a container", func(_ context.Context, docker dock, of name) error {
			return docker("rename", of("frontend-0_side"), of("frontend-0_side")+"-mine")
		}},
		{"renames an infra container, and removes a container", func(_ context.Context, docker dock, of name) error {
			if err := docker("rename", of("frontend-0"), of("frontend-0")+"-mine"); err != nil {
				return err
			}
			return docker("rm", "-f", of("frontend-0_side"))
		}},
		{"takes a pod out of the network", func(_ context.Context, docker dock, of name) error {
			return docker("network", "disconnect", "-f", strings.TrimSuffix(of(""), "_"), of("frontend-1"))
		}},
		{"removes the network", func(_ context.Context, docker dock, of name) error {
			for _, c := range []string{"gateway", "portal_frontend", "frontend-0", "frontend-1", "backend-0"} {
				if err := docker("network", "disconnect", "-f", strings.TrimSuffix(of(""), "_"), of(c)); err != nil {
					return err
				}
			}
			return docker("network", "rm", strings.TrimSuffix(of(""), "_"))
		}},
	}
}

// lend does one thing under a supervisor and holds what follows against the
// invariants, the supervisor's open files included (I6).
func (b *bench) lend(ctx context.Context, a *app, ref *reference, h hand) outcome {
	return b.supervised(ctx, a, ref, "hand/"+strings.ReplaceAll(h.name, " ", "-"), func(*session) error {
		of := func(name string) string { return a.id.Project() + "_" + name }
		return h.do(ctx, func(args ...string) error { return b.docker(ctx, args...) }, of)
	})
}

// supervised brings an app up in the foreground, has a fault done to it, and
// waits until all is well again by itself.
func (b *bench) supervised(ctx context.Context, a *app, ref *reference, label string, fault func(*session) error) outcome {
	o := outcome{point: point{shape: a.shape, verb: "supervised", side: "hands"}, label: label, met: true}
	o.err = func() error {
		s, err := b.readyInForeground(ctx, a)
		if err != nil {
			return err
		}
		defer s.end()
		before, err := descriptors(s.cmd.Process.Pid)
		if err != nil {
			return err
		}
		b.proxy.Set()
		if err := fault(s); err != nil {
			return err
		}
		if err := b.untilWell(ctx, a, s); err != nil {
			return err
		}
		after, err := descriptors(s.cmd.Process.Pid)
		if err != nil {
			return err
		}
		o.calls = b.resultOf(nil).calls
		if after > before+4 { // connections that are under way
			err = fmt.Errorf("I6: %d open files, %d before", after, before)
		}
		return join(err, checkMessage(result{out: s.said()}), b.checkRunning(ctx, a, ref, "a"))
	}()
	b.proxy.Set()
	if _, err := b.must(ctx, "down", "--volumes", "--now", a.dir); err != nil {
		o.err = join(o.err, err)
	}
	return o
}

// untilWell waits until the plan is empty and every pod ready.
func (b *bench) untilWell(ctx context.Context, a *app, s *session) error {
	limit := time.Now().Add(patience)
	for {
		plan, err := b.run(ctx, "plan", "--exit-code", a.dir)
		if err != nil {
			return err
		}
		ready := b.checkReady(ctx, a)
		if plan.code == 0 && ready == nil {
			return nil
		}
		if s.died() {
			return fmt.Errorf("the supervisor ended:\n%s", s.said())
		}
		if time.Now().After(limit) {
			return fmt.Errorf("I2: it does not become well (%v); the plan:\n%s\nthe supervisor said:\n%s", ready, plan.out, s.said())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// docker runs the docker command on the engine itself.
func (b *bench) docker(ctx context.Context, args ...string) error {
	for tries := 3; ; {
		cmd := exec.CommandContext(ctx, "docker", args...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+b.socket)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		// Docker 20.10 still writes a container's log while it removes its directory.
		if tries--; tries == 0 || !bytes.Contains(out, []byte("directory not empty")) {
			return fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
}
