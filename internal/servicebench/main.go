// Command servicebench compares connections through a service with direct ones,
// from one pod to another, for each way that services can take and for what
// people have in their place: the engine's published port, haproxy and nginx. It
// prints a Markdown table of ratios:
//
//	go run ./internal/servicebench [-cuepod bin/cuepod] [-rounds 60]
//
// Both are measured in one process that takes short slices of them in turns, so
// that what else the machine does meets both; a ratio is the median of the pairs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	app   = "servicebench"
	image = "cuepod-servicebench:latest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	tool := flag.String("cuepod", "bin/cuepod", "the `binary` to measure, with the agents inside")
	rounds := flag.Int("rounds", 60, "pairs of slices for each row")
	flag.Parse()
	if err := run(ctx, os.Stdout, *tool, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "servicebench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, tool string, rounds int) (err error) {
	if tool, err = filepath.Abs(tool); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", app)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{tool: tool, dir: dir, rounds: rounds, out: w}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer func() {
		clean := context.WithoutCancel(ctx)
		_, rm := b.command(clean, "docker", "rm", "--force", published)
		_, down := b.command(clean, tool, "down", "--now", "--volumes")
		_, rmi := b.command(clean, "docker", "rmi", image)
		err = errors.Join(err, rm, down, rmi)
	}()
	fmt.Fprint(w, "| way | what | rate | latency, median | latency, p99 | CPU per request |\n|---|---|---|---|---|---|\n")
	for _, mode := range []string{"nftables", "userspace"} {
		if _, err := b.command(ctx, tool, "up", "--once", "--offline", "--proxy-mode", mode); err != nil {
			return err
		}
		st, err := b.status(ctx)
		if err != nil {
			return err
		}
		if err := b.compare(ctx, "ours, "+mode, st.pod("server-0"), st.service("server")); err != nil {
			return err
		}
	}
	return b.others(ctx)
}

// others measures what people have in place of services: the engine's published
// port, and proxies in pods of their own.
func (b *bench) others(ctx context.Context) error {
	st, err := b.status(ctx)
	if err != nil {
		return err
	}
	gateway, err := b.publish(ctx)
	if err != nil {
		return err
	}
	for _, other := range []struct{ name, way string }{
		{"the engine's published port", gateway + " 18080 18081 18080"},
		{"haproxy", st.pod("haproxy-0") + " 8080 8081 0"}, // it has no UDP
		{"nginx", st.pod("nginx-0") + " 8080 8081 8080"},
	} {
		if err := b.compare(ctx, other.name, st.pod("server-0"), other.way); err != nil {
			return err
		}
	}
	return nil
}

// published is a plain container on the app's network whose ports the engine
// publishes.
const published = app + "-published"

// publish starts it and returns the address at which pods find its ports.
func (b *bench) publish(ctx context.Context) (gateway string, err error) {
	network, err := b.command(ctx, "docker", "network", "ls", "--quiet", "--filter", "label=dev.cuepod.app="+app)
	if err != nil {
		return "", err
	}
	network = strings.TrimSpace(network)
	gateway, err = b.command(ctx, "docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)
	if err != nil {
		return "", err
	}
	gateway = strings.TrimSpace(gateway)
	_, err = b.command(ctx, "docker", "run", "--detach", "--name", published, "--network", network,
		"--publish", gateway+":18080:8080", "--publish", gateway+":18080:8080/udp", "--publish", gateway+":18081:8081", image, "serve")
	return gateway, err
}

// compare prints the rows of one way, each with its ratios to the direct one.
func (b *bench) compare(ctx context.Context, name, direct, way string) error {
	out, err := b.inClient(ctx, "measure", "-rounds", strconv.Itoa(b.rounds), direct, way)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		kind, ratios, _ := strings.Cut(strings.TrimSpace(line), "\t")
		cpu, err := b.cpuRatio(ctx, kind, direct, way)
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "| %s | %s | %s | %s |\n", name, kind, strings.ReplaceAll(ratios, "\t", " | "), cpu)
	}
	return nil
}

func (b *bench) inClient(ctx context.Context, args ...string) (string, error) {
	return b.command(ctx, b.tool, append([]string{"exec", "client-0", "--", "/peer"}, args...)...)
}

// bench is one run: the app of this binary in a directory of its own.
type bench struct {
	tool, dir string
	rounds    int
	out       io.Writer
}

// status is what is read of cuepod's own.
type status struct {
	Pods     []struct{ Name, IP string }
	Services []struct{ Name, VIP string }
}

func (s status) pod(name string) string {
	for _, p := range s.Pods {
		if p.Name == name {
			return p.IP
		}
	}
	return ""
}

func (s status) service(name string) string {
	for _, v := range s.Services {
		if v.Name == name {
			return v.VIP
		}
	}
	return ""
}

func (b *bench) status(ctx context.Context) (status, error) {
	var st status
	out, err := b.command(ctx, b.tool, "ps", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	return st, err
}

// prepare makes the image and the definition.
func (b *bench) prepare(ctx context.Context) error {
	dir := b.dir
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "peer"), "github.com/cuepod/cuepod/internal/servicebench/peer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the peer: %w\n%s", err, out)
	}
	layer, err := exec.CommandContext(ctx, "tar", "-C", dir, "-c", "peer").Output()
	if err != nil {
		return fmt.Errorf("pack the peer: %w", err)
	}
	load := exec.CommandContext(ctx, "docker", "import", "--change", `ENTRYPOINT ["/peer"]`, "-", image)
	load.Stdin = bytes.NewReader(layer)
	if out, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("import %s: %w\n%s", image, err, out)
	}
	return errors.Join(
		os.MkdirAll(filepath.Join(dir, "cue.mod"), 0o755),
		os.WriteFile(filepath.Join(dir, "cue.mod", "module.cue"), []byte("module: \"bench.example@v0\"\nlanguage: version: \"v0.17.0\"\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "app.cue"), []byte(strings.NewReplacer("@APP@", app, "@IMAGE@", image).Replace(definition)), 0o644))
}

// command runs one in the definition's directory to its end and returns what it
// printed; what it says of errors is part of the error.
func (b *bench) command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}
