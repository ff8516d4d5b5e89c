package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler"
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
				_, err := c.compiled(cmd.Context(), d)
				var invalid *compiler.Error
				switch {
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
