package reconcile

import (
	"slices"
	"testing"
	"time"
)

// conformance:S21 S22 S26
func TestBackoff_Delays(t *testing.T) {
	for kind, want := range map[Backoff][]int{
		"":                {0, 1, 2, 4, 8, 16, 32, 60, 60},
		FastBackoff:       {0, 1, 2, 4, 8, 16, 32, 60, 60},
		KubernetesBackoff: {0, 10, 20, 40, 80, 160, 300, 300},
	} {
		var got []int
		c := &Container{Finished: now, Started: now.Add(-time.Second)}
		for range want {
			at, next := kind.Due(c)
			got = append(got, int(at.Sub(now).Seconds()))
			c.Backoff = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q waits %v, want %v", kind, got, want)
		}
		if d := kind.Delay(1 << 40); d != time.Duration(want[len(want)-1])*time.Second {
			t.Errorf("%q: the delay grew to %v", kind, d)
		}
	}
}

// The delay counts from the exit, and a container that ran for long enough
// begins anew, in either mode.
//
// conformance:S22 S23 S25
func TestBackoff_CountsFromTheExitAndIsForgiven(t *testing.T) {
	for _, kind := range []Backoff{FastBackoff, KubernetesBackoff} {
		for _, tt := range []struct {
			name string
			ran  time.Duration
			code int
			next int
		}{
			{"ten minutes and more are forgiven", 10*time.Minute + 1, 1, 1},
			{"ten are not", 10 * time.Minute, 1, 6},
			{"nor does it help to exit with 0", time.Minute, 0, 6},
		} {
			c := &Container{State: Exited, ExitCode: tt.code, Started: now, Finished: now.Add(tt.ran), Backoff: 5}
			at, next := kind.Due(c)
			if want := c.Finished.Add(kind.Delay(tt.next - 1)); !at.Equal(want) || next != tt.next {
				t.Errorf("%s: %s: at %v, count %d; want %v, %d", kind, tt.name, at, next, want, tt.next)
			}
		}
	}
}

// What could not be started ended when it was made.
func TestBackoff_OfWhatCouldNotBeStarted(t *testing.T) {
	c := &Container{State: Created, Created: now, Error: "no such file", Backoff: 3}
	if at, next := FastBackoff.Due(c); !at.Equal(now.Add(4*time.Second)) || next != 4 {
		t.Errorf("at %v, count %d", at, next)
	}
}

// Other delays are followed at once, and recorded for ps and the next run.
//
// conformance:S24 S26
func TestDiff_OtherBackoffIsRecordedAndFollowed(t *testing.T) {
	w := runningShop(t)
	c := w.find("shop_web-0_app")
	c.State, c.ExitCode, c.Backoff, c.Started, c.Finished = Exited, 1, 2, now.Add(-time.Minute), now.Add(-5*time.Second)
	d := shopState()
	d.Backoff = KubernetesBackoff
	p := Diff(d, w.Observed, now)
	if len(p.Steps) != 1 || p.Steps[0].Op != WriteRecord || len(p.Waits) != 1 || !p.Waits[0].Until.Equal(c.Finished.Add(20*time.Second)) {
		t.Errorf("plan:\n%s", p)
	}
	d.State.Pod("web-0").Container("app").Hash = "another"
	for _, s := range Diff(d, w.Observed, now).Steps {
		if s.Op == CreateContainer && s.Pod == "web-0" && (s.Restarts != 0 || s.Backoff != 0) {
			t.Errorf("a changed container starts with restarts %d, back-off %d", s.Restarts, s.Backoff)
		}
	}
}
