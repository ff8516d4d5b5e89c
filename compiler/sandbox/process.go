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
	"strings"
	"sync"
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
	ask, err := json.Marshal(request{opts, limits})
	if err != nil {
		return nil, fmt.Errorf("compile apart: %w", err)
	}
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if limits.Time > 0 {
		bounded, cancel = context.WithTimeout(ctx, limits.Time+grace)
	}
	defer cancel()
	c := child{found: compiler.Found{}, tell: opts.Found}
	result, err := c.run(bounded, self, environ, ask)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil || !errors.Is(err, errNoOutcome):
		return result, err
	case bounded.Err() != nil:
		return nil, tooLong(opts.Dir, c.found, limits, false)
	case c.outOfMemory():
		return nil, tooLarge(opts.Dir, c.found, limits)
	case strings.Contains(c.stderr.String(), "stack overflow"):
		return nil, breach(opts.Dir, c.found, "the definition is nested too deeply to evaluate", "it may refer to itself")
	}
	return nil, fmt.Errorf("compile apart: the compiler crashed (%v); this is a mistake in cuepod:\n%s", c.end, strings.TrimSpace(c.stderr.String()))
}

// child is one child process.
type child struct {
	tell   func(compiler.Found)
	found  compiler.Found // the last
	stderr head
	end    error // how the process ended
}

// run starts the process and reads its answer.
func (c *child) run(ctx context.Context, self string, environ []string, ask []byte) (*compiler.Result, error) {
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{"cuepod", Subcommand}
	cmd.Env = environ
	cmd.Stderr = &c.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, who end it in order
	stdin, err := cmd.StdinPipe()                         // open until the answer is here: its end tells the child that we died
	if err != nil {
		return nil, fmt.Errorf("compile apart: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("compile apart: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("compile apart: %w", err)
	}
	var result *compiler.Result
	if _, err = stdin.Write(ask); err != nil {
		err = errNoOutcome // it died at once; why is on standard error
	} else {
		result, err = readFrames(io.LimitReader(stdout, maxAnswer), c.hear)
	}
	stdin.Close() // so it ends, whatever it does
	c.end = cmd.Wait()
	return result, err
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

// Serve is the child: it reads one request, answers it and returns the exit
// code. It sets limits for the whole process and ends it when stdin does, so
// nothing else may run there.
func Serve(stdin io.Reader, stdout, stderr io.Writer, compile Compile) int {
	var ask request
	in := json.NewDecoder(stdin)
	if err := in.Decode(&ask); err != nil {
		fmt.Fprintf(stderr, "compile apart: request: %v\n", err)
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // it only ends when the parent is gone or done
		os.Exit(1)
	}()
	if err := confine(ask.Limits); err != nil {
		fmt.Fprintf(stderr, "compile apart: %v\n", err)
		return 1
	}
	w := &frameWriter{out: json.NewEncoder(stdout)}
	w.out.SetEscapeHTML(false)
	ask.Options.Found = func(f compiler.Found) { w.write(frame{Found: &f}) }
	w.write(outcomeFrame(Within(context.Background(), ask.Options, ask.Limits, compile)))
	if w.err != nil {
		fmt.Fprintf(stderr, "compile apart: answer: %v\n", w.err)
		return 1
	}
	return 0
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

// head keeps the beginning of what is written to it.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:max(0, min(len(p), keptStderr-h.Len()))])
	return len(p), nil
}
