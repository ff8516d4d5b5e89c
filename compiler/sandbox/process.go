package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/compiler"
)

// Subcommand is the hidden first argument that makes a program the child: it
// then calls Serve and nothing else.
const Subcommand = "compile-apart"

const (
	// grace is how much longer than its time a child may live. It gives up by
	// itself, unless it cannot even do that.
	grace = 2 * time.Second
	// headroom is how much more than its memory the kernel lets a child have,
	// in bytes: for the Go runtime's own, and so that the child is the one to
	// say that it has reached the limit. Two looks at the memory are apart by
	// less than that.
	headroom = 256 << 20
	// maxAnswer is the size of a child's answer in bytes. Ten thousand pods are
	// about 50 MiB.
	maxAnswer = 512 << 20
	// keptStderr is how much of a child's last words is kept, in bytes. What a
	// crash is about stands first.
	keptStderr = 16 << 10
)

// Apart compiles in a child process: self, a program that calls Serve when its
// first argument is Subcommand, with the environment environ. The child is
// killed when it reaches a limit, which comes back as a *compiler.Error, and
// when ctx ends. It is safe for concurrent use.
func Apart(ctx context.Context, opts compiler.Options, limits Limits, self string, environ []string) (*compiler.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := startChild(self, environ)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	return c.compile(ctx, request{Options: opts, Limits: limits})
}

// child is one child process.
type child struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser // open while the child is wanted: its end tells the child that we died
	stdout  io.LimitedReader
	answers *json.Decoder // of stdout
	tell    func(compiler.Found)
	found   compiler.Found // the last
	stderr  head
	ended   bool
	end     error // how the process ended
	died    bool  // without an answer, and not because it was told to
}

func startChild(self string, environ []string) (*child, error) {
	c := &child{cmd: exec.Command(self)}
	c.cmd.Args = []string{"cuepod", Subcommand}
	c.cmd.Env = environ
	c.cmd.Stderr = &c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, who end it in order
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("compile apart: %w", err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("compile apart: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("compile apart: %w", err)
	}
	c.stdin, c.stdout = stdin, io.LimitedReader{R: stdout}
	c.answers = json.NewDecoder(&c.stdout)
	return c, nil
}

// stop ends the process, unless it has ended, and waits for it.
func (c *child) stop() {
	if c.ended {
		return
	}
	c.ended = true
	c.stdin.Close() // so it ends, whatever it does
	c.end = c.cmd.Wait()
}

// compile asks the process and reads its answer. Unless it keeps what it found,
// and whenever there is no answer, the process has then ended.
func (c *child) compile(ctx context.Context, ask request) (*compiler.Result, error) {
	text, err := json.Marshal(ask)
	if err != nil {
		return nil, fmt.Errorf("compile apart: %w", err)
	}
	limits := ask.Limits
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if limits.Time > 0 {
		bounded, cancel = context.WithTimeout(ctx, limits.Time+grace)
	}
	defer cancel()
	watch := context.AfterFunc(bounded, func() { _ = c.cmd.Process.Kill() }) // an error says that it has ended
	c.found, c.tell, c.stdout.N = compiler.Found{}, ask.Options.Found, maxAnswer
	result, last, err := c.ask(text)
	if !watch() || last {
		c.stop()
	}
	c.died = errors.Is(err, errNoOutcome) && bounded.Err() == nil
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil || !errors.Is(err, errNoOutcome):
		return result, err
	case bounded.Err() != nil:
		return nil, tooLong(ask.Options.Dir, c.found, limits, false)
	case c.outOfMemory():
		return nil, tooLarge(ask.Options.Dir, c.found, limits)
	case strings.Contains(c.stderr.String(), "stack overflow"):
		return nil, breach(ask.Options.Dir, c.found, "the definition is nested too deeply to evaluate", "it may refer to itself")
	}
	return nil, fmt.Errorf("compile apart: the compiler crashed (%v); this is a mistake in cuepod:\n%s", c.end, strings.TrimSpace(c.stderr.String()))
}

func (c *child) ask(text []byte) (result *compiler.Result, last bool, err error) {
	if _, err := c.stdin.Write(text); err != nil {
		return nil, true, errNoOutcome // it died at once; why is on standard error
	}
	return readFrames(c.answers, c.hear)
}

func (c *child) hear(f compiler.Found) {
	c.found = f
	if c.tell != nil {
		c.tell(f)
	}
}

// outOfMemory reports whether the kernel refused memory to the process, or
// killed it for what it took.
func (c *child) outOfMemory() bool {
	text := c.stderr.String()
	for _, words := range []string{
		"out of memory", "cannot allocate memory",
		"pthread_create failed", "SIGABRT", // a C library's ways to say so; Go's own crashes are no aborts
		"failed to allocate", "Failed to mmap", // the race detector's
	} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return text == "" && c.end != nil && strings.Contains(c.end.Error(), "killed")
}

// Serve is the child: it reads requests, answers each and returns the exit code
// after the first that is not to be kept. It sets limits for the whole process
// and ends it when stdin does, so nothing else may run there.
func Serve(stdin io.Reader, stdout, stderr io.Writer, compile Compile) int {
	var ask request
	in := json.NewDecoder(stdin)
	if err := in.Decode(&ask); err != nil {
		fmt.Fprintf(stderr, "compile apart: request: %v\n", err)
		return 1
	}
	more := make(chan request)
	go func() {
		for {
			var ask request
			if in.Decode(&ask) != nil { // the parent is gone, or needs us no more
				os.Exit(1)
			}
			more <- ask
		}
	}()
	if err := confine(ask.Limits); err != nil {
		fmt.Fprintf(stderr, "compile apart: %v\n", err)
		return 1
	}
	w := &frameWriter{out: json.NewEncoder(stdout)}
	w.out.SetEscapeHTML(false)
	var cache *compiler.Cache
	if ask.Keep {
		cache = &compiler.Cache{}
	}
	for limits := ask.Limits; ; ask = <-more {
		ask.Options.Cache = cache
		ask.Options.Found = func(f compiler.Found) { w.write(frame{Found: &f}) }
		outcome, complete := within(ask.Options, limits, compile)
		outcome.Last = cache == nil || !complete
		w.write(outcome)
		if w.failure() != nil {
			fmt.Fprintf(stderr, "compile apart: answer: %v\n", w.failure())
			return 1
		}
		if outcome.Last {
			return 0
		}
		debug.FreeOSMemory() // for the next, which may need all that there is
	}
}

// within compiles within limits. What is not complete was given up, and goes on.
func within(opts compiler.Options, limits Limits, compile Compile) (outcome frame, complete bool) {
	var done atomic.Bool
	result, err := Within(context.Background(), opts, limits, func(ctx context.Context, opts compiler.Options) (*compiler.Result, error) {
		defer done.Store(true)
		return compile(ctx, opts)
	})
	return outcomeFrame(result, err), done.Load()
}

// confine sets what the kernel lets this process have. RLIMIT_DATA counts what
// can be written, and not the address space that the Go runtime reserves.
func confine(limits Limits) error {
	Tune(limits)
	if limits.Memory == 0 {
		return nil
	}
	limit := uint64(limits.Memory) + headroom
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("memory limit: %w", err)
	}
	return nil
}

// frameWriter writes frames of several goroutines: an evaluation that was given
// up may still find something.
type frameWriter struct {
	mu  sync.Mutex
	out *json.Encoder
	err error // the first
}

func (w *frameWriter) write(f frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.out.Encode(f); w.err == nil {
		w.err = err
	}
}

func (w *frameWriter) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// head keeps the beginning of what is written to it.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:max(0, min(len(p), keptStderr-h.Len()))])
	return len(p), nil
}
