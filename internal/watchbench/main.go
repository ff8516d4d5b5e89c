// Command watchbench measures, from the save of an edit until the new behaviour
// answers, what cuepod up takes and what people have in its place: docker compose
// and podman kube play. It prints a Markdown table:
//
//	go run ./internal/watchbench [-cuepod bin/cuepod] [-compose "docker compose"] [-podman podman] [-n 5]
//
// Every kind of edit has an app of its own with each tool, of one container that
// answers with what it was given. The tools take turns, so that what else the
// machine does meets all of them, and each ratio is the median of the pairs'. A
// tool that is not there, or cannot do it, has a "-". It needs Linux, and an
// engine on the same machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	app   = "watchbench"
	image = "cuepod-watchbench:latest"
	// patience is for one edit, and for everything else that may hang.
	patience = time.Minute
	// rest is what a tool has to tidy up after it has answered, before the next one is measured.
	rest = time.Second
)

// options are the flags.
type options struct {
	cuepod, compose, podman string
	rounds                  int
	files                   string
	kinds                   string
	idleFor                 time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.cuepod, "cuepod", "bin/cuepod", "the `binary` to measure, with the agents inside")
	flag.StringVar(&o.compose, "compose", "docker compose", "the `command` of Docker Compose; none leaves it out")
	flag.StringVar(&o.podman, "podman", "podman", "the `command` of podman; none leaves it out")
	flag.IntVar(&o.rounds, "n", 5, "how often each edit is made with each tool")
	flag.StringVar(&o.kinds, "kinds", "", "the `kinds` of edits to measure, such as env,sync; none is all")
	flag.StringVar(&o.files, "files", "10000,100000", "`how many` files to be idle with; none leaves it out")
	flag.DurationVar(&o.idleFor, "idle", 10*time.Second, "how long to be idle")
	flag.Parse()
	if err := run(ctx, os.Stdout, os.Stderr, o); err != nil {
		fmt.Fprintln(os.Stderr, "watchbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w, notices io.Writer, o options) (err error) {
	if o.rounds < 1 {
		return fmt.Errorf("-n %d: at least one", o.rounds)
	}
	counts, err := parseCounts(o.files)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", app)
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if work, err = filepath.EvalSymlinks(work); err != nil {
		return err
	}
	b := &bench{options: o, work: work, notices: notices}
	defer func() { err = errors.Join(err, b.clean()) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	fmt.Fprint(w, header)
	for _, k := range kinds {
		if o.kinds != "" && !slices.Contains(strings.Split(o.kinds, ","), k.name) {
			continue
		}
		r, err := b.measure(ctx, k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		fmt.Fprintln(w, r.markdown())
	}
	if o.kinds == "" || slices.Contains(strings.Split(o.kinds, ","), "many") {
		rows, err := b.lost(ctx)
		if err != nil {
			return fmt.Errorf("many: %w", err)
		}
		fmt.Fprintf(w, "\n%s%s\n", lostHeader, strings.Join(rows, "\n"))
	}
	for i, files := range counts {
		rows, err := b.idle(ctx, files)
		if err != nil {
			return fmt.Errorf("idle: %w", err)
		}
		if i == 0 {
			fmt.Fprint(w, "\n"+idleHeader)
		}
		fmt.Fprintln(w, strings.Join(rows, "\n"))
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d rounds; %s; load at the end %s\n", o.rounds, strings.Join(b.versions, ", "), strings.Join(strings.Fields(string(load))[:3], " "))
	return errors.Join(b.failed...)
}

// parseCounts reads a list such as 10000,100000; "" is none.
func parseCounts(text string) (out []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-files %s: %q is no number of files", text, part)
		}
		out = append(out, n)
	}
	return out, nil
}

// bench is one run.
type bench struct {
	options
	work     string
	notices  io.Writer
	tools    []tool // ours first
	engine   *engine
	versions []string
	failed   []error // what went wrong and keeps no row from being printed
}

func (b *bench) notice(format string, args ...any) { fmt.Fprintf(b.notices, format+"\n", args...) }

// prepare makes the witness and its image, and finds out which tools are there.
func (b *bench) prepare(ctx context.Context) (err error) {
	ours, err := filepath.Abs(b.cuepod)
	if err != nil {
		return err
	}
	b.tools = []tool{&cuepod{program: ours}}
	if err := writeFiles(filepath.Join(b.work, "go"), sources()); err != nil {
		return err
	}
	if err := goBuild(ctx, filepath.Join(b.work, "go"), filepath.Join(b.work, "witness")); err != nil {
		return err
	}
	layer, err := exec.CommandContext(ctx, "tar", "-C", b.work, "-c", "witness").Output()
	if err != nil {
		return fmt.Errorf("pack the witness: %w", err)
	}
	load := exec.CommandContext(ctx, "docker", "import", "--change", `ENTRYPOINT ["/witness"]`, "-", image)
	load.Stdin = strings.NewReader(string(layer))
	if out, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("import %s: %w\n%s", image, err, out)
	}
	if b.engine, err = connect(ctx); err != nil {
		return err
	}
	if version, err := command(ctx, b.work, "docker", "version", "--format", "Docker Engine {{.Server.Version}}"); err == nil {
		b.versions = append(b.versions, strings.TrimSpace(version))
	}
	b.peer(ctx, "docker compose", b.compose, []string{"version", "--short"}, func(cli []string) tool { return &compose{cli: cli} })
	podmanCLI, err := modest(b.podman, b.work)
	if err != nil {
		return err
	}
	b.peer(ctx, "podman", podmanCLI, []string{"version", "--format", "{{.Client.Version}}"}, func(cli []string) tool { return &podman{cli: cli} })
	return nil
}

// peer adds a tool that answers what version it is.
func (b *bench) peer(ctx context.Context, name, cli string, version []string, make func(cli []string) tool) {
	words := strings.Fields(cli)
	if len(words) == 0 {
		b.notice("%s is left out", name)
		return
	}
	out, err := command(ctx, b.work, words[0], slices.Concat(words[1:], version)...)
	if err != nil {
		b.notice("%s is not here, and left out: %v", name, err)
		return
	}
	b.versions = append(b.versions, name+" "+strings.TrimSpace(out))
	b.tools = append(b.tools, make(words))
}

// clean removes the plain containers, the image, and what cuepod has built last:
// an app that was ended by Ctrl-C keeps that. Sites clean up what else there is.
func (b *bench) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ids, err := command(ctx, b.work, "docker", "ps", "--all", "--quiet", "--filter", "label="+app)
	if left := strings.Fields(ids); len(left) > 0 {
		_, err = command(ctx, b.work, "docker", append([]string{"rm", "--force", "--volumes"}, left...)...)
	}
	built, listErr := command(ctx, b.work, "docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=cuepod/"+app+"-*/*/*")
	_, imageErr := command(ctx, b.work, "docker", append([]string{"rmi", image}, strings.Fields(built)...)...)
	return errors.Join(err, listErr, imageErr)
}

// command runs one to its end and returns what it printed; what it says of
// errors is part of the error.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}
