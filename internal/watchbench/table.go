package main

import (
	"fmt"
	"slices"
	"time"
)

const header = `| edit | cuepod | docker compose | podman kube play | compose : cuepod | podman : cuepod | the engine's calls | cuepod without them |
|---|---|---|---|---|---|---|---|
`

// row is what was measured of one kind of edit.
type row struct {
	title string
	took  map[string][]time.Duration // by tool, one of each round; none where it cannot
	calls []time.Duration            // of the engine, none where it has nothing to do
}

func (r row) markdown() string {
	ours := r.took["cuepod"]
	var rest []time.Duration
	for i := range min(len(ours), len(r.calls)) {
		rest = append(rest, ours[i]-r.calls[i])
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s |", r.title,
		milliseconds(ours), milliseconds(r.took["compose"]), milliseconds(r.took["podman"]),
		ratio(r.took["compose"], ours), ratio(r.took["podman"], ours), milliseconds(r.calls), milliseconds(rest))
}

func milliseconds(list []time.Duration) string {
	if len(list) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f ms", median(list).Seconds()*1000)
}

// ratio is the median of the pairs' ratios.
func ratio(of, to []time.Duration) string {
	if len(of) == 0 || len(of) != len(to) {
		return "-"
	}
	list := make([]float64, len(of))
	for i := range of {
		list[i] = of[i].Seconds() / to[i].Seconds()
	}
	return fmt.Sprintf("%.1f", median(list))
}

// median of a list that is not empty; the upper one of two.
func median[T time.Duration | float64](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
