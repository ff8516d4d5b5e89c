package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cuepod/cuepod/internal/sockfault"
)

// verb is what is killed.
type verb string

const (
	up     verb = "up"
	reload verb = "reload"
	down   verb = "down"
)

func verbs() []verb { return []verb{up, reload, down} }

// point is one moment at which cuepod is killed: before or after its n-th
// changing request.
type point struct {
	shape string
	verb  verb
	side  sockfault.Action
	n     int
}

func (p point) String() string { return fmt.Sprintf("%s/%s/%s/%d", p.shape, p.verb, p.side, p.n) }

// outcome is what became of a point.
type outcome struct {
	point
	met   bool   // it was killed; else the verb was over before
	calls int    // changing requests until all was well again
	took  string // the same in time
	label string // of a case that is no point; "" else
	err   error
}

// measure lives an undisturbed life: it gives the points of each verb and what
// has to be there while it runs.
func (b *bench) measure(ctx context.Context, a *app) (*reference, error) {
	ref := &reference{points: map[verb]int{}, names: map[string]map[string]int{}}
	r, err := b.converge(ctx, a)
	if err != nil {
		return nil, err
	}
	ref.points[up] = r.calls
	for _, variant := range []string{"a", "b"} {
		if err := a.be(variant); err != nil {
			return nil, err
		}
		if r, err = b.converge(ctx, a); err != nil {
			return nil, err
		}
		if variant == "b" {
			ref.points[reload] = r.calls
		}
		w, err := b.settled(ctx, a.id)
		if err != nil {
			return nil, err
		}
		ref.names[variant] = w.names()
	}
	if r, err = b.must(ctx, "down", "--volumes", a.dir); err != nil {
		return nil, err
	}
	ref.points[down] = r.calls
	if err := a.be("a"); err != nil {
		return nil, err
	}
	return ref, b.checkGone(ctx, a)
}

// points are all of a verb and a side, or so many of them, chosen by the seed.
func points(shape string, v verb, side sockfault.Action, total, sample int, seed uint64) []point {
	all := make([]int, total)
	for i := range all {
		all[i] = i + 1
	}
	if sample > 0 && sample < total {
		random := rand.New(rand.NewPCG(seed, uint64(total)))
		random.Shuffle(total, func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:sample]
		slices.Sort(all)
	}
	var out []point
	for _, n := range all {
		out = append(out, point{shape, v, side, n})
	}
	return out
}

// kill runs one point from a state that it makes itself, and cleans up.
func (b *bench) kill(ctx context.Context, a *app, ref *reference, p point) outcome {
	o := outcome{point: p}
	began := time.Now()
	o.err = func() error {
		rule := sockfault.Rule{Method: "*", Nth: p.n, Action: p.side}
		switch p.verb {
		case up:
			return b.killUp(ctx, a, ref, rule, &o)
		case reload:
			return b.killReload(ctx, a, ref, rule, &o)
		default:
			return b.killDown(ctx, a, ref, rule, &o)
		}
	}()
	o.took = time.Since(began).Round(100 * time.Millisecond).String()
	b.proxy.Set()
	if _, err := b.must(ctx, "down", "--volumes", "--now", a.dir); err != nil {
		o.err = join(o.err, err)
	}
	return o
}

func (b *bench) killUp(ctx context.Context, a *app, ref *reference, rule sockfault.Rule, o *outcome) error {
	if err := a.be("a"); err != nil {
		return err
	}
	b.proxy.Set(rule)
	r, err := b.run(ctx, "up", "--once", "--timeout", "2m", a.dir)
	if err != nil {
		return err
	}
	o.met = r.killed
	if !r.killed && r.code != 0 {
		return fmt.Errorf("up: exit code %d:\n%s", r.code, r.out)
	}
	return b.recover(ctx, a, ref, "a", o)
}

// recover is the next up after a kill, with all that has to be true then.
func (b *bench) recover(ctx context.Context, a *app, ref *reference, variant string, o *outcome) error {
	before, err := b.settled(ctx, a.id)
	if err != nil {
		return err
	}
	r, err := b.converge(ctx, a)
	if err != nil {
		return fmt.Errorf("I2: %w", err)
	}
	o.calls = r.calls
	after, err := b.look(ctx, a.id)
	if err != nil {
		return err
	}
	if worst := ref.points[up] + ref.points[down]; r.calls > worst {
		return fmt.Errorf("I2: it took %d changing calls, and making the app anew takes %d:\n%s", r.calls, worst, r.out)
	}
	return join(checkKept(before, after), b.checkRunning(ctx, a, ref, variant))
}

// killReload saves the other variant under a supervisor that is to die of it.
func (b *bench) killReload(ctx context.Context, a *app, ref *reference, rule sockfault.Rule, o *outcome) error {
	s, err := b.readyInForeground(ctx, a)
	if err != nil {
		return err
	}
	defer s.end()
	b.proxy.Set(rule)
	if err := a.be("b"); err != nil {
		return err
	}
	if err := s.says(ctx, readyLine, 2); err != nil && !s.died() {
		return err
	}
	o.met = s.died()
	s.end()
	return b.recover(ctx, a, ref, "b", o)
}

func (b *bench) killDown(ctx context.Context, a *app, ref *reference, rule sockfault.Rule, o *outcome) error {
	if err := a.be("a"); err != nil {
		return err
	}
	if _, err := b.converge(ctx, a); err != nil {
		return err
	}
	b.proxy.Set(rule)
	r, err := b.run(ctx, "down", "--volumes", a.dir)
	if err != nil {
		return err
	}
	o.met = r.killed
	if rule.Nth%2 == 0 { // half the time the next is up, else down again
		return b.recover(ctx, a, ref, "a", o)
	}
	r, err = b.must(ctx, "down", "--volumes", a.dir)
	if err != nil {
		return fmt.Errorf("I2: %w", err)
	}
	o.calls = r.calls
	return b.checkGone(ctx, a)
}

// session is an up in the foreground.
type session struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

func (s *session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *session) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

func (b *bench) foreground(a *app, args ...string) (*session, error) {
	s := &session{done: make(chan struct{})}
	s.cmd = exec.Command(b.tool, append(append([]string{"up", "--no-logs"}, args...), a.dir)...)
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Env, s.cmd.WaitDelay = s, s, b.env, time.Second
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // how it ended is in its state
	}()
	return s, nil
}

// readyInForeground brings the first variant up without a fault, and gives the
// session once all is ready.
func (b *bench) readyInForeground(ctx context.Context, a *app) (*session, error) {
	if err := a.be("a"); err != nil {
		return nil, err
	}
	b.proxy.Set()
	s, err := b.foreground(a)
	if err != nil {
		return nil, err
	}
	if err := s.says(ctx, readyLine, 1); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// readyLine begins the line that says that all is ready, whatever made it so.
const readyLine = "ready    "

// says waits until a word has been said so many times, or the end.
func (s *session) says(ctx context.Context, word string, times int) error {
	limit := time.After(patience)
	for {
		if strings.Count(s.said(), word) >= times {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("up ended and never said %q:\n%s", word, s.said())
		case <-limit:
			return fmt.Errorf("up does not say %q:\n%s", word, s.said())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *session) died() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// end kills it, if it still runs.
func (s *session) end() {
	_ = s.cmd.Process.Signal(os.Kill)
	<-s.done
}
