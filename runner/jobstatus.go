package runner

import (
	"time"

	"github.com/cuepod/cuepod/internal/cron"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// jobStatuses tells how all runs and CronJobs are.
func jobStatuses(o *reconcile.Observed, s *docker.State, now time.Time) (jobs []JobStatus, crons []CronJobStatus) {
	for i := range s.Jobs {
		j := &s.Jobs[i]
		if j.Cron == nil {
			jobs = append(jobs, jobStatus(o, j))
			continue
		}
		c := CronJobStatus{Name: j.Name, Schedule: j.Cron.Schedule, TimeZone: j.Cron.TimeZone, Suspend: j.Cron.Suspend}
		for _, r := range o.RunsOf(j.Name) {
			st := runStatus(o, j, r)
			jobs = append(jobs, st)
			if r.Result == "" {
				c.Active++
			}
			if r.Scheduled.After(c.LastSchedule) {
				c.LastSchedule = r.Scheduled
			}
		}
		if schedule, err := cron.Parse(j.Cron.Schedule, j.Cron.TimeZone); err == nil && !c.Suspend { // a record holds only what was parsed before
			c.Next = schedule.Next(now)
		}
		crons = append(crons, c)
	}
	return jobs, crons
}

// jobStatus tells how a job is by its last run. It is zero for a CronJob.
func jobStatus(o *reconcile.Observed, j *docker.Job) JobStatus {
	if j.Cron != nil {
		return JobStatus{}
	}
	if run := newestRun(o, j.Name); run != nil && run.Hash == j.Hash {
		return runStatus(o, j, run)
	}
	st := JobStatus{Name: j.Name, Status: "Pending", Completions: j.Completions}
	if j.Suspend {
		st.Status = "Suspended"
	}
	return st
}

func runStatus(o *reconcile.Observed, j *docker.Job, r *reconcile.Job) JobStatus {
	t := reconcile.Count(j, r, o.PodsOf(r))
	st := JobStatus{
		Name: r.Name, Status: "Running", Active: t.Active, Succeeded: t.Succeeded, Failed: t.Failed,
		Completions: j.Completions, Started: r.Created, Finished: r.Finished,
	}
	if j.Indexed {
		st.CompletedIndexes, st.FailedIndexes = t.CompletedIndexes(), t.FailedIndexes()
	}
	if j.Cron != nil {
		st.CronJob = j.Name
	}
	switch {
	case r.Result != "":
		st.Status, st.Reason = string(r.Result), r.Reason
	case j.Suspend:
		st.Status = "Suspended"
	}
	if r.Result == reconcile.JobComplete && r.Reason == "" && j.Completions != nil {
		st.Succeeded = max(st.Succeeded, *j.Completions) // its pods may be gone
	}
	return st
}
