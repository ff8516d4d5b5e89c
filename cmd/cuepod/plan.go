package main

import (
	"github.com/spf13/cobra"
)

func (c *cli) planCommand() *cobra.Command {
	var (
		d    definition
		code bool
	)
	cmd := &cobra.Command{
		Use:     "plan [dir]",
		Short:   "Show what up would do, and why",
		GroupID: groupRun,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			d.dir = dirArg(args)
			eng, err := c.engine(c.lookupEnv)
			if err != nil {
				return err
			}
			defer eng.Close()
			d.live = true
			cfg, err := c.config(d, eng, nil)
			if err != nil {
				return err
			}
			cfg.Report = c.eventPrinter().print
			plan, err := c.plan(ctx, cfg)
			if err != nil {
				return err
			}
			if plan.Empty() {
				c.talk("everything is as defined: nothing to do")
			}
			if err := write(c.out, []byte(plan.String())); err != nil {
				return err
			}
			if code && !plan.Empty() {
				return &exitError{code: exitDifferences}
			}
			return nil
		},
	}
	d.flags(cmd)
	d.strictFlag(cmd)
	cmd.Flags().BoolVar(&code, "exit-code", false, "exit with 4 when there is something to do")
	return cmd
}
