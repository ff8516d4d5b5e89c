package suite

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/testtool"
)

// The tests run where CUEPOD_REQUIRE_ENGINE=1, or where an engine answers.
// CUEPOD_CONFORMANCE chooses cases by a regular expression,
// CUEPOD_CONFORMANCE_PENDING=1 runs those that are pending in place of the
// others, CUEPOD_CONFORMANCE_REPEAT is how many pods of each timeline there
// are, CUEPOD_CONFORMANCE_REPORT is a file for the table of results.
const batchSize = 26 // cases of one pod, mostly

func repeats(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CUEPOD_CONFORMANCE_REPEAT")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CUEPOD_CONFORMANCE_REPEAT=%s is no number of repeats", text)
	}
	return n
}

// chosen are the cases to run: what is pending is told and left out, or run in
// place of the others.
func chosen(t *testing.T) []Case {
	t.Helper()
	match, err := regexp.Compile(os.Getenv("CUEPOD_CONFORMANCE"))
	if err != nil {
		t.Fatal(err)
	}
	pending := os.Getenv("CUEPOD_CONFORMANCE_PENDING") == "1"
	var out []Case
	for _, c := range Cases() {
		switch {
		case !match.MatchString(c.Name):
		case (c.Pending != "") == pending:
			out = append(out, c)
		case c.Pending != "":
			t.Logf("pending: %s: %s", c.Name, c.Pending)
		}
	}
	return out
}

// TestConformance runs all cases on an engine, some app's full at a time.
func TestConformance(t *testing.T) {
	if err := validate(Cases()); err != nil {
		t.Fatal(err)
	}
	testtool.Docker(t, os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1")
	cases := chosen(t)
	tool, repeat := testtool.Cuepod(t), repeats(t)
	if err := makeImages(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	var results []Result
	for n, batch := range batches(cases, repeat, batchSize) {
		got := runBatch(t, tool, fmt.Sprintf("conformance-%d", n+1), repeat, batch)
		results = append(results, got...)
	}
	text := Report(results)
	if path := os.Getenv("CUEPOD_CONFORMANCE_REPORT"); path != "" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("\n%s", text)
	// What failed comes last, where the end of a long output shows it.
	for _, r := range results {
		if r.Wrong != "" {
			t.Errorf("case %s: %s", r.Case.Name, r.Wrong)
		}
	}
}

// runBatch runs one app, looks at all its cases at once, and ends it.
func runBatch(t *testing.T, tool, app string, repeat int, cases []Case) []Result {
	t.Helper()
	begin := time.Now()
	w, err := newWorld(tool, t.TempDir(), app, repeat, cases)
	if err != nil {
		t.Fatal(err)
	}
	wait, err := w.up(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.down(); err != nil {
			t.Error(err)
		}
	}()
	results := make([]Result, len(cases))
	runs := make([]*Run, len(cases))
	var wg sync.WaitGroup
	for i, c := range cases {
		runs[i] = &Run{Case: c, world: w}
		results[i].Case = c
		if c.Check != nil {
			wg.Go(func() { results[i].Wrong = look(runs[i], c.Check) })
		}
	}
	wg.Wait()
	looked := time.Since(begin)
	if err := w.down(); err != nil {
		t.Error(err)
	}
	wait()
	for i, c := range cases {
		if c.Ended != nil && results[i].Wrong == "" {
			results[i].Wrong = look(runs[i], c.Ended)
		}
	}
	t.Logf("%s: %d cases, looked at after %.0f s, down after %.0f s", app, len(cases), looked.Seconds(), time.Since(begin).Seconds())
	for _, r := range results {
		if r.Wrong != "" {
			t.Logf("%s: %s\ncuepod up said:\n%s", r.Case.Name, r.Wrong, w.said(r.Case.Name))
		}
	}
	return results
}

// TestRows holds the rows that cases name against Kubernetes' list of
// conformance tests, where that is at hand.
func TestRows(t *testing.T) {
	const list = "../../../../shared/conformance.tsv"
	text, err := os.ReadFile(list)
	if err != nil {
		t.Skipf("the list of Kubernetes' conformance tests is not here: %v", err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		known[f[1]+": "+f[2]] = f[0]
	}
	ported := Rows(Cases())
	for row, name := range ported {
		if class := known[row]; class != "A" && class != "B" {
			t.Errorf("case %s: Kubernetes has no conformance test %q of class A or B", name, row)
		}
	}
	left := NotPorted()
	for row, class := range known {
		file, _, _ := strings.Cut(row, ":")
		_, isPorted := ported[row]
		reason := left[row] + left[file]
		switch {
		case class != "A" && class != "B":
		case isPorted && left[row] != "": // a file may be ported in part
			t.Errorf("%s is ported, and not ported: %s", row, left[row])
		case !isPorted && reason == "":
			t.Errorf("%s is not ported, and nothing says why", row)
		}
	}
}

func TestParseEvent(t *testing.T) {
	for line, want := range map[string]Event{
		"main start 12":   {"main", "start", 12},
		"a b c 3":         {"a", "b c", 3},
		" probed 1":       {"", "probed", 1},
		"main start":      {},
		"nothing":         {},
		"main start 12.5": {},
	} {
		if got, ok := parseEvent(line); ok != (want.At != 0) || ok && got != want {
			t.Errorf("%q: got %+v %t", line, got, ok)
		}
	}
}
