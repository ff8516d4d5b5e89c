package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/internal/losstest/load"
)

// table is what was seen: by change, and by who asked and how.
type table struct {
	order   []string // of changes
	changes map[string]*row
	kinds   seen
	bare    []time.Duration // the engine's kill and start, see twin
}

// row is what the clients saw of all changes of one sort.
type row struct {
	n     int
	seen  load.Count
	waits []time.Duration // the worst of each change
}

func newTable() *table { return &table{changes: map[string]*row{}, kinds: newSeen()} }

// changed notes a change.
func (t *table) changed(name string, s seen) {
	r := t.add(name, s)
	r.n++
	r.waits = append(r.waits, s.total().Worst)
}

// add notes what belongs to no change of its own.
func (t *table) add(name string, s seen) *row {
	if t.changes[name] == nil {
		t.changes[name] = &row{}
		t.order = append(t.order, name)
	}
	r := t.changes[name]
	r.seen = r.seen.Add(s.total())
	t.kinds.add(s)
	return r
}

// done is how many changes there were.
func (t *table) done() (n int) {
	for _, r := range t.changes {
		n += r.n
	}
	return n
}

func (t *table) total() load.Count { return t.kinds.total() }

// verdict is an error when a request failed.
func (t *table) verdict() error {
	if n := t.total(); n.Failed > 0 {
		return fmt.Errorf("%d of %d requests failed: %s", n.Failed, n.Requests, strings.Join(n.Errors, "; "))
	}
	return nil
}

// slow is an error when swaps took more than so many times the engine's own kill
// and start; 0 is never.
func (t *table) slow(most float64) error {
	swaps := t.changes["swap"]
	if most == 0 || swaps == nil || len(t.bare) == 0 {
		return nil
	}
	if got := ratio(median(swaps.waits), median(t.bare)); got > most {
		return fmt.Errorf("swaps took %.2f times the engine's kill and start, want %.2f at most", got, most)
	}
	return nil
}

func (t *table) print(w io.Writer) {
	fmt.Fprint(w, "| change | changes | requests | failed | worst wait | median of the worst |\n|---|---|---|---|---|---|\n")
	for _, name := range t.order {
		r := t.changes[name]
		fmt.Fprintf(w, "| %s | %d | %d | %d | %s | %s |\n", name, r.n, r.seen.Requests, r.seen.Failed, ms(r.seen.Worst), ms(median(r.waits)))
	}
	fmt.Fprint(w, "\n| requests | from a pod | failed | worst wait | from the host | failed | worst wait |\n|---|---|---|---|---|---|---|\n")
	for _, kind := range load.Kinds() {
		fmt.Fprintf(w, "| %s", kind)
		for _, c := range []load.Counts{t.kinds.pod, t.kinds.host} {
			fmt.Fprintf(w, " | %d | %d | %s", c[kind].Requests, c[kind].Failed, ms(c[kind].Worst))
		}
		fmt.Fprintln(w, " |")
	}
	if swaps := t.changes["swap"]; swaps != nil && len(t.bare) > 0 {
		fmt.Fprintf(w, "\nThe engine's kill and start of the container: median %s, worst %s. Waits of a swap compared with it: median %.2f, worst %.2f.\n",
			ms(median(t.bare)), ms(slices.Max(t.bare)), ratio(median(swaps.waits), median(t.bare)), ratio(slices.Max(swaps.waits), slices.Max(t.bare)))
	}
	all := t.total()
	fmt.Fprintf(w, "\n%d of %d requests failed.\n", all.Failed, all.Requests)
	for _, e := range t.total().Errors {
		fmt.Fprintln(w, "failed:", e)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func ratio(a, b time.Duration) float64 { return a.Seconds() / max(b.Seconds(), 1e-9) }

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
