// Command runnerbench compares what cuepod up costs with docker run of the same
// containers, on the engine that docker talks to, and prints a Markdown table:
//
//	go run ./internal/runnerbench [-cuepod bin/cuepod] [-runs 3] [-n 1,10,50]
//
// Each run starts n pods with cuepod, takes them over with another supervisor,
// and ends them; then it starts and ends n plain containers, as many at a time.
// The two take turns, so that what else the machine does meets both, and each
// ratio is the median of the pairs' ratios. It needs Linux, and rights to look
// at the processes of the engine's containers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	tool := flag.String("cuepod", "bin/cuepod", "the `binary` to measure, with the agents inside")
	runs := flag.Int("runs", 3, "how often each size is measured")
	sizes := flag.String("n", "1,10,50", "numbers of pods")
	flag.Parse()
	if err := run(ctx, os.Stdout, *tool, *runs, *sizes); err != nil {
		fmt.Fprintln(os.Stderr, "runnerbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, tool string, runs int, sizes string) (err error) {
	list, err := parseSizes(sizes)
	if err != nil || runs < 1 {
		return errors.Join(err, fmt.Errorf("%d runs", runs))
	}
	if tool, err = filepath.Abs(tool); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "runnerbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := bench{tool: tool, dir: filepath.Join(work, "bench")}
	if err := b.prepare(ctx, work); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.clean()) }()
	fmt.Fprint(w, header)
	for _, n := range list {
		r := row{pods: n}
		for range runs {
			s, err := b.measure(ctx, n)
			if err != nil {
				return fmt.Errorf("%d pods: %w", n, err)
			}
			r.samples = append(r.samples, s)
		}
		fmt.Fprintln(w, r.markdown())
	}
	return nil
}

func parseSizes(text string) ([]int, error) {
	var list []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-n %s: %q is no number of pods", text, field)
		}
		list = append(list, n)
	}
	return list, nil
}
