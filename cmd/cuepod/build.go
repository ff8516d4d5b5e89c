package main

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/build"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

func (c *cli) buildCommand() *cobra.Command {
	var d definition
	cmd := &cobra.Command{
		Use:   "build [dir]",
		Short: "Build the images that the definition says how to build",
		Long: `Build has the engine build the image of every container with a build, or compiles
its Go program, unless it is there already, and prints its names: one that follows
its content, and the one that the definition gives it, to be pushed. Up does the
same before it starts a container.`,
		GroupID: groupRun,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.dir = dirArg(args)
			return c.buildImages(cmd.Context(), d)
		},
	}
	d.flags(cmd)
	return cmd
}

func (c *cli) buildImages(ctx context.Context, d definition) error {
	eng, err := c.engine(c.lookupEnv)
	if err != nil {
		return err
	}
	defer eng.Close()
	cfg, err := c.config(d, eng, nil)
	if err != nil {
		return err
	}
	compiled, err := cfg.Compile(ctx)
	if err != nil {
		return err
	}
	var t table
	id := runner.Identity{App: compiled.State.App, Root: compiled.Root}
	p := c.eventPrinter()
	err = runner.Build(ctx, cfg, id, compiled.State, p.print, func(b runner.Built) { t.add(b.Container, b.Image, b.Name) })
	c.screen.clear()
	if err == nil && len(t.rows) == 0 {
		c.talk("no container of %s has a build", id.App)
	}
	var b strings.Builder
	t.write(&b, "")
	if printed := write(c.out, []byte(b.String())); err == nil {
		err = printed
	}
	return err
}

// sources reads what the images of an app are built from. It says what they are
// called in opts, and gives what to watch, also when something is wrong.
// Programs have the pace of definitions: their files are saved as those are.
func sources(ctx context.Context, eng engine.Engine, a *app.App, opts *docker.Options, cache *build.Cache) (groups []watch.Group, err error) {
	opts.Built, opts.Bases = map[string]string{}, map[string]string{}
	var wrong []string
	var contexts, programs []watch.Input
	how := build.Options{Cache: cache}
	for _, img := range docker.BuiltImages(a, opts.Live) {
		if img.Build.Go != "" && how.Arch == "" {
			info, err := eng.Info(ctx)
			if err != nil {
				return nil, err
			}
			how.Arch = info.Arch
		}
		src, err := build.Read(ctx, opts.Root, &img.Build, how)
		to := &contexts
		if img.Build.Go != "" {
			to = &programs
		}
		for _, in := range src.Inputs {
			in.Why += " of " + img.Container
			*to = append(*to, in)
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %s: %v", img.Build.Line, img.Path, err))
			continue
		}
		opts.Built[img.Container] = docker.ImageName(opts.Project, path.Clean(img.Container), src.Hash)
		if base := src.Base(); base != "" {
			opts.Bases[img.Container] = base
		}
	}
	groups = watch.Inputs(programs)
	if len(contexts) > 0 {
		groups = append(groups, watch.Group{Name: watch.Builds, Pace: watch.BuildPace(), Inputs: contexts})
	}
	if len(wrong) > 0 {
		return groups, &docker.RefusedError{Lines: wrong}
	}
	return groups, nil
}
