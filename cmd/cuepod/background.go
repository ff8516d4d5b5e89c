package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner"
)

// The supervisor that up -d leaves behind is this program again, in a session
// of its own, with a pipe to the process that started it: it tells what
// happens, an object of JSON a line, for as long as somebody listens.

// backgroundFlag marks the background process. It is hidden.
const backgroundFlag = "background"

// parentPipe is the descriptor of the pipe: the first after the standard ones.
const parentPipe = 3

// message is one line of the pipe.
type message struct {
	Event *runner.Event    `json:"event,omitempty"`
	App   *runner.Identity `json:"app,omitempty"` // with Log: the supervisor has begun
	Log   string           `json:"log,omitempty"`
	Exit  *int             `json:"exit,omitempty"` // the supervisor ended, with Text
	Text  string           `json:"text,omitempty"`
}

// parent is the background process's end of the pipe.
type parent struct{ pipe *os.File }

func openParent() *parent { return &parent{os.NewFile(parentPipe, "pipe to up -d")} }

func (p *parent) close() { p.pipe.Close() }

// send writes to whoever started us, who may be gone: then nobody wants to know.
func (p *parent) send(m message) { _ = json.NewEncoder(p.pipe).Encode(m) }

func (p *parent) tell(ev runner.Event) { p.send(message{Event: &ev}) }

func (p *parent) begun(s start) {
	p.send(message{App: &s.id, Log: filepath.Join(s.dir, logName)})
}

func (p *parent) end(err error) {
	code, text := explainError(err)
	p.send(message{Exit: &code, Text: text})
}

// logName is the file in appDir that a background supervisor writes to.
const logName = "up.log"

// moveOutput sends standard output and error of this process to the log.
func moveOutput(dir string) error {
	log, err := os.OpenFile(filepath.Join(dir, logName), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for _, fd := range []int{1, 2} {
		if err := dup2(int(log.Fd()), fd); err != nil {
			log.Close()
			return fmt.Errorf("log %s: %w", log.Name(), err)
		}
	}
	log.Close()
	// The lock tells attach whose log it is. Closing any descriptor of the file
	// would end it, so it is taken when only the standard ones are left.
	err = unix.FcntlFlock(1, unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	if err != nil {
		return fmt.Errorf("log %s: %w", log.Name(), err)
	}
	return nil
}

// detach starts a supervisor in the background and shows what it tells until it
// has begun, or with --wait until everything is ready. After another supervisor
// in the foreground, there is nothing to show: the app runs.
func (c *cli) detach(cmd *cobra.Command, f upFlags, handOver bool) error {
	lines, child, err := c.startBackground(cmd)
	if err != nil {
		return err
	}
	defer lines.Close()
	messages := make(chan message)
	go func() {
		defer close(messages)
		for in := bufio.NewScanner(lines); in.Scan(); {
			var m message
			if err := json.Unmarshal(in.Bytes(), &m); err != nil {
				continue // not a line of ours
			}
			messages <- m
		}
	}()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	w := &waiter{c: c, f: f, handOver: handOver, show: c.eventPrinter().print, child: child, pid: child.Process.Pid}
	return w.wait(context.WithoutCancel(cmd.Context()), messages, interrupts)
}

// startBackground runs this program again and gives the pipe to read from.
func (c *cli) startBackground(cmd *cobra.Command) (io.ReadCloser, *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	child := exec.Command(self, backgroundArgs(cmd)...)
	child.Stderr = os.Stderr // until it has a log of its own: a crash must not be silent
	child.ExtraFiles = []*os.File{w}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	child.Env = environ(c.env)
	if err := child.Start(); err != nil {
		r.Close()
		return nil, nil, fmt.Errorf("start the supervisor: %w", err)
	}
	return r, child, nil
}

// environ is the environment as a process gets it.
func environ(env map[string]string) []string {
	var out []string
	for _, name := range sortedKeys(env) {
		out = append(out, name+"="+env[name])
	}
	return out
}

// backgroundArgs is the command line of the background process: the user's own,
// without what concerns the waiting.
func backgroundArgs(cmd *cobra.Command) []string {
	args := []string{"up", "--" + backgroundFlag, "--color=never"}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "detach", "wait", "timeout", "color":
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			args = append(args, "--"+f.Name+"="+v)
		}
	})
	return append(append(args, "--"), cmd.Flags().Args()...)
}

// waiter is up -d while it waits.
type waiter struct {
	c *cli
	f upFlags
	// handOver is whether to leave as soon as the supervisor has begun.
	handOver bool
	show     func(runner.Event)
	child    *exec.Cmd
	pid      int // of child
	app      runner.Identity
	log      string
}

func (w *waiter) wait(ctx context.Context, messages <-chan message, interrupts <-chan os.Signal) error {
	var timeout <-chan time.Time
	if w.f.wait && w.f.timeout > 0 {
		timeout = time.After(w.f.timeout)
	}
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return fmt.Errorf("the supervisor died: %s", w.diagnosis())
			}
			if done, err := w.hear(ctx, m); done {
				return err
			}
		case <-timeout:
			return w.tooLate(ctx)
		case <-interrupts: // as Ctrl-C in the foreground: the supervisor takes all down
			timeout = nil
			if err := w.child.Process.Signal(os.Interrupt); err != nil {
				return err
			}
		}
	}
}

// hear handles one message and says whether the wait is over.
func (w *waiter) hear(ctx context.Context, m message) (done bool, err error) {
	switch {
	case m.App != nil:
		w.app, w.log = *m.App, m.Log
		if w.handOver {
			return true, w.goodbye(ctx, false)
		}
	case m.Exit != nil && *m.Exit == exitOK:
		return true, fmt.Errorf("the supervisor was told to let go while it started")
	case m.Exit != nil:
		return true, &exitError{*m.Exit, m.Text}
	case m.Event != nil:
		w.show(*m.Event)
		if w.f.wait && m.Event.Kind == runner.EventFailed { // it has been shown
			return true, &exitError{exitFailure, "cuepod: " + w.app.App + " will not be ready by itself; its supervisor goes on"}
		}
		ready := m.Event.Kind == runner.EventReady
		if ready || m.Event.Kind == runner.EventPlan && !w.f.wait {
			return true, w.goodbye(ctx, ready)
		}
	}
	return false, nil
}

// goodbye says what was left behind and where it answers.
func (w *waiter) goodbye(ctx context.Context, ready bool) error {
	w.c.talk("%s is supervised by pid %d; its log is %s", w.app.App, w.pid, w.log)
	if !ready {
		return nil
	}
	eng, err := w.c.engine(w.c.lookupEnv)
	if err != nil {
		return err
	}
	defer eng.Close()
	_, err = w.c.showURLs(ctx, w.c.out, eng, w.app, "")
	return err
}

// tooLate tells what is not ready. The supervisor goes on trying.
func (w *waiter) tooLate(ctx context.Context) error {
	reasons := []string{"nothing is known of it yet; its log is " + w.log}
	if eng, err := w.c.engine(w.c.lookupEnv); err == nil {
		defer eng.Close()
		if st, err := w.c.status(ctx, eng, w.app); err == nil {
			reasons = notReadyReasons(st)
		}
	}
	return &runner.NotReadyError{Reasons: reasons}
}

// notReadyReasons is one line for each pod that is not ready.
func notReadyReasons(st runner.Status) []string {
	var out []string
	for _, p := range st.Pods {
		if p.Ready || p.Phase == "Succeeded" || p.Job != "" {
			continue
		}
		why := p.Status
		for _, ctr := range p.Containers {
			if ctr.Message != "" && !ctr.Ready {
				why += ", container " + ctr.Name + ": " + ctr.Message
			}
		}
		out = append(out, "pod "+p.Name+": "+why)
	}
	for _, j := range st.Jobs {
		if j.CronJob == "" && j.Status != "Complete" && j.Status != "Suspended" {
			out = append(out, "job "+j.Name+": "+j.Status+", "+completions(j)+" complete")
		}
	}
	return out
}

// diagnosis is what is known of a supervisor that died without a word.
func (w *waiter) diagnosis() string {
	err := w.child.Wait()
	why := "it ended"
	if err != nil {
		why = err.Error()
	}
	if w.log == "" {
		return why + " (pid " + strconv.Itoa(w.pid) + ")"
	}
	return why + "; its log is " + w.log
}
