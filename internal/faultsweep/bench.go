package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/internal/sockfault"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
)

// bench is what every case needs: the real cuepod, the real engine, and the
// proxy between them.
type bench struct {
	tool   string // path of cuepod
	dir    string // of all that is made, but on the engine
	proxy  *sockfault.Proxy
	eng    engine.Engine // past the proxy
	socket string        // of the engine
	env    []string      // of cuepod
}

// newBench makes a bench in an empty directory. tool is built when it is "", and
// the engine is the one that docker talks to when socket is.
func newBench(ctx context.Context, tool, dir, socket string) (*bench, error) {
	var opts dockerapi.Options
	if socket != "" {
		opts.Host = "unix://" + socket
	}
	eng, err := dockerapi.New(opts)
	if err != nil {
		return nil, err
	}
	info, err := eng.Info(ctx)
	if err != nil {
		return nil, err
	}
	socket, ok := strings.CutPrefix(info.Endpoint, "unix://")
	if !ok {
		return nil, fmt.Errorf("engine %s: a proxy of a Unix socket cannot stand in front of it", info.Endpoint)
	}
	b := &bench{tool: tool, dir: dir, eng: eng, socket: socket}
	if b.tool == "" {
		if b.tool, err = build(ctx, dir); err != nil {
			return nil, err
		}
	}
	if err := loadImage(ctx, eng, info.Arch, dir); err != nil {
		return nil, err
	}
	listen := filepath.Join(dir, "engine.sock")
	if b.proxy, err = sockfault.Start(listen, socket); err != nil {
		return nil, err
	}
	b.env = append(os.Environ(), "DOCKER_HOST=unix://"+listen, "HOME="+dir, "XDG_STATE_HOME="+filepath.Join(dir, "state"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "NO_COLOR=1")
	return b, nil
}

func (b *bench) close() error { return errors.Join(b.proxy.Close(), b.eng.Close()) }

// build makes the binary that people get, with the agents inside.
func build(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	cmd := exec.CommandContext(ctx, "make", "build", "BIN="+dir)
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return filepath.Join(dir, "cuepod"), nil
}

// loadImage puts the image of all the apps' containers on the engine.
func loadImage(ctx context.Context, eng engine.Engine, arch, dir string) error {
	out := filepath.Join(dir, "testprog")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "github.com/cuepod/cuepod/runner/engine/enginetest/testprog")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program of the image: %w\n%s", err, text)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	archive, err := enginetest.Archive(program)
	if err != nil {
		return err
	}
	return eng.LoadImage(ctx, bytes.NewReader(archive))
}

// result is how a run of cuepod ended.
type result struct {
	out    string // both streams
	code   int    // -1 when it was killed
	killed bool
	took   time.Duration
	calls  int // changing requests to the engine
	reads  int // and others
}

// patience is how long anything may take on a busy machine. What is asserted
// is counted in calls; this only ends what hangs.
const patience = 3 * time.Minute

// run runs cuepod to its end.
func (b *bench) run(all context.Context, args ...string) (result, error) {
	ctx, cancel := context.WithTimeout(all, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.tool, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &out, b.env
	cmd.WaitDelay = time.Second
	began := time.Now()
	err := cmd.Run()
	switch {
	case all.Err() != nil:
		return result{}, all.Err()
	case ctx.Err() != nil:
		return result{}, fmt.Errorf("cuepod %s: not done after %v:\n%s", strings.Join(args, " "), patience, &out)
	}
	r := b.resultOf(err)
	r.out, r.took = out.String(), time.Since(began)
	return r, nil
}

func (b *bench) resultOf(err error) result {
	var r result
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.code = exit.ExitCode()
		if w, ok := exit.Sys().(syscall.WaitStatus); ok {
			r.killed = w.Signaled()
		}
	} else if err != nil {
		r.code = -1
	}
	for _, q := range b.proxy.Requests() {
		if sockfault.Changes(q.Method, q.Path) {
			r.calls++
		} else {
			r.reads++
		}
	}
	return r
}

// must is run for what has to succeed, with no fault.
func (b *bench) must(ctx context.Context, args ...string) (result, error) {
	b.proxy.Set()
	r, err := b.run(ctx, args...)
	if err == nil && r.code != 0 {
		err = fmt.Errorf("cuepod %s: exit code %d:\n%s", strings.Join(args, " "), r.code, r.out)
	}
	return r, err
}

// object is a container as far as the sweep compares it.
type object struct {
	id, hash, infra, role string
	running               bool
}

// world is what the engine has of an app.
type world struct {
	containers map[string]object // by name
	others     []string          // volumes and networks
}

func (b *bench) look(ctx context.Context, id runner.Identity) (world, error) {
	labels := map[string]string{"dev.cuepod.id": id.ID()}
	w := world{containers: map[string]object{}}
	containers, err := b.eng.ListContainers(ctx, labels)
	if err != nil {
		return w, err
	}
	for _, c := range containers {
		w.containers[c.Name] = object{id: c.ID, hash: c.Labels["dev.cuepod.hash"], infra: c.Labels["dev.cuepod.infra"],
			role: c.Labels["dev.cuepod.role"], running: c.State == engine.Running}
	}
	volumes, err := b.eng.ListVolumes(ctx, labels)
	if err != nil {
		return w, err
	}
	for _, v := range volumes {
		w.others = append(w.others, "volume "+v.Name)
	}
	networks, err := b.eng.ListNetworks(ctx, labels)
	for _, n := range networks {
		w.others = append(w.others, "network "+n.Name)
	}
	return w, err
}

// settled looks until what the engine was told by somebody who is dead by now
// has been done.
func (b *bench) settled(ctx context.Context, id runner.Identity) (world, error) {
	last, err := b.look(ctx, id)
	for same := 0; err == nil && same < 2; {
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(150 * time.Millisecond):
		}
		var now world
		if now, err = b.look(ctx, id); err != nil {
			break
		}
		if slices.Equal(now.states(), last.states()) {
			same++
		} else {
			same = 0
		}
		last = now
	}
	return last, err
}

func (w world) states() []string {
	out := slices.Clone(w.others)
	for name, c := range w.containers {
		out = append(out, fmt.Sprint(name, c.id, c.running))
	}
	slices.Sort(out)
	return out
}
