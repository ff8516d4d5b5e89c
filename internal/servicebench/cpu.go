package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// What a request costs is what the control groups of the app's containers, the
// plain one's and the engine's proxies have used while many were made. Starting
// the process that makes them is in it, in both ways.
const (
	cpuRounds   = 3
	cpuRequests = 5000
	cpuFew      = 500 // of those of a megabyte, and of new connections, whose ports are not free again at once
)

// cpuRatio is what a request costs on a way, to what it costs on the direct one:
// the median of some pairs. "-" where the containers' accounts are not to be read,
// as with an engine elsewhere.
func (b *bench) cpuRatio(ctx context.Context, kind, direct, way string) (string, error) {
	count := cpuRequests
	if strings.HasPrefix(kind, "1 MiB") || strings.HasSuffix(kind, "new connection") {
		count = cpuFew
	}
	cost := func(way string) (float64, error) {
		before, err := b.used(ctx)
		if err != nil {
			return 0, err
		}
		if _, err := b.inClient(ctx, "ask", "-kind", kind, "-count", strconv.Itoa(count), way); err != nil {
			return 0, err
		}
		after, err := b.used(ctx)
		return after - before, err
	}
	var ratios []float64
	for range cpuRounds {
		one, err := cost(direct)
		if errors.Is(err, os.ErrNotExist) {
			return "-", nil
		}
		other, err2 := cost(way)
		if err := errors.Join(err, err2); err != nil {
			return "", err
		}
		ratios = append(ratios, other/one)
	}
	slices.Sort(ratios)
	return fmt.Sprintf("%.2f", ratios[len(ratios)/2]), nil
}

// used is the processor's time that all concerned have used so far, in seconds.
func (b *bench) used(ctx context.Context) (float64, error) {
	out, err := b.command(ctx, "docker", "ps", "--quiet", "--filter", "label=dev.cuepod.app="+app)
	if err != nil {
		return 0, err
	}
	more, err := b.command(ctx, "docker", "ps", "--quiet", "--filter", "name=^"+published+"$")
	if err != nil {
		return 0, err
	}
	pids, err := b.command(ctx, "docker", append([]string{"inspect", "--format", "{{.State.Pid}}"}, strings.Fields(out+more)...)...)
	if err != nil {
		return 0, err
	}
	sum, err := proxies()
	if err != nil {
		return 0, err
	}
	for _, pid := range strings.Fields(pids) {
		s, err := account(pid)
		if err != nil {
			return 0, err
		}
		sum += s
	}
	return sum, nil
}

// account reads the account of a process's control group, of either version.
func account(pid string) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) != 3:
		case slices.Contains(strings.Split(f[1], ","), "cpuacct"):
			text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup/cpuacct", f[2], "cpuacct.usage"))
			if err != nil {
				return 0, err
			}
			ns, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
			return ns / 1e9, err
		case f[0] == "0" && f[1] == "":
			text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", f[2], "cpu.stat"))
			if err != nil {
				continue // version 1 has such a line too
			}
			var us float64
			_, err = fmt.Sscanf(string(text), "usage_usec %g", &us)
			return us / 1e6, err
		}
	}
	return 0, fmt.Errorf("control group of process %s: %w", pid, os.ErrNotExist)
}

// proxies is what the engine's own proxies of published ports have used. The
// kernel counts it in hundredths of a second.
func proxies() (float64, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, ok := strings.Cut(string(text), "(docker-proxy) ")
		if f := strings.Fields(rest); ok && len(f) > 12 {
			for _, ticks := range f[11:13] { // utime, stime
				n, err := strconv.ParseFloat(ticks, 64)
				if err != nil {
					return 0, fmt.Errorf("%s: %w", name, err)
				}
				sum += n / 100
			}
		}
	}
	return sum, nil
}
