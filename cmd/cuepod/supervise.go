package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
)

// supervision is up in this process: the runner in one goroutine, and a loop
// that hears signals and shows events. The loop owns all fields but eng.
type supervision struct {
	c   *cli
	f   upFlags
	eng engine.Engine

	news chan news // from the runner, in order
	show func(runner.Event)
	// parent is who started this process in the background, or nil.
	parent *parent

	start  start // zero until then
	urls   chan string
	last   string // addresses as last shown
	began  time.Time
	follow context.CancelFunc // of the logs; nil when they are not followed
	ended  chan error         // of the logs
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
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, releaseRequest)
	defer signal.Stop(signals)
	eng, err := c.engine(c.lookupEnv)
	if err != nil {
		return err
	}
	defer eng.Close()
	s := &supervision{
		c: c, f: f, eng: eng, show: c.eventPrinter().print, began: time.Now(),
		news: make(chan news, 64), urls: make(chan string, 1), ended: make(chan error, 1),
	}
	if f.background {
		s.parent = openParent()
		defer s.parent.close()
	}
	err = s.run(context.WithoutCancel(ctx), signals)
	if s.start.lock != nil {
		s.start.lock.release()
	}
	if s.parent != nil {
		s.parent.end(err)
	}
	return err
}

// run is the loop. Its states are the channels that are not nil: the runner
// runs, then after Ctrl-C the app goes down, and after a second one it goes
// down at once.
func (s *supervision) run(ctx context.Context, signals <-chan os.Signal) error {
	upCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.stopLogs()
	cfg, err := s.config()
	if err != nil {
		return err
	}
	running := async(func() error { return s.c.up(upCtx, cfg) })
	var down, kill <-chan error
	interrupts, released := 0, false
	for {
		select {
		case n := <-s.news:
			if err := s.hear(ctx, n); err != nil {
				return err
			}
		case text := <-s.urls:
			s.last = text
		case err := <-s.ended:
			s.logsEnded(err)
		case err := <-running:
			running = nil
			if err := s.drain(ctx); err != nil {
				return err
			}
			if interrupts == 0 || released {
				return s.finish(ctx, err)
			}
			if kill == nil {
				down = async(func() error { return s.takeDown(ctx, false) })
			}
		case err := <-down:
			if kill == nil {
				return interrupted(err)
			}
			down = nil
		case err := <-kill:
			return interrupted(err)
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				s.background()
			case sig == releaseRequest:
				released = true
				s.show(runner.Event{Kind: runner.EventNotice, Message: "cuepod down takes over"})
				cancel()
			case interrupts == 0:
				interrupts++
				s.show(runner.Event{Kind: runner.EventNotice, Message: "stopping; Ctrl-C again kills"})
				cancel()
			case interrupts == 1:
				interrupts++
				kill = async(func() error { return s.takeDown(ctx, true) })
			default:
				return interrupted(nil)
			}
		}
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
	cfg.HTTPPort, cfg.Watch, cfg.Once, cfg.Timeout = s.f.httpPort, s.f.watch, s.f.once, s.f.timeout
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
		s.lookForURLs(ctx)
		s.followLogs(ctx)
	case runner.EventProblem:
		s.followLogs(ctx)
	}
	return nil
}

// lookForURLs shows the addresses when they are new. It asks the engine, so it
// does not hold up the loop; a failure shows in what the runner reports.
func (s *supervision) lookForURLs(ctx context.Context) {
	if s.f.once || s.f.background { // finish and the parent show them
		return
	}
	id, last := s.start.id, s.last
	go func() {
		shown, err := s.c.showURLs(ctx, s.c.err, s.eng, id, last)
		if err == nil {
			s.urls <- shown
		}
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
	if s.f.background || s.start.dir == "" || !isTerminal(s.c.out) && !isTerminal(s.c.err) {
		return
	}
	s.stopLogs()
	s.f.background = true
	s.show = (&eventPrinter{w: s.c.err}).print
	if err := moveOutput(s.start.dir); err != nil {
		return // nobody is left to tell, and nothing depends on it
	}
}

// takeDown removes the app, which no longer has a supervisor.
func (s *supervision) takeDown(ctx context.Context, now bool) error {
	if s.start.id.App == "" {
		return nil // nothing had begun
	}
	return s.c.down(ctx, s.eng, s.start.id, runner.DownOptions{Now: now, Report: s.report})
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
