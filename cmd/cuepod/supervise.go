package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// supervision is up in this process: the runner in one goroutine, and a loop
// that hears signals and shows events. The loop owns all fields but eng.
type supervision struct {
	c   *cli
	f   upFlags
	eng engine.Engine

	news chan news // from the runner, in order
	show func(runner.Event)
	// terminal is whether a person watched when it began. Once the terminal is
	// gone, it no longer looks like one.
	terminal bool
	// parent is who started this process in the background, or nil.
	parent *parent

	asks   chan struct{} // to the runner: to follow what waits
	orders chan runner.Order
	keys   <-chan byte // nil where nobody can press one
	start  start       // zero until then
	urls   chan string
	last   string // addresses as last shown
	began  time.Time
	follow context.CancelFunc // of the logs; nil when they are not followed
	ended  chan error         // of the logs

	running    <-chan error // the runner's end; nil when it is not under way, as the next two
	down, kill <-chan error
	alone      bool // nothing but kill is under way since it began
	leaving    bool // a supervisor in the background is to take over
	interrupts int
}

// start is what is known once the definition has compiled for the first time.
type start struct {
	id   runner.Identity
	dir  string // appDir
	lock *lock
}

// news is an event, or that the app is known and ours.
type news struct {
	event runner.Event
	start *start
}

// supervise runs the app until a signal ends it.
func (c *cli) supervise(ctx context.Context, f upFlags) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, releaseRequest, syncRequest)
	defer signal.Stop(signals)
	eng, err := c.engine(c.lookupEnv)
	if err != nil {
		return err
	}
	defer eng.Close()
	k := (*keyboard)(nil)
	if !f.background && !f.once {
		k = c.openKeyboard()
		defer k.close()
	}
	f.again = &again{cache: &compiler.Cache{}}
	defer f.again.close()
	s := c.newSupervision(eng, f)
	s.keys = k.keys()
	if f.background {
		s.parent = openParent()
		defer s.parent.close()
	}
	err = s.run(context.WithoutCancel(ctx), signals)
	c.screen.clear()
	if s.start.lock != nil {
		s.start.lock.release()
	}
	if s.parent != nil {
		s.parent.end(err)
	}
	return err
}

func (c *cli) newSupervision(eng engine.Engine, f upFlags) *supervision {
	return &supervision{
		c: c, f: f, eng: eng, show: c.eventPrinter().print, began: time.Now(), terminal: isTerminal(c.out) || isTerminal(c.err),
		news: make(chan news, 64), urls: make(chan string, 1), asks: make(chan struct{}, 1), orders: make(chan runner.Order, 8), ended: make(chan error, 1),
	}
}

// run is the loop. Its states are what is under way: the runner, after Ctrl-C
// the way down, after another one the short way down beside the long one.
func (s *supervision) run(ctx context.Context, signals <-chan os.Signal) error {
	upCtx, stopUp := context.WithCancel(ctx)
	defer stopUp()
	downCtx, stopDown := context.WithCancel(ctx)
	defer stopDown()
	defer s.stopLogs()
	cfg, err := s.config()
	if err != nil {
		return err
	}
	s.running = async(func() error { return s.c.up(upCtx, cfg) })
	for {
		select {
		case n := <-s.news:
			if err := s.hear(ctx, n); err != nil {
				return err
			}
		case text := <-s.urls:
			s.last = text
			s.followLogs(ctx)
		case err := <-s.ended:
			s.logsEnded(err)
		case err := <-s.running:
			s.running = nil
			err = errors.Join(s.drain(ctx), err)
			if s.interrupts == 0 && s.leaving && err == nil {
				return errHandOver
			}
			if s.interrupts == 0 {
				return s.finish(ctx, err)
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				s.show(runner.Event{Kind: runner.EventProblem, Message: err.Error()})
			}
		case err := <-s.down:
			if s.down = nil; s.interrupts == 1 {
				return interrupted(err)
			}
		case err := <-s.kill:
			if s.kill = nil; s.alone {
				return interrupted(err)
			}
		case key := <-s.keys:
			switch s.key(key) {
			case leave:
				s.leaving = true
				stopUp()
			case stop:
				stopUp()
			}
		case sig := <-signals:
			switch s.signal(sig) {
			case stop:
				stopUp()
			case killAll:
				stopDown()
				s.killAll(ctx)
			case quit:
				return interrupted(nil)
			}
		}
		switch idle := s.running == nil && s.down == nil && s.kill == nil; {
		case idle && s.interrupts == 1:
			s.down = s.takeDown(downCtx, false)
		case idle && s.interrupts > 1: // what was under way may have left something
			s.killAll(ctx)
		}
	}
}

// killAll starts the short way down. It has the last word only when nothing
// else is under way.
func (s *supervision) killAll(ctx context.Context) {
	s.alone = s.running == nil && s.down == nil
	s.kill = s.takeDown(ctx, true)
}

// verdict is what a signal asks of the loop.
type verdict int

const (
	goOn verdict = iota
	stop         // the runner
	killAll
	quit
	leave // to a supervisor in the background
)

// key takes a key press. What is on its way down heeds none but Ctrl-C.
func (s *supervision) key(key byte) verdict {
	if s.interrupts > 0 || s.f.background {
		return goOn
	}
	switch key {
	case detachKey:
		return leave
	case quitKey:
		return s.signal(os.Interrupt)
	case syncKey:
		s.ask()
	case rebuildKey:
		s.order(runner.OrderRebuild)
	case restartKey:
		s.order(runner.OrderRestart)
	case pauseKey:
		s.order(runner.OrderPause)
	case clearKey:
		s.c.screen.clear()
		fmt.Fprint(s.c.err, "\x1b[H\x1b[2J\x1b[3J") // ECMA-48: home, erase all; xterm's: the lines above too
	}
	return goOn
}

// order asks the runner for something. One that does not take it has many
// already.
func (s *supervision) order(o runner.Order) {
	select {
	case s.orders <- o:
	default:
	}
}

// signal takes one signal.
func (s *supervision) signal(sig os.Signal) verdict {
	switch sig {
	case syscall.SIGHUP:
		s.background()
		return goOn
	case syncRequest:
		s.ask()
		return goOn
	case releaseRequest:
		s.show(runner.Event{Kind: runner.EventNotice, Message: "cuepod down takes over"})
		return stop
	}
	s.interrupts++
	switch s.interrupts {
	case 1:
		s.show(runner.Event{Kind: runner.EventNotice, Message: "stopping; Ctrl-C again kills"})
		return stop
	case 2:
		return killAll
	default:
		return quit
	}
}

// async runs f and gives its result.
func async(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func interrupted(err error) error {
	if err != nil {
		return err
	}
	return &exitError{code: exitInterrupted}
}

func (s *supervision) config() (runner.Config, error) {
	cfg, err := s.c.config(s.f.definition, s.eng, s.first)
	cfg.Offline = s.f.offline
	cfg.NoHold = s.f.noHold
	cfg.Ask, cfg.Orders = s.asks, s.orders
	cfg.HTTPPort, cfg.Watch, cfg.Once, cfg.Timeout = s.f.httpPort, s.f.watch, s.f.once, s.f.timeout
	cfg.Backoff = reconcile.Backoff(s.f.backoff)
	if s.f.proxyMode != "auto" {
		cfg.ProxyMode = s.f.proxyMode
	}
	cfg.Report = s.report
	return cfg, err
}

// report queues an event, from any goroutine.
func (s *supervision) report(ev runner.Event) { s.news <- news{event: ev} }

// first makes the app ours before anything is done to it. It runs in the
// runner's goroutine.
func (s *supervision) first(ctx context.Context, result *compiler.Result) error {
	info, err := s.eng.Info(ctx)
	if err != nil {
		return err
	}
	id := runner.Identity{App: result.App.Name, Root: result.Root}
	dir := s.c.appDir(id, info.Endpoint)
	l, err := takeLock(dir, id.App)
	if err != nil {
		return err
	}
	s.news <- news{start: &start{id, dir, l}}
	return nil
}

// drain takes what the runner said before it ended.
func (s *supervision) drain(ctx context.Context) error {
	for {
		select {
		case n := <-s.news:
			if err := s.hear(ctx, n); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// hear shows an event and what belongs to it.
func (s *supervision) hear(ctx context.Context, n news) error {
	if n.start != nil {
		s.start = *n.start
		if s.parent == nil {
			return nil
		}
		s.parent.begun(s.start)
		return moveOutput(s.start.dir)
	}
	ev := n.event
	s.show(ev)
	if s.parent != nil {
		s.parent.tell(ev)
	}
	switch ev.Kind {
	case runner.EventReady:
		s.lookForURLs(ctx) // and then follow the logs
	case runner.EventProblem, runner.EventFailed:
		s.followLogs(ctx)
	}
	return nil
}

// lookForURLs shows the addresses when they are new. It asks the engine, so it
// does not hold up the loop; that the engine fails is told by the runner.
func (s *supervision) lookForURLs(ctx context.Context) {
	if s.f.once || s.f.background { // finish and the parent show them
		return
	}
	id, last := s.start.id, s.last
	go func() {
		shown, err := s.c.showURLs(ctx, s.c.err, s.eng, id, last)
		if err != nil {
			shown = last
		}
		s.urls <- shown
	}()
}

// followLogs shows what containers say, from the beginning of this run.
func (s *supervision) followLogs(ctx context.Context) {
	if s.f.noLogs || s.f.background || s.f.once || s.follow != nil {
		return
	}
	ctx, s.follow = context.WithCancel(ctx)
	p := s.c.logPrinter(nil, false)
	id, opts := s.start.id, runner.LogOptions{Follow: true, Tail: -1, Since: s.began, Init: true}
	go func() { s.ended <- s.c.logs(ctx, s.eng, id, nil, opts, p.print) }()
}

// logsEnded lets the next event follow the logs again, from here.
func (s *supervision) logsEnded(err error) {
	if s.follow == nil {
		return
	}
	s.stopLogs()
	s.began = time.Now()
	if err != nil {
		s.show(runner.Event{Kind: runner.EventNotice, Message: err.Error()})
	}
}

func (s *supervision) stopLogs() {
	if s.follow != nil {
		s.follow()
		s.follow = nil
	}
}

// background goes on without the terminal that went away.
func (s *supervision) background() {
	if s.f.background || s.start.dir == "" || !s.terminal {
		return
	}
	s.stopLogs()
	s.f.background = true
	s.c.screen.clear()
	s.show = (&eventPrinter{w: s.c.err}).print
	if err := moveOutput(s.start.dir); err != nil {
		return // nobody is left to tell, and nothing depends on it
	}
	s.show(runner.Event{Kind: runner.EventNotice, Message: "the terminal went away: going on in the background"})
}

// takeDown begins to remove the app, which no longer has a supervisor. When ctx
// ends it falls silent, and does no more than it must.
func (s *supervision) takeDown(ctx context.Context, now bool) <-chan error {
	id := s.start.id
	report := func(ev runner.Event) {
		if ctx.Err() == nil {
			s.report(ev)
		}
	}
	return async(func() error {
		if id.App == "" {
			return nil // nothing had begun
		}
		return s.c.down(ctx, s.eng, id, runner.DownOptions{Now: now, Report: report})
	})
}

// finish ends a run that nobody interrupted.
func (s *supervision) finish(ctx context.Context, err error) error {
	if err != nil || !s.f.once {
		return err
	}
	_, err = s.c.showURLs(ctx, s.c.out, s.eng, s.start.id, "")
	if errors.Is(err, runner.ErrNoApp) { // an app without pods
		return nil
	}
	return err
}
