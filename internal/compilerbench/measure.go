package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sample is what one process and its children cost.
type sample struct {
	cpu  time.Duration // user and system
	peak int64         // bytes resident, of the largest
}

// once runs a command to its end. Its output goes through a pipe, as to kubectl.
func (t tools) once(ctx context.Context, command []string) ([]byte, sample, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = t.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, sample{}, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, stderr.String())
	}
	state := cmd.ProcessState
	usage := state.SysUsage().(*syscall.Rusage)
	return stdout.Bytes(), sample{state.UserTime() + state.SystemTime(), usage.Maxrss << 10}, nil
}

func each(list []sample, f func(sample) float64) []float64 {
	var out []float64
	for _, s := range list {
		out = append(out, f(s))
	}
	return out
}

// ratios divides pairs.
func ratios(a, b []float64) []float64 {
	var out []float64
	for i := range a {
		out = append(out, a[i]/b[i])
	}
	return out
}

// median of a list that is not empty.
func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	middle := len(list) / 2
	if len(list)%2 == 1 {
		return list[middle]
	}
	return (list[middle-1] + list[middle]) / 2
}
