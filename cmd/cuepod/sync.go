package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// syncKey follows what waits, as cuepod sync does.
const syncKey = 'y'

// syncRequest asks a supervisor to follow changes of files that wait for somebody
// to ask.
const syncRequest = unix.SIGUSR2

func (c *cli) syncCommand() *cobra.Command {
	var w where
	cmd := &cobra.Command{
		Use:   "sync [dir]",
		Short: "Have changed files follow that wait for it",
		Long: `Sync has the app's supervisor follow what changed in the directories of containers
whose dev.trigger is manual or paused. The key y does the same where up shows. What
becomes of it is told there, or by 'cuepod attach'.`,
		GroupID: groupRun,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.dir = dirArg(args)
			eng, info, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer eng.Close()
			id, err := c.theOne(cmd.Context(), eng, w.dir, w.app)
			if err != nil {
				return err
			}
			pid, err := supervisorOf(c.appDir(id, info.Endpoint))
			if err != nil {
				return err
			}
			if pid > 0 {
				err = unix.Kill(pid, syncRequest)
			}
			switch {
			case pid <= 0 || errors.Is(err, unix.ESRCH):
				return &exitError{exitFailure, fmt.Sprintf("cuepod: nobody supervises %s, and so nobody copies files: 'cuepod up' does", id.App)}
			case err != nil:
				return fmt.Errorf("supervisor pid %d: %w", pid, err)
			}
			c.talk("the supervisor of %s, pid %d, follows what waits", id.App, pid)
			return nil
		},
	}
	w.appFlag(c, cmd)
	return cmd
}

// ask has the runner follow what waits; asking again before it does is the same.
func (s *supervision) ask() {
	select {
	case s.asks <- struct{}{}:
	default:
	}
}
