package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/targets/diff"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

// diffFlags are the two things to compare: environments, revisions or
// directories.
type diffFlags struct {
	definition
	envs      []string
	revisions []string
	output    string
	code      bool
}

func (c *cli) diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff [dir] --env A,B | [dir] --git REV[,REV] | dir dir",
		Short: "Compare two environments, revisions or definitions",
		Long: `Diff renders two definitions for Kubernetes and shows what differs in what they
mean: by object and field, with the items of lists matched by their key. It needs
no cluster and no engine.

A changed ConfigMap is shown with the workloads that its new data rolls out.`,
		GroupID: groupDefine,
		Args:    cobra.MaximumNArgs(2),
		Example: "  cuepod diff --env staging,prod\n" +
			"  cuepod diff --git HEAD             # what is not committed\n" +
			"  cuepod diff --git v1.0,v1.1 --env prod ./shop\n" +
			"  cuepod diff ./shop ./shop-next",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(cmd, "output", f.output, "", "json"); err != nil {
				return err
			}
			sides, err := f.sides(args)
			if err != nil {
				return err
			}
			return c.diff(cmd.Context(), f, sides)
		},
	}
	flags := cmd.Flags()
	f.exprFlag(cmd)
	f.evaluation.flags(cmd)
	flags.StringSliceVar(&f.envs, "env", nil, "two `environments` to compare, or the one to look at")
	flags.StringSliceVar(&f.revisions, "git", nil, "two git `revisions` to compare, or the one to compare the files with")
	flags.StringArrayVar(&f.set, "set", nil, "set a parameter on both sides: `name=value` (repeatable)")
	flags.StringArrayVarP(&f.files, "file", "f", nil, "read parameters from a YAML, JSON or CUE `file` (repeatable)")
	flags.StringVarP(&f.output, "output", "o", "", "json, for programs")
	flags.BoolVar(&f.code, "exit-code", false, "exit with 4 when there are differences")
	complete(cmd, "env", "dev", "staging", "prod")
	complete(cmd, "output", "json")
	return cmd
}

// side is one of the two definitions.
type side struct {
	definition
	revision string // of git; "" means the files as they are
}

// sides says what to compare. Exactly one of directories, environments and
// revisions makes the difference; the others hold for both sides.
func (f *diffFlags) sides(args []string) ([2]side, error) {
	var out [2]side
	if slices.Contains(args, "-") {
		return out, &usageError{"cuepod diff", "standard input is read once, and diff reads twice: name a directory"}
	}
	ways := 0
	for i := range out {
		out[i].definition = f.definition
		out[i].dir = dirArg(args)
	}
	if len(args) == 2 {
		ways++
		out[1].dir = args[1]
	}
	switch len(f.envs) {
	case 0:
	case 1:
		out[0].env, out[1].env = f.envs[0], f.envs[0]
	case 2:
		ways++
		out[0].env, out[1].env = f.envs[0], f.envs[1]
	default:
		return out, &usageError{"cuepod diff", "--env takes one environment or two"}
	}
	switch len(f.revisions) {
	case 0:
	case 1, 2:
		ways++
		out[0].revision = f.revisions[0]
		if len(f.revisions) == 2 {
			out[1].revision = f.revisions[1]
		}
	default:
		return out, &usageError{"cuepod diff", "--git takes one revision or two"}
	}
	switch ways {
	case 0:
		return out, &usageError{"cuepod diff", "name two things to compare: --env A,B, --git REV, or two directories"}
	case 1:
		return out, nil
	default:
		return out, &usageError{"cuepod diff", "two environments, revisions or two directories: only one of them can make the difference"}
	}
}

func (c *cli) diff(ctx context.Context, f diffFlags, sides [2]side) error {
	var rendered [2][]byte
	for i, s := range sides {
		var err error
		if rendered[i], err = c.renderSide(ctx, s); err != nil {
			return err
		}
	}
	changes, err := diff.Compare(rendered[0], rendered[1])
	if err != nil {
		return err
	}
	if err := c.showChanges(changes, f.output); err != nil {
		return err
	}
	if f.code && len(changes) > 0 {
		return &exitError{code: exitDifferences}
	}
	return nil
}

// renderSide gives a definition's objects as JSON.
func (c *cli) renderSide(ctx context.Context, s side) ([]byte, error) {
	compile := c.compiled
	if s.revision != "" {
		compile = func(ctx context.Context, d definition) (*compiler.Result, error) {
			return c.compiledAt(ctx, s.revision, d)
		}
	}
	result, err := compile(ctx, s.definition)
	var invalid *compiler.Error
	if errors.As(err, &invalid) && s.env != "" {
		return nil, &exitError{exitInvalid, fmt.Sprintf("in environment %s:\n%v", s.env, err)}
	}
	if err != nil {
		return nil, err
	}
	out, err := kubernetes.Render(result.App, kubernetes.Options{Format: kubernetes.JSON})
	if err != nil {
		return nil, fmt.Errorf("target kubernetes: %w", err)
	}
	return out.Files[0].Data, nil
}

// showChanges prints the differences for a person or a program.
func (c *cli) showChanges(changes []diff.Change, output string) error {
	if output == "json" {
		if changes == nil {
			changes = []diff.Change{} // not null
		}
		return c.printJSON(changes)
	}
	s := c.colors(c.out)
	paint := func(op diff.Op, line string) string {
		color := map[diff.Op]string{diff.Added: green, diff.Removed: red, diff.Changed: yellow}[op]
		if color == "" {
			color = dim
		}
		return s.paint(color, sanitize(line))
	}
	if err := write(c.out, []byte(diff.Text(changes, paint))); err != nil {
		return err
	}
	c.talk("%s", summary(changes))
	return nil
}

// summary counts: "2 objects added, 1 changed".
func summary(changes []diff.Change) string {
	counts := map[diff.Op]int{}
	for _, ch := range changes {
		counts[ch.Op]++
	}
	var parts []string
	for _, op := range []diff.Op{diff.Added, diff.Changed, diff.Removed} {
		switch n := counts[op]; {
		case n == 0:
		case len(parts) == 0:
			parts = append(parts, plural(n, "object")+" "+string(op))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, op))
		}
	}
	if len(parts) == 0 {
		return "no differences"
	}
	return strings.Join(parts, ", ")
}
