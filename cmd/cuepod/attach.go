package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
)

func (c *cli) attachCommand() *cobra.Command {
	var (
		w      where
		noLogs bool
	)
	cmd := &cobra.Command{
		Use:   "attach [dir]",
		Short: "Follow a detached app: what its supervisor and its containers say",
		Long: `Attach shows what the supervisor in the background says and what containers
print, as up does in the foreground. Ctrl-C and d leave; the app goes on.`,
		GroupID: groupRun,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.dir = dirArg(args)
			return c.attach(cmd.Context(), w, noLogs)
		},
	}
	w.appFlag(c, cmd)
	cmd.Flags().BoolVar(&noLogs, "no-logs", false, "do not show the containers' output")
	return cmd
}

// attach follows until somebody leaves or the supervisor ends.
func (c *cli) attach(ctx context.Context, w where, noLogs bool) error {
	eng, info, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer eng.Close()
	id, err := c.theOne(ctx, eng, w.dir, w.app)
	if err != nil {
		return err
	}
	dir := c.appDir(id, info.Endpoint)
	pid, err := supervisorOf(dir)
	if err != nil {
		return err
	}
	if pid == 0 {
		return &exitError{exitFailure, fmt.Sprintf("cuepod: nobody supervises %s: 'cuepod up -d' does, 'cuepod logs -f' shows what its containers print", id.App)}
	}
	k := c.openKeyboard()
	defer k.close()
	c.talk("%s is supervised by pid %d; Ctrl-C and d leave, and it goes on", id.App, pid)
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	if !noLogs {
		shown := c.attachLogs(ctx, eng, id)
		defer func() { leave(); <-shown }()
	}
	f := &follower{c: c, dir: dir, pid: pid}
	return f.follow(ctx, k.keys())
}

// attachLogs shows what containers print from now on, those that come later
// included. The channel is closed at the end.
func (c *cli) attachLogs(ctx context.Context, eng engine.Engine, id runner.Identity) <-chan struct{} {
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		p := c.logPrinter(nil, false)
		opts := runner.LogOptions{Follow: true, Tail: -1, Since: time.Now(), Init: true}
		for ctx.Err() == nil {
			// It ends while no container runs or the engine is away.
			_ = c.logs(ctx, eng, id, nil, opts, p.print)
			opts.Since = time.Now()
			select {
			case <-ctx.Done():
			case <-time.After(lookForMore):
			}
		}
	}()
	return shown
}

const (
	lookForMore = 250 * time.Millisecond // between looks at a log that somebody else writes
	lastSaid    = 4 << 10                // bytes of it that are shown at first
)

// follower shows the log of a supervisor.
type follower struct {
	c    *cli
	dir  string // appDir
	pid  int
	log  *os.File // nil while there is none
	text *bufio.Reader
	part []byte // of a line whose end is not there yet
}

func (f *follower) follow(ctx context.Context, keys <-chan byte) error {
	if !supervisorLogs(f.dir, f.pid) {
		f.c.talk("it runs in a terminal, which shows what it says")
	}
	tick := time.NewTicker(lookForMore)
	defer tick.Stop()
	defer f.close()
	for {
		now, err := supervisorOf(f.dir)
		if err != nil {
			return err
		}
		if supervisorLogs(f.dir, f.pid) {
			f.copy()
		}
		switch now {
		case f.pid:
		case 0:
			f.copy()
			f.c.talk("the supervisor has ended")
			return nil
		default: // another has taken over, with a log of its own
			f.close()
			f.pid = now
			f.c.talk("pid %d supervises it now", now)
		}
		select {
		case <-tick.C:
		case key := <-keys:
			if key == detachKey {
				return nil
			}
		case <-ctx.Done():
			return nil // leaving is no failure
		}
	}
}

func (f *follower) close() {
	if f.log != nil {
		f.log.Close()
		f.log, f.text, f.part = nil, nil, nil
	}
}

// copy shows what is new in the log.
func (f *follower) copy() {
	if f.log == nil && !f.open() {
		return
	}
	for {
		line, err := f.text.ReadBytes('\n')
		f.part = append(f.part, line...)
		if err != nil {
			return
		}
		text := string(f.part[:len(f.part)-1])
		if isTerminal(f.c.err) {
			text = sanitize(text)
		}
		fmt.Fprintln(f.c.err, text)
		f.part = f.part[:0]
	}
}

// open opens the log at its last lines.
func (f *follower) open() bool {
	log, err := os.Open(filepath.Join(f.dir, logName))
	if err != nil {
		return false
	}
	f.log, f.text = log, bufio.NewReader(log)
	if info, err := log.Stat(); err == nil && info.Size() > lastSaid {
		if _, err := log.Seek(-lastSaid, io.SeekEnd); err == nil {
			_, _ = f.text.ReadBytes('\n') // the rest of a line
		}
	}
	return true
}

// supervisorLogs reports whether a supervisor writes the log of its appDir. One
// in a terminal does not, and the log is an earlier one's.
func supervisorLogs(dir string, pid int) bool {
	log, err := os.Open(filepath.Join(dir, logName))
	if err != nil {
		return false
	}
	defer log.Close()
	writer, err := holderOf(log)
	return err == nil && writer == pid
}

// errHandOver ends up in the foreground in favour of one in the background.
var errHandOver = errors.New("a supervisor in the background takes over")
