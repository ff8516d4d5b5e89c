package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// cronJob starts a run when its time has come, brings on those there are, and
// forgets old ones.
func (b *builder) cronJob(j *docker.Job) {
	var runs, active []*Job
	for _, r := range b.observed.RunsOf(j.Name) {
		if r.Name == j.Name {
			continue // it was a job before: removeGoneJobs
		}
		runs = append(runs, r)
		if r.Result == "" {
			active = append(active, r)
		}
	}
	old := b.oldRuns(j, runs)
	at, missed := b.due(j, b.since(j), runs)
	var after []int
	switch {
	case at.IsZero():
	case len(active) > 0 && j.Cron.ConcurrencyPolicy == docker.ForbidConcurrent:
		b.later("CronJob "+j.Name, "its time has come and job "+active[0].Name+" is not over: concurrencyPolicy is Forbid", time.Time{})
		at = time.Time{}
	case len(active) > 0 && j.Cron.ConcurrencyPolicy == docker.ReplaceConcurrent:
		for _, r := range active {
			old[r] = true
			after = append(after, b.removeRun(r, "replaced, as its CronJob's next time has come: concurrencyPolicy is Replace"))
		}
	}
	newest := newestScheduled(runs)
	for _, r := range runs {
		switch {
		case !old[r]:
			b.run(j, r)
		case r.Result == "": // replaced, above
		case r == newest:
			// What has run last has to be known for as long as the CronJob is.
			b.removePods(b.observed.PodsOf(r), beyondHistory)
		default:
			b.removeRun(r, beyondHistory)
		}
	}
	if !at.IsZero() {
		cause := "scheduled at " + at.UTC().Format(time.RFC3339)
		if missed > 0 {
			cause += ", after " + count(missed, "time") + " that nobody was there for"
		}
		if missed > tooManyMissed {
			cause += ": too many missed start times; set or decrease startingDeadlineSeconds"
		}
		b.begin(j, NewRun(j, at, b.now), cause, after...)
	}
}

// since is from when on times count, and notes it where it is not known.
func (b *builder) since(j *docker.Job) time.Time {
	c, hash := b.observed.Crons[j.Name], j.Cron.CronHash()
	if c != nil {
		for _, id := range c.Stale {
			b.removeObject(id, "CronJob "+j.Name, RoleCron, "")
		}
	}
	if c != nil && c.Hash == hash {
		return c.Since
	}
	cause := "new CronJob"
	if c != nil {
		cause = "its schedule changed"
	}
	step := Step{Op: WriteCron, Object: "CronJob " + j.Name, Role: RoleCron, Job: &Job{Workload: j.Name, Hash: hash, Created: b.now}, Cause: cause}
	written := b.add(step, b.networkStep, b.recordStep, b.loadStep)
	if c != nil {
		b.removeObject(c.ID, "CronJob "+j.Name, RoleCron, "", written)
	}
	return b.now
}

// due is the time for which a run has to start now, or zero. Of several that
// were missed it is the last, as in Kubernetes: pkg/controller/cronjob/utils.go.
func (b *builder) due(j *docker.Job, since time.Time, runs []*Job) (at time.Time, missed int) {
	schedule, ok := b.desired.Schedules[j.Name]
	if !ok || j.Cron.Suspend {
		return time.Time{}, 0
	}
	for _, r := range runs {
		if r.Scheduled.After(since) {
			since = r.Scheduled
		}
	}
	if d := j.Cron.StartingDeadlineSeconds; d != nil {
		if first := b.now.Add(-time.Duration(*d) * time.Second); first.After(since) {
			since = first
		}
	}
	at, missed = schedule.Last(since, b.now)
	if next := schedule.Next(b.now); at.IsZero() && !next.IsZero() {
		b.later("CronJob "+j.Name, "its next time is "+next.UTC().Format(time.RFC3339), next)
	}
	return at, missed
}

// tooManyMissed is how many missed times Kubernetes warns of:
// pkg/controller/cronjob/utils.go.
const tooManyMissed = 100

// beyondHistory is the cause of what happens again and again, and is no news.
const beyondHistory = "beyond the history's limits"

func newestScheduled(runs []*Job) *Job {
	var newest *Job
	for _, r := range runs {
		if !r.Scheduled.IsZero() && (newest == nil || r.Scheduled.After(newest.Scheduled)) {
			newest = r
		}
	}
	return newest
}

// oldRuns are the finished runs beyond the limits of the history, and those
// that have outlived their time.
func (b *builder) oldRuns(j *docker.Job, runs []*Job) map[*Job]bool {
	old := map[*Job]bool{}
	kept := map[Result]int{JobComplete: j.Cron.SuccessfulJobsHistoryLimit, JobFailed: j.Cron.FailedJobsHistoryLimit}
	for _, r := range slices.Backward(runs) {
		if r.Result == "" {
			continue
		}
		if kept[r.Result] <= 0 || b.outlived(j, r) {
			old[r] = true
		}
		kept[r.Result]--
	}
	return old
}

// outlived reports whether the time to live of a finished run is over.
func (b *builder) outlived(j *docker.Job, r *Job) bool {
	if j.TTLSecondsAfterFinished == nil || r.Result == "" {
		return false
	}
	end := r.Finished.Add(time.Duration(*j.TTLSecondsAfterFinished) * time.Second)
	if end.After(b.now) {
		b.later("job "+r.Name, fmt.Sprintf("finished, kept for %d s", *j.TTLSecondsAfterFinished), end)
		return false
	}
	return true
}

// OnlyCrons reports whether all that a plan does is for runs of CronJobs; the
// state is one WithJobs.
func OnlyCrons(p Plan, s *docker.State, o *Observed) bool {
	for _, step := range p.Steps {
		workload := step.Workload
		if step.Job != nil {
			workload = step.Job.Workload
		} else if pod := s.Pod(step.Pod); pod != nil {
			workload = pod.Workload
		} else if run := o.run(step.ID); run != nil {
			workload = run.Workload
		}
		if j := s.Job(workload); j == nil || j.Cron == nil {
			return false
		}
	}
	return true
}

// run is the run that a container stands for, or nil.
func (o *Observed) run(id string) *Job {
	for i := range o.Jobs {
		if r := &o.Jobs[i]; r.ID == id || slices.Contains(r.Stale, id) {
			return r
		}
	}
	return nil
}
