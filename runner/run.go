package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// RunConfig is what RunJob needs.
type RunConfig struct {
	Engine     engine.Engine
	Identity   Identity
	Job        string // "job/migrate", "cronjob/report", or the name alone
	Supervised bool   // somebody runs Up, and will bring the run on
	Secrets    SecretSources
	Emit       func(LogLine) // never called twice at a time
	Report     func(Event)
}

// RunJob starts a job or a run of a CronJob now and follows it to its end. It
// returns a FailedError when the run failed. A job that is under way already is
// followed as it is; one that is over runs anew. It needs no definition: what
// runs is what the app was last brought to.
//
// When ctx ends, what was started goes on.
func RunJob(ctx context.Context, cfg RunConfig) error {
	if cfg.Report == nil {
		cfg.Report = func(Event) {}
	}
	seen, err := observe(ctx, cfg.Engine, cfg.Identity, nil, "")
	if err != nil {
		return err
	}
	if len(seen.all) == 0 || seen.Record == nil {
		return fmt.Errorf("app %s: %w", cfg.Identity.App, ErrNoApp)
	}
	j, err := findJob(seen.Record.State, cfg.Job)
	if err != nil {
		return err
	}
	if !cfg.Supervised && (seen.Network == "" || seen.Gateway == nil || seen.Gateway.State != reconcile.Running) {
		return fmt.Errorf("job %s needs what the app runs on, which is down; start it with `cuepod up`", j.Name)
	}
	run, err := beginRun(ctx, cfg, seen, j)
	if err != nil {
		return err
	}
	var over chan error // of our own supervision
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if !cfg.Supervised {
		r, err := newRunSupervisor(ctx, cfg, seen, run.Name)
		if err != nil {
			return err
		}
		over = make(chan error, 1)
		go func() { over <- r.run(ctx, nil, nil) }()
	}
	err = followRun(ctx, cfg, run, over)
	if over == nil {
		return err
	}
	var failed *FailedError
	if err != nil && !errors.As(err, &failed) {
		stop() // it has no result: there is nothing to tidy up
	}
	return errors.Join(err, <-over)
}

// findJob finds a job by kind and name, or by its name alone.
func findJob(s *docker.State, ref string) (*docker.Job, error) {
	kind, name, ok := strings.Cut(ref, "/")
	if !ok {
		kind, name = "", ref
	}
	var have []string
	for i := range s.Jobs {
		j := &s.Jobs[i]
		kinds := []string{"", "job", "jobs"}
		if j.Cron != nil {
			kinds = []string{"", "cronjob", "cronjobs", "cj"}
		}
		if j.Name == name && slices.Contains(kinds, strings.ToLower(kind)) {
			if j.Suspend {
				return nil, fmt.Errorf("job %s is suspended; set suspend to false", name)
			}
			return j, nil
		}
		if j.Cron != nil {
			have = append(have, "cronjob/"+j.Name)
		} else {
			have = append(have, "job/"+j.Name)
		}
	}
	if len(have) == 0 {
		return nil, fmt.Errorf("no job %s: the app has no jobs", ref)
	}
	slices.Sort(have)
	return nil, fmt.Errorf("no job %s; the app has: %s", ref, strings.Join(have, ", "))
}

// beginRun writes a run down, from where whoever supervises brings it on.
func beginRun(ctx context.Context, cfg RunConfig, seen *observation, j *docker.Job) (reconcile.Job, error) {
	if last := newestRun(&seen.Observed, j.Name); j.Cron == nil && last != nil && last.Result == "" && last.Hash == j.Hash {
		cfg.Report(Event{Kind: EventNotice, Object: "job " + j.Name, Message: "it is under way already"})
		return *last, nil
	}
	run := reconcile.NewRun(j, time.Time{}, time.Now())
	id, err := cfg.Engine.CreateContainer(ctx, jobSpec(cfg.Identity, seen.Record.State.Prefix(), seen.Record.AgentImage, run))
	run.ID = id
	return run, err
}

// newRunSupervisor looks after one run and nothing else.
func newRunSupervisor(ctx context.Context, cfg RunConfig, seen *observation, run string) (*supervisor, error) {
	record := seen.Record
	r, err := newSupervisor(ctx, Config{
		Engine: cfg.Engine, Secrets: cfg.Secrets, Report: cfg.Report, Strict: record.Strict,
		// The app's own image, which its other pods have too.
		Agent: func(string) (string, []byte, error) { return record.AgentImage, nil, nil },
	}, Compiled{State: record.State, Root: cfg.Identity.Root})
	if err == nil {
		r.onlyRun = run
	}
	return r, err
}

// runOver reports whether the one run that is looked after has ended and
// nothing of it runs any more.
func (r *supervisor) runOver() bool {
	l := &r.loop
	if l.seen == nil || l.stale || l.jobs.busy() {
		return false
	}
	for i := range l.seen.Jobs {
		if run := &l.seen.Jobs[i]; run.Name == r.onlyRun && run.Result == "" {
			return false
		}
	}
	return l.jobs.failures == 0 && reconcile.Diff(r.wants(reconcile.OnlyJobs), l.seen.Observed, time.Now()).Empty()
}

// concerns reports whether something of a run, or of no run, is our business.
func (r *supervisor) concerns(run string) bool { return r.onlyRun == "" || r.onlyRun == run }

// followRun emits what a run's containers say until it is over. over, where it
// is not nil, tells the end of our own supervision.
func followRun(ctx context.Context, cfg RunConfig, run reconcile.Job, over chan error) error {
	f := newFollower(cfg.Engine, []Target{{Pod: run.Name}}, LogOptions{Follow: true, Tail: -1, Init: true}, cfg.Emit)
	f.run = run.Run
	events, broken := cfg.Engine.Events(ctx, cfg.Identity.selector())
	for {
		now, err := f.look(ctx, cfg.Identity, run)
		if err != nil {
			return err
		}
		if now.Result != "" {
			f.wg.Wait() // its containers have ended, or are being stopped
			return errors.Join(f.err, runError(now))
		}
		select {
		case <-events:
		case <-broken:
			events, broken = nil, nil // looks go on by the clock
		case <-time.After(lookEvery):
			if events == nil {
				events, broken = cfg.Engine.Events(ctx, cfg.Identity.selector())
			}
		case err := <-over: // before there is a result: it failed
			over <- nil
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look opens the logs of new containers and gives the run as it is now.
func (f *follower) look(ctx context.Context, id Identity, run reconcile.Job) (reconcile.Job, error) {
	// A run that is written anew stands twice for a moment. A list that was begun
	// before that, and told after the old one went, has neither: the next has it.
	for range 2 {
		containers, err := f.eng.ListContainers(ctx, id.selector())
		if err != nil {
			return run, err
		}
		f.openAll(ctx, containers)
		seen := arrange(containers)
		for _, j := range seen.Jobs {
			if j.Name == run.Name && j.Run == run.Run {
				return j, nil
			}
		}
	}
	return run, fmt.Errorf("job %s was removed before it was over", run.Name)
}

func runError(j reconcile.Job) error {
	if j.Result == reconcile.JobComplete {
		return nil
	}
	return &FailedError{[]string{"job " + j.Name + ": it failed: " + j.Reason}}
}
