package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/build"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/docker"
)

// definition is which app, with which values: the flags that compiling
// commands share.
type definition struct {
	dir   string // "-" is standard input
	input []byte // what came from there
	expr  string
	env   string
	set   []string
	files []string
	host  []string // directories of the host that pods may mount
	// strict makes a run replace pods as Kubernetes does.
	strict bool
	// live is for a run, which copies files into containers as they change.
	live bool
	evaluation
}

func (d *definition) flags(cmd *cobra.Command) {
	d.exprFlag(cmd)
	cmd.Flags().StringVar(&d.env, "env", "", "the environment, such as dev or prod")
	cmd.Flags().StringArrayVar(&d.set, "set", nil, "set a parameter: `name=value` (repeatable)")
	cmd.Flags().StringArrayVarP(&d.files, "file", "f", nil, "read parameters from a YAML, JSON or CUE `file` (repeatable)")
	cmd.Flags().StringArrayVar(&d.host, "allow-host-path", nil, "let pods of a local run mount this `directory` of the host (repeatable)")
	complete(cmd, "env", "dev", "staging", "prod")
	d.evaluation.flags(cmd)
}

func (d *definition) strictFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&d.strict, "strict", false, "whatever changes in a pod is a rollout of new pods, as in Kubernetes")
}

func (d *definition) exprFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&d.expr, "expression", "e", "", "the app is this CUE `expression` of the package, in place of its field app")
}

func (d *definition) options() compiler.Options {
	return compiler.Options{Dir: d.dir, Input: d.input, Expr: d.expr, Env: d.env, Set: d.set, ValueFiles: d.files}
}

// docker is what a local run takes from outside the definition.
func (d *definition) docker(root string) docker.Options {
	opts := docker.Options{Root: root, Strict: d.strict, Live: d.live}
	for _, dir := range d.host {
		if abs, err := filepath.Abs(dir); err == nil { // else there is no working directory to be relative to
			dir = abs
		}
		opts.HostPaths = append(opts.HostPaths, dir)
	}
	return opts
}

// compiled compiles the definition for a command that needs it once.
func (c *cli) compiled(ctx context.Context, d definition) (*compiler.Result, error) {
	d, err := c.readInput(d)
	if err != nil {
		return nil, err
	}
	return c.evaluate(ctx, d.evaluation, d.options())
}

// readInput reads the definition from standard input if that is where it is.
func (c *cli) readInput(d definition) (definition, error) {
	if d.dir != "-" {
		return d, nil
	}
	text, err := io.ReadAll(c.in)
	if err != nil {
		return d, fmt.Errorf("read standard input: %w", err)
	}
	d.dir, d.input = ".", text
	return d, nil
}

// config is what the runner needs. first is called with the first result, and
// its error stops the runner: compiling early and handing over the result would
// miss what is saved in between.
func (c *cli) config(d definition, eng engine.Engine, first func(context.Context, *compiler.Result) error) (runner.Config, error) {
	if d.dir == "-" { // it would be empty at the first change
		return runner.Config{}, &usageError{"cuepod", "what runs is followed: its definition is a directory, not standard input"}
	}
	root, err := moduleRoot(d.dir)
	if err != nil {
		return runner.Config{}, err
	}
	var cache build.Cache
	return runner.Config{
		Engine: eng,
		Strict: d.strict,
		Agent:  c.agent,
		Issue:  c.issue(),
		Changes: func(before, after any) string {
			old, ok := before.(*app.App)
			now, both := after.(*app.App)
			if !ok || !both {
				return ""
			}
			changes := app.Changes(old, now)
			if len(changes) > 0 && changes[0].New != "" { // else it is written no more
				changes[0].Pos = compiler.Locate(changes[0].Pos, changes[0].Path)
			}
			return app.Headline(changes)
		},
		Sources: &cache,
		Secrets: runner.SecretSources{
			LookupEnv: c.lookupEnv,
			ReadFile:  func(path string) ([]byte, error) { return readBeneath(root, path) },
		},
		Compile: func(ctx context.Context) (runner.Compiled, error) {
			result, err := c.compiled(ctx, d)
			if err != nil {
				return runner.Compiled{Watch: watched(inputsOf(err), nil)}, err
			}
			if hook := first; hook != nil {
				first = nil
				if err := hook(ctx, result); err != nil {
					return runner.Compiled{}, err
				}
			}
			opts := d.docker(result.Root)
			opts.Project = runner.Identity{App: result.App.Name, Root: result.Root}.Project()
			more, err := sources(ctx, eng, result.App, &opts, &cache)
			groups := watched(result.Inputs, more)
			if err != nil {
				return runner.Compiled{Watch: groups}, err
			}
			st, findings, err := docker.Render(result.App, opts)
			if err != nil {
				return runner.Compiled{Watch: groups}, err
			}
			return runner.Compiled{State: st, Root: result.Root, Watch: groups, Source: result.App, Losses: losses(findings)}, nil
		},
	}, nil
}

// losses are the findings that a person has to know before running an app. What
// is emulated is for explain to say.
func losses(findings []targets.Finding) []runner.Loss {
	var out []runner.Loss
	for _, f := range findings {
		if f.Level == targets.Cannot {
			out = append(out, runner.Loss{Key: f.Code + " " + f.Path, Text: f.String()})
		}
	}
	return out
}

// readBeneath reads a file of the module. A path or a symbolic link that leads
// out of it is an error: a definition from elsewhere must not read what is
// beside it.
func readBeneath(root, path string) ([]byte, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadFile(path)
}

// watched are the groups of what a definition depends on: its files, and what
// its images are built from.
func watched(files []compiler.Input, sources []watch.Group) []watch.Group {
	var inputs []watch.Input
	for _, f := range files {
		in := watch.Input{Path: f.Path, Why: f.Why}
		if f.Names {
			in.Kind = watch.Names
		}
		inputs = append(inputs, in)
	}
	return watch.Union(watch.Inputs(inputs), sources)
}

// inputsOf is what a broken definition depends on, so that the fix is noticed.
func inputsOf(err error) []compiler.Input {
	var bad *compiler.Error
	if errors.As(err, &bad) {
		return bad.Inputs
	}
	return nil
}
