package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
)

func (c *cli) vetCommand() *cobra.Command {
	var d definition
	cmd := &cobra.Command{
		Use:   "vet [dir...]",
		Short: "Check definitions",
		Long: "Vet compiles the definition in each directory and prints every mistake at its line.\n" +
			"It says nothing when all is well. DIR/... stands for DIR and every directory below that\n" +
			"defines an app.",
		Example: "  cuepod vet\n" +
			"  cuepod vet ./envs/...",
		GroupID: groupDefine,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			bad := false
			for _, arg := range args {
				wrong, err := c.vet(cmd.Context(), d, arg)
				if err != nil {
					return err
				}
				bad = bad || wrong // go on: the next one may be wrong too
			}
			if bad {
				return &exitError{code: exitInvalid}
			}
			return nil
		},
	}
	d.flags(cmd)
	return cmd
}

// vet checks the definition in a directory, or all in and below DIR/..., and
// reports whether one is wrong.
func (c *cli) vet(ctx context.Context, d definition, arg string) (bad bool, err error) {
	root, many := strings.CutSuffix(arg, "...")
	dirs := []string{arg}
	if many {
		if dirs, err = packageDirs(filepath.Clean(root)); err != nil {
			return false, err
		}
	}
	apps := 0
	for _, dir := range dirs {
		d.dir = dir
		result, err := c.compiled(ctx, d)
		var invalid *compiler.Error
		switch {
		case err == nil:
			bad = c.contradicts(result.App) || bad
		case !errors.As(err, &invalid):
			return bad, err
		case many && invalid.NoApp():
			continue
		default:
			bad = true
			c.talk("%v", invalid)
		}
		apps++
	}
	if apps == 0 {
		return false, &usageError{"cuepod vet", arg + ": no directory there defines an app"}
	}
	return bad, nil
}

// packageDirs lists root and the directories below that hold CUE files, without
// those that CUE itself passes over.
func packageDirs(root string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := e.Name(); {
		case e.IsDir() && path != root && (name == "cue.mod" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")):
			return filepath.SkipDir
		case !e.IsDir() && strings.HasSuffix(name, ".cue") && !slices.Contains(dirs, filepath.Dir(path)):
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("vet %s: %w", root, err)
	}
	return dirs, nil
}

// contradicts tells what an app says otherwise to a target than to all.
func (c *cli) contradicts(a *app.App) bool {
	bad := false
	for _, t := range allTargets() {
		var clash *targets.ContradictionError
		if _, err := t.render(a, renderOptions{}); errors.As(err, &clash) { // other errors are the target's affair
			bad = true
			c.talk("%v", clash)
		}
	}
	return bad
}
