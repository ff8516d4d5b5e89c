package runner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/internal/testtool"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// TestSoak edits a definition hundreds of times, validly and not, while
// containers die and the engine fails and goes away, and has the supervisor
// end and begin again meanwhile. Whenever it is left alone for a while, what runs
// is what a new engine would run of the definition, nothing else is there, and
// there are no more goroutines than before.
//
// CUEPOD_SOAK is how many edits (make soak: 5000), CUEPOD_SEED repeats a run.
func TestSoak(t *testing.T) {
	edits, seed := testtool.Number(t, "CUEPOD_SOAK", 150), testtool.Number(t, "CUEPOD_SEED", int(time.Now().UnixNano()%1e6))
	t.Logf("CUEPOD_SEED=%d CUEPOD_SOAK=%d", seed, edits)
	const between = 25 // edits, before it is left alone
	synctest.Test(t, func(t *testing.T) {
		s := &soak{rig: newRig(t), rand: rand.New(rand.NewPCG(uint64(seed), 1))}
		s.begin()
		s.leaveAlone()
		var first, last soakSize
		for n := range edits / between {
			for range between {
				s.step()
			}
			s.leaveAlone()
			s.holds(n * between)
			last = s.size()
			if n == 1 { // what is made once is there
				first = last
			}
			if t.Failed() {
				t.Logf("the last steps:\n%s", strings.Join(s.log, "\n"))
				break
			}
		}
		if err := s.end(); err != nil {
			t.Error(err)
		}
		t.Logf("goroutines %d, then %d; heap %d KiB, then %d KiB", first.goroutines, last.goroutines, first.heap>>10, last.heap>>10)
		if last.goroutines > first.goroutines+5 {
			t.Errorf("goroutines grew from %d to %d", first.goroutines, last.goroutines)
		}
		if last.heap > 2*first.heap+2<<20 {
			t.Errorf("the heap grew from %d KiB to %d KiB", first.heap>>10, last.heap>>10)
		}
	})
}

// soak is a rig that is not left alone.
type soak struct {
	*rig
	rand *rand.Rand
	stop context.CancelFunc // of the supervisor
	gone chan error         // when it has ended
	log  []string           // since it was left alone
}

// begin has a supervisor begin.
func (s *soak) begin() {
	ctx, cancel := context.WithCancel(s.t.Context())
	gone := make(chan error, 1)
	go func() { gone <- up(ctx, s.config(), s) }()
	s.stop, s.gone = cancel, gone
	synctest.Wait()
}

// end has it end, and waits for it.
func (s *soak) end() error {
	s.stop()
	err := <-s.gone
	synctest.Wait()
	return err
}

// save tells the supervisor of a change. One that could not begin, as its first
// look at the engine failed or the definition was broken, has said so and ended;
// somebody begins another.
func (s *soak) save() {
	for {
		select {
		case s.changes <- watch.Change{Paths: []string{"app.cue"}}:
			return
		case err := <-s.gone:
			if err == nil {
				s.t.Error("the supervisor ended by itself and said nothing")
			}
			s.note("the supervisor ended: %v; the definition is mended, and another begins", err)
			s.stop()
			s.mu.Lock()
			s.broken = nil
			s.mu.Unlock()
			s.begin()
		}
	}
}

type soakSize struct {
	goroutines int
	heap       uint64
}

func (s *soak) size() soakSize {
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return soakSize{goruntime.NumGoroutine() - len(s.running()), m.HeapAlloc} // each container is one
}

func (s *soak) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

// step edits, and perhaps breaks something, and perhaps waits.
func (s *soak) step() {
	if s.rand.IntN(4) == 0 {
		s.fault()
	}
	s.editAtRandom()
	if s.rand.IntN(3) > 0 {
		time.Sleep(time.Duration(s.rand.IntN(5000)) * time.Millisecond)
	}
}

// leaveAlone ends all faults and waits until nothing more happens.
func (s *soak) leaveAlone() {
	s.eng.SetDown(false)
	s.mu.Lock()
	s.broken = nil
	clear(s.unfit)
	s.mute = false
	s.mu.Unlock()
	s.save()
	time.Sleep(time.Hour)
	synctest.Wait()
}

// holds compares with a new engine that has only ever seen this definition.
func (s *soak) holds(after int) {
	s.t.Helper()
	fresh := bareRig(s.t) // nothing of it is to be kept until the end
	fresh.app = s.app
	fresh.ready()
	want, got := soakNames(fresh), soakNames(s.rig)
	if !slices.Equal(got, want) {
		s.t.Errorf("after %d edits there is\n%s\na new engine has\n%s\ntold\n%s", after, strings.Join(got, "\n"), strings.Join(want, "\n"), s.told())
	}
	plan, err := Plan(s.t.Context(), s.config())
	if err != nil {
		s.t.Error(err)
	} else if !plan.Empty() {
		s.t.Errorf("after %d edits there is something left to do:\n%s", after, plan)
	}
	fresh.eng.Shutdown()
	s.told()
	s.log = nil
}

// soakNames is what is on an engine but for earlier instances, which are kept for
// their logs. The record has a number of its own each time.
func soakNames(r *rig) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, name := range r.everything() {
			if record, _, ok := strings.Cut(name, "_record."); ok {
				name = record + "_record"
			}
			if !docker.IsPreviousName(strings.TrimPrefix(name, "container ")) && !yield(name) {
				return
			}
		}
	})
}

// editAtRandom saves the definition with one thing changed, or broken, or mended.
func (s *soak) editAtRandom() {
	n := s.rand.IntN(100)
	s.mu.Lock()
	web, db := s.app.Pod("web"), s.app.Pod("db")
	main := &web.Containers[0]
	what := ""
	switch pick := s.rand.IntN(14); pick {
	case 0:
		main.Env[0].Value, what = fmt.Sprint("level-", n), "env"
	case 1:
		web.Replicas, what = n%5, "replicas"
	case 2:
		main.Image, what = "web:"+strconv.Itoa(1+n%2), "image"
	case 3:
		s.app.ConfigMaps[0].Data, what = map[string]string{"a": fmt.Sprint(n)}, "config"
	case 4:
		web.TerminationGracePeriodSeconds, what = int64(1+n%30), "grace"
	case 5:
		s.app.Services[0].Ports[0].Port, what = 5432+n%3, "port"
	case 6:
		main.ReadinessProbe, what = cloned(main.ReadinessProbe, func(p *app.Probe) { p.PeriodSeconds = 1 + n%3 }), "probe"
	case 7:
		web.Labels, what = map[string]string{"n": fmt.Sprint(n)}, "labels"
	case 8: // a container comes or goes
		if what = "container"; len(web.Containers) > 1 {
			web.Containers = web.Containers[:1]
		} else {
			web.Containers = append(web.Containers, app.Container{Name: "log", Image: "web:1", ImagePullPolicy: "IfNotPresent"})
		}
	case 9: // a pod comes or goes
		if what = "pod"; s.app.Pod("extra") != nil {
			s.app.Pods = slices.DeleteFunc(s.app.Pods, func(p app.Pod) bool { return p.Name == "extra" })
		} else {
			s.app.Pods = append(s.app.Pods, app.Pod{Name: "extra", Kind: "Deployment", Replicas: 1 + n%2, TerminationGracePeriodSeconds: 5,
				Containers: []app.Container{{Name: "main", Image: "web:1", ImagePullPolicy: "IfNotPresent"}}})
		}
	case 10:
		db.Containers[0].Args, what = []string{fmt.Sprint(n)}, "args"
	case 11:
		web.Hostname, what = fmt.Sprint("web", n%3), "host name"
	default:
		s.broken, what = errors.New("app.cue:1:1: expected an operand"), "a mistake"
	}
	if what != "a mistake" {
		s.broken = nil
	}
	s.mu.Unlock()
	s.note("edit: %s %d", what, n)
	s.save()
}

func cloned[T any](p *T, change func(*T)) *T {
	c := *p
	change(&c)
	return &c
}

// fault breaks something that leaveAlone mends, or that mends itself.
func (s *soak) fault() {
	switch s.rand.IntN(7) {
	case 0, 1:
		ops := []string{"CreateContainer", "StartContainer", "StopContainer", "RemoveContainer", "ListContainers", "CreateVolume", "RenameContainer"}
		op := ops[s.rand.IntN(len(ops))]
		s.note("fault: the next %s fails", op)
		s.eng.FailNext(op, errors.New("the engine has a bad day"))
	case 2, 3:
		if list, _ := s.eng.ListContainers(s.t.Context(), nil); len(list) > 0 { // it may be down
			c := list[s.rand.IntN(len(list))]
			s.note("fault: %s is killed", c.Name)
			_ = s.eng.StopContainer(s.t.Context(), c.ID, 0) // it may have gone
		}
	case 4:
		s.note("fault: the engine goes away")
		s.eng.SetDown(true)
		time.Sleep(time.Duration(s.rand.IntN(20)) * time.Second)
		s.eng.SetDown(false)
	case 5:
		s.note("fault: the stream of events breaks")
		s.eng.BreakEvents(errors.New("connection reset by peer"))
	case 6:
		s.note("the supervisor ends, and another begins")
		if err := s.end(); err != nil {
			s.note("it said %v", err)
		}
		s.begin()
	}
}
