package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
)

func (c *cli) downCommand() *cobra.Command {
	var (
		w    where
		opts runner.DownOptions
	)
	cmd := &cobra.Command{
		Use:   "down [dir]",
		Short: "Stop and remove the app",
		Long: `Down removes everything of the app from the engine: containers with their grace
period, network and volumes. Volumes of persistent claims stay, and with them
generated secrets and the images that were built, unless --volumes. It needs no
valid definition.`,
		GroupID: groupRun,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.dir = dirArg(args)
			ctx := cmd.Context()
			eng, info, err := c.open(ctx)
			if err != nil {
				return err
			}
			defer eng.Close()
			root, apps, err := c.running(ctx, eng, w.dir, w.app)
			if err != nil {
				return err
			}
			if len(apps) == 0 && opts.Volumes {
				if left, err := c.builtFor(ctx, eng, root, w.app); err != nil || len(left) > 0 {
					return errors.Join(err, c.takeAllDown(ctx, eng, info, left, opts))
				}
			}
			if len(apps) == 0 {
				c.talk("%s: nothing to do", notRunning(root, w.app))
				return nil
			}
			id, err := pickApp(root, w.app, apps)
			if err != nil {
				return err
			}
			return c.takeDown(ctx, eng, info, id, opts)
		},
	}
	w.appFlag(c, cmd)
	cmd.Flags().BoolVar(&opts.Volumes, "volumes", false, "remove persistent volumes, generated secrets and built images too")
	cmd.Flags().BoolVar(&opts.Now, "now", false, "kill instead of stopping with the grace period")
	return cmd
}

// builtFor are the apps of a module of which images may be all that is left, as
// after Ctrl-C.
func (c *cli) builtFor(ctx context.Context, eng engine.Engine, root, name string) ([]runner.Identity, error) {
	all, err := c.built(ctx, eng)
	return appsOf(all, root, name), err
}

func (c *cli) takeAllDown(ctx context.Context, eng engine.Engine, info engine.Info, apps []runner.Identity, opts runner.DownOptions) error {
	var errs []error
	for _, id := range apps {
		errs = append(errs, c.takeDown(ctx, eng, info, id, opts))
	}
	return errors.Join(errs...)
}

// takeDown removes an app once its supervisor, if there is one, has let go:
// else that would start again what is removed here.
func (c *cli) takeDown(ctx context.Context, eng engine.Engine, info engine.Info, id runner.Identity, opts runner.DownOptions) error {
	dir := c.appDir(id, info.Endpoint)
	if err := stopSupervisor(ctx, dir, opts.Now); err != nil {
		return err
	}
	p := c.eventPrinter()
	opts.Report = p.print
	if err := c.down(ctx, eng, id, opts); err != nil {
		return err
	}
	if err := forget(dir, id.App); err != nil {
		return err
	}
	p.line(eventLook{"✔", "down", green}, id.App+" is down")
	return nil
}

// where is which running app a command is about.
type where struct {
	dir string
	app string
}

func (w *where) appFlag(c *cli, cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.app, "app", "", "the `name` of the app, where several of one module run")
	c.completeApps(cmd, &w.dir)
}

// flags are for commands whose arguments are not a directory.
func (w *where) flags(c *cli, cmd *cobra.Command) {
	cmd.Flags().StringVarP(&w.dir, "dir", "C", ".", "the `directory` of the app")
	_ = cmd.MarkFlagDirname("dir") // it fails only for a flag that does not exist
	w.appFlag(c, cmd)
}
