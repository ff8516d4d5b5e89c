package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
)

// completionLimit is how long the shell may hang on a Tab key when the engine
// does not answer.
const completionLimit = 2 * time.Second

// complete offers fixed values for a flag. It panics when the command has no
// such flag: that is a slip in this package.
func complete(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("completion of a flag that does not exist: " + err.Error())
	}
}

// completeDirs offers directories to a command whose arguments are such, which
// its usage says.
func completeDirs(cmd *cobra.Command) {
	if cmd.ValidArgsFunction != nil || !strings.Contains(cmd.Use, "[dir") {
		return
	}
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
}

// completeApps offers the apps that run, for --app.
func (c *cli) completeApps(cmd *cobra.Command, dir *string) {
	err := cmd.RegisterFlagCompletionFunc("app", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionLimit)
		defer cancel()
		eng, _, err := c.open(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // a shell has no place for errors
		}
		defer eng.Close()
		_, apps, err := c.running(ctx, eng, *dir, "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, a := range apps {
			names = append(names, a.App)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic("completion of a flag that does not exist: " + err.Error())
	}
}

// podNames lists what logs and exec take: workloads, pods and pod/container.
func (c *cli) podNames(ctx context.Context, w *where) []string {
	st, ok := c.statusToComplete(ctx, w)
	if !ok {
		return nil
	}
	names := map[string]bool{}
	for _, p := range st.Pods {
		names[p.Workload], names[p.Name] = true, true
		for _, ctr := range p.Containers {
			names[p.Name+"/"+ctr.Name] = true
		}
	}
	return sortedKeys(names)
}

// statusToComplete is what there is of an app to offer in a shell, which does
// not wait long and shows no errors.
func (c *cli) statusToComplete(ctx context.Context, w *where) (st runner.Status, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, completionLimit)
	defer cancel()
	eng, _, err := c.open(ctx)
	if err != nil {
		return st, false
	}
	defer eng.Close()
	id, err := c.theOne(ctx, eng, w.dir, w.app)
	if err != nil {
		return st, false
	}
	st, err = c.status(ctx, eng, id)
	return st, err == nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
