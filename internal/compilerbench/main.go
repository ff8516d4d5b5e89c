// Command compilerbench compares cuepod compile with helm template on one app,
// as whole processes, and prints a Markdown table:
//
//	go run . [-runs 5] [-n 1,10,100,1000]
//
// The app is n microservices, each a Deployment of two containers, a Service
// and a ConfigMap. Before anything is measured, both have to make the same
// objects of it. The two run in turn, so that what else the machine does meets
// both, and the ratio is the median of the pairs' ratios.
//
// It is a module of its own: Helm, which it builds, stays out of the main one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	runs := flag.Int("runs", 5, "how often each is measured")
	sizes := flag.String("n", "1,10,100,1000", "numbers of microservices")
	flag.Parse()
	if err := run(ctx, os.Stdout, *runs, *sizes); err != nil {
		fmt.Fprintln(os.Stderr, "compilerbench:", err)
		os.Exit(1)
	}
}

// checkSize is the number of microservices whose objects are compared.
const checkSize = 7

func run(ctx context.Context, w io.Writer, runs int, sizes string) error {
	list, err := parseSizes(sizes)
	if err != nil || runs < 1 {
		return errors.Join(err, fmt.Errorf("%d runs", runs))
	}
	work, err := os.MkdirTemp("", "compilerbench")
	if err != nil {
		return err
	}
	defer removeAll(work)
	tools, err := buildTools(ctx, work)
	if err != nil {
		return err
	}
	if err := tools.compare(ctx, filepath.Join(work, "same")); err != nil {
		return err
	}
	fmt.Fprint(w, header)
	var before row
	for _, n := range list {
		r, err := tools.measure(ctx, filepath.Join(work, strconv.Itoa(n)), n, runs)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, r.markdown(before))
		before = r
	}
	return nil
}

func parseSizes(text string) ([]int, error) {
	var list []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-n %s: %q is no number of microservices", text, field)
		}
		list = append(list, n)
	}
	return list, nil
}

// tools are the commands that are compared.
type tools struct {
	cuepod, helm string
	env          []string
}

// buildTools builds both, Helm once for all: Go caches it.
func buildTools(ctx context.Context, work string) (tools, error) {
	t := tools{cuepod: filepath.Join(work, "cuepod")}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", t.cuepod, "./cmd/cuepod")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return t, fmt.Errorf("build cuepod: %w", err)
	}
	which := exec.CommandContext(ctx, "go", "tool", "-n", "helm") // builds it, and says where it is
	which.Stderr = os.Stderr
	path, err := which.Output()
	if err != nil {
		return t, fmt.Errorf("build helm: %w", err)
	}
	t.helm = strings.TrimSpace(string(path))
	home := filepath.Join(work, "home")
	t.env = []string{"HOME=" + home, "CUE_CACHE_DIR=" + filepath.Join(home, "cue")}
	return t, os.MkdirAll(home, 0o700)
}

// removeAll removes a directory although CUE's cache is read-only. What stays
// is in the directory for temporary files.
func removeAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	_ = os.RemoveAll(dir)
}

// commands are the command lines for the app in dir.
func (t tools) commands(dir string) (cuepod, apart, helm []string) {
	cuepod = []string{t.cuepod, "compile", "--target", "kubernetes", filepath.Join(dir, "cuepod")}
	apart = append(cuepod[:len(cuepod):len(cuepod)], "--sandbox")
	helm = []string{t.helm, "template", appName, filepath.Join(dir, "helm")}
	return cuepod, apart, helm
}

// compare makes sure that both make the same objects.
func (t tools) compare(ctx context.Context, dir string) error {
	if err := generate(dir, checkSize); err != nil {
		return err
	}
	cuepod, apart, helm := t.commands(dir)
	var objects [3]map[string]any
	for i, command := range [][]string{cuepod, apart, helm} {
		out, _, err := t.once(ctx, command)
		if err != nil {
			return err
		}
		if objects[i], err = readObjects(out); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
		}
	}
	if len(objects[0]) != 3*checkSize {
		return fmt.Errorf("%d objects of %d microservices", len(objects[0]), checkSize)
	}
	return errors.Join(sameObjects(objects[0], objects[1]), sameObjects(objects[0], objects[2]))
}

// measure runs the commands in turn on an app of n microservices.
func (t tools) measure(ctx context.Context, dir string, n, runs int) (row, error) {
	if err := generate(dir, n); err != nil {
		return row{}, err
	}
	cuepod, apart, helm := t.commands(dir)
	var samples [3][]sample
	for i := range runs + 1 {
		for j, command := range [][]string{cuepod, apart, helm} {
			_, s, err := t.once(ctx, command)
			if err != nil {
				return row{}, err
			}
			if i > 0 { // the first fills the page cache
				samples[j] = append(samples[j], s)
			}
		}
	}
	return newRow(n, samples[0], samples[1], samples[2]), nil
}

const header = `| microservices | cuepod, CPU | peak memory | with ` + "`--sandbox`" + `, CPU | helm template, CPU | peak memory | cuepod : helm, CPU | memory | growth |
|---|---|---|---|---|---|---|---|---|
`

// row is one line of the table: medians.
type row struct {
	n                  int
	cpu, apart, helm   float64 // milliseconds
	memory, helmMemory float64 // MiB
	ratio, memoryRatio float64
}

func newRow(n int, cuepod, apart, helm []sample) row {
	cpu := func(s sample) float64 { return s.cpu.Seconds() * 1000 }
	memory := func(s sample) float64 { return float64(s.peak) / (1 << 20) }
	return row{
		n: n, cpu: median(each(cuepod, cpu)), apart: median(each(apart, cpu)), helm: median(each(helm, cpu)),
		memory: median(each(cuepod, memory)), helmMemory: median(each(helm, memory)),
		ratio: median(ratios(each(cuepod, cpu), each(helm, cpu))), memoryRatio: median(ratios(each(cuepod, memory), each(helm, memory))),
	}
}

// markdown is the row as text. Growth is the exponent by which cuepod's CPU
// time grew since the row before: 1 is in step with the app.
func (r row) markdown(before row) string {
	growth := ""
	if before.n > 0 && before.n < r.n {
		growth = fmt.Sprintf("%.2f", math.Log(r.cpu/before.cpu)/math.Log(float64(r.n)/float64(before.n)))
	}
	return fmt.Sprintf("| %d | %.0f ms | %.0f MiB | %.0f ms | %.0f ms | %.0f MiB | %.2f | %.2f | %s |",
		r.n, r.cpu, r.memory, r.apart, r.helm, r.helmMemory, r.ratio, r.memoryRatio, growth)
}
