package suite

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Patience of checks. The machine may be slow, and an app of thirty pods takes
// its time to come up.
const (
	startPatience = 10 * time.Minute // from the start of the app
	stepPatience  = 3 * time.Minute  // from the start of a check, or its last edit
	downPatience  = 3 * time.Minute
)

// world is one app that runs, and what is seen of it.
type world struct {
	tool    string // path of cuepod
	dir     string // of the module, which is the app's
	app     string
	repeat  int
	started time.Time
	ended   chan struct{} // closed when cuepod up has ended

	mu      sync.Mutex
	now     Status
	history map[string]Pod // pods as they were, by what they were like
	lines   map[string][]string
	news    chan struct{} // closed, and replaced, when something has changed
	talk    bytes.Buffer  // what cuepod up said
}

// newWorld writes the definition of an app of cases.
func newWorld(tool, dir, app string, repeat int, cases []Case) (*world, error) {
	w := &world{
		tool: tool, dir: dir, app: app, repeat: repeat, ended: make(chan struct{}),
		history: map[string]Pod{}, lines: map[string][]string{}, news: make(chan struct{}),
	}
	if err := errors.Join(os.Mkdir(w.timelines(), 0o777), os.Chmod(w.timelines(), 0o777), os.Mkdir(filepath.Join(dir, "cue.mod"), 0o755)); err != nil {
		return nil, err
	}
	module := "module: \"conformance.example@v0\"\nlanguage: version: \"v0.17.0\"\n"
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "cue.mod", "module.cue"), []byte(module), 0o644),
		os.WriteFile(filepath.Join(dir, "app.cue"), []byte(baseCUE(app, w.timelines(), repeat)), 0o644),
	)
	for _, c := range cases {
		err = errors.Join(err, w.write(c))
	}
	return w, err
}

// timelines is where the pods write theirs.
func (w *world) timelines() string { return filepath.Join(w.dir, "timelines") }

// write writes a case's file, all at once, as editors do.
func (w *world) write(c Case) error {
	path := filepath.Join(w.dir, "case-"+c.Name+".cue")
	temp := filepath.Join(w.dir, "."+c.Name+".tmp")
	if err := os.WriteFile(temp, []byte("package conformance\n\n"+c.CUE), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// up starts the app and looks at it until ctx ends. wait waits for all that it
// started.
func (w *world) up(ctx context.Context, args ...string) (wait func(), err error) {
	cmd := exec.CommandContext(ctx, w.tool, append([]string{"up", "--no-logs"}, append(args, w.dir)...)...)
	cmd.Env = append(os.Environ(), "WITNESS_SECRET=value of the secret")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
	talk, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = write, write
	w.started = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	write.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		w.listen(talk)
		err := cmd.Wait()
		w.note(func() { fmt.Fprintf(&w.talk, "cuepod up ended: %v\n", err) })
		close(w.ended)
	})
	ctx, cancel := context.WithCancel(ctx)
	wg.Go(func() { w.watch(ctx) })
	wg.Go(func() { w.follow(ctx) })
	return func() { cancel(); wg.Wait() }, nil
}

func (w *world) listen(r io.ReadCloser) {
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		w.note(func() { fmt.Fprintf(&w.talk, "%6.1f %s\n", time.Since(w.started).Seconds(), lines.Text()) })
	}
}

// note changes what is known, and wakes whoever waits.
func (w *world) note(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	close(w.news)
	w.news = make(chan struct{})
}

// changed is closed at the next change.
func (w *world) changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.news
}

func (w *world) status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) seen() []Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Pod
	for _, p := range w.history {
		out = append(out, p)
	}
	return out
}

func (w *world) log(container string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.lines[container]...)
}

// said is what cuepod up said of whatever has about in its name, and of nothing
// in particular.
func (w *world) said(about string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out strings.Builder
	for line := range strings.Lines(w.talk.String()) {
		if f := strings.Fields(line); strings.Contains(line, about) || len(f) < 2 || f[1] != "plan" && f[1] != "done" {
			out.WriteString(line)
		}
	}
	return out.String()
}

// deadline is until when a check that began then may wait.
func (w *world) deadline(since time.Time) time.Time {
	a, b := w.started.Add(startPatience), since.Add(stepPatience)
	if a.After(b) {
		return a
	}
	return b
}

// watch asks for the app's status, again and again.
func (w *world) watch(ctx context.Context) {
	for ctx.Err() == nil {
		out, err := exec.CommandContext(ctx, w.tool, "ps", "-o", "json", w.dir).Output()
		var st Status
		if err == nil && len(out) > 0 && json.Unmarshal(out, &st) == nil {
			w.note(func() {
				w.now = st
				for _, p := range st.Pods {
					w.history[fmt.Sprintf("%+v", p)] = p
				}
			})
		}
		pause(ctx, 300*time.Millisecond)
	}
}

// follow reads what all containers say. Once it has to begin anew, all is read
// anew.
func (w *world) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if len(w.status().Pods) > 0 {
			w.followOnce(ctx)
		}
		pause(ctx, 300*time.Millisecond)
	}
}

func (w *world) followOnce(ctx context.Context) {
	cmd := exec.CommandContext(ctx, w.tool, "logs", "--follow", "--init", "-C", w.dir)
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	w.note(func() { w.lines = map[string][]string{} })
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		from, text, ok := strings.Cut(lines.Text(), " |")
		if ok {
			from = strings.TrimSpace(from)
			w.note(func() { w.lines[from] = append(w.lines[from], strings.TrimPrefix(text, " ")) })
		}
	}
	_ = cmd.Wait() // it ends when it is told to, or is begun anew
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// down takes the app away.
func (w *world) down() error {
	out, err := w.cuepod("down", "--volumes", w.dir)
	if err != nil {
		return fmt.Errorf("cuepod down: %w\n%s", err, out)
	}
	return nil
}

// cuepod runs a command of cuepod's and gives all that it says.
func (w *world) cuepod(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), downPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, w.tool, args...).CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done after %v", downPatience)
	}
	return string(out), err
}
