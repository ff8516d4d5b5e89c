package watch

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scene is a looker without a filesystem, in a synctest bubble.
type scene struct {
	hinted chan struct{}
	box    string
	sets   chan setRequest
	out    chan Change
	ending chan struct{}

	mu      sync.Mutex
	start   time.Time       // of looks
	looks   []time.Duration // when look was called
	changed []string        // what the next look finds
	news    []string        // what the next set finds
	lock    bool
	poll    bool
	stir    bool
}

// with changes the scene.
func (s *scene) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *scene) look() (changed []string) {
	s.with(func() {
		s.looks = append(s.looks, time.Since(s.start))
		changed, s.changed = s.changed, nil
	})
	return changed
}

func (s *scene) set([]Input) (news []string) {
	s.with(func() { news, s.news = s.news, nil })
	return news
}

func (s *scene) is(flag *bool) (on bool) {
	s.with(func() { on = *flag })
	return on
}

func (s *scene) stirred() bool { return s.is(&s.stir) }
func (s *scene) polling() bool { return s.is(&s.poll) }
func (s *scene) locked() bool  { return s.is(&s.lock) }
func (s *scene) hints() (ok bool) {
	s.with(func() { ok = s.box == "app.cue" })
	return ok
}

// event is a hint about a path.
func (s *scene) event(path string) {
	s.with(func() { s.box = path })
	s.hinted <- struct{}{}
}

func (s *scene) reported([]string, time.Time) {}

// play runs the loop with the default times while f acts.
func play(t *testing.T, f func(s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{
			start:  time.Now(),
			hinted: make(chan struct{}),
			sets:   make(chan setRequest), out: make(chan Change), ending: make(chan struct{}),
		}
		l := loop{
			pace: pacer{quiet: 100 * time.Millisecond, cap: time.Second, hold: 5 * time.Second},
			poll: poller{every: time.Second},
			eyes: s, hinted: s.hinted, sets: s.sets, out: s.out, ending: s.ending,
		}
		done := make(chan struct{})
		go func() { defer close(done); l.run() }()
		f(s)
		close(s.ending)
		<-done
	})
}

func newRequest() setRequest {
	return setRequest{group: Group{Pace: DefinitionPace()}, done: make(chan struct{})}
}

// pass lets time go by and everything settle.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantLooks(t *testing.T, s *scene, want ...time.Duration) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.looks, want) {
		t.Errorf("looked at %v, want %v", s.looks, want)
	}
}

const ms = time.Millisecond

func TestLoop_LooksAfterAQuietMoment(t *testing.T) {
	play(t, func(s *scene) {
		for range 3 {
			s.event("app.cue")
			pass(50 * ms)
		}
		pass(time.Minute)
		wantLooks(t, s, 200*ms)
	})
}

func TestLoop_LooksAtTheCapWhileHintsKeepComing(t *testing.T) {
	play(t, func(s *scene) {
		for range 30 { // 1.5 s without a quiet moment
			s.event("app.cue")
			pass(50 * ms)
		}
		pass(time.Minute)
		wantLooks(t, s, 1000*ms, 1550*ms)
	})
}

func TestLoop_IrrelevantEventsAreNoHints(t *testing.T) {
	play(t, func(s *scene) {
		s.event("app.cue~")
		pass(time.Minute)
		wantLooks(t, s)
	})
}

func TestLoop_GitLockHoldsButNotForEver(t *testing.T) {
	play(t, func(s *scene) {
		s.with(func() { s.lock = true })
		s.event("app.cue")
		pass(1050 * ms)
		wantLooks(t, s)
		s.with(func() { s.lock = false })
		pass(time.Second)
		wantLooks(t, s, 1200*ms)

		s.with(func() { s.looks, s.start, s.lock = nil, time.Now(), true }) // left behind by a git that crashed
		s.event("app.cue")
		pass(time.Minute)
		wantLooks(t, s, 5100*ms)
	})
}

func TestLoop_PollsOnlyWhereHintsDoNotCome(t *testing.T) {
	play(t, func(s *scene) {
		s.with(func() { s.stir = true })
		pass(time.Minute)
		wantLooks(t, s)

		s.with(func() { s.start, s.poll = time.Now(), true })
		s.sets <- newRequest() // wakes the loop, as every way to become deaf does
		pass(1200 * ms)
		s.with(func() { s.stir = false })
		pass(time.Minute)
		wantLooks(t, s, time.Second+DefinitionPace().Quiet)
	})
}

// Irrelevant events must not put the polling off.
func TestLoop_NoiseDoesNotStarvePolling(t *testing.T) {
	play(t, func(s *scene) {
		s.with(func() { s.poll, s.stir = true, true })
		for range 100 {
			s.event("noise")
			pass(20 * ms)
		}
		if s.mu.Lock(); len(s.looks) == 0 {
			t.Error("never looked in 2 s of noise")
		}
		s.mu.Unlock()
	})
}

func TestLoop_SlowReaderGetsOneMergedChange(t *testing.T) {
	play(t, func(s *scene) {
		s.with(func() { s.changed = []string{"b", "a"} })
		s.event("app.cue")
		pass(time.Second)
		s.with(func() { s.changed = []string{"c", "a"} })
		s.event("app.cue")
		pass(time.Second)
		if c := <-s.out; !slices.Equal(c.Paths, []string{"a", "b", "c"}) {
			t.Errorf("changed: %q", c.Paths)
		}
		pass(time.Minute)
		select {
		case c := <-s.out:
			t.Errorf("told again: %q", c.Paths)
		default:
		}
	})
}

func TestLoop_WhatSetFindsWaitsForAQuietMoment(t *testing.T) {
	play(t, func(s *scene) {
		s.with(func() { s.news = []string{"a"} })
		req := newRequest()
		s.sets <- req
		<-req.done
		begin := time.Now()
		if c := <-s.out; !slices.Equal(c.Paths, []string{"a"}) {
			t.Errorf("changed: %q", c.Paths)
		}
		if waited := time.Since(begin); waited != DefinitionPace().Quiet {
			t.Errorf("told after %v", waited)
		}
	})
}
