package fake

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
)

// Program is what a container or an exec does. ctx ends when it is asked to
// stop or is killed. The result is its exit code, unless it was killed.
type Program func(ctx context.Context, p Process) int

// Process is a program's world.
type Process struct {
	Spec           engine.ContainerSpec
	IP             string   // on its network; "" when it joins another container
	Args           []string // entrypoint and command, or the exec's command
	Env            []string // NAME=value, the image's included
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Signals are those that were sent and that do not end it.
	Signals <-chan string
	// Killed is closed when it is too late to clean up. A program that ignores
	// ctx has to return then.
	Killed <-chan struct{}

	engine *Engine
	box    *box
}

// ReadFile reads a file of the container or of a volume mounted in it.
func (p Process) ReadFile(path string) ([]byte, error) {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	return p.engine.readFile(p.box, path)
}

// WriteFile makes or replaces a file with the mode 0644.
func (p Process) WriteFile(path string, data []byte) error {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	return p.engine.writeFile(p.box, path, data)
}

// process is one run of a container's program.
type process struct {
	terminate context.CancelFunc // ends the program's ctx
	killed    chan struct{}
	done      chan struct{} // closed once the container is no longer running
	exitCode  int           // valid after done
	signals   chan string
	stdin     *pipe
	stdout    *fanOut
}

// launch runs a container's program.
func (e *Engine) launch(b *box) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{
		terminate: cancel, killed: make(chan struct{}), done: make(chan struct{}),
		stdin: newPipe(), stdout: &fanOut{}, signals: make(chan string, 8),
	}
	if !b.spec.OpenStdin {
		p.stdin.Close()
	}
	b.proc, b.state, b.exitCode, b.oom, b.lastError = p, engine.Running, 0, false, ""
	b.started, b.finished = time.Now(), time.Time{}
	e.tell(b, "start")
	world := Process{
		Spec: b.spec, Args: slices.Concat(b.spec.Entrypoint, b.spec.Cmd), Env: slices.Clone(b.env),
		Stdin:  p.stdin,
		Stdout: io.MultiWriter(b.logs.writer(false), p.stdout),
		Stderr: b.logs.writer(true),
		Killed: p.killed, Signals: p.signals, engine: e, box: b,
	}
	if b.spec.TTY {
		world.Stderr = world.Stdout
	}
	if b.ip.IsValid() {
		world.IP = b.ip.String()
	}
	run := b.image.Run
	if run == nil {
		run = untilStopped
	}
	e.running.Go(func() {
		code := run(ctx, world)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.finish(b, p, code, false)
	})
}

func untilStopped(ctx context.Context, _ Process) int {
	<-ctx.Done()
	return exitTerminated
}

// finish ends a run once; what comes later for the same run has no effect.
func (e *Engine) finish(b *box, p *process, code int, oom bool) {
	if b.proc != p {
		return
	}
	if b.net != nil {
		delete(b.net.taken, b.ip)
	}
	b.proc, b.net, b.publish, b.ip = nil, nil, nil, netip.Addr{}
	b.state, b.exitCode, b.oom, b.finished = engine.Exited, code, oom, time.Now()
	p.exitCode = code
	close(p.killed) // first: who is asked to stop by a kill must see that it is one
	p.terminate()
	p.stdin.Close()
	p.stdout.close()
	b.logs.end()
	for _, m := range b.spec.Mounts {
		e.forget(m.Volume)
	}
	if oom {
		e.tell(b, "oom")
	}
	e.tell(b, "die")
	close(p.done)
}

// pipe is an unbounded buffer with a reader that waits: a writer never blocks,
// as with the engine's own buffers.
type pipe struct {
	mu     sync.Mutex
	data   []byte
	closed bool
	more   chan struct{} // closed and replaced on each change
}

func newPipe() *pipe { return &pipe{more: make(chan struct{})} }

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	p.data = append(p.data, b...)
	close(p.more)
	p.more = make(chan struct{})
	return len(b), nil
}

func (p *pipe) Read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		if len(p.data) > 0 {
			n := copy(b, p.data)
			p.data = p.data[n:]
			p.mu.Unlock()
			return n, nil
		}
		closed, more := p.closed, p.more
		p.mu.Unlock()
		if closed {
			return 0, io.EOF
		}
		<-more
	}
}

// Close lets readers have what is left, then EOF.
func (p *pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.more)
		p.more = make(chan struct{})
	}
	return nil
}

// fanOut copies a container's output to all who are attached.
type fanOut struct {
	mu     sync.Mutex
	to     []*pipe
	closed bool
}

func (f *fanOut) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = slices.DeleteFunc(f.to, func(p *pipe) bool {
		_, err := p.Write(b)
		return err != nil // it has left
	})
	return len(b), nil
}

func (f *fanOut) join() *pipe {
	p := newPipe()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		p.Close()
		return p
	}
	f.to = append(f.to, p)
	return p
}

func (f *fanOut) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, p := range f.to {
		p.Close()
	}
}

// logs are a container's kept output, line by line, over all its runs.
type logs struct {
	mu      sync.Mutex
	off     bool
	lines   []logLine
	partial [2][]byte // not yet ended lines of standard output and error
	more    chan struct{}
}

type logLine struct {
	at     time.Time
	stderr bool
	text   []byte // with its newline, unless the program ended within it
}

func newLogs(off bool) *logs { return &logs{off: off, more: make(chan struct{})} }

// writer gives the end where a program writes.
func (l *logs) writer(stderr bool) io.Writer { return logWriter{l, stderr} }

type logWriter struct {
	l      *logs
	stderr bool
}

func (w logWriter) Write(b []byte) (int, error) {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off {
		return len(b), nil
	}
	which := streamIndex(w.stderr)
	rest := append(l.partial[which], b...)
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		l.add(w.stderr, rest[:i+1])
		rest = rest[i+1:]
	}
	l.partial[which] = bytes.Clone(rest)
	return len(b), nil
}

func streamIndex(stderr bool) int {
	if stderr {
		return 1
	}
	return 0
}

func (l *logs) add(stderr bool, text []byte) {
	l.lines = append(l.lines, logLine{time.Now(), stderr, bytes.Clone(text)})
	close(l.more)
	l.more = make(chan struct{})
}

// end keeps what was written without a newline, and wakes the followers.
func (l *logs) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, rest := range l.partial {
		if len(rest) > 0 {
			l.add(i == 1, rest)
		}
		l.partial[i] = nil
	}
	close(l.more)
	l.more = make(chan struct{})
}

// from gives the lines from an index on.
func (l *logs) from(i int) []logLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines[min(i, len(l.lines)):])
}

// changed gives a channel that closes with the next line or the end.
func (l *logs) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.more
}
