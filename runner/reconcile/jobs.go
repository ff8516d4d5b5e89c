package reconcile

import (
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// jobs makes and mends the runs of jobs, or only the one that is asked for.
func (b *builder) jobs() {
	for i := range b.desired.State.Jobs {
		j := &b.desired.State.Jobs[i]
		switch {
		case b.desired.OnlyRun != "":
			b.onlyRun(j)
		case j.Cron != nil:
			b.cronJob(j)
		default:
			b.job(j)
		}
	}
	if b.desired.OnlyRun == "" {
		b.removeGoneJobs()
	}
}

func (b *builder) onlyRun(j *docker.Job) {
	if j.Cron == nil && j.Name == b.desired.OnlyRun {
		b.job(j)
		return
	}
	for _, r := range b.observed.RunsOf(j.Name) {
		if r.Name == b.desired.OnlyRun {
			b.run(j, r)
		}
	}
}

// removeGoneJobs removes the runs of what is not defined any more, and pods
// whose run is gone.
func (b *builder) removeGoneJobs() {
	known := map[[2]string]bool{}
	for i := range b.observed.Jobs {
		r := &b.observed.Jobs[i]
		known[[2]string{r.Name, r.Run}] = true
		switch j := b.desired.State.Job(r.Workload); {
		case j == nil:
			b.removeRun(r, "job "+r.Workload+" is not defined any more")
		case (j.Cron == nil) != (r.Name == r.Workload):
			b.removeRun(r, "a job has become a CronJob, or the other way round")
		}
	}
	for _, name := range sortedNames(b.observed.Pods) {
		if p := b.observed.Pods[name]; p.Job != "" && !known[[2]string{p.Job, p.Run}] {
			b.removePod(p, "its job is gone")
		}
	}
	for _, name := range sortedNames(b.observed.Crons) {
		if j := b.desired.State.Job(name); j == nil || j.Cron == nil {
			b.removeCron(name, "it is not defined any more")
		}
	}
}

func (b *builder) removeCron(name, cause string, after ...int) []int {
	var gone []int
	c := b.observed.Crons[name]
	for _, id := range append(slices.Clone(c.Stale), c.ID) {
		gone = append(gone, b.removeObject(id, "CronJob "+name, RoleCron, cause, after...))
	}
	return gone
}

// job is a job that runs once, until its definition changes.
func (b *builder) job(j *docker.Job) {
	var runs []*Job
	for _, r := range b.observed.RunsOf(j.Name) {
		if r.Name == j.Name {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		if !j.Suspend {
			b.begin(j, NewRun(j, time.Time{}, b.now), "new job")
		}
		return
	}
	last := runs[len(runs)-1]
	for _, r := range runs[:len(runs)-1] {
		b.removeRun(r, "it was started anew")
	}
	if last.Hash == j.Hash {
		b.run(j, last)
		return
	}
	cause := b.jobChange(j)
	gone := b.removeRun(last, cause)
	if !j.Suspend {
		b.begin(j, NewRun(j, time.Time{}, b.now), cause, gone)
	}
}

func (b *builder) jobChange(j *docker.Job) string {
	if r := b.observed.Record; r != nil && r.State != nil {
		if old := r.State.Job(j.Name); old != nil {
			if changes := j.Changes(old); len(changes) > 0 {
				return strings.Join(changes, ", ")
			}
		}
	}
	return "its definition changed"
}

// begin writes a new run down and makes its first pods.
func (b *builder) begin(j *docker.Job, r Job, cause string, after ...int) {
	written := b.writeJob(r, cause, append(after, b.networkStep, b.recordStep, b.loadStep)...)
	b.fill(j, &r, nil, Tally{}, written)
}

func (b *builder) writeJob(r Job, cause string, after ...int) int {
	return b.add(Step{Op: WriteJob, Object: "job " + r.Name, Role: RoleJob, Job: &r, Cause: cause}, after...)
}

func (b *builder) removeObject(id, object string, role Role, cause string, after ...int) int {
	return b.add(Step{Op: RemoveContainer, Object: object, Role: role, ID: id, Cause: cause}, after...)
}

// removeRun removes a run and its pods, the pods first: a run that is
// interrupted here is still known.
func (b *builder) removeRun(r *Job, cause string, after ...int) int {
	gone := b.removePods(b.observed.PodsOf(r), cause, after...)
	last := none
	for _, id := range append(slices.Clone(r.Stale), r.ID) {
		last = b.removeObject(id, "job "+r.Name, RoleJob, cause, append(gone, last)...)
	}
	return last
}

func (b *builder) removePods(pods []*Pod, cause string, after ...int) []int {
	gone := slices.Clone(after)
	for _, p := range pods {
		gone = append(gone, b.removePod(p, cause, after...))
	}
	return gone
}
