package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// run brings a run of a job on.
func (b *builder) run(j *docker.Job, r *Job) {
	for _, id := range r.Stale {
		b.removeObject(id, "job "+r.Name, RoleJob, "")
	}
	pods := b.observed.PodsOf(r)
	if r.Result != "" {
		if j.Cron == nil && b.outlived(j, r) {
			b.removePods(pods, "the job's ttlSecondsAfterFinished is over")
			return
		}
		for _, p := range pods {
			b.stopPod(p, jobOver(r.Result))
		}
		return
	}
	t := Count(j, r, pods)
	if result, reason := verdict(j, r, t, b.now); result != "" {
		b.finish(r, pods, result, reason, t)
		return
	}
	if j.ActiveDeadlineSeconds > 0 && !j.Suspend {
		b.later("job "+r.Name, fmt.Sprintf("it has to be over after %d s", j.ActiveDeadlineSeconds), deadline(j, r))
	}
	want := wanted(j, t)
	surplus := t.Active - want
	for _, p := range slices.Backward(pods) {
		switch phase := phaseOf(j, r, p); {
		case phase != NotEnded:
			b.stopPod(p, "it has "+strings.ToLower(string(phase)))
		case surplus > 0:
			surplus--
			b.removePod(p, surplusCause(j, want))
		case r.Hash == j.Hash:
			b.mendJobPod(j, r, p)
		}
	}
	if r.Hash == j.Hash {
		b.fill(j, r, pods, t)
	}
}

// wanted is how many pods should be active.
func wanted(j *docker.Job, t Tally) int {
	switch {
	case j.Suspend:
		return 0
	case j.Completions != nil:
		return min(j.Parallelism, *j.Completions-t.Succeeded-len(t.failedIndex))
	case t.Succeeded > 0: // a work queue that is done: no more, but those go on
		return t.Active
	}
	return j.Parallelism
}

func surplusCause(j *docker.Job, want int) string {
	if j.Suspend {
		return "the job is suspended"
	}
	return fmt.Sprintf("the job wants %d at once", want)
}

// finish writes down how a run ended, and only then stops what is left of it:
// what a container says when it is stopped is no result.
func (b *builder) finish(r *Job, pods []*Pod, result Result, reason string, t Tally) {
	done := *r
	done.ID, done.Stale, done.Result, done.Reason, done.Finished = "", nil, result, reason, b.now
	cause := fmt.Sprintf("complete, %s succeeded", count(t.Succeeded, "pod"))
	switch {
	case result == JobComplete:
	case t.Failed > 0:
		cause = fmt.Sprintf("failed: %s, %s failed", reason, count(t.Failed, "pod"))
	case t.Restarts > 0:
		cause = fmt.Sprintf("failed: %s, %s", reason, count(t.Restarts, "restart"))
	default:
		cause = "failed: " + reason
	}
	written := b.writeJob(done, cause)
	b.removeObject(r.ID, "job "+r.Name, RoleJob, "", written)
	for _, p := range pods {
		b.stopPod(p, jobOver(result), written)
	}
}

func jobOver(r Result) string {
	if r == JobComplete {
		return "its job is complete"
	}
	return "its job has failed"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// mendJobPod goes on with a pod that has not ended. Nothing in it waits: what
// follows is decided when it is due, so that jobs never hold each other up.
func (b *builder) mendJobPod(j *docker.Job, r *Job, o *Pod) {
	p := b.instance(j, r, o.Name)
	switch {
	case b.fails(p, o):
	case o.Infra.running():
		b.mendRunning(p, o, none)
	case o.Infra != nil && o.Infra.State == Created:
		b.startPod(p, "its start was interrupted", b.removeStrangers(p, o)...)
	case o.running():
		b.stopPod(o, "its infra container is gone")
	default:
		const cause = "its start was interrupted"
		b.createPod(p, cause, b.removePod(o, cause))
	}
}

// fill makes the pods that are missing, unless they have to wait.
func (b *builder) fill(j *docker.Job, r *Job, pods []*Pod, t Tally, after ...int) {
	missing := wanted(j, t) - t.Active
	if missing <= 0 {
		return
	}
	if t.streak > 0 && j.BackoffLimitPerIndex == nil {
		if at := t.lastFailure.Add(podRetry(t.streak)); at.After(b.now) {
			b.later("job "+r.Name, fmt.Sprintf("%s failed; next try in %s", count(t.streak, "pod"), at.Sub(b.now).Round(100*time.Millisecond)), at)
			return
		}
	}
	for _, d := range j.Template.DependsOn {
		if !b.serves(d) {
			b.later("job "+r.Name, fmt.Sprintf("service %s is not %s", d.Service, d.Condition), time.Time{})
			return
		}
	}
	if claim := b.missingClaim(j); claim != "" {
		b.later("job "+r.Name, "volume "+claim+" is not there", time.Time{})
		return
	}
	cause := "of job " + r.Name
	if t.Failed > 0 {
		cause += ", of which " + count(t.Failed, "pod") + " failed"
	}
	next := 0
	for name, p := range b.observed.Pods { // of earlier runs too: their names are taken
		if p.Job == r.Name {
			next = max(next, serial(name)+1)
		}
	}
	for _, index := range b.freeIndexes(j, r, t, missing) {
		b.createPod(b.instance(j, r, j.PodName(r.Name, index, next)), cause, after...)
		next++
	}
}

// freeIndexes are the first completion indexes that no pod has or has done, and
// that have waited long enough since their last failure; for a job that is not
// indexed they mean nothing.
func (b *builder) freeIndexes(j *docker.Job, r *Job, t Tally, n int) []int {
	var out []int
	for index := 0; len(out) < n && (!j.Indexed || j.Completions == nil || index < *j.Completions); index++ {
		if j.Indexed && (t.taken[index] || t.failedIndex[index]) {
			continue
		}
		if tries := t.triesOf[index]; tries > 0 && j.BackoffLimitPerIndex != nil {
			if at := t.lastOf[index].Add(podRetry(tries)); at.After(b.now) {
				b.later("job "+r.Name, fmt.Sprintf("index %d failed; next try in %s", index, at.Sub(b.now).Round(100*time.Millisecond)), at)
				continue
			}
		}
		out = append(out, index)
	}
	return out
}

// serves reports whether a dependency is there: what AwaitService waits for, of
// pods that were there when we looked.
func (b *builder) serves(d docker.Dependency) bool {
	for i := range b.desired.State.Services {
		s := &b.desired.State.Services[i]
		if s.Name != d.Service {
			continue
		}
		for _, name := range s.Pods {
			p, o := b.desired.State.Pod(name), b.observed.Pods[name]
			if b.observed.Ready[name] || d.Condition == "started" && p != nil && o != nil && started(p, o) {
				return true
			}
		}
	}
	return false
}

func started(p *docker.Pod, o *Pod) bool {
	return !slices.ContainsFunc(p.Containers, func(c docker.Container) bool { return !o.Living(c.Name).running() })
}

// missingClaim is a volume of a claim that the job mounts and that nobody has
// made yet, or "". An engine would make one of its own.
func (b *builder) missingClaim(j *docker.Job) string {
	for _, c := range slices.Concat(j.Template.Init, j.Template.Containers) {
		for _, m := range c.Mounts {
			v := b.desired.State.Volume(m.Volume)
			_, planned := b.volumes[m.Volume]
			if v != nil && v.Kind == docker.Claim && !b.observed.Volumes[v.Name] && !planned {
				return v.Name
			}
		}
	}
	return ""
}

// later is a wait that keeps nobody from calling the app ready.
func (b *builder) later(object, reason string, until time.Time) {
	b.waits = append(b.waits, Wait{Object: object, Reason: reason, Until: until, Job: true})
}
