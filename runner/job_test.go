package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/google/go-cmp/cmp"
)

// work is what the containers of jobs do, and how often they did.
type work struct {
	mu   sync.Mutex
	runs map[string]int // by pod
	do   func(ctx context.Context, pod string, n int) int
}

// addWork puts an image on the engine whose containers do the work.
func (r *rig) addWork(do func(ctx context.Context, pod string, n int) int) *work {
	w := &work{runs: map[string]int{}, do: do}
	r.eng.AddImage("job:1", fake.Image{Run: func(ctx context.Context, p fake.Process) int {
		pod := p.Spec.Labels[labelPod]
		w.mu.Lock()
		w.runs[pod]++
		n := 0
		for _, times := range w.runs {
			n += times
		}
		w.mu.Unlock()
		fmt.Fprintln(p.Stdout, "working in", pod)
		return w.do(ctx, pod, n)
	}})
	return w
}

// count is how often the work was begun.
func (w *work) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, times := range w.runs {
		n += times
	}
	return n
}

// takes is work that takes a while and ends with a code.
func takes(d time.Duration, code int) func(context.Context, string, int) int {
	return func(ctx context.Context, _ string, _ int) int {
		select {
		case <-time.After(d):
			return code
		case <-ctx.Done():
			return 143
		}
	}
}

// aJob is a job with one container of the image job:1.
func aJob(name string, change ...func(*docker.Job)) docker.Job {
	one := 1
	vol := docker.VolumeName("shop", name, "tmp")
	j := docker.Job{Name: name, Completions: &one, Parallelism: 1, BackoffLimit: 6,
		Volumes: []docker.Volume{{Name: vol, Kind: docker.EmptyDir, Pod: name}},
		Template: docker.Pod{Name: name, Workload: name, Hostname: name, RestartPolicy: docker.RestartNever, GracePeriod: 30,
			Mounts: []docker.Mount{{Volume: vol, Path: "/volumes/tmp"}},
			Containers: []docker.Container{{Name: "run", Image: "job:1", PullPolicy: "IfNotPresent", Hash: "c-run",
				Env:    []docker.EnvVar{{Name: "ME", Source: docker.FromPodName}},
				Mounts: []docker.Mount{{Volume: vol, Path: "/tmp"}}}}}}
	for _, f := range change {
		f(&j)
	}
	j.Hash = docker.JobHash(&j)
	return j
}

func withJobs(jobs ...docker.Job) func(*docker.State) {
	return func(s *docker.State) { s.Jobs = jobs }
}

func (r *rig) status() Status {
	r.t.Helper()
	s, err := GetStatus(r.t.Context(), r.eng, r.id())
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// jobs lists runs and pods of jobs as ps shows them.
func (r *rig) jobs() string {
	r.t.Helper()
	s := r.status()
	var out []string
	for _, j := range s.Jobs {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", j.Name, j.Status, j.Reason)))
	}
	for _, p := range s.Pods {
		if p.Job != "" {
			out = append(out, p.Name+" "+p.Phase)
		}
	}
	return strings.Join(out, ", ")
}

func (r *rig) settled() {
	r.t.Helper()
	if plan, err := Plan(r.t.Context(), r.config()); err != nil || !plan.Empty() {
		r.t.Errorf("not settled (%v):\n%s", err, plan)
	}
}

func TestJob_RunsOnceAndCountsAsReady(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		w := r.addWork(takes(time.Minute, 0))
		r.shape = withJobs(aJob("migrate"))
		r.ready()
		if got, want := r.jobs(), "migrate Complete, migrate-0 Succeeded"; got != want {
			t.Errorf("jobs %q, want %q", got, want)
		}
		if got := r.told(); !strings.Contains(got, "job migrate: new job") || !strings.Contains(got, "job migrate: complete, 1 pod succeeded") ||
			strings.Contains(got, "problem") {
			t.Errorf("told:\n%s", got)
		}
		r.ready() // a second up
		stop := r.up()
		time.Sleep(time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		r.settled()
		if n := w.count(); n != 1 {
			t.Errorf("the job ran %d times", n)
		}
		if p := r.container("shop_migrate-0_run"); !slices.Contains(p.Env, "ME=migrate-0") {
			t.Errorf("environment %q", p.Env)
		}
		for name := range r.running() {
			if strings.Contains(name, "migrate") {
				t.Errorf("%s still runs", name)
			}
		}
		r.shape = withJobs(aJob("migrate", func(j *docker.Job) { j.Template.Containers[0].Hash = "c-run2" }))
		r.ready()
		if n := w.count(); n != 2 {
			t.Errorf("with a changed definition the job ran %d times in all", n)
		}
		if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		if left := r.everything(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestJob_ThatFailsFailsUpOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		w := r.addWork(takes(time.Second, 3))
		r.shape = withJobs(aJob("migrate", func(j *docker.Job) { j.BackoffLimit = 1 }))
		cfg := r.config()
		cfg.Once, cfg.Timeout = true, time.Hour
		began := time.Now()
		err := up(t.Context(), cfg, nil)
		var failed *FailedError
		if !errors.As(err, &failed) || err.Error() != "job migrate: it failed: BackoffLimitExceeded" {
			t.Errorf("error %v", err)
		}
		if got := r.told(); !strings.Contains(got, "failed job migrate: it failed: BackoffLimitExceeded; container migrate-1/run exited with code 3; its last words:\n    working in migrate-1") {
			t.Errorf("told:\n%s", got)
		}
		if took := time.Since(began); took < 12*time.Second || took > 20*time.Second {
			t.Errorf("took %v: two tries of a second, ten between them", took)
		}
		if got, want := r.jobs(), "migrate Failed BackoffLimitExceeded, migrate-0 Failed, migrate-1 Failed"; got != want {
			t.Errorf("jobs %q, want %q", got, want)
		}
		if err := up(t.Context(), cfg, nil); !errors.As(err, &failed) {
			t.Errorf("the next time: %v", err)
		}
		if n := w.count(); n != 2 {
			t.Errorf("it ran %d times", n)
		}
		r.told()
		stop := r.up()
		time.Sleep(time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := r.told(); strings.Count(got, "failed job migrate: it failed") != 1 || strings.Contains(got, "is ready") {
			t.Errorf("told:\n%s", got)
		}
	})
}

// A pod that waits for a job, and a job that waits for a pod, wait in vain only
// if one holds the other up.
func TestJob_AndRolloutsDoNotHoldEachOtherUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		done := make(chan bool)
		r.addWork(func(_ context.Context, _ string, n int) int {
			if n < 3 {
				return 1
			}
			close(done)
			return 0
		})
		r.eng.AddImage("init:1", fake.Image{Run: func(ctx context.Context, _ fake.Process) int {
			select {
			case <-done: // the job
				return 0
			case <-ctx.Done():
				return 143
			}
		}})
		r.shape = withJobs(aJob("migrate", func(j *docker.Job) {
			j.Template.DependsOn = []docker.Dependency{{Service: "db", Condition: "ready"}}
			j.Template.Init = []docker.Container{{Name: "first", Image: "web:2", PullPolicy: "IfNotPresent"}}
		}))
		r.eng.AddImage("web:2", fake.Image{Run: func(context.Context, fake.Process) int { return 0 }})
		r.ready()
		if got := r.jobs(); !strings.HasPrefix(got, "migrate Complete") {
			t.Errorf("jobs %q", got)
		}
	})
}

// conformance:S93
func TestJob_EndedPodsAreNoEndpoints(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addWork(takes(time.Hour, 0))
		r.shape = func(s *docker.State) {
			s.Jobs = []docker.Job{aJob("batch")}
			s.Services = append(s.Services, docker.Service{Name: "batch", Jobs: []string{"batch"},
				Ports: []docker.ServicePort{{Name: "http", Port: 80, Protocol: "TCP", Targets: map[string]int{"batch": 8080}}}})
		}
		r.up()
		endpoints := func() string {
			s := r.status()
			b := s.Services[len(s.Services)-1]
			return fmt.Sprintf("%s %d/%d", b.Name, b.Endpoints, b.Total)
		}
		time.Sleep(time.Minute)
		if got := endpoints(); got != "batch 1/1" {
			t.Errorf("while it runs: %s", got)
		}
		time.Sleep(2 * time.Hour)
		if got := endpoints(); got != "batch 0/0" {
			t.Errorf("after it ended: %s", got)
		}
	})
}

// A supervisor that is killed before or after any of its calls: the next one
// finishes the job, and a job that was complete does not run again.
func TestJob_KilledAtAnyCallTheNextRunConverges(t *testing.T) {
	for _, phase := range []fake.Phase{fake.Before, fake.After} {
		t.Run(string(phase), func(t *testing.T) {
			for n := 1; ; n++ {
				reached := false
				inBubble(t, func(t *testing.T, r *rig) {
					w := r.addWork(takes(time.Minute, 0))
					r.app.Pods, r.app.Services = r.app.Pods[:1], r.app.Services[:1]
					r.shape = withJobs(aJob("migrate"))
					reached = r.killAt(phase, n)
					time.Sleep(2 * time.Minute) // what was begun goes on and ends
					r.ready()
					r.settled()
					if got, want := r.jobs(), "migrate Complete, migrate-0 Succeeded"; got != want {
						t.Errorf("killed %s call %d: jobs %q, want %q", phase, n, got, want)
					}
					if runs := w.count(); runs != 1 {
						t.Errorf("killed %s call %d: the job ran %d times", phase, n, runs)
					}
					if err := Down(t.Context(), r.eng, r.id(), DownOptions{Volumes: true}); err != nil {
						t.Fatal(err)
					}
					if left := r.everything(); len(left) > 0 {
						t.Errorf("killed %s call %d: leaked %v", phase, n, left)
					}
				})
				if t.Failed() {
					return
				}
				if !reached {
					if n < 20 {
						t.Errorf("only %d calls were tried", n)
					}
					return
				}
			}
		})
	}
}

// conformance:S120
func TestCronJob_RunsAtItsTimesWhateverElseWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		w := r.addWork(takes(time.Second, 0))
		r.unfit["web-1/app"] = true // never ready
		r.shape = withJobs(aJob("report", func(j *docker.Job) {
			j.Cron = &docker.Cron{Schedule: "*/10 * * * *", ConcurrencyPolicy: docker.ForbidConcurrent, SuccessfulJobsHistoryLimit: 3, FailedJobsHistoryLimit: 1}
		}))
		stop := r.up()
		time.Sleep(55 * time.Minute) // the bubble's clock begins at midnight
		if n := w.count(); n != 5 {
			t.Errorf("it ran %d times, want 5", n)
		}
		if got := r.jobs(); strings.Count(got, "Complete") != 3 {
			t.Errorf("jobs %q, want the last three", got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := w.count(); n != 5 {
			t.Errorf("it ran %d times though nobody supervises", n)
		}
		s := r.status()
		if c := s.CronJobs[0]; c.Active != 0 || c.LastSchedule.UTC().Format("15:04") != "00:50" || c.Next.UTC().Format("15:04") != "02:00" {
			t.Errorf("status %+v", c)
		}
		stop = r.up()
		time.Sleep(2 * time.Minute) // the last missed time is made up for, once
		if n := w.count(); n != 6 {
			t.Errorf("it ran %d times, want 6", n)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCronJob_OfTheAppIsReadyWhateverItsRunsDo(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addWork(takes(time.Second, 1))
		r.shape = withJobs(aJob("report", func(j *docker.Job) {
			j.BackoffLimit = 0
			j.Cron = &docker.Cron{Schedule: "* * * * *", ConcurrencyPolicy: docker.AllowConcurrent, FailedJobsHistoryLimit: 1}
		}))
		stop := r.up()
		time.Sleep(150 * time.Second)
		got := r.told()
		if strings.Count(got, "is ready") != 1 || strings.Count(got, "problem job report-") != 2 || strings.Contains(got, "failed :") {
			t.Errorf("told:\n%s", got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// On an engine this slow, a run of the CronJob is always being started.
func TestCronJob_UpOnceDoesNotWaitForItsRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		w := r.addWork(takes(time.Second, 0))
		r.shape = withJobs(aJob("report", func(j *docker.Job) {
			j.Cron = &docker.Cron{Schedule: "* * * * *", ConcurrencyPolicy: docker.AllowConcurrent}
		}))
		r.eng.SetHook(func(_ context.Context, ph fake.Phase, op, object string) error {
			if ph == fake.Before && op == "CreateContainer" && strings.Contains(object, "report") {
				time.Sleep(20 * time.Second)
			}
			return nil
		})
		stop := r.up()
		time.Sleep(3 * time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if w.count() == 0 {
			t.Fatal("no run began")
		}
		cfg := r.config()
		cfg.Once, cfg.Timeout = true, 10*time.Minute
		if err := up(t.Context(), cfg, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) // what was begun ends
	})
}

func TestUp_BadScheduleIsAnErrorOfTheDefinition(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		bad := withJobs(aJob("report", func(j *docker.Job) { j.Cron = &docker.Cron{Schedule: "61 * * * *"} }))
		r.shape = bad
		if err := up(t.Context(), r.config(), nil); err == nil || !strings.Contains(err.Error(), "CronJob report: schedule") {
			t.Errorf("error %v", err)
		}
		r.shape = nil
		r.ready()
		r.up()
		r.told()
		r.shape = bad
		r.edit(func(*app.App) {})
		synctest.Wait()
		if got := r.told(); !strings.Contains(got, "invalid : CronJob report: schedule") {
			t.Errorf("told:\n%s", got)
		}
	})
}

// Pods that are no jobs may end too.
func TestUp_PodsThatEnd(t *testing.T) {
	tests := []struct {
		policy docker.RestartPolicy
		code   int
		ready  bool
		phase  string
		runs   int
	}{
		{docker.RestartNever, 0, true, "Succeeded", 1},
		{docker.RestartNever, 3, false, "Failed", 1},
		{docker.RestartOnFailure, 0, true, "Succeeded", 1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %d", tt.policy, tt.code), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				w := r.addWork(takes(time.Second, tt.code))
				r.unfit["db-0/db"] = true // ready only by its end
				r.app.Pods, r.app.Services = r.app.Pods[:1], nil
				r.app.Pods[0].Containers[0].Image = "job:1"
				r.shape = func(s *docker.State) { s.Pods[0].RestartPolicy = tt.policy }
				cfg := r.config()
				cfg.Once, cfg.Timeout = true, time.Hour
				for range 2 {
					err := up(t.Context(), cfg, nil)
					var failed *FailedError
					if (err == nil) != tt.ready || err != nil && !errors.As(err, &failed) {
						t.Errorf("error %v", err)
					}
					time.Sleep(time.Hour)
				}
				if p := r.status().Pods[0]; p.Phase != tt.phase || p.Ready {
					t.Errorf("pod %+v", p)
				}
				if n := w.count(); n != tt.runs {
					t.Errorf("it ran %d times, want %d", n, tt.runs)
				}
				if tt.ready {
					r.settled()
				}
				r.app.Pods[0].Containers[0].Env = []app.EnvVar{{Name: "A", Value: "b"}}
				_ = up(t.Context(), cfg, nil)
				if n := w.count(); n != 2*tt.runs {
					t.Errorf("with a changed definition it ran %d times in all", n)
				}
			})
		})
	}
}

func TestUp_OnFailureStartsAgainWithBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		w := r.addWork(func(_ context.Context, _ string, n int) int {
			if n < 4 {
				return 1
			}
			return 0
		})
		r.app.Pods, r.app.Services = r.app.Pods[:1], nil
		r.app.Pods[0].Containers[0].Image = "job:1"
		r.shape = func(s *docker.State) { s.Pods[0].RestartPolicy = docker.RestartOnFailure }
		began := time.Now()
		r.ready()
		if took := time.Since(began); w.count() != 4 || took < 3*time.Second || took > 6*time.Second {
			t.Errorf("it ran %d times in %v: tries after 0, 1 and 2 s more", w.count(), took)
		}
	})
}

// startOrder are the names of the app's containers by when they were started.
func (r *rig) startOrder(role string) string {
	var list []engine.Container
	for _, c := range r.containers() {
		if c.Labels[labelRole] == role {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b engine.Container) int { return a.Started.Compare(b.Started) })
	return strings.Join(names(list), " ")
}

// conformance:S118
func TestUp_OrderedReplicasStartOneAfterTheOther(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.app.Pod("web").Replicas = 3
		r.shape = func(s *docker.State) {
			for i := range s.Pods {
				s.Pods[i].Ordered = s.Pods[i].Workload == "web"
			}
		}
		r.unfit["web-1/app"] = true
		r.up()
		time.Sleep(time.Minute)
		if got := touched(nil, r.running()); !strings.Contains(got, "+shop_web-1_app") || strings.Contains(got, "web-2") {
			t.Errorf("while web-1 is not ready: %s", got)
		}
		r.mu.Lock()
		r.unfit["web-1/app"] = false
		r.mu.Unlock()
		r.edit(func(a *app.App) { a.ConfigMaps[0].Data["a"] = "2" }) // the stand-in judges when it is told something
		time.Sleep(time.Minute)
		if got := touched(nil, r.running()); !strings.Contains(got, "+shop_web-2_app") {
			t.Errorf("after: %s", got)
		}
		if got, want := r.startOrder("infra"), "shop_db-0 shop_web-0 shop_web-1 shop_web-2"; got != want {
			t.Errorf("started %s, want %s", got, want)
		}
		before := r.running()
		r.edit(func(a *app.App) { a.Pod("web").Containers[1].Image = "web:2" })
		time.Sleep(time.Minute)
		if got, want := touched(before, r.running()), "~shop_web-0_log ~shop_web-1_log ~shop_web-2_log"; got != want {
			t.Errorf("touched %s, want %s", got, want)
		}
		var logs []engine.Container
		for _, c := range r.containers() {
			if c.Labels[labelContainer] == "log" {
				logs = append(logs, c)
			}
		}
		slices.SortFunc(logs, func(a, b engine.Container) int { return a.Started.Compare(b.Started) })
		if got, want := strings.Join(names(logs), " "), "shop_web-2_log shop_web-1_log shop_web-0_log"; got != want {
			t.Errorf("changed in the order %s, want %s", got, want)
		}
		var stopped []string
		r.eng.SetHook(func(_ context.Context, ph fake.Phase, op, object string) error {
			if ph == fake.Before && op == "StopContainer" {
				r.mu.Lock()
				defer r.mu.Unlock()
				for name, id := range before {
					if id == object && strings.HasPrefix(name, "shop_web-") && strings.Count(name, "_") == 1 {
						stopped = append(stopped, name)
					}
				}
			}
			return nil
		})
		r.edit(func(a *app.App) { a.Pods = a.Pods[:1]; a.Services = a.Services[:1] })
		time.Sleep(time.Minute)
		r.mu.Lock()
		defer r.mu.Unlock()
		if got, want := strings.Join(stopped, " "), "shop_web-2 shop_web-1 shop_web-0"; got != want {
			t.Errorf("stopped %s, want %s", got, want)
		}
	})
}

// runJob runs a job as `cuepod run` does, and gives what was printed.
func (r *rig) runJob(job string, supervised bool) (string, error) {
	var lines []string
	err := RunJob(r.t.Context(), RunConfig{
		Engine: r.eng, Identity: r.id(), Job: job, Supervised: supervised, Secrets: r.config().Secrets,
		Emit:   func(l LogLine) { lines = append(lines, l.Pod+"/"+l.Container+": "+l.Text) },
		Report: r.config().Report,
	})
	synctest.Wait()
	return strings.Join(lines, "\n"), err
}

func TestRunJob(t *testing.T) {
	never := func(j *docker.Job) {
		j.BackoffLimit = 1
		j.Cron = &docker.Cron{Schedule: "0 0 1 1 *", ConcurrencyPolicy: docker.ForbidConcurrent, SuccessfulJobsHistoryLimit: 3, FailedJobsHistoryLimit: 1}
	}
	for _, supervised := range []bool{false, true} {
		t.Run(fmt.Sprintf("supervised %t", supervised), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				code := 0
				w := r.addWork(func(ctx context.Context, pod string, n int) int { return takes(time.Second, code)(ctx, pod, n) })
				r.shape = withJobs(aJob("migrate"), aJob("report", never))
				r.ready()
				if supervised {
					r.up()
					time.Sleep(time.Minute)
				}
				before := r.running()
				out, err := r.runJob("job/migrate", supervised)
				if err != nil || out != "migrate-1/run: working in migrate-1" {
					t.Errorf("a job that is complete runs anew: %v\n%s", err, out)
				}
				at := time.Now().Unix()
				out, err = r.runJob("cronjob/report", supervised)
				if want := fmt.Sprintf("report-%d-0/run: working in report-%d-0", at, at); err != nil || out != want {
					t.Errorf("a CronJob: %v\n%s\nwant %s", err, out, want)
				}
				code = 4
				time.Sleep(time.Second)
				out, err = r.runJob("report", supervised)
				var failed *FailedError
				if !errors.As(err, &failed) || !strings.Contains(err.Error(), "it failed: BackoffLimitExceeded") || strings.Count(out, "working") != 2 {
					t.Errorf("one that fails: %v\n%s", err, out)
				}
				if n := w.count(); n != 5 {
					t.Errorf("jobs ran %d times, want 5", n)
				}
				time.Sleep(time.Minute)
				if got := touched(before, r.running()); got != "" {
					t.Errorf("touched %s", got)
				}
				r.settled()
			})
		})
	}
}

func TestRunJob_ThatIsUnderWayIsFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		w := r.addWork(takes(time.Hour, 0))
		r.shape = withJobs(aJob("migrate"))
		stop := r.up()
		time.Sleep(time.Minute)
		if err := stop(); err != nil { // nobody looks after it any more
			t.Fatal(err)
		}
		out, err := r.runJob("job/migrate", false)
		if err != nil || out != "migrate-0/run: working in migrate-0" {
			t.Errorf("%v\n%s", err, out)
		}
		if n := w.count(); n != 1 {
			t.Errorf("it ran %d times", n)
		}
		if got := r.jobs(); got != "migrate Complete, migrate-0 Succeeded" {
			t.Errorf("jobs %q", got)
		}
	})
}

// Without a supervisor a run looks after itself and leaves the rest alone.
func TestRunJob_TouchesNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addWork(takes(time.Second, 0))
		r.shape = withJobs(aJob("migrate"), aJob("other"))
		r.ready()
		if err := r.eng.Crash("shop_web-0_app", 3, false); err != nil {
			t.Fatal(err)
		}
		before := r.running()
		r.told()
		if _, err := r.runJob("job/migrate", false); err != nil {
			t.Fatal(err)
		}
		if got := touched(before, r.running()); got != "" {
			t.Errorf("touched %s", got)
		}
		if got := r.told(); strings.Contains(got, "web-0") || strings.Contains(got, "ready") {
			t.Errorf("told:\n%s", got)
		}
	})
}

func TestRunJob_Refuses(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		if _, err := r.runJob("job/migrate", false); !errors.Is(err, ErrNoApp) {
			t.Errorf("no app: %v", err)
		}
		r.addWork(takes(time.Second, 0))
		r.shape = withJobs(aJob("migrate"), aJob("later", func(j *docker.Job) { j.Suspend = true }),
			aJob("report", func(j *docker.Job) {
				j.Cron = &docker.Cron{Schedule: "0 0 1 1 *", ConcurrencyPolicy: docker.AllowConcurrent}
			}))
		r.ready()
		for ref, want := range map[string]string{
			"job/none":        "the app has: cronjob/report, job/later, job/migrate",
			"cronjob/migrate": "no job cronjob/migrate",
			"pod/migrate":     "no job pod/migrate",
			"job/later":       "is suspended",
		} {
			if _, err := r.runJob(ref, false); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", ref, err, want)
			}
		}
		if err := r.eng.Crash("shop_gateway", 1, false); err != nil {
			t.Fatal(err)
		}
		if _, err := r.runJob("job/migrate", false); err == nil || !strings.Contains(err.Error(), "cuepod up") {
			t.Errorf("without a gateway: %v", err)
		}
	})
}

func TestJob_OfAnAppWithNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		w := r.addWork(takes(time.Second, 0))
		r.app.Pods, r.app.Services, r.app.Claims = nil, nil, nil
		r.shape = withJobs(aJob("migrate"))
		r.ready()
		r.ready()
		if got := r.jobs(); got != "migrate Complete, migrate-0 Succeeded" || w.count() != 1 {
			t.Errorf("jobs %q after %d runs", got, w.count())
		}
		r.settled()
	})
}

// A secret that comes with a job is there when the job begins.
func TestJob_WithANewSecretOnReload(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		w := r.addWork(takes(time.Second, 0))
		r.ready()
		r.up()
		r.told()
		r.eng.SetHook(func(_ context.Context, ph fake.Phase, op, _ string) error {
			if ph == fake.Before && op == "CopyTo" {
				time.Sleep(time.Second) // the record is there, the secret is not
			}
			return nil
		})
		r.shape = withJobs(aJob("migrate", func(j *docker.Job) {
			j.Template.Containers[0].Env = []docker.EnvVar{{Name: "TOKEN", Source: docker.FromSecret, Secret: &docker.KeyRef{Name: "token", Key: "value"}}}
		}))
		r.edit(func(a *app.App) {
			a.Secrets = append(a.Secrets, app.Secret{Name: "token", Keys: []app.SecretKey{{Name: "value", Generate: &app.GenerateSecret{Length: 8}}}})
		})
		time.Sleep(time.Minute)
		if got := r.told(); strings.Contains(got, "problem") || !strings.Contains(got, "is ready") || w.count() != 1 {
			t.Errorf("%d runs; told:\n%s", w.count(), got)
		}
	})
}

// Two containers may stand for one run, as a supervisor was killed between
// writing the second and removing the first.
func TestArrange_TheResultOfARunCounts(t *testing.T) {
	id := Identity{App: "shop", Root: "/src/shop"}
	begun := reconcile.Job{Name: "migrate", Workload: "migrate", Run: "17", Hash: "h", Created: time.Unix(17, 0).UTC()}
	done := begun
	done.Result, done.Finished = reconcile.JobComplete, time.Unix(18, 0).UTC()
	container := func(cid string, j reconcile.Job) engine.Container {
		return engine.Container{ID: cid, Labels: jobSpec(id, "shop", "image", j).Labels}
	}
	a, b := container("a", begun), container("b", done)
	want := done
	want.ID, want.Stale = "b", []string{"a"}
	for _, list := range [][]engine.Container{{a, b}, {b, a}} {
		o := arrange(list)
		if diff := cmp.Diff([]reconcile.Job{want}, o.Jobs); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	}
	early, late := cronSpec(id, "shop", "image", begun), cronSpec(id, "shop", "image", done)
	late.Labels[labelCreated] = stamp(done.Finished)
	for _, list := range [][]engine.Container{{{ID: "a", Labels: early.Labels}, {ID: "b", Labels: late.Labels}}, {{ID: "b", Labels: late.Labels}, {ID: "a", Labels: early.Labels}}} {
		o := arrange(list)
		want := map[string]*reconcile.Cron{"migrate": {ID: "b", Stale: []string{"a"}, Hash: "h", Since: done.Finished}}
		if diff := cmp.Diff(want, o.Crons); diff != "" {
			t.Errorf("CronJobs (-want +got):\n%s", diff)
		}
	}
}

func TestRunJob_EndsWhenTheEngineGoesAway(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addWork(takes(time.Hour, 0))
		never := func(j *docker.Job) {
			j.Cron = &docker.Cron{Schedule: "0 0 1 1 *", ConcurrencyPolicy: docker.AllowConcurrent}
		}
		r.shape = withJobs(aJob("report", never))
		r.ready()
		began := time.Now()
		time.AfterFunc(time.Minute, func() { r.eng.SetDown(true) })
		if _, err := r.runJob("report", false); err == nil || !strings.Contains(err.Error(), "no container engine answers") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("it took %v to notice", took)
		}
	})
}

// A first run that fails while a job begins leaves nothing of the job either.
func TestUp_FailedFirstRunTakesJobsWithIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addWork(takes(time.Hour, 0))
		r.shape = withJobs(aJob("migrate"))
		begun := false
		r.eng.SetHook(func(_ context.Context, ph fake.Phase, op, object string) error {
			switch {
			case ph == fake.Before && op == "CreateContainer" && object == "shop_migrate-0":
				r.mu.Lock()
				begun = true
				r.mu.Unlock()
				time.Sleep(10 * time.Second)
			case ph == fake.Before && op == "StartContainer" && object == "shop_web-1":
				time.Sleep(5 * time.Second)
				return errors.New("no room")
			}
			return nil
		})
		cfg := r.config()
		cfg.Once = true
		if err := up(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "no room") {
			t.Errorf("error %v", err)
		}
		time.Sleep(time.Minute)
		if left := r.everything(); len(left) > 0 || !begun {
			t.Errorf("left (the job had begun: %t): %v", begun, left)
		}
	})
}
