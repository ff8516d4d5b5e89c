// Losstest changes an app again and again while clients ask it, from a pod of
// the app and from the host, and counts the requests that fail:
//
//	go run -tags embedagent ./internal/losstest [-changes 100] [-swaps 30] [-pause 5ms] [-strict] [-proxy userspace]
//
// Rolling changes (of the environment, the image, the port, up and down) meet a
// workload with two replicas or more; swaps replace the container of the only
// replica there is, and are compared with the engine's own kill and start of such
// a container, which is timed after each. After every change, what runs is held
// against what is wanted. It prints a table and exits with 1 when a request failed;
// an interrupt ends it after the change that is under way, with the table so far.
// It needs Linux and an engine on the same machine.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/image"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
)

// config is what to do.
type config struct {
	changes  int
	swaps    int
	strict   bool
	noHold   bool
	proxy    string             // way of connections to services, see runner.Config
	ratio    float64            // of the median wait of swaps to the engine's kill and start: more is a failure; 0 is any
	rude     bool               // servers break their connections when they end
	stop     <-chan struct{}    // make no more changes once this is closed; nil is never
	pause    time.Duration      // between the requests of one loop; 0 is defaultPause
	only     string             // name of the one rolling change to make; "" for all in turn
	progress io.Writer          // may be nil
	report   func(runner.Event) // may be nil
	log      *slog.Logger       // may be nil
}

// stopped reports whether no more changes are to be made.
func (c config) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

func (c config) pace() time.Duration { return cmp.Or(c.pause, defaultPause) }

func main() {
	var cfg config
	flag.IntVar(&cfg.changes, "changes", 100, "rolling changes")
	flag.IntVar(&cfg.swaps, "swaps", 30, "swaps of the only replica")
	flag.BoolVar(&cfg.strict, "strict", false, "replace whole pods, as `cuepod up --strict` does")
	flag.BoolVar(&cfg.noHold, "no-hold", false, "let swaps refuse connections, as `cuepod up --no-hold` does: it has to see them fail")
	flag.StringVar(&cfg.proxy, "proxy", "", "the `way` of connections to services: nftables or userspace; the best there is when it is empty")
	flag.Float64Var(&cfg.ratio, "ratio", 0, "fail when the median of the worst waits of swaps is so many `times` the engine's kill and start; 0 is never")
	flag.BoolVar(&cfg.rude, "rude", false, "have servers that end at once: it has to see requests fail")
	flag.DurationVar(&cfg.pause, "pause", defaultPause, "the `time` between the requests of one client: longer, so that more changes fit into an hour")
	flag.StringVar(&cfg.only, "only", "", "make rolling changes of this `sort` alone: env, image or port")
	verbose := flag.Bool("v", false, "tell what the supervisor does")
	flag.Parse()
	if *verbose {
		cfg.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.report = func(e runner.Event) { fmt.Fprintln(os.Stderr, e.Kind, e.Object, e.Message) }
	}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg.stop, cfg.progress = interrupted.Done(), os.Stderr
	context.AfterFunc(interrupted, stop) // the second one ends it at once
	if err := command(context.Background(), os.Stdout, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "losstest:", err)
		stop()
		os.Exit(1)
	}
}

// command finds the engine, the agent and the program, and runs.
func command(ctx context.Context, w io.Writer, cfg config) error {
	eng, err := dockerapi.New(dockerapi.Options{})
	if err != nil {
		return err
	}
	defer eng.Close()
	info, err := eng.Info(ctx)
	if err != nil {
		return err
	}
	if !info.Local {
		return fmt.Errorf("engine %s: it has to be on this machine, whose clients ask the pods", info.Endpoint)
	}
	program, err := build(ctx, info.Arch)
	if err != nil {
		return err
	}
	result, err := run(ctx, eng, agentImage, program, cfg)
	if result != nil {
		result.print(w)
	}
	if err != nil {
		return err
	}
	return errors.Join(result.verdict(), result.slow(cfg.ratio))
}

func agentImage(arch string) (string, []byte, error) {
	binary, args, err := image.Find(arch)
	if err != nil {
		return "", nil, err
	}
	ref, archive := image.Archive(binary, arch, args...)
	return ref, archive, nil
}

// build makes the program of the image.
func build(ctx context.Context, arch string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "losstest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "prog")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "github.com/cuepod/cuepod/internal/losstest/prog")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the program of the image: %w\n%s", err, text)
	}
	return os.ReadFile(out)
}

// run does everything once the engine is there.
func run(ctx context.Context, eng engine.Engine, agent runner.AgentImage, program []byte, cfg config) (result *table, err error) {
	b, err := newBench(ctx, eng, agent, program, cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := b.close(); err == nil {
			err = closeErr
		}
	}()
	t := newTable()
	if err := b.roll(ctx, t); err != nil {
		return t, err
	}
	return t, b.swaps(ctx, t)
}
