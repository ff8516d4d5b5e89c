// Faultsweep kills cuepod before and after each of its changing requests to the
// engine, and lets the engine's answers go wrong one by one; after each fault it
// holds the app against the invariants of a run:
//
//	I1  nothing of the app is on the engine that should not be
//	I2  the next up converges by itself, and restarts nothing that was well
//	I3  what is there is what is defined: the plan is empty
//	I4  success was told only where it was
//	I5  a failure names the object, the cause and the next step
//
// It prints a table and exits with 1 when an invariant was broken.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"

	"github.com/cuepod/cuepod/internal/sockfault"
)

// config is what to sweep.
type config struct {
	tool    string
	shapes  []string
	sample  int // points of each verb and side, and answers of each endpoint; 0 is all
	seed    uint64
	only    *regexp.Regexp // of the names of points and cases
	kills   bool
	faults  bool
	hands   bool
	outages bool
}

func main() {
	var cfg config
	shapes := flag.String("shapes", strings.Join(shapeNames(), ","), "the `apps` to sweep")
	flag.StringVar(&cfg.tool, "cuepod", "", "the `path` of the cuepod to test; it is built when this is empty")
	flag.IntVar(&cfg.sample, "sample", 0, "so many points of each kind, in place of all")
	flag.Uint64Var(&cfg.seed, "seed", 1, "what chooses the sample")
	only := flag.String("only", "", "a regular `expression`: only points and cases whose names match, such as ^pod/up/kill-after/7$")
	flag.BoolVar(&cfg.kills, "kills", true, "kill cuepod")
	flag.BoolVar(&cfg.faults, "faults", true, "break the engine's answers")
	flag.BoolVar(&cfg.hands, "hands", true, "do to a running app what somebody may do by hand")
	flag.BoolVar(&cfg.outages, "outages", true, "restart, kill, pause and fill private engines")
	flag.Parse()
	cfg.shapes = strings.Split(*shapes, ",")
	var err error
	if cfg.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(os.Stderr, "faultsweep:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := sweep(ctx, cfg, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "faultsweep:", err)
		stop()
		os.Exit(1)
	}
}

// sweep runs everything and prints the table.
func sweep(ctx context.Context, cfg config, out io.Writer) error {
	dir, err := os.MkdirTemp("", "faultsweep-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(ctx, cfg.tool, dir, "")
	if err != nil {
		return err
	}
	cfg.tool = b.tool
	began := time.Now()
	t := newTable(out)
	for _, shape := range cfg.shapes {
		if err := b.sweepShape(ctx, cfg, shape, t); err != nil {
			return errors.Join(err, b.close())
		}
	}
	if cfg.outages {
		err := sweepOutages(ctx, cfg, t)
		if errors.Is(err, errNoDaemon) {
			t.say("outages are left out: %v", err)
		} else if err != nil {
			return errors.Join(err, b.close())
		}
	}
	t.print()
	fmt.Fprintf(out, "seed %d, %s\n", cfg.seed, time.Since(began).Round(time.Second))
	return errors.Join(t.verdict(), b.close())
}

// handsEach is how many hands a sample of one takes: there is one app for them.
const handsEach = 3

func (b *bench) sweepShape(ctx context.Context, cfg config, shape string, t *table) error {
	a, err := b.newApp(ctx, shape)
	if err != nil {
		return err
	}
	ref, err := b.measure(ctx, a)
	if err != nil {
		return fmt.Errorf("shape %s, undisturbed: %w", shape, err)
	}
	t.say("%s: %d requests of up, %d of a reload, %d of down", shape, ref.points[up], ref.points[reload], ref.points[down])
	if cfg.kills {
		for _, v := range verbs() {
			for _, side := range []sockfault.Action{sockfault.KillBefore, sockfault.KillAfter} {
				for _, p := range points(shape, v, side, ref.points[v], cfg.sample, cfg.seed) {
					if ctx.Err() == nil && cfg.only.MatchString(p.String()) {
						t.add(b.kill(ctx, a, ref, p))
					}
				}
			}
		}
	}
	if cfg.hands && shape == "services" {
		for i, h := range hands() {
			if ctx.Err() == nil && cfg.only.MatchString("hand/"+h.name) && (cfg.sample == 0 || (i+int(cfg.seed))%len(hands()) < cfg.sample*handsEach) {
				t.add(b.lend(ctx, a, ref, h))
			}
		}
	}
	if !cfg.faults {
		return ctx.Err()
	}
	cases, err := b.broken(ctx, a)
	if err != nil {
		return err
	}
	for i, f := range cases {
		// Each sample takes another fault of each endpoint.
		chosen := cfg.sample == 0 || (i*7+int(cfg.seed))%len(cases) < cfg.sample
		if ctx.Err() == nil && chosen && cfg.only.MatchString(f.String()) {
			t.add(b.breakAnswer(ctx, a, ref, f))
		}
	}
	return ctx.Err()
}

// join is errors.Join, with nil for nothing.
func join(errs ...error) error { return errors.Join(errs...) }
