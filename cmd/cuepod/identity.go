package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
)

// moduleRoot is the CUE module that contains dir: the nearest directory, from
// dir up, that holds cue.mod, or dir itself when there is none. It is absolute,
// without symbolic links, so that an app is the same from wherever one stands. A
// directory that is gone may still have an app that runs: it is taken as it is.
func moduleRoot(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return abs, nil
	}
	if err != nil {
		return "", fmt.Errorf("directory %s: %w", dir, err)
	}
	for at := real; ; at = filepath.Dir(at) {
		if info, err := os.Stat(filepath.Join(at, "cue.mod")); err == nil && info.IsDir() {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return real, nil
		}
	}
}

// running finds the apps of the module that contains dir on the engine, by
// their labels alone: the definition may be broken or gone. With a name, only
// the app of that name.
func (c *cli) running(ctx context.Context, eng engine.Engine, dir, name string) (root string, apps []runner.Identity, err error) {
	if root, err = moduleRoot(dir); err != nil {
		return "", nil, err
	}
	all, err := c.list(ctx, eng)
	if err != nil {
		return root, nil, err
	}
	return root, appsOf(all, root, name), nil
}

// theOne is running where exactly one app will do.
func (c *cli) theOne(ctx context.Context, eng engine.Engine, dir, name string) (runner.Identity, error) {
	root, apps, err := c.running(ctx, eng, dir, name)
	if err != nil {
		return runner.Identity{}, err
	}
	return pickApp(root, name, apps)
}

func appsOf(all []runner.App, root, name string) []runner.Identity {
	var out []runner.Identity
	for _, a := range all {
		if a.Root == root && (name == "" || a.Name == name) {
			out = append(out, runner.Identity{App: a.Name, Root: a.Root})
		}
	}
	return out
}

func pickApp(root, name string, apps []runner.Identity) (runner.Identity, error) {
	switch len(apps) {
	case 1:
		return apps[0], nil
	case 0:
		return runner.Identity{}, &exitError{exitFailure, "cuepod: " + notRunning(root, name) + "\n  start it with 'cuepod up'"}
	}
	var names []string
	for _, a := range apps {
		names = append(names, a.App)
	}
	return runner.Identity{}, &usageError{"cuepod", fmt.Sprintf("several apps of %s run: choose one with --app (%s)", root, strings.Join(names, ", "))}
}

func notRunning(root, name string) string {
	if name != "" {
		return fmt.Sprintf("no app %s of %s is on the engine", name, root)
	}
	return fmt.Sprintf("no app of %s is on the engine", root)
}

// parseTarget reads pod[/container].
func parseTarget(arg string) (runner.Target, error) {
	pod, container, slash := strings.Cut(arg, "/")
	if pod == "" || slash && container == "" || strings.Contains(container, "/") {
		return runner.Target{}, &usageError{"cuepod", fmt.Sprintf("%q is not pod or pod/container", arg)}
	}
	return runner.Target{Pod: pod, Container: container}, nil
}
