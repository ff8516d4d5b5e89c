package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/internal/sockfault"
)

// outage is something that befalls a whole engine.
type outage struct {
	name  string
	flags []string // of dockerd
	// keeps is whether running containers have to outlive it.
	keeps bool
	do    func(ctx context.Context, w *outageWorld) error
}

// outageWorld is what an outage may do to.
type outageWorld struct {
	b *bench
	d *daemon
	a *app
	s *session
	// long is how long the engine is paused.
	long time.Duration
}

// outages are what befalls whole engines. That address pools run out is none: an
// app's network has a subnet of our choice.
func outages() []outage {
	return []outage{
		{"the engine restarts", nil, false, func(ctx context.Context, w *outageWorld) error { return w.d.restart(ctx, syscall.SIGTERM) }},
		{"the engine is killed", nil, false, func(ctx context.Context, w *outageWorld) error { return w.d.restart(ctx, syscall.SIGKILL) }},
		{"the engine restarts and keeps its containers", []string{"--live-restore"}, true, func(ctx context.Context, w *outageWorld) error {
			return w.d.restart(ctx, syscall.SIGTERM)
		}},
		{"the engine is killed and keeps its containers", []string{"--live-restore"}, true, func(ctx context.Context, w *outageWorld) error {
			return w.d.restart(ctx, syscall.SIGKILL)
		}},
		{"the engine is killed while a change is applied", nil, false, func(ctx context.Context, w *outageWorld) error {
			w.b.proxy.Set(sockfault.Rule{Method: "*", Nth: 4, Action: sockfault.Delay, Delay: 2 * time.Second})
			if err := w.a.be("b"); err != nil {
				return err
			}
			for !w.b.proxy.Met() {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(20 * time.Millisecond):
				}
			}
			err := w.d.restart(ctx, syscall.SIGKILL)
			w.b.proxy.Set()
			return join(err, w.a.be("a"))
		}},
		{"the engine pauses", nil, true, func(ctx context.Context, w *outageWorld) error { return w.d.pause(ctx, w.long) }},
		{"the firewall is flushed", nil, true, func(_ context.Context, w *outageWorld) error {
			return join(w.d.enter("iptables", "-F").Run(), w.d.enter("iptables", "-t", "nat", "-F").Run())
		}},
		{"the disk is full", nil, true, func(ctx context.Context, w *outageWorld) error {
			if err := w.d.fill(); err != nil {
				return err
			}
			if err := w.b.docker(ctx, "rm", "-f", w.a.id.Project()+"_frontend-0_side"); err != nil {
				return err
			}
			err := w.s.says(ctx, "no space left on device", 1)
			return join(err, w.d.free())
		}},
	}
}

// sweepOutages has each outage befall an app on a private engine of its own.
func sweepOutages(ctx context.Context, cfg config, t *table) error {
	for i, out := range outages() {
		if ctx.Err() != nil || !cfg.only.MatchString("outage/"+out.name) || cfg.sample > 0 && (i+int(cfg.seed))%len(outages()) >= cfg.sample {
			continue
		}
		o := outcome{point: point{shape: "services", verb: "supervised", side: "outage"}, label: "outage/" + strings.ReplaceAll(out.name, " ", "-"), met: true}
		err := befall(ctx, cfg, out, &o)
		if err == errNoDaemon {
			return err
		}
		o.err = join(o.err, err)
		t.add(o)
	}
	return ctx.Err()
}

func befall(ctx context.Context, cfg config, out outage, o *outcome) error {
	dir, err := os.MkdirTemp("", "outage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := newDaemon(ctx, dir, out.flags...)
	if err != nil {
		return err
	}
	defer func() { o.err = join(o.err, d.close()) }()
	home := filepath.Join(dir, "bench")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	b, err := newBench(ctx, cfg.tool, home, d.socket())
	if err != nil {
		return err
	}
	defer b.close()
	a, err := b.newApp(ctx, "services")
	if err != nil {
		return err
	}
	ref, err := b.measure(ctx, a)
	if err != nil {
		return err
	}
	long := 30 * time.Second
	if cfg.sample > 0 {
		long = 5 * time.Second
	}
	var before world
	got := b.supervised(ctx, a, ref, o.label, func(s *session) error {
		var err error
		if before, err = b.look(ctx, a.id); err != nil {
			return err
		}
		if err := out.do(ctx, &outageWorld{b: b, d: d, a: a, s: s, long: long}); err != nil {
			return err
		}
		if !out.keeps || out.name == "the disk is full" {
			return nil
		}
		after, err := b.look(ctx, a.id)
		return join(err, checkKept(before, after))
	})
	o.calls = got.calls
	if got.err != nil {
		return fmt.Errorf("%w\ndockerd's log ends:\n%s", got.err, tail(filepath.Join(dir, "dockerd.log")))
	}
	return nil
}

// tail is the end of a file, for a message.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}
