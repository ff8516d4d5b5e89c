package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
)

func (c *cli) vetCommand() *cobra.Command {
	var d definition
	cmd := &cobra.Command{
		Use:     "vet [dir...]",
		Short:   "Check definitions",
		Long:    "Vet compiles the definition in each directory and prints every mistake at its line.\nIt says nothing when all is well.",
		GroupID: groupDefine,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			bad := false
			for _, dir := range args {
				d.dir = dir
				result, err := c.compiled(cmd.Context(), d)
				var invalid *compiler.Error
				switch {
				case err == nil:
					bad = c.contradicts(result.App) || bad
				case errors.As(err, &invalid): // go on: the next one may be wrong too
					bad = true
					c.talk("%v", invalid)
				case err != nil:
					return err
				}
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
