package reconcile

import (
	"cmp"
	"fmt"
	"maps"
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

// Delays between the pods of a job that fail, as in Kubernetes:
// pkg/controller/job/job_controller.go.
const (
	podRetryFirst = 10 * time.Second
	podRetryMax   = 10 * time.Minute
)

func podRetry(failures int) time.Duration {
	if failures > 7 { // 10 s << 7 is beyond the cap
		return podRetryMax
	}
	return min(podRetryFirst<<(failures-1), podRetryMax)
}

// Tally is what the pods of a run come to.
type Tally struct {
	Active, Succeeded, Failed int
	Restarts                  int       // of containers of active pods
	streak                    int       // failures since the last success
	lastFailure               time.Time // zero without a streak
}

// Count counts the pods of a run. j is nil when the job is not defined any more.
func Count(j *docker.Job, r *Job, pods []*Pod) Tally {
	var t Tally
	type end struct {
		at     time.Time
		failed bool
	}
	var ends []end
	for _, p := range pods {
		switch phaseOf(j, r, p) {
		case Succeeded:
			t.Succeeded++
			ends = append(ends, end{p.finished(), false})
		case Failed:
			t.Failed++
			ends = append(ends, end{p.finished(), true})
		default:
			t.Active++
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
		return min(j.Parallelism, *j.Completions-t.Succeeded)
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

// stopPod stops what runs of a pod and leaves it for its logs.
func (b *builder) stopPod(p *Pod, cause string, after ...int) {
	stopped := slices.Clone(after)
	for i := range p.Members {
		if m := &p.Members[i]; m.State == Running {
			s := memberStep(p.Name, m, cause)
			s.Op, s.Name, s.ID, s.Container = StopContainer, m.Name, m.ID, m.Key
			stopped = append(stopped, b.add(s, after...))
		}
	}
	if p.Infra.running() {
		b.add(Step{Op: StopContainer, Object: "pod " + p.Name, Role: RoleInfra, Pod: p.Name, Name: p.Infra.Name, ID: p.Infra.ID, Cause: cause}, stopped...)
	}
}

// mendJobPod goes on with a pod that has not ended. Nothing in it waits: what
// follows is decided when it is due, so that jobs never hold each other up.
func (b *builder) mendJobPod(j *docker.Job, r *Job, o *Pod) {
	p := b.instance(j, r, o.Name)
	switch {
	case o.Infra.running():
		b.members(p, o, o.Infra.ID, "", none, nil)
	case o.Infra != nil && o.Infra.State == Created:
		b.startPod(p, "its start was interrupted", b.removeStrangers(p, o)...)
	case o.running():
		b.stopPod(o, "its infra container is gone")
	default:
		const cause = "its start was interrupted"
		b.createPod(p, cause, b.removePod(o, cause))
	}
}

// instance is a pod of a run, with its volumes known to this builder.
func (b *builder) instance(j *docker.Job, r *Job, name string) *docker.Pod {
	p, volumes := j.Instance(b.desired.State.App, r.Name, r.Run, name)
	b.podVolumes[name] = volumes
	b.instances = append(b.instances, Instance{p, volumes})
	return &p
}

// WithJobs is a state with the pods of jobs in it: those that are there, and
// those that a plan makes. A service over a job has those as endpoints that
// have not ended.
func WithJobs(s *docker.State, o *Observed, plan Plan) *docker.State {
	if s == nil || len(s.Jobs) == 0 {
		return s
	}
	out := *s
	out.Pods, out.Volumes, out.Services = slices.Clone(s.Pods), slices.Clone(s.Volumes), slices.Clone(s.Services)
	known := map[string]bool{}
	add := func(i Instance) {
		if !known[i.Pod.Name] {
			known[i.Pod.Name] = true
			out.Pods = append(out.Pods, i.Pod)
			out.Volumes = append(out.Volumes, i.Volumes...)
		}
	}
	for _, name := range sortedNames(o.Pods) {
		p := o.Pods[name]
		j := s.Job(p.Workload)
		if p.Job == "" || j == nil {
			continue
		}
		pod, volumes := j.Instance(s.App, p.Job, p.Run, name)
		add(Instance{pod, volumes})
		if Ended(&j.Template, p) == NotEnded {
			serveJobPod(out.Services, j.Name, name)
		}
	}
	for _, i := range plan.Instances {
		add(i)
	}
	return &out
}

// serveJobPod makes a pod of a job an endpoint of the services over the job.
func serveJobPod(services []docker.Service, job, pod string) {
	for i := range services {
		s := &services[i]
		if !slices.Contains(s.Jobs, job) {
			continue
		}
		s.Pods = append(slices.Clone(s.Pods), pod)
		s.Ports = slices.Clone(s.Ports)
		for n := range s.Ports {
			if target := s.Ports[n].Targets[job]; target != 0 {
				s.Ports[n].Targets = maps.Clone(s.Ports[n].Targets)
				s.Ports[n].Targets[pod] = target
			}
		}
	}
}

// fill makes the pods that are missing, unless they have to wait.
func (b *builder) fill(j *docker.Job, r *Job, pods []*Pod, t Tally, after ...int) {
	missing := wanted(j, t) - t.Active
	if missing <= 0 {
		return
	}
	if t.streak > 0 {
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
	b.pullFor(j)
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
	for i := range missing {
		b.createPod(b.instance(j, r, fmt.Sprintf("%s-%d", r.Name, next+i)), cause, after...)
	}
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
	return !slices.ContainsFunc(p.Containers, func(c docker.Container) bool { return !o.living(c.Name).running() })
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

// pullFor pulls the images of a job that the engine no longer has.
func (b *builder) pullFor(j *docker.Job) {
	for _, c := range slices.Concat(j.Template.Init, j.Template.Containers) {
		b.pull(&c, Step{Workload: j.Name})
	}
}

// later is a wait that keeps nobody from calling the app ready.
func (b *builder) later(object, reason string, until time.Time) {
	b.waits = append(b.waits, Wait{Object: object, Reason: reason, Until: until, Job: true})
}
