package probe

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// script is a world of probes: what each kind finds, and when it was asked.
type script struct {
	mu      sync.Mutex
	begin   time.Time
	answers map[string]Outcome // by kind
	asked   map[string][]int   // by kind: seconds since the beginning
}

func newScript() *script {
	return &script{begin: time.Now(), answers: map[string]Outcome{}, asked: map[string][]int{}}
}

func (s *script) do(_ context.Context, _ string, p api.Probe) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[p.Kind] = append(s.asked[p.Kind], int(time.Since(s.begin)/time.Second))
	return s.answers[p.Kind]
}

func (s *script) answer(kind string, o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[kind] = o
}

func (s *script) when(kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.asked[kind])
}

func network(kind string, delay, period, failure int) api.Probe {
	return api.Probe{Kind: kind, TCP: &api.TCPProbe{Port: 1}, InitialDelay: delay, Period: period, Timeout: 1, SuccessThreshold: 1, FailureThreshold: failure}
}

func onePod(id string, probes ...api.Probe) api.Pod {
	return api.Pod{Name: "web-0", IP: "10.1.2.3", Containers: []api.Container{{Name: "c", ID: id, Running: true, Probes: probes}}}
}

// inBubble runs a test of a Set on a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T, s *Set, w *script)) {
	synctest.Test(t, func(t *testing.T) {
		w := newScript()
		s := NewSet(w.do, func() {})
		defer s.Close()
		test(t, s, w)
	})
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func check(t *testing.T, s *Set, started, ready, unhealthy bool) {
	t.Helper()
	st := s.Status()["c"]
	if st.Started != started || st.Ready != ready || (st.Unhealthy != "") != unhealthy {
		t.Errorf("got %+v, want started %v, ready %v, unhealthy %v", st, started, ready, unhealthy)
	}
}

// conformance:S43
func TestSet_NoProbesIsReadyWhenRunning(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Set, w *script) {
		pod := onePod("1")
		s.Apply(pod)
		check(t, s, true, true, false)
		pod.Containers[0].Running = false
		s.Apply(pod)
		check(t, s, false, false, false)
	})
}

// conformance:S31 S32
func TestSet_StartupHoldsTheOthersBack(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Set, w *script) {
		w.answer(api.Startup, Outcome{Result: Failure, Message: "not yet"})
		w.answer(api.Readiness, Outcome{Result: Success})
		w.answer(api.Liveness, Outcome{Result: Success})
		s.Apply(onePod("1", network(api.Startup, 0, 2, 10), network(api.Readiness, 0, 5, 3), network(api.Liveness, 20, 5, 3)))
		wait(3 * time.Second)
		check(t, s, false, false, false)
		w.answer(api.Startup, Outcome{Result: Success})
		wait(30 * time.Second)
		check(t, s, true, true, false)
		// Startup ends with its success; readiness comes at once; liveness after its own delay.
		if got, want := w.when(api.Startup), "[0 2 4]"; got != want {
			t.Errorf("startup ran at %s, want %s", got, want)
		}
		if got, want := w.when(api.Readiness), "[4 9 14 19 24 29]"; got != want {
			t.Errorf("readiness ran at %s, want %s", got, want)
		}
		if got, want := w.when(api.Liveness), "[20 25 30]"; got != want {
			t.Errorf("liveness ran at %s, want %s", got, want)
		}
	})
}

// conformance:S34 S44
func TestSet_FailedLivenessIsFinalUntilANewContainer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Set, w *script) {
		w.answer(api.Liveness, Outcome{Result: Failure, Message: "boom"})
		probe := network(api.Liveness, 0, 1, 3)
		s.Apply(onePod("1", probe))
		wait(1 * time.Second)
		check(t, s, true, true, false)
		wait(10 * time.Second)
		check(t, s, true, true, true)
		if got, want := w.when(api.Liveness), "[0 1 2]"; got != want {
			t.Errorf("ran at %s, want %s and then hold", got, want)
		}
		if got, want := s.Status()["c"].Unhealthy, "liveness probe failed: boom, 3 times in a row"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		w.answer(api.Liveness, Outcome{Result: Success})
		s.Apply(onePod("2", probe))
		wait(0)
		check(t, s, true, true, false)
	})
}

func TestSet_ReadinessComesAndGoes(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Set, w *script) {
		w.answer(api.Readiness, Outcome{Result: Success})
		s.Apply(onePod("1", network(api.Readiness, 2, 1, 2)))
		wait(1 * time.Second)
		check(t, s, true, false, false) // before the initial delay is over
		wait(1 * time.Second)
		check(t, s, true, true, false)
		w.answer(api.Readiness, Outcome{Result: Failure, Message: "busy"})
		wait(1 * time.Second)
		check(t, s, true, true, false) // one failure of two
		wait(1 * time.Second)
		check(t, s, true, false, false)
		if got, want := s.Status()["c"].Message, "readiness probe failed: busy"; got != want {
			t.Errorf("message %q, want %q", got, want)
		}
		w.answer(api.Readiness, Outcome{Result: Success})
		wait(1 * time.Second)
		check(t, s, true, true, false)
	})
}

func TestSet_ChangedProbeGoesOnFromItsVerdict(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Set, w *script) {
		w.answer(api.Readiness, Outcome{Result: Success})
		s.Apply(onePod("1", network(api.Readiness, 0, 10, 1)))
		wait(0)
		check(t, s, true, true, false)
		w.answer(api.Readiness, Outcome{Result: Failure, Message: "busy"})
		s.Apply(onePod("1", network(api.Readiness, 0, 10, 1))) // the same: not run again
		wait(0)
		check(t, s, true, true, false)
		s.Apply(onePod("1", network(api.Readiness, 0, 3, 2)))
		check(t, s, true, true, false)
		wait(0)
		check(t, s, true, true, false)
		wait(3 * time.Second)
		check(t, s, true, false, false)
	})
}

func TestSet_ExecVerdictsComeFromOutside(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Set, w *script) {
		exec := func(kind string) api.Probe {
			return api.Probe{Kind: kind, Period: 1, SuccessThreshold: 1, FailureThreshold: 1}
		}
		w.answer(api.Liveness, Outcome{Result: Success})
		pod := onePod("1", exec(api.Startup), exec(api.Readiness), network(api.Liveness, 0, 1, 1))
		s.Apply(pod)
		wait(5 * time.Second)
		check(t, s, false, false, false)
		if got := w.when(api.Liveness); got != "[]" {
			t.Errorf("liveness ran at %s before the container had started", got)
		}
		pod.Containers[0].Exec = map[string]bool{api.Startup: true}
		s.Apply(pod)
		wait(0)
		check(t, s, true, false, false)
		if got := w.when(api.Liveness); got != "[5]" {
			t.Errorf("liveness ran at %s, want [5]", got)
		}
		pod.Containers[0].Exec = map[string]bool{api.Startup: true, api.Readiness: true}
		s.Apply(pod)
		check(t, s, true, true, false)
	})
}

// conformance:S35
func TestSet_DrainingKeepsReadinessOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Set, w *script) {
		w.answer(api.Readiness, Outcome{Result: Success})
		w.answer(api.Liveness, Outcome{Result: Success})
		pod := onePod("1", network(api.Readiness, 0, 1, 1), network(api.Liveness, 0, 1, 1))
		s.Apply(pod)
		wait(0)
		pod.Draining = true
		s.Apply(pod)
		w.answer(api.Liveness, Outcome{Result: Failure, Message: "going down"})
		w.answer(api.Readiness, Outcome{Result: Failure, Message: "going down"})
		wait(2 * time.Second)
		check(t, s, true, false, false)
		if got := w.when(api.Liveness); got != "[0]" {
			t.Errorf("liveness ran at %s, want [0]", got)
		}
	})
}

func TestSet_GoneContainersAreForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Set, w *script) {
		s.Apply(onePod("1", network(api.Readiness, 0, 1, 1)))
		wait(0)
		s.Apply(api.Pod{Name: "web-0", IP: "10.1.2.3"})
		wait(5 * time.Second)
		if got := s.Status(); len(got) != 0 {
			t.Errorf("status %v", got)
		}
		if got := w.when(api.Readiness); got != "[0]" {
			t.Errorf("ran at %s", got)
		}
	})
}
