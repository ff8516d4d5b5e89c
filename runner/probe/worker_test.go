package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// trace feeds a worker outcomes, written s, f and e (an attempt that could not
// be made), and prints the verdict after each: S, F or -, with ! once final.
func trace(p api.Probe, outcomes string) string {
	w := NewWorker(p.Kind)
	var b strings.Builder
	for _, c := range outcomes {
		w = w.Next(p, map[rune]Outcome{'s': {Result: Success}, 'f': {Result: Failure, Message: "boom"}, 'e': {}}[c])
		b.WriteString(map[Result]string{Unknown: "-", Success: "S", Failure: "F"}[w.Verdict])
		if w.Hold {
			b.WriteString("!")
		}
	}
	return b.String()
}

// conformance:S34
func TestWorker_Verdicts(t *testing.T) {
	for _, c := range []struct {
		kind             string
		success, failure int
		outcomes, want   string
	}{
		{api.Readiness, 1, 3, "s", "S"},
		{api.Readiness, 1, 3, "f", "F"},
		{api.Readiness, 1, 3, "sffsfff", "SSSSSSF"},
		{api.Readiness, 2, 1, "ssfss", "FSFFS"},
		{api.Readiness, 2, 1, "sfsfs", "FFFFF"},
		{api.Readiness, 1, 1, "seseefe", "SSSSSFF"},
		{api.Readiness, 1, 3, "sffef", "SSSSF"}, // an attempt that could not be made breaks no run
		{api.Liveness, 1, 3, "f", "S"},
		{api.Liveness, 1, 3, "ffsfff", "SSSSSF!"},
		{api.Liveness, 1, 3, "fffsss", "SSF!F!F!F!"},
		{api.Startup, 1, 3, "ffs", "--S!"},
		{api.Startup, 1, 3, "sfff", "S!S!S!S!"},
		{api.Startup, 1, 3, "fffs", "--F!F!"},
	} {
		p := api.Probe{Kind: c.kind, SuccessThreshold: c.success, FailureThreshold: c.failure}
		if got := trace(p, c.outcomes); got != c.want {
			t.Errorf("%s %d/%d %s: got %s, want %s", c.kind, c.success, c.failure, c.outcomes, got, c.want)
		}
	}
}

func TestWorker_MessageIsTheLastFailure(t *testing.T) {
	p := api.Probe{Kind: api.Readiness, SuccessThreshold: 1, FailureThreshold: 3}
	w := NewWorker(api.Readiness).Next(p, Outcome{Result: Failure, Message: "boom"})
	if w.Message != "readiness probe failed: boom" {
		t.Errorf("got %q", w.Message)
	}
	if w = w.Next(p, Outcome{Result: Success}); w.Message != "" {
		t.Errorf("after a success: %q", w.Message)
	}
}

// FuzzWorker holds the verdict to its meaning: it says success or failure only
// if that many equal outcomes came in a row, last or before a shorter run.
func FuzzWorker(f *testing.F) {
	f.Add("ssfsffs", uint8(2), uint8(3), uint8(0))
	f.Fuzz(func(t *testing.T, outcomes string, success, failure, kind uint8) {
		if success == 0 || failure == 0 {
			return
		}
		p := api.Probe{Kind: []string{api.Readiness, api.Liveness, api.Startup}[kind%3], SuccessThreshold: int(success), FailureThreshold: int(failure)}
		w := NewWorker(p.Kind)
		want, last, run := w.Verdict, Unknown, 0
		for _, c := range outcomes {
			r := Result(c % 3)
			w = w.Next(p, Outcome{Result: r})
			if r == Unknown {
				continue
			}
			if r != last {
				last, run = r, 0
			}
			run++
			final := p.Kind == api.Startup && want != Unknown || p.Kind == api.Liveness && want == Failure
			if !final && (r == Success && run >= int(success) || r == Failure && run >= int(failure)) {
				want = r
			}
			if w.Verdict != want {
				t.Fatalf("%s %d/%d %q: verdict %d, want %d", p.Kind, success, failure, outcomes, w.Verdict, want)
			}
		}
	})
}

func TestWorker_PauseIsShortOnlyWhileAReadinessProbeHasNotSucceeded(t *testing.T) {
	tests := []struct {
		kind    string
		verdict Result
		period  int
		refused bool
		waited  time.Duration
		want    time.Duration
	}{
		{api.Readiness, Failure, 10, false, time.Hour, time.Second},
		{api.Readiness, Success, 10, false, 0, 10 * time.Second},
		{api.Readiness, Failure, 1, false, 0, time.Second},
		{api.Readiness, Failure, 10, true, 0, 10 * time.Millisecond},
		{api.Readiness, Failure, 10, true, 12800 * time.Millisecond, 50 * time.Millisecond},
		{api.Readiness, Failure, 10, true, time.Hour, time.Second},
		{api.Readiness, Success, 10, true, 0, 10 * time.Second}, // it counts up to its threshold at its period
		{api.Liveness, Success, 10, true, 0, 10 * time.Second},
		{api.Liveness, Failure, 10, true, 0, 10 * time.Second},
		{api.Startup, Unknown, 3, true, 0, 3 * time.Second},
		{api.Startup, Unknown, 0, true, 0, time.Second},
	}
	for _, tt := range tests {
		if got := (Worker{Verdict: tt.verdict, refused: tt.refused}).Pause(api.Probe{Kind: tt.kind, Period: tt.period}, tt.waited); got != tt.want {
			t.Errorf("%s, verdict %v, period %d: %v, want %v", tt.kind, tt.verdict, tt.period, got, tt.want)
		}
	}
}
