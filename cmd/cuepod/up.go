package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// upFlags is how to run.
type upFlags struct {
	definition
	detach     bool
	wait       bool
	once       bool
	watch      bool
	noLogs     bool
	offline    bool
	noHold     bool
	timeout    time.Duration
	httpPort   int
	backoff    string
	proxyMode  string
	background bool // this is the process that up -d leaves behind
}

func (c *cli) upCommand() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up [dir]",
		Short: "Run the app, and follow every change of its definition",
		Long: `Up runs the app on the container engine and keeps it as defined until Ctrl-C:
it restarts what fails, and follows every change of the definition.

Ctrl-C once stops and removes the pods with their grace period, twice kills them.
Volumes of persistent claims stay. The key d leaves the app to a supervisor in the
background, which restarts nothing; so does up when the terminal goes away.
Other keys: p pauses and goes on, r compiles and builds again, y copies what waits, l clears
the screen, q is Ctrl-C.
'cuepod attach' shows what that says, 'cuepod down' ends it.`,
		GroupID: groupRun,
		Args:    cobra.MaximumNArgs(1),
		Example: "  cuepod up\n  cuepod up -d --wait ./shop\n  cuepod up --once --timeout 2m   # in CI: run it, no supervisor stays",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.dir = dirArg(args)
			if err := oneOf(cmd, "backoff", f.backoff, string(reconcile.FastBackoff), string(reconcile.KubernetesBackoff)); err != nil {
				return err
			}
			if err := oneOf(cmd, "proxy-mode", f.proxyMode, "auto", api.ProxyNFTables, api.ProxyUserspace); err != nil {
				return err
			}
			if f.wait {
				f.detach = true
			}
			switch {
			case f.detach && f.once:
				return &usageError{"cuepod up", "--once returns when all is ready: it cannot go with --detach or --wait"}
			case f.detach:
				return c.detach(cmd, f, false)
			}
			err := c.supervise(cmd.Context(), f)
			if errors.Is(err, errHandOver) {
				return c.detach(cmd, f, true)
			}
			return err
		},
	}
	f.flags(cmd)
	f.strictFlag(cmd)
	f.lasting, f.live = true, true
	flags := cmd.Flags()
	flags.BoolVarP(&f.detach, "detach", "d", false, "leave the supervisor in the background, return when it has begun")
	flags.BoolVar(&f.wait, "wait", false, "like --detach, but return when everything is ready")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long --wait and --once wait; 0 means for ever")
	flags.BoolVar(&f.watch, "watch", true, "follow changes of the definition")
	flags.BoolVar(&f.once, "once", false, "return when everything is ready, and leave it running unsupervised")
	flags.BoolVar(&f.offline, "offline", false, "ask no registry: use the images that are on the engine, whatever their pull policy")
	flags.BoolVar(&f.noHold, "no-hold", false, "while a container is replaced, refuse connections as a cluster would, in place of letting them wait")
	flags.BoolVar(&f.noLogs, "no-logs", false, "do not show the containers' output")
	flags.IntVar(&f.httpPort, "http-port", 0, "host `port` of the HTTP router; default: the last one, or the first free from 8080")
	flags.StringVar(&f.backoff, "backoff", string(reconcile.FastBackoff), "between restarts of a container: fast waits 1 s to 60 s, kubernetes 10 s to 300 s")
	complete(cmd, "backoff", string(reconcile.FastBackoff), string(reconcile.KubernetesBackoff))
	flags.StringVar(&f.proxyMode, "proxy-mode", "auto", "way of connections to services: nftables, in the kernel of each pod; userspace, through the gateway; auto is the best that a pod can have")
	complete(cmd, "proxy-mode", "auto", api.ProxyNFTables, api.ProxyUserspace)
	flags.BoolVar(&f.background, backgroundFlag, false, "")
	_ = flags.MarkHidden(backgroundFlag) // it fails only for a flag that does not exist
	return cmd
}
