package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// A run of a job is a container that is never started and whose labels say what
// the run is and, once it is over, how it ended: what the Job object is in
// Kubernetes. It outlives its pods, so that no job runs twice.

// Result is how a run ended; "" while it has not.
type Result string

const (
	JobComplete Result = "Complete"
	JobFailed   Result = "Failed"
)

// Why a job failed, in Kubernetes' words and one of ours.
const (
	BackoffLimitExceeded = "BackoffLimitExceeded"
	DeadlineExceeded     = "DeadlineExceeded"
	DefinitionChanged    = "DefinitionChanged" // while the run of a CronJob was under way
)

// Tally is what the pods of a run come to.
type Tally struct {
	Active, Succeeded, Failed int
	Restarts                  int // of containers of active pods
	// Of an indexed job: indexes that have succeeded, those that are not tried
	// again, and of each how many pods failed that count, how many ended without
	// success, and when the last one did.
	doneIndex, failedIndex map[int]bool
	failuresOf, triesOf    map[int]int
	lastOf                 map[int]time.Time
	failJob                bool         // a rule of podFailurePolicy says that the job has failed
	taken                  map[int]bool // indexes of an indexed job that are done or under way
	streak                 int          // failures since the last success
	lastFailure            time.Time    // zero without a streak
}

// Count counts the pods of a run. j is nil when the job is not defined any more.
func Count(j *docker.Job, r *Job, pods []*Pod) Tally {
	t := Tally{
		taken: map[int]bool{}, doneIndex: map[int]bool{}, failedIndex: map[int]bool{},
		failuresOf: map[int]int{}, triesOf: map[int]int{}, lastOf: map[int]time.Time{},
	}
	type end struct {
		at     time.Time
		failed bool
	}
	var ends []end
	for _, p := range pods {
		index := -1
		if j != nil && j.Indexed {
			index = docker.IndexOf(r.Name, p.Name)
		}
		switch phaseOf(j, r, p) {
		case Succeeded:
			if index < 0 || !t.doneIndex[index] {
				t.Succeeded++
			}
			if t.taken[index] = true; index >= 0 {
				t.doneIndex[index] = true
			}
			ends = append(ends, end{p.finished(), false})
		case Failed:
			t.countFailure(j, index, p)
			ends = append(ends, end{p.finished(), true})
		default:
			t.Active++
			t.taken[index] = true
			for i := range p.Members {
				t.Restarts += p.Members[i].Restarts
			}
		}
	}
	slices.SortStableFunc(ends, func(a, b end) int { return a.at.Compare(b.at) })
	for _, e := range ends {
		if !e.failed {
			t.streak = 0
			continue
		}
		t.streak++
		t.lastFailure = e.at
	}
	return t
}

func phaseOf(j *docker.Job, r *Job, p *Pod) Phase {
	if j == nil || r.Hash != j.Hash {
		return p.endedAnyhow()
	}
	return Ended(&j.Template, p)
}

// PodsOf are the pods of a run, the oldest first.
func (o *Observed) PodsOf(r *Job) []*Pod {
	var out []*Pod
	for _, p := range o.Pods {
		if p.Job == r.Name && p.Run == r.Run {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *Pod) int {
		return cmp.Or(cmp.Compare(serial(a.Name), serial(b.Name)), strings.Compare(a.Name, b.Name))
	})
	return out
}

// RunsOf are the runs of a job or CronJob, the oldest first.
func (o *Observed) RunsOf(workload string) []*Job {
	var out []*Job
	for i := range o.Jobs {
		if o.Jobs[i].Workload == workload {
			out = append(out, &o.Jobs[i])
		}
	}
	slices.SortStableFunc(out, func(a, b *Job) int { return a.Created.Compare(b.Created) })
	return out
}

// serial is the number at the end of the name of a job's pod.
func serial(pod string) int {
	n, err := strconv.Atoi(pod[strings.LastIndexByte(pod, '-')+1:])
	if err != nil {
		return -1
	}
	return n
}

// NewRun is a run of a job that begins now. scheduled is zero unless its
// CronJob's time has come.
func NewRun(j *docker.Job, scheduled, now time.Time) Job {
	r := Job{Name: j.Name, Workload: j.Name, Run: strconv.FormatInt(now.UnixMilli(), 10), Hash: j.Hash, Created: now, Scheduled: scheduled}
	switch {
	case j.Cron == nil:
	case scheduled.IsZero():
		r.Name = fmt.Sprintf("%s-%d", j.Name, now.Unix()) // a person wants it now
	case scheduled.Second() == 0:
		r.Name = fmt.Sprintf("%s-%d", j.Name, scheduled.Unix()/60) // as Kubernetes calls them
	default:
		r.Name = fmt.Sprintf("%s-%d", j.Name, scheduled.Unix())
	}
	return r
}

// verdict says whether a run is over.
func verdict(j *docker.Job, r *Job, t Tally, now time.Time) (Result, string) {
	if t.failJob {
		return JobFailed, FailedByPolicy
	}
	if result, reason := indexVerdict(j, t); result != "" {
		return result, reason
	}
	switch {
	case j.Completions != nil && t.Succeeded >= *j.Completions,
		j.Completions == nil && t.Succeeded > 0 && t.Active == 0:
		return JobComplete, ""
	case r.Hash != j.Hash && t.Active == 0:
		return JobFailed, DefinitionChanged
	case t.Failed > j.BackoffLimit,
		j.Template.RestartPolicy == docker.RestartOnFailure && t.Restarts > 0 && t.Restarts >= j.BackoffLimit:
		return JobFailed, BackoffLimitExceeded
	case j.ActiveDeadlineSeconds > 0 && !j.Suspend && !now.Before(deadline(j, r)):
		return JobFailed, DeadlineExceeded
	}
	return "", ""
}

func deadline(j *docker.Job, r *Job) time.Time {
	return r.Created.Add(time.Duration(j.ActiveDeadlineSeconds) * time.Second)
}
