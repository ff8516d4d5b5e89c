package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/cron"
	"github.com/cuepod/cuepod/targets/docker"
)

// testJob is a job with one container.
func testJob(name string, change ...func(*docker.Job)) docker.Job {
	one := 1
	vol := "shop_" + name + "_tmp"
	j := docker.Job{Name: name, Completions: &one, Parallelism: 1, BackoffLimit: 6,
		Volumes: []docker.Volume{{Name: vol, Kind: docker.EmptyDir, Pod: name}},
		Template: docker.Pod{Name: name, Workload: name, Hostname: name, RestartPolicy: docker.RestartNever, GracePeriod: 30,
			Mounts:     []docker.Mount{{Volume: vol, Path: "/volumes/tmp"}},
			Containers: []docker.Container{{Name: "run", Image: "web:1", Hash: "c-run", Mounts: []docker.Mount{{Volume: vol, Path: "/tmp"}}}}}}
	for _, f := range change {
		f(&j)
	}
	j.Hash = docker.JobHash(&j)
	return j
}

// jobWorld is a shop that runs, with the jobs beside it that are under test.
type jobWorld struct {
	*world
	t *testing.T
	d Desired
}

func newJobWorld(t *testing.T, jobs ...docker.Job) *jobWorld {
	w := &jobWorld{world: runningShop(t), t: t}
	w.define(jobs...)
	return w
}

// define changes the definition.
func (w *jobWorld) define(jobs ...docker.Job) {
	w.t.Helper()
	w.d = shopState(func(s *docker.State) { s.Jobs = jobs })
	w.d.Schedules = map[string]cron.Schedule{}
	for _, j := range jobs {
		if j.Cron == nil {
			continue
		}
		s, err := cron.Parse(j.Cron.Schedule, j.Cron.TimeZone)
		if err != nil {
			w.t.Fatal(err)
		}
		w.d.Schedules[j.Name] = s
	}
}

// go on: compare and apply until nothing is left to do now.
func (w *jobWorld) goOn() []Plan {
	w.t.Helper()
	plans := w.settle(w.t, w.d)
	for name := range w.Pods {
		w.Ready[name] = true
	}
	return plans
}

// after lets time pass.
func (w *jobWorld) after(d time.Duration) []Plan {
	w.t.Helper()
	w.now = w.now.Add(d)
	return w.goOn()
}

// end lets a container exit.
func (w *jobWorld) end(name string, code int) {
	w.t.Helper()
	c := w.find("shop_" + name)
	if c == nil || c.State != Running {
		w.t.Fatalf("container %s does not run: %+v", name, c)
	}
	c.State, c.ExitCode, c.Finished = Exited, code, w.now
}

// pods lists the pods of jobs and how they are.
func (w *jobWorld) jobPods() string {
	var out []string
	for _, name := range sortedNames(w.Pods) {
		p := w.Pods[name]
		if p.Job == "" {
			continue
		}
		state := "running"
		if p.Infra == nil || p.Infra.State != Running {
			state = string(p.endedAnyhow())
		}
		out = append(out, name+" "+state)
	}
	return strings.Join(out, ", ")
}

// results lists the runs and how they ended.
func (w *jobWorld) results() string {
	var out []string
	for _, j := range w.Jobs {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", j.Name, j.Result, j.Reason)))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (w *jobWorld) want(pods, results string) {
	w.t.Helper()
	if got := w.jobPods(); got != pods {
		w.t.Errorf("pods %q, want %q", got, pods)
	}
	if got := w.results(); got != results {
		w.t.Errorf("runs %q, want %q", got, results)
	}
}

func TestJob_RunsOnceAndNeverAgain(t *testing.T) {
	w := newJobWorld(t, testJob("migrate"))
	before := w.running()
	golden(t, "job-start", w.goOn()[0].String())
	w.want("migrate-0 running", "migrate")
	w.end("migrate-0_run", 0)
	golden(t, "job-complete", w.goOn()[0].String())
	w.want("migrate-0 Succeeded", "migrate Complete")
	if got := changedContainers(before, w.running()); got != "" {
		t.Errorf("touched %q", got)
	}
	if plans := w.after(24 * time.Hour); len(plans) > 0 {
		t.Errorf("a day later:\n%s", plans[0])
	}
	w.define(testJob("migrate", func(j *docker.Job) { j.BackoffLimit, j.Parallelism = 3, 4 }))
	if plans := w.goOn(); strings.Contains(plans[0].String(), "migrate") {
		t.Errorf("what a job that has run follows live made it run again:\n%s", plans[0])
	}
	w.want("migrate-0 Succeeded", "migrate Complete")
}

func TestJob_ChangedDefinitionRunsAgain(t *testing.T) {
	w := newJobWorld(t, testJob("migrate"))
	w.goOn()
	w.end("migrate-0_run", 0)
	w.goOn()
	w.now = w.now.Add(time.Minute)
	w.define(testJob("migrate", func(j *docker.Job) { j.Template.Containers[0].Image, j.Template.Containers[0].Hash = "log:1", "c-run2" }))
	golden(t, "job-changed", w.goOn()[0].String())
	w.want("migrate-1 running", "migrate")
	w.define()
	golden(t, "job-gone", w.goOn()[0].String())
	w.want("", "")
	for name := range w.Volumes {
		if strings.Contains(name, "migrate") {
			t.Errorf("volume %s is left", name)
		}
	}
}

// conformance:S28 S119
func TestJob_FailedPodIsTriedAgainUpToTheLimit(t *testing.T) {
	w := newJobWorld(t, testJob("migrate", func(j *docker.Job) { j.BackoffLimit = 2 }))
	w.goOn()
	for n, wait := range []time.Duration{10 * time.Second, 20 * time.Second} {
		w.end(fmt.Sprintf("migrate-%d_run", n), 3)
		w.goOn()
		pods := w.jobPods()
		w.after(wait - time.Millisecond)
		if got := w.jobPods(); got != pods || strings.Contains(got, "running") {
			t.Errorf("before the back-off of %v is over: %s", wait, got)
		}
		p := Diff(w.d, w.Observed, w.now)
		if len(p.Waits) != 1 || !p.Waits[0].Job || !p.Wake().Equal(w.now.Add(time.Millisecond)) {
			t.Errorf("waits until %v:\n%s", p.Wake(), p)
		}
		w.after(time.Millisecond)
		if got := w.jobPods(); !strings.Contains(got, fmt.Sprintf("migrate-%d running", n+1)) {
			t.Errorf("after the back-off of %v: %s", wait, got)
		}
	}
	w.end("migrate-2_run", 3)
	golden(t, "job-failed", w.goOn()[0].String())
	const pods = "migrate-0 Failed, migrate-1 Failed, migrate-2 Failed"
	w.want(pods, "migrate Failed BackoffLimitExceeded")
	w.after(time.Hour)
	w.want(pods, "migrate Failed BackoffLimitExceeded")
}

// conformance:S28
func TestPodRetry(t *testing.T) {
	var got []string
	for n := 1; n <= 9; n++ {
		got = append(got, podRetry(n).String())
	}
	if want := "10s 20s 40s 1m20s 2m40s 5m20s 10m0s 10m0s 10m0s"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// conformance:S119
func TestJob_OnFailureRestartsTheContainerInItsPod(t *testing.T) {
	w := newJobWorld(t, testJob("migrate", func(j *docker.Job) {
		j.BackoffLimit, j.Template.RestartPolicy = 2, docker.RestartOnFailure
		j.Template.Containers = append(j.Template.Containers, docker.Container{Name: "other", Image: "web:1", Hash: "c-other"})
	}))
	w.goOn()
	infra := w.Pods["migrate-0"].Infra.ID
	w.end("migrate-0_other", 0)
	w.end("migrate-0_run", 1)
	w.goOn()
	if c := w.find("shop_migrate-0_other"); c.State != Exited {
		t.Error("a container that exited with 0 was started again")
	}
	c := w.find("shop_migrate-0_run")
	if c.State != Running || c.Restarts != 1 || w.Pods["migrate-0"].Infra.ID != infra {
		t.Errorf("after a failure: %+v", c)
	}
	w.want("migrate-0 running", "migrate")
	w.end("migrate-0_run", 1)
	w.goOn()
	if c := w.find("shop_migrate-0_run"); c.State != Exited {
		t.Error("the second restart has no back-off")
	}
	w.after(time.Second) // two restarts are the limit: the second is not waited for
	w.want("migrate-0 Failed", "migrate Failed BackoffLimitExceeded")
}

func TestJob_OnFailureThatSucceedsInTheEnd(t *testing.T) {
	w := newJobWorld(t, testJob("migrate", func(j *docker.Job) { j.Template.RestartPolicy = docker.RestartOnFailure }))
	w.goOn()
	w.end("migrate-0_run", 1)
	w.goOn()
	w.end("migrate-0_run", 0)
	w.goOn()
	w.want("migrate-0 Succeeded", "migrate Complete")
}

// conformance:S119
func TestJob_CompletionsAndParallelism(t *testing.T) {
	three := 3
	j := func(parallel int) docker.Job {
		return testJob("load", func(j *docker.Job) { j.Completions, j.Parallelism = &three, parallel })
	}
	w := newJobWorld(t, j(2))
	w.goOn()
	w.want("load-0 running, load-1 running", "load")
	w.end("load-0_run", 0)
	w.goOn()
	w.want("load-0 Succeeded, load-1 running, load-2 running", "load")
	w.define(j(1))
	w.goOn() // the newest is one too many
	w.want("load-0 Succeeded, load-1 running", "load")
	w.end("load-1_run", 0)
	w.goOn()
	w.want("load-0 Succeeded, load-1 Succeeded, load-2 running", "load")
	w.end("load-2_run", 0)
	w.goOn()
	w.want("load-0 Succeeded, load-1 Succeeded, load-2 Succeeded", "load Complete")
}

func TestJob_WorkQueueIsDoneWithTheFirstSuccessAndTheLastEnd(t *testing.T) {
	w := newJobWorld(t, testJob("work", func(j *docker.Job) { j.Completions, j.Parallelism = nil, 2 }))
	w.goOn()
	w.end("work-1_run", 0)
	w.after(time.Minute)
	w.want("work-0 running, work-1 Succeeded", "work")
	w.end("work-0_run", 1)
	w.after(time.Minute)
	w.want("work-0 Failed, work-1 Succeeded", "work Complete")
}

// What a container says when it is stopped for the deadline is no success.
//
// conformance:S119
func TestJob_Deadline(t *testing.T) {
	w := newJobWorld(t, testJob("slow", func(j *docker.Job) { j.ActiveDeadlineSeconds = 60 }))
	w.goOn()
	if at := Diff(w.d, w.Observed, w.now).Wake(); !at.Equal(w.now.Add(time.Minute)) {
		t.Errorf("wakes at %v", at)
	}
	w.after(time.Minute - time.Millisecond)
	w.want("slow-0 running", "slow")
	w.now = w.now.Add(time.Millisecond)
	p := Diff(w.d, w.Observed, w.now)
	golden(t, "job-deadline", p.String())
	for _, s := range p.Steps {
		w.apply(t, w.d, s)
		if s.Op == StopContainer && s.Role == RoleApp {
			w.findID(s.ID).ExitCode = 0
		}
	}
	w.goOn()
	if got := w.results(); got != "slow Failed DeadlineExceeded" {
		t.Errorf("runs %s", got)
	}
}

// A job that was done in time is complete, however late somebody looks.
func TestJob_DoneInTimeAndSeenLateIsComplete(t *testing.T) {
	w := newJobWorld(t, testJob("slow", func(j *docker.Job) { j.ActiveDeadlineSeconds = 60 }))
	w.goOn()
	w.end("slow-0_run", 0)
	w.after(time.Hour)
	w.want("slow-0 Succeeded", "slow Complete")
}

// conformance:S119
func TestJob_Suspend(t *testing.T) {
	suspended := testJob("migrate", func(j *docker.Job) { j.Suspend = true })
	w := newJobWorld(t, suspended)
	w.goOn()
	w.want("", "")
	w.define(testJob("migrate"))
	w.goOn()
	w.want("migrate-0 running", "migrate")
	w.define(suspended)
	w.after(time.Hour)
	w.want("", "migrate")
	w.define(testJob("migrate"))
	w.goOn()
	w.want("migrate-0 running", "migrate")
}

// conformance:S119
func TestJob_TimeToLiveRemovesPodsAndNotTheMemory(t *testing.T) {
	seconds := 60
	w := newJobWorld(t, testJob("migrate", func(j *docker.Job) { j.TTLSecondsAfterFinished = &seconds }))
	w.goOn()
	w.end("migrate-0_run", 0)
	w.goOn()
	w.want("migrate-0 Succeeded", "migrate Complete")
	w.after(time.Minute)
	w.want("", "migrate Complete")
	w.after(time.Hour)
	w.want("", "migrate Complete")
}

// conformance:S15
func TestJob_LostInfraIsAFailureAndAnotherPodIsMade(t *testing.T) {
	for _, policy := range []docker.RestartPolicy{docker.RestartNever, docker.RestartOnFailure} {
		w := newJobWorld(t, testJob("migrate", func(j *docker.Job) { j.Template.RestartPolicy = policy }))
		w.goOn()
		w.Pods["migrate-0"].Infra.State = Exited
		plans := w.goOn()
		if s := plans[0].Steps; len(s) != 1 || s[0].Op != StopContainer {
			t.Errorf("%s: first what still runs is stopped:\n%s", policy, plans[0])
		}
		w.after(10 * time.Second)
		w.want("migrate-0 Failed, migrate-1 running", "migrate")
	}
}

func TestJob_InitContainersNeverHoldAPlanUp(t *testing.T) {
	w := newJobWorld(t, testJob("migrate", func(j *docker.Job) {
		j.Template.Init = []docker.Container{{Name: "wait", Image: "web:1", Hash: "c-wait"}}
	}))
	plans := w.goOn()
	golden(t, "job-init", plans[0].String())
	if w.find("shop_migrate-0_run") != nil {
		t.Error("the container was made before its init container was done")
	}
	w.end("migrate-0_wait", 0)
	w.goOn()
	if c := w.find("shop_migrate-0_run"); !c.running() {
		t.Errorf("after the init container: %+v", c)
	}
	w.end("migrate-0_run", 0)
	w.goOn()
	w.want("migrate-0 Succeeded", "migrate Complete")
}

func TestJob_FailedInitContainerFailsThePod(t *testing.T) {
	w := newJobWorld(t, testJob("migrate", func(j *docker.Job) {
		j.BackoffLimit = 0
		j.Template.Init = []docker.Container{{Name: "wait", Image: "web:1", Hash: "c-wait"}}
	}))
	w.goOn()
	w.end("migrate-0_wait", 1)
	w.goOn()
	w.want("migrate-0 Failed", "migrate Failed BackoffLimitExceeded")
}

func TestJob_WaitsForWhatItDependsOn(t *testing.T) {
	w := newJobWorld(t, testJob("migrate", func(j *docker.Job) {
		j.Template.DependsOn = []docker.Dependency{{Service: "db", Condition: "ready"}}
	}))
	w.Ready["db-0"] = false
	p := Diff(w.d, w.Observed, w.now)
	if !strings.Contains(p.String(), "job migrate waits: service db is not ready") || strings.Contains(p.String(), "migrate-0") {
		t.Errorf("plan:\n%s", p)
	}
	if !p.Wake().IsZero() {
		t.Errorf("wakes at %v: only a change of the service ends this", p.Wake())
	}
	w.Ready["db-0"] = true
	w.goOn()
	w.want("migrate-0 running", "migrate")
}

func TestJob_WaitsForItsClaim(t *testing.T) {
	j := testJob("load", func(j *docker.Job) {
		j.Template.Containers[0].Mounts = append(j.Template.Containers[0].Mounts, docker.Mount{Volume: "shop_more", Path: "/data"})
	})
	w := newJobWorld(t)
	w.d = shopState(func(s *docker.State) {
		s.Jobs = []docker.Job{j}
		s.Volumes = append(s.Volumes, docker.Volume{Name: "shop_more", Kind: docker.Claim, Claim: "more"})
	})
	w.d.Scope = OnlyJobs
	if p := Diff(w.d, w.Observed, w.now); strings.Contains(p.String(), "load-0") || len(p.Waits) != 1 {
		t.Errorf("without the volume of its claim:\n%s", p)
	}
	w.d.Scope = Everything
	w.goOn()
	w.want("load-0 running", "load")
}

// Jobs and the rest are compared apart by the supervisor: together they are
// everything.
func TestDiff_ScopesTogetherAreEverything(t *testing.T) {
	w := newWorld("postgres:1", "web:1", "log:1")
	d := shopState(func(s *docker.State) { s.Jobs = []docker.Job{testJob("migrate")} })
	d.Scope = AllButJobs
	w.settle(t, d)
	for name, p := range w.Pods {
		if w.Ready[name] = true; p.Job != "" {
			t.Errorf("pod %s of a job was made", name)
		}
	}
	d.Scope = OnlyJobs
	w.settle(t, d)
	if w.Pods["migrate-0"] == nil {
		t.Error("no pod of the job was made")
	}
	d.Scope = Everything
	if p := Diff(d, w.Observed, now); !p.Empty() {
		t.Errorf("not everything:\n%s", p)
	}
}

func testCron(schedule string, change ...func(*docker.Job)) docker.Job {
	return testJob("report", append([]func(*docker.Job){func(j *docker.Job) {
		j.Cron = &docker.Cron{Schedule: schedule, ConcurrencyPolicy: docker.AllowConcurrent, SuccessfulJobsHistoryLimit: 3, FailedJobsHistoryLimit: 1}
	}}, change...)...)
}

// cronWorld begins at 03:04:05, which is minute 29455384 since 1970.
func runAt(minute int) string {
	at := time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC)
	return fmt.Sprintf("report-%d", at.Unix()/60)
}

// conformance:S120
func TestCronJob_RunsAtItsTimes(t *testing.T) {
	w := newJobWorld(t, testCron("*/10 * * * *"))
	golden(t, "cron-new", w.goOn()[0].String())
	w.want("", "")
	if at := Diff(w.d, w.Observed, w.now).Wake(); !at.Equal(time.Date(2026, 1, 2, 3, 10, 0, 0, time.UTC)) {
		t.Errorf("wakes at %v", at)
	}
	w.now = time.Date(2026, 1, 2, 3, 9, 59, 0, time.UTC)
	w.goOn()
	w.want("", "")
	golden(t, "cron-run", w.after(time.Second)[0].String())
	w.want(runAt(10)+"-0 running", runAt(10))
	w.end(runAt(10)+"-0_run", 0)
	w.after(time.Minute)
	w.want(runAt(10)+"-0 Succeeded", runAt(10)+" Complete")
}

// Of several times that nobody was there for, the last is made up for.
//
// conformance:S120
func TestCronJob_MissedTimes(t *testing.T) {
	twenty := int64(20)
	w := newJobWorld(t, testCron("*/10 * * * *"))
	w.goOn()
	if p := w.after(30 * time.Minute)[0]; !strings.Contains(p.String(), "03:30:00Z, after 2 times that nobody was there for") { // 03:34:05
		t.Errorf("plan:\n%s", p)
	}
	w.want(runAt(30)+"-0 running", runAt(30))
	w = newJobWorld(t, testCron("*/10 * * * *"))
	w.goOn()
	const tooMany = "too many missed start times"
	if p := w.after(16 * time.Hour)[0]; strings.Contains(p.String(), tooMany) {
		t.Errorf("after 96 missed times:\n%s", p)
	}
	if p := w.after(17 * time.Hour)[0]; !strings.Contains(p.String(), tooMany) {
		t.Errorf("after 101 missed times:\n%s", p)
	}
	w = newJobWorld(t, testCron("*/10 * * * *", func(j *docker.Job) { j.Cron.StartingDeadlineSeconds = &twenty }))
	w.goOn()
	w.after(30 * time.Minute) // four minutes late: too late
	w.want("", "")
	w.after(6 * time.Minute) // 03:40:05
	w.want(runAt(40)+"-0 running", runAt(40))
}

func TestCronJob_ChangedScheduleMissesNothing(t *testing.T) {
	w := newJobWorld(t, testCron("0 0 * * *"))
	w.goOn()
	w.after(30 * time.Minute)
	w.define(testCron("*/10 * * * *"))
	w.goOn()
	w.want("", "")
	w.after(6 * time.Minute)
	w.want(runAt(40)+"-0 running", runAt(40))
}

// conformance:S120
func TestCronJob_ConcurrencyPolicy(t *testing.T) {
	tests := []struct {
		policy docker.ConcurrencyPolicy
		while  string // pods after the second time, while the first run goes on
		then   string // once the first run is over
	}{
		{docker.AllowConcurrent, runAt(10) + "-0 running, " + runAt(20) + "-0 running", runAt(10) + "-0 Succeeded, " + runAt(20) + "-0 running"},
		{docker.ForbidConcurrent, runAt(10) + "-0 running", runAt(10) + "-0 Succeeded, " + runAt(20) + "-0 running"},
		{docker.ReplaceConcurrent, runAt(20) + "-0 running", ""},
	}
	for _, tt := range tests {
		t.Run(string(tt.policy), func(t *testing.T) {
			w := newJobWorld(t, testCron("*/10 * * * *", func(j *docker.Job) { j.Cron.ConcurrencyPolicy = tt.policy }))
			w.goOn()
			w.after(6 * time.Minute)
			w.after(10 * time.Minute)
			if got := w.jobPods(); got != tt.while {
				t.Errorf("pods %q, want %q", got, tt.while)
			}
			if tt.then == "" {
				return
			}
			w.end(runAt(10)+"-0_run", 0)
			w.goOn()
			if got := w.jobPods(); got != tt.then {
				t.Errorf("then pods %q, want %q", got, tt.then)
			}
		})
	}
}

// conformance:S120
func TestCronJob_SuspendedRunsNothingAndGoesOnWithWhatRuns(t *testing.T) {
	w := newJobWorld(t, testCron("*/10 * * * *"))
	w.goOn()
	w.after(6 * time.Minute)
	w.define(testCron("*/10 * * * *", func(j *docker.Job) { j.Cron.Suspend = true }))
	w.after(time.Hour)
	w.want(runAt(10)+"-0 running", runAt(10))
}

// conformance:S120
func TestCronJob_History(t *testing.T) {
	w := newJobWorld(t, testCron("*/10 * * * *", func(j *docker.Job) {
		j.Cron.SuccessfulJobsHistoryLimit, j.Cron.FailedJobsHistoryLimit, j.BackoffLimit = 2, 0, 0
	}))
	w.goOn()
	w.after(6 * time.Minute) // 03:10:05
	for n := 1; n <= 4; n++ {
		w.end(runAt(10*n)+"-0_run", 0)
		w.after(10 * time.Minute)
	}
	w.want(runAt(30)+"-0 Succeeded, "+runAt(40)+"-0 Succeeded, "+runAt(50)+"-0 running",
		runAt(30)+" Complete, "+runAt(40)+" Complete, "+runAt(50))
	w.end(runAt(50)+"-0_run", 1)
	plans := w.goOn()
	if told := fmt.Sprint(plans[0].Summary(), plans[len(plans)-1].Summary()); strings.Contains(told, "history") {
		t.Errorf("the history is told of: %s", told)
	}
	// No failed run is kept, but that it was there is known: it does not run again.
	w.want(runAt(30)+"-0 Succeeded, "+runAt(40)+"-0 Succeeded", runAt(30)+" Complete, "+runAt(40)+" Complete, "+runAt(50)+" Failed BackoffLimitExceeded")
}

func TestCronJob_ChangedWhileARunIsUnderWay(t *testing.T) {
	w := newJobWorld(t, testCron("*/10 * * * *"))
	w.goOn()
	w.after(6 * time.Minute)
	before := w.running()
	w.define(testCron("*/10 * * * *", func(j *docker.Job) { j.Template.Containers[0].Hash = "c-run2" }))
	w.goOn()
	if got := changedContainers(before, w.running()); got != "" {
		t.Errorf("touched %q: a run goes on as it began", got)
	}
	w.end(runAt(10)+"-0_run", 1)
	w.after(time.Minute)
	w.want(runAt(10)+"-0 Failed", runAt(10)+" Failed DefinitionChanged")
	w.after(9 * time.Minute)
	if got := w.jobPods(); !strings.Contains(got, runAt(20)+"-0 running") {
		t.Errorf("pods %s", got)
	}
}

func TestJob_StartedByAPersonRunsAnew(t *testing.T) {
	w := newJobWorld(t, testJob("migrate"), testCron("0 0 * * *"))
	w.goOn()
	w.end("migrate-0_run", 1)
	w.goOn()
	w.now = w.now.Add(time.Second)
	for i := range w.d.State.Jobs {
		r := NewRun(&w.d.State.Jobs[i], time.Time{}, w.now)
		r.ID = w.id()
		w.Jobs = append(w.Jobs, r)
	}
	w.goOn()
	manual := fmt.Sprintf("report-%d", w.now.Unix())
	w.want("migrate-1 running, "+manual+"-0 running", "migrate, "+manual)
	w.end(manual+"-0_run", 0)
	w.end("migrate-1_run", 0)
	w.goOn()
	w.want("migrate-1 Succeeded, "+manual+"-0 Succeeded", "migrate Complete, "+manual+" Complete")
}

// A run that was killed between any two steps goes on, and no completed job
// runs a second time.
func TestJob_InterruptedAnywhereItConverges(t *testing.T) {
	type act func(w *jobWorld)
	finish := func(w *jobWorld) {
		for name, p := range w.Pods {
			for _, m := range p.Members {
				if p.Job != "" && m.State == Running {
					w.end(name+"_"+m.Key, 0)
				}
			}
		}
	}
	change := func(w *jobWorld) {
		w.now = w.now.Add(time.Second)
		w.define(testJob("migrate", func(j *docker.Job) { j.Template.Containers[0].Hash = "c-run2" }))
	}
	scenarios := []struct {
		name string
		acts []act
	}{
		{"start", []act{func(*jobWorld) {}}},
		{"end", []act{func(*jobWorld) {}, finish}},
		{"change", []act{func(*jobWorld) {}, finish, change}},
	}
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			for n := 0; ; n++ {
				w := newJobWorld(t, testJob("migrate"))
				for _, a := range sc.acts[:len(sc.acts)-1] {
					a(w)
					w.goOn()
				}
				sc.acts[len(sc.acts)-1](w)
				p := Diff(w.d, w.Observed, w.now)
				if n > len(p.Steps) {
					return
				}
				full := w.d
				full.State = WithJobs(w.d.State, &w.Observed, p)
				for _, s := range p.Steps[:n] {
					if s.Op == WriteRecord {
						w.apply(t, w.d, s)
						continue
					}
					w.apply(t, full, s)
				}
				w.goOn()
				finish(w)
				w.after(time.Hour)
				if got := w.results(); got != "migrate Complete" {
					t.Errorf("killed after step %d: runs %s", n, got)
				}
				if got := w.jobPods(); strings.Count(got, "migrate") != 1 {
					t.Errorf("killed after step %d: pods %s; it ran twice", n, got)
				}
			}
		})
	}
}

// conformance:S119
func TestJob_IndexedWantsASuccessOfEachIndex(t *testing.T) {
	three := 3
	w := newJobWorld(t, testJob("part", func(j *docker.Job) { j.Indexed, j.Completions, j.Parallelism = true, &three, 2 }))
	w.goOn()
	w.want("part-0-0 running, part-1-1 running", "part")
	w.end("part-1-1_run", 0)
	w.goOn()
	w.want("part-0-0 running, part-1-1 Succeeded, part-2-2 running", "part")
	w.end("part-0-0_run", 1)
	w.after(10 * time.Second)
	w.want("part-0-0 Failed, part-0-3 running, part-1-1 Succeeded, part-2-2 running", "part")
	w.end("part-0-3_run", 0)
	w.end("part-2-2_run", 0)
	w.goOn()
	if got := w.results(); got != "part Complete" {
		t.Errorf("runs %s", got)
	}
}

func TestWithJobs_EndedPodsAreNoEndpoints(t *testing.T) {
	two := 2
	w := newJobWorld(t, testJob("batch", func(j *docker.Job) { j.Completions, j.Parallelism = &two, 2 }))
	w.d.State.Services = append(w.d.State.Services, docker.Service{Name: "batch", Jobs: []string{"batch"},
		Ports: []docker.ServicePort{{Name: "http", Port: 80, Protocol: "TCP", Targets: map[string]int{"batch": 8080}}}})
	w.goOn()
	endpoints := func() string {
		s := WithJobs(w.d.State, &w.Observed, Plan{})
		b := s.Services[len(s.Services)-1]
		return fmt.Sprint(b.Pods, b.Ports[0].Targets)
	}
	if got, want := endpoints(), "[batch-0 batch-1] map[batch:8080 batch-0:8080 batch-1:8080]"; got != want {
		t.Errorf("endpoints %s, want %s", got, want)
	}
	w.end("batch-0_run", 0)
	if got, want := endpoints(), "[batch-1] map[batch:8080 batch-1:8080]"; got != want {
		t.Errorf("after an end: endpoints %s, want %s", got, want)
	}
	if s := w.d.State.Services; len(s[len(s)-1].Pods) != 0 {
		t.Error("the state itself was changed")
	}
}
