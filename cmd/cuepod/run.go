package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
)

func (c *cli) runCommand() *cobra.Command {
	var w where
	cmd := &cobra.Command{
		Use:   "run job/name | cronjob/name",
		Short: "Start a job now and follow it",
		Long: `Run starts a job, or a run of a CronJob whatever its schedule, shows what its
containers print, and exits with 0 when it is complete and with 1 when it failed.
A job that is over runs anew; one that is under way is followed.

The app has to be up. Where a supervisor looks after it, that one looks after the
job too, else this command does. Ctrl-C leaves the job running.`,
		GroupID: groupRun,
		Args:    cobra.ExactArgs(1),
		Example: "  cuepod run job/migrate\n  cuepod run cronjob/report",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runJobNow(cmd.Context(), w, args[0])
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return c.jobNames(cmd.Context(), &w), cobra.ShellCompDirectiveNoFileComp
		},
	}
	w.flags(c, cmd)
	return cmd
}

func (c *cli) runJobNow(ctx context.Context, w where, job string) error {
	eng, info, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer eng.Close()
	id, err := c.theOne(ctx, eng, w.dir, w.app)
	if err != nil {
		return err
	}
	supervised, release, err := c.superviseOr(id, info)
	if err != nil {
		return err
	}
	defer release()
	p := c.logPrinter(nil, false)
	return c.runJob(ctx, runner.RunConfig{
		Engine: eng, Identity: id, Job: job, Supervised: supervised,
		Secrets: runner.SecretSources{
			LookupEnv: c.lookupEnv,
			ReadFile:  func(path string) ([]byte, error) { return readBeneath(id.Root, path) },
		},
		Emit: p.print, Report: c.eventPrinter().print,
	})
}

// superviseOr becomes the app's supervisor, unless there is one.
func (c *cli) superviseOr(id runner.Identity, info engine.Info) (supervised bool, release func(), err error) {
	dir := c.appDir(id, info.Endpoint)
	pid, err := supervisorOf(dir)
	if err != nil || pid > 0 {
		return pid > 0, func() {}, err
	}
	l, err := takeLock(dir, id.App)
	if err != nil {
		return false, nil, err
	}
	return false, l.release, nil
}

// jobNames lists what run takes.
func (c *cli) jobNames(ctx context.Context, w *where) []string {
	st, ok := c.statusToComplete(ctx, w)
	if !ok {
		return nil
	}
	names := map[string]bool{}
	for _, j := range st.Jobs {
		if j.CronJob == "" {
			names["job/"+j.Name] = true
		}
	}
	for _, j := range st.CronJobs {
		names["cronjob/"+j.Name] = true
	}
	return sortedKeys(names)
}
