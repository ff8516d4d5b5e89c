package main

import (
	"fmt"
	"slices"
	"time"
)

const header = `| pods | start, ready | docker run | ratio | stop | docker stop, rm | ratio | adoption | of the start | supervisor | each agent |
|---|---|---|---|---|---|---|---|---|---|---|
`

// row is what was measured of one size.
type row struct {
	pods    int
	samples []sample
}

func (r row) markdown() string {
	seconds := func(f func(sample) time.Duration) string {
		return fmt.Sprintf("%.1f s", r.median(func(s sample) float64 { return f(s).Seconds() }))
	}
	ratio := func(of, to func(sample) time.Duration) string {
		return fmt.Sprintf("%.2f", r.median(func(s sample) float64 { return of(s).Seconds() / to(s).Seconds() }))
	}
	start := func(s sample) time.Duration { return s.start }
	bareStart := func(s sample) time.Duration { return s.bareStart }
	stop := func(s sample) time.Duration { return s.stop }
	bareStop := func(s sample) time.Duration { return s.bareStop }
	adopt := func(s sample) time.Duration { return s.adopt }
	return fmt.Sprintf("| %d | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |", r.pods,
		seconds(start), seconds(bareStart), ratio(start, bareStart),
		seconds(stop), seconds(bareStop), ratio(stop, bareStop),
		seconds(adopt), ratio(adopt, start),
		mebibytes(r.median(func(s sample) float64 { return float64(s.supervisor) })),
		mebibytes(r.median(func(s sample) float64 { return float64(s.agents) / float64(r.pods) })))
}

func mebibytes(n float64) string { return fmt.Sprintf("%.1f MiB", n/(1<<20)) }

// median of a figure of the samples, of which there is at least one.
func (r row) median(f func(sample) float64) float64 {
	list := make([]float64, len(r.samples))
	for i, s := range r.samples {
		list[i] = f(s)
	}
	slices.Sort(list)
	middle := len(list) / 2
	if len(list)%2 == 1 {
		return list[middle]
	}
	return (list[middle-1] + list[middle]) / 2
}
