package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	app   = "runnerbench"
	image = "cuepod-runnerbench:latest"
	// atOnce bounds the docker commands that run side by side. Six is what the
	// runner allows itself, and where a busy engine on two cores is at its best.
	atOnce = 6
	// patience is for everything that may hang.
	patience = "10m"
)

// bench starts and ends the two forms of one app.
type bench struct {
	tool string // cuepod
	dir  string // of the definition
}

// prepare makes the image that both forms run.
func (b bench) prepare(ctx context.Context, work string) error {
	server := filepath.Join(work, "server")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", server, "github.com/cuepod/cuepod/internal/runnerbench/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, out)
	}
	pack := exec.CommandContext(ctx, "tar", "-C", work, "-c", "server")
	layer, err := pack.Output()
	if err != nil {
		return fmt.Errorf("pack the server: %w", err)
	}
	load := exec.CommandContext(ctx, "docker", "import", "--change", `ENTRYPOINT ["/server"]`, "-", image)
	load.Stdin = bytes.NewReader(layer)
	if out, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("import %s: %w\n%s", image, err, out)
	}
	return os.MkdirAll(filepath.Join(b.dir, "cue.mod"), 0o755)
}

// clean removes what a failed run has left, and the image.
func (b bench) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := os.Stat(filepath.Join(b.dir, "app.cue")); err == nil {
		_ = exec.CommandContext(ctx, b.tool, "down", "--volumes", "--now", b.dir).Run() // nothing is left after a run that went well
	}
	ids, err := docker(ctx, "ps", "--all", "--quiet", "--filter", "label="+app)
	if err != nil {
		return err
	}
	if left := strings.Fields(ids); len(left) > 0 {
		_, err = docker(ctx, append([]string{"rm", "--force"}, left...)...)
	}
	_, imageErr := docker(ctx, "rmi", image)
	return errors.Join(err, imageErr)
}

// define writes the definition of n pods.
func (b bench) define(n int) error {
	const module = "module: \"bench.example@v0\"\nlanguage: version: \"v0.17.0\"\n"
	definition := fmt.Sprintf(`package bench

import "cuepod.dev/core"

app: core.#App & {
	name: %q
	pods: web: {
		replicas: %d
		containers: main: {
			image:           %q
			imagePullPolicy: "Never"
			ports: tcp: containerPort: 8080
			readinessProbe: tcpSocket: port: "tcp"
		}
	}
}
`, app, n, image)
	return errors.Join(
		os.WriteFile(filepath.Join(b.dir, "cue.mod", "module.cue"), []byte(module), 0o644),
		os.WriteFile(filepath.Join(b.dir, "app.cue"), []byte(definition), 0o644))
}

// sample is one pair of runs.
type sample struct {
	start, bareStart time.Duration // from nothing to ready; to running
	stop, bareStop   time.Duration // to nothing
	adopt            time.Duration // by another supervisor, to ready
	supervisor       int64         // bytes resident, its child that compiles included
	agents           int64         // bytes of all pods' infra containers that nobody shares
}

func (b bench) measure(ctx context.Context, n int) (s sample, err error) {
	if err := b.define(n); err != nil {
		return s, err
	}
	steps := []struct {
		took *time.Duration
		do   func() error
	}{
		{&s.start, func() error { return b.cuepod(ctx, "up", "--once", "--no-logs", "--timeout", patience, b.dir) }},
		{&s.adopt, func() error { return b.cuepod(ctx, "up", "--wait", "--timeout", patience, b.dir) }},
		{nil, func() error { return b.memory(ctx, &s) }},
		{&s.stop, func() error { return b.cuepod(ctx, "down", "--volumes", b.dir) }},
		{&s.bareStart, func() error { return bareStart(ctx, n) }},
		{&s.bareStop, func() error { return bareStop(ctx, n) }},
	}
	for _, step := range steps {
		begin := time.Now()
		if err := step.do(); err != nil {
			return s, err
		}
		if step.took != nil {
			*step.took = time.Since(begin)
		}
	}
	return s, nil
}

func (b bench) cuepod(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, b.tool, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cuepod %s: %w\n%s", args[0], err, out)
	}
	return nil
}

func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", args[0], err, stderr.String())
	}
	return string(out), nil
}

// bareStart makes a network and runs n plain containers on it.
func bareStart(ctx context.Context, n int) error {
	if _, err := docker(ctx, "network", "create", "--label", app, app+"-bare"); err != nil {
		return err
	}
	return sideBySide(n, func(i int) error {
		_, err := docker(ctx, "run", "--detach", "--pull", "never", "--label", app, "--name", bareName(i), "--network", app+"-bare", image)
		return err
	})
}

func bareStop(ctx context.Context, n int) error {
	err := sideBySide(n, func(i int) error {
		_, err := docker(ctx, "stop", bareName(i))
		if err == nil {
			_, err = docker(ctx, "rm", bareName(i))
		}
		return err
	})
	_, netErr := docker(ctx, "network", "rm", app+"-bare")
	return errors.Join(err, netErr)
}

func bareName(i int) string { return fmt.Sprintf("%s-bare-%d", app, i) }

func sideBySide(n int, do func(i int) error) error {
	slots := make(chan struct{}, atOnce)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = do(i)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// memory looks at the supervisor in the background and at the pods' agents.
func (b bench) memory(ctx context.Context, s *sample) error {
	pid, err := b.supervisor(ctx)
	if err != nil {
		return err
	}
	if s.supervisor, err = resident(pid); err != nil {
		return err
	}
	ids, err := docker(ctx, "ps", "--quiet", "--filter", "label=dev.cuepod.role=infra", "--filter", "label=dev.cuepod.app="+app)
	if err != nil {
		return err
	}
	pids, err := docker(ctx, append([]string{"inspect", "--format", "{{.State.Pid}}"}, strings.Fields(ids)...)...)
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(pids) {
		own, err := private(pid)
		if err != nil {
			return err
		}
		s.agents += own
	}
	return nil
}

// supervisor is the process that up has left in the background.
func (b bench) supervisor(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, b.tool, "ps", "--output", "json", b.dir).Output()
	if err != nil {
		return "", fmt.Errorf("cuepod ps: %w", err)
	}
	var status struct {
		Supervisor int `json:"supervisor"` // pid, 0 without one
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return "", fmt.Errorf("cuepod ps: %w", err)
	}
	if status.Supervisor == 0 {
		return "", errors.New("up --wait left no supervisor")
	}
	return strconv.Itoa(status.Supervisor), nil
}
