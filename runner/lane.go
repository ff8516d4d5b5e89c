package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/cuepod/cuepod/internal/cron"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// lane is a part of the app that is compared and changed by itself. There are
// two: a pod whose init container waits for a job must not keep the job from
// being tried again, and a rollout that waits must not keep a CronJob from its
// times.
type lane struct {
	scope    reconcile.Scope
	state    *docker.State           // of the plan under way, with the pods of jobs
	cancel   context.CancelCauseFunc // of the plan under way; nil when there is none
	aside    bool                    // the plan under way is about runs of CronJobs alone
	wake     time.Time               // when a wait of the plan under way is over; zero for never
	failures int                     // plans that failed in a row
	retryAt  time.Time               // no plan before this, after a failure
}

func (l *lane) busy() bool { return l.cancel != nil }

// drop lets the steps under way finish and starts no more.
func (l *lane) drop() {
	if l.busy() {
		l.cancel(errStale)
	}
}

// holds reports whether the plan under way is one that whoever waits for the app
// to be as it should has to wait for. There is always a next run of a CronJob.
func (l *lane) holds() bool { return l.busy() && !l.aside }

// lanes are both, the one that makes what the other needs first.
func (r *supervisor) lanes() []*lane { return []*lane{&r.loop.main, &r.loop.jobs} }

// mayPlan reports whether a lane has anything to stand on. Jobs need what the
// other lane makes first: the network, the record with its secrets, and the
// gateway.
func (r *supervisor) mayPlan(lane *lane) bool {
	l := &r.loop
	if lane == &l.main {
		return r.onlyRun == ""
	}
	if !r.hasJobs() || l.seen.Network == "" || l.secrets == nil || l.link == nil {
		return false
	}
	for _, s := range l.desired.Secrets {
		if _, ok := l.secrets.lookup(s.Name, s.Key); !ok {
			return false // the record is written, and its secrets are on their way
		}
	}
	record := l.seen.Record
	return record != nil && !record.Incomplete && record.State.Equal(l.desired)
}

// hasJobs reports whether there is a job, or something left of one.
func (r *supervisor) hasJobs() bool {
	l := &r.loop
	if len(l.desired.Jobs)+len(l.seen.Jobs)+len(l.seen.Crons) > 0 {
		return true
	}
	for _, p := range l.seen.Pods {
		if p.Job != "" {
			return true
		}
	}
	return false
}

// schedules parses those of all CronJobs.
func schedules(s *docker.State) (map[string]cron.Schedule, error) {
	out := map[string]cron.Schedule{}
	for i := range s.Jobs {
		j := &s.Jobs[i]
		if j.Cron == nil {
			continue
		}
		parsed, err := cron.Parse(j.Cron.Schedule, j.Cron.TimeZone)
		if err != nil {
			return nil, fmt.Errorf("CronJob %s: %w", j.Name, err)
		}
		out[j.Name] = parsed
	}
	return out, nil
}
