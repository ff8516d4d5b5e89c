package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/watch"
)

func (c *cli) watchCommand() *cobra.Command {
	var (
		f      upFlags
		list   bool
		format string
	)
	cmd := &cobra.Command{
		Use:   "watch [dir]",
		Short: "Follow every change of the app's files, or list the files",
		Long: `Watch attaches to the supervisor of the app in the background, as attach does; where
there is none it is up. Both follow every change of what the app is made of.

With --list it starts nothing, and prints each file and directory that a change is
looked for in, with the reason why it counts. So it does for a broken definition.`,
		GroupID: groupRun,
		Args:    cobra.MaximumNArgs(1),
		Example: "  cuepod watch\n  cuepod watch --list ./shop\n  cuepod watch --list -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.dir = dirArg(args)
			if list {
				return c.listInputs(cmd.Context(), f.definition, format)
			}
			if format != "" {
				return &usageError{cmd.CommandPath(), "--output is for --list"}
			}
			return c.watchApp(cmd, f)
		},
	}
	f.flags(cmd)
	f.strictFlag(cmd)
	cmd.Flags().BoolVarP(&list, "list", "l", false, "print what is watched, and why")
	jsonFlag(cmd, &format, "with --list: json prints one object")
	cmd.Flags().BoolVar(&f.noLogs, "no-logs", false, "do not show the containers' output")
	return cmd
}

// watchApp attaches where somebody supervises the app in the background, else
// it is up.
func (c *cli) watchApp(cmd *cobra.Command, f upFlags) error {
	running, err := c.supervised(cmd.Context(), f.definition)
	if err != nil {
		return err
	}
	if running {
		return c.attach(cmd.Context(), where{dir: f.dir}, f.noLogs)
	}
	f.lasting, f.live, f.watch, f.backoff, f.proxyMode = true, true, true, "", "auto"
	err = c.supervise(cmd.Context(), f)
	if errors.Is(err, errHandOver) {
		return c.detach(cmd, f, true)
	}
	return err
}

// supervised reports whether an app of this module has a supervisor.
func (c *cli) supervised(ctx context.Context, d definition) (bool, error) {
	root, err := moduleRoot(d.dir)
	if err != nil {
		return false, err
	}
	eng, info, err := c.open(ctx)
	if err != nil {
		return false, err
	}
	defer eng.Close()
	apps, err := c.list(ctx, eng)
	if err != nil {
		return false, err
	}
	for _, a := range apps {
		if a.Root != root {
			continue
		}
		pid, err := supervisorOf(c.appDir(runner.Identity{App: a.Name, Root: a.Root}, info.Endpoint))
		if err != nil || pid != 0 {
			return pid != 0, err
		}
	}
	return false, nil
}

// inputReport is one input for machines.
type inputReport struct {
	Group  string   `json:"group"`
	Path   string   `json:"path"`
	Counts string   `json:"counts"` // content, names or tree
	Why    string   `json:"why"`
	Ignore []string `json:"ignore,omitempty"` // patterns, as in .dockerignore
}

// listInputs prints what the definition depends on, also where it is broken:
// then its error follows.
func (c *cli) listInputs(ctx context.Context, d definition, format string) error {
	eng, err := c.engine(c.lookupEnv)
	if err != nil {
		return err
	}
	defer eng.Close()
	cfg, err := c.config(d, eng, nil)
	if err != nil {
		return err
	}
	compiled, broken := cfg.Compile(ctx)
	root, err := moduleRoot(d.dir)
	if err != nil {
		return errors.Join(broken, err)
	}
	inputs := []inputReport{}
	groups := compiled.Watch
	if compiled.State != nil {
		groups = slices.Concat(groups, runner.FollowedInputs(compiled.Root, compiled.State))
	}
	for _, g := range groups {
		for _, in := range g.Inputs {
			report := inputReport{Group: g.Name, Path: in.Path, Counts: in.Kind.String(), Why: in.Why}
			if patterns := in.Ignore.String(); patterns != "" {
				report.Ignore = strings.Split(patterns, "\n")
			}
			inputs = append(inputs, report)
		}
	}
	return errors.Join(c.printInputs(root, inputs, format), broken)
}

func (c *cli) printInputs(root string, inputs []inputReport, format string) error {
	if format == "json" {
		data, err := json.MarshalIndent(struct {
			Root   string        `json:"root"`
			Inputs []inputReport `json:"inputs"`
		}{root, inputs}, "", "  ")
		if err != nil {
			return err
		}
		return write(c.out, append(data, '\n'))
	}
	var t table
	t.add("GROUP", "PATH", "WHY")
	for _, in := range inputs {
		t.add(in.Group, shownPath(root, in), in.Why)
	}
	var b strings.Builder
	t.write(&b, "")
	return write(c.out, []byte(b.String()))
}

// shownPath is an input's path for a person: relative to the module where it is
// in it, with what counts of it behind.
func shownPath(root string, in inputReport) string {
	path := in.Path
	if rel, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(rel) {
		path = rel
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, isControl) {
		path = strconv.Quote(path)
	}
	switch in.Counts {
	case watch.Tree.String():
		return path + "/..."
	case watch.Names.String():
		return path + "/*"
	}
	return path
}
