package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cuepod/cuepod/runner"
)

func (c *cli) execCommand() *cobra.Command {
	var (
		w          where
		stdin, tty bool
	)
	cmd := &cobra.Command{
		Use:     "exec pod[/container] -- command [arg...]",
		Short:   "Run a command in a container",
		Long:    "Exec runs a command in a running container and exits with its exit code. Without a\ncontainer it is the first of the pod; a workload's name is its first pod.",
		GroupID: groupRun,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 || len(execCommand(args)) == 0 {
				return errors.New("it takes a pod and a command")
			}
			return nil
		},
		Example: "  cuepod exec web-0 -- env\n  cuepod exec -it redis -- redis-cli",
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			streams := runner.IO{Out: c.out, Err: c.err, TTY: tty}
			if stdin {
				streams.In = c.in
			}
			return c.execIn(cmd.Context(), w, target, execCommand(args), streams)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return c.podNames(cmd.Context(), &w), cobra.ShellCompDirectiveNoFileComp
		},
	}
	w.flags(c, cmd)
	cmd.Flags().SetInterspersed(false) // flags after the pod are the command's
	cmd.Flags().BoolVarP(&stdin, "stdin", "i", false, "pass standard input on")
	cmd.Flags().BoolVarP(&tty, "tty", "t", false, "give the command a terminal")
	return cmd
}

// execIn runs a command and fails with its exit code.
func (c *cli) execIn(ctx context.Context, w where, target runner.Target, command []string, streams runner.IO) error {
	eng, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer eng.Close()
	id, err := c.theOne(ctx, eng, w.dir, w.app)
	if err != nil {
		return err
	}
	if streams.TTY {
		restore, err := rawTerminal(c.in)
		if err != nil {
			return err
		}
		defer restore()
	}
	code, err := c.exec(ctx, eng, id, target, command, streams)
	if err == nil && code != 0 {
		err = &exitError{code: code}
	}
	return err
}

// execCommand is the command in exec's arguments, which begin with the pod. The
// flag parser leaves the "--" alone, as it stops at the pod.
func execCommand(args []string) []string {
	if args[1] == "--" {
		return args[2:]
	}
	return args[1:]
}

// rawTerminal hands every key to the command, Ctrl-C included.
func rawTerminal(in any) (restore func(), err error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, &usageError{"cuepod exec", "-t needs a terminal on standard input"}
	}
	old, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	return func() { _ = term.Restore(int(f.Fd()), old) }, nil // nothing can be done about it at the end
}
