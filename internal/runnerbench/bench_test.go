package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/testtool"
)

// TestRun_MeasuresAndLeavesNothing runs the smallest comparison whole.
func TestRun_MeasuresAndLeavesNothing(t *testing.T) {
	testtool.Docker(t, os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1")
	tool := testtool.Cuepod(t)
	var table strings.Builder
	if err := run(t.Context(), &table, tool, 1, "2"); err != nil {
		t.Fatal(err)
	}
	row := strings.TrimPrefix(table.String(), header)
	if !regexp.MustCompile(`^\| 2 \|( \d+\.\d+( s| MiB)? \|){10}\n$`).MatchString(row) {
		t.Errorf("table has the row %q, want the number of pods and ten figures", row)
	}
	for what, args := range map[string][]string{
		"containers": {"ps", "--all", "--quiet", "--filter", "ancestor=" + image},
		"networks":   {"network", "ls", "--quiet", "--filter", "name=" + app},
		"images":     {"images", "--quiet", image},
	} {
		out, err := docker(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		if out != "" {
			t.Errorf("%s are left: %s", what, out)
		}
	}
}

func TestParseSizes(t *testing.T) {
	if got, err := parseSizes("1,50"); err != nil || len(got) != 2 || got[1] != 50 {
		t.Errorf("parseSizes(1,50) = %v, %v", got, err)
	}
	for _, bad := range []string{"", "0", "-1", "many", "1,,2"} {
		if _, err := parseSizes(bad); err == nil {
			t.Errorf("parseSizes(%q) finds nothing wrong", bad)
		}
	}
}

func TestRow_RatiosAreMediansOfPairs(t *testing.T) {
	s := func(start, bare time.Duration) sample {
		return sample{start: start, bareStart: bare, stop: 1, bareStop: 1, adopt: start, supervisor: 3 << 20, agents: 4 << 20}
	}
	r := row{pods: 2, samples: []sample{s(2*time.Second, time.Second), s(9*time.Second, 3*time.Second), s(40*time.Second, 4*time.Second)}}
	const want = "| 2 | 9.0 s | 3.0 s | 3.00 | 0.0 s | 0.0 s | 1.00 | 9.0 s | 1.00 | 3.0 MiB | 2.0 MiB |"
	if got := r.markdown(); got != want {
		t.Errorf("markdown() = %s\nwant         %s", got, want)
	}
}
