// Command servicebench compares connections through a service with direct ones,
// from one pod to another, for each way that services can take, and prints a
// Markdown table of ratios:
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
	if err := prepare(ctx, dir); err != nil {
		return err
	}
	defer func() {
		clean := context.WithoutCancel(ctx)
		_, down := command(clean, dir, tool, "down", "--now", "--volumes")
		_, rmi := command(clean, dir, "docker", "rmi", image)
		err = errors.Join(err, down, rmi)
	}()
	fmt.Fprint(w, "| way | what | rate | latency, median | latency, p99 |\n|---|---|---|---|---|\n")
	for _, mode := range []string{"nftables", "userspace"} {
		if _, err := command(ctx, dir, tool, "up", "--once", "--offline", "--proxy-mode", mode); err != nil {
			return err
		}
		direct, service, err := addresses(ctx, tool, dir)
		if err != nil {
			return err
		}
		out, err := command(ctx, dir, tool, "exec", "client-0", "--", "/peer", "measure", "-rounds", strconv.Itoa(rounds), direct, service)
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			fmt.Fprintf(w, "| %s | %s |\n", mode, strings.ReplaceAll(strings.TrimSpace(line), "\t", " | "))
		}
	}
	return nil
}

// addresses finds the server's pod and the service before it.
func addresses(ctx context.Context, tool, dir string) (direct, service string, err error) {
	out, err := command(ctx, dir, tool, "ps", "-o", "json")
	if err != nil {
		return "", "", err
	}
	var st struct {
		Pods     []struct{ Name, IP string }
		Services []struct{ Name, VIP string }
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		return "", "", err
	}
	for _, p := range st.Pods {
		if p.Name == "server-0" {
			direct = p.IP
		}
	}
	if direct == "" || len(st.Services) != 1 {
		return "", "", fmt.Errorf("there is no server in %s", out)
	}
	return direct, st.Services[0].VIP, nil
}

// prepare makes the image and the definition.
func prepare(ctx context.Context, dir string) error {
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
	definition := fmt.Sprintf(`package bench

import "cuepod.dev/core"

app: core.#App & {
	name: %q
	pods: server: containers: main: {image: %[2]q, imagePullPolicy: "Never", args: ["serve"], readinessProbe: tcpSocket: port: 8081}
	pods: client: containers: main: {image: %[2]q, imagePullPolicy: "Never", args: ["wait"]}
	services: server: {
		pod: "server"
		ports: tcp: port: 8080
		ports: udp: {port: 8080, protocol: "UDP"}
		ports: http: port: 8081
	}
}
`, app, image)
	return errors.Join(
		os.MkdirAll(filepath.Join(dir, "cue.mod"), 0o755),
		os.WriteFile(filepath.Join(dir, "cue.mod", "module.cue"), []byte("module: \"bench.example@v0\"\nlanguage: version: \"v0.17.0\"\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "app.cue"), []byte(definition), 0o644))
}

// command runs one in a directory to its end and returns what it printed; what it
// says of errors is part of the error.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}
