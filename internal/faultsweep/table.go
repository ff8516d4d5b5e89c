package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table counts outcomes by what was swept. It tells failures at once, and how a
// row came out when the next begins.
type table struct {
	out   io.Writer
	order []string
	rows  map[string]*row
	open  bool // the last row was not told yet
}

type row struct {
	total, met, failed, worst int
}

func newTable(out io.Writer) *table { return &table{out: out, rows: map[string]*row{}} }

// name is how a person finds it again.
func (o outcome) name() string {
	if o.label != "" {
		return o.label
	}
	return o.point.String()
}

func (t *table) add(o outcome) {
	key := fmt.Sprintf("%s\t%s\t%s", o.shape, o.verb, o.side)
	r := t.rows[key]
	if r == nil {
		t.endRow()
		r = &row{}
		t.rows[key], t.order, t.open = r, append(t.order, key), true
	}
	r.total++
	if o.met {
		r.met++
	}
	if o.err != nil {
		r.failed++
		fmt.Fprintf(t.out, "FAILED %s: %v\n", o.name(), o.err)
	}
	r.worst = max(r.worst, o.calls)
}

// say tells something between two rows.
func (t *table) say(format string, args ...any) {
	t.endRow()
	fmt.Fprintf(t.out, format+"\n", args...)
}

func (t *table) endRow() {
	if !t.open {
		return
	}
	t.open = false
	key := t.order[len(t.order)-1]
	fmt.Fprintf(t.out, "%s: %d points, %d failed\n", strings.ReplaceAll(key, "\t", " "), t.rows[key].total, t.rows[key].failed)
}

func (t *table) print() {
	t.endRow()
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "APP\tWHAT\tFAULT\tPOINTS\tMET\tFAILED\tMOST CALLS TO RECOVER")
	for _, key := range t.order {
		r := t.rows[key]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", key, r.total, r.met, r.failed, r.worst)
	}
	_ = w.Flush() // the table is for people
}

// verdict is an error when anything failed.
func (t *table) verdict() error {
	failed := 0
	for _, r := range t.rows {
		failed += r.failed
	}
	if failed > 0 {
		return fmt.Errorf("%d points broke an invariant", failed)
	}
	return nil
}
