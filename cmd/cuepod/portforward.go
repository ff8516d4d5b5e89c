package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
)

func (c *cli) portForwardCommand() *cobra.Command {
	var (
		w         where
		addresses []string
	)
	cmd := &cobra.Command{
		Use:   "port-forward pod|service/NAME [local:]remote...",
		Short: "Carry ports of this machine to ports of a pod",
		Long: `Port-forward listens on this machine and carries connections to ports of a pod, also
to those that only the pod itself can reach, through the engine's API: the engine may be
on another machine. It goes on when the pod is replaced, until it is interrupted.

A name alone is a pod, or a workload's first ready pod; of service/NAME the ports are
the service's. 8080:80 is port 8080 here and 80 there, 80 is the same on both sides, and
:80 is any free port here.`,
		Example: "  cuepod port-forward web-0 8080:80\n  cuepod port-forward service/db 5432 :9187",
		GroupID: groupRun,
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ports, err := forwardPorts(args[1:])
			if err != nil {
				return &usageError{cmd.CommandPath(), err.Error()}
			}
			return c.portForward(cmd.Context(), w, runner.ForwardConfig{Target: args[0], Ports: ports, Addresses: addresses})
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return c.podNames(cmd.Context(), &w), cobra.ShellCompDirectiveNoFileComp
		},
	}
	w.flags(c, cmd)
	cmd.Flags().StringSliceVar(&addresses, "address", []string{"localhost"}, "`addresses` to listen on, with commas between; localhost is 127.0.0.1 and ::1")
	return cmd
}

// forwardPorts reads [local:]remote, where remote may be a name.
func forwardPorts(args []string) ([]runner.ForwardPort, error) {
	var out []runner.ForwardPort
	for _, arg := range args {
		local, remote, both := strings.Cut(arg, ":")
		if !both {
			remote = local
		}
		p := runner.ForwardPort{Remote: remote}
		number, err := strconv.ParseUint(local, 10, 16)
		switch {
		case remote == "" || isNumber(remote) && !isPort(remote):
			return nil, fmt.Errorf("%q is not [local:]remote, two ports from 1 to 65535", arg)
		case both && local == "" || !both && !isNumber(local): // any port here, for one with a name there
		case err != nil || number == 0 && !both:
			return nil, fmt.Errorf("%q is not [local:]remote, two ports from 1 to 65535", arg)
		default:
			p.Local = int(number)
		}
		out = append(out, p)
	}
	return out, nil
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 1<<16
}

func (c *cli) portForward(ctx context.Context, w where, cfg runner.ForwardConfig) error {
	eng, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer eng.Close()
	id, err := c.theOne(ctx, eng, w.dir, w.app)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	cfg.Engine, cfg.Identity = eng, id
	cfg.Report = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(line, "Forwarding") || strings.HasPrefix(line, "Handling") {
			fmt.Fprintln(c.out, line)
			return
		}
		c.talk("%s", line)
	}
	return runner.PortForward(ctx, cfg)
}
