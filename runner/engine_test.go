package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
	"github.com/cuepod/cuepod/targets/docker"
)

// connect returns the engine, or skips the test; with CUEPOD_REQUIRE_ENGINE=1
// it fails it.
func connect(t *testing.T) (engine.Engine, engine.Info) {
	t.Helper()
	var info engine.Info
	eng, err := dockerapi.New(dockerapi.Options{})
	if err == nil {
		info, err = eng.Info(t.Context())
	}
	if err != nil {
		if os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no engine: %v", err)
	}
	t.Cleanup(func() { eng.Close() })
	return eng, info
}

// openEngine is connect for tests that need the image enginetest.Ref.
func openEngine(t *testing.T) (engine.Engine, engine.Info) {
	t.Helper()
	eng, info := connect(t)
	archive, err := enginetest.Archive(enginetest.BuildProgram(t, info.Arch))
	if err != nil {
		t.Fatal(err)
	}
	if err := eng.LoadImage(t.Context(), bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	return eng, info
}

// jobState is a server, a job that talks to it through its service, a job that
// fails, and a CronJob.
func jobState(app string) *docker.State {
	container := func(pod, name string, args ...string) docker.Container {
		return docker.Container{Name: name, EngineName: docker.ContainerName(app, pod, name), Image: enginetest.Ref, PullPolicy: "Never", Cmd: args, Hash: fmt.Sprint(args)}
	}
	server := docker.Pod{Name: "server-0", Workload: "server", EngineName: docker.InfraName(app, "server-0"), Hostname: "server-0", GracePeriod: 2, Hash: "server",
		Containers: []docker.Container{container("server-0", "main", "listen", ":9000")}}
	server.Containers[0].Probes = []docker.Probe{{Kind: "readiness", TCP: 9000, Period: 1, Timeout: 1, SuccessThreshold: 1, FailureThreshold: 3}}
	job := func(name string, args ...string) docker.Job {
		one := 1
		j := docker.Job{Name: name, Completions: &one, Parallelism: 1,
			Volumes: []docker.Volume{{Name: docker.VolumeName(app, name, "tmp"), Kind: docker.EmptyDir, Pod: name}},
			Template: docker.Pod{Name: name, Workload: name, Hostname: name, RestartPolicy: docker.RestartNever, GracePeriod: 2,
				Mounts:     []docker.Mount{{Volume: docker.VolumeName(app, name, "tmp"), Path: "/volumes/tmp"}},
				Containers: []docker.Container{container(name, "main", args...)}}}
		j.Template.Containers[0].Mounts = []docker.Mount{{Volume: docker.VolumeName(app, name, "tmp"), Path: "/tmp"}}
		return j
	}
	talk := job("talk", "dial", "server:9000")
	talk.Template.DependsOn = []docker.Dependency{{Service: "server", Condition: "ready"}}
	talk.Template.Init = []docker.Container{container("talk", "prepare", "write", "/tmp/file", "text")}
	talk.Template.Init[0].Mounts = talk.Template.Containers[0].Mounts
	never := &docker.Cron{Schedule: "0 0 29 2 *", ConcurrencyPolicy: docker.AllowConcurrent, FailedJobsHistoryLimit: 1}
	often := &docker.Cron{Schedule: "@every 2s", ConcurrencyPolicy: docker.ForbidConcurrent, SuccessfulJobsHistoryLimit: 2}
	fail, tick := job("fail", "exit", "3"), job("tick", "hostname")
	fail.Cron, tick.Cron = never, often
	s := &docker.State{App: app, Namespace: "default", Pods: []docker.Pod{server}, Jobs: []docker.Job{talk, fail, tick},
		Services: []docker.Service{{Name: "server", Pods: []string{"server-0"},
			Ports: []docker.ServicePort{{Name: "tcp", Port: 9000, Protocol: "TCP", Targets: map[string]int{"server-0": 9000}}}}}}
	for i := range s.Jobs {
		s.Jobs[i].Hash = docker.JobHash(&s.Jobs[i])
	}
	return s
}

func TestJobs_OnARealEngine(t *testing.T) {
	eng, info := openEngine(t)
	ref, archive := agenttest.Image(t, info.Arch)
	id := runner.Identity{App: fmt.Sprintf("jobtest-%06x", rand.Uint32N(1<<24)), Root: t.TempDir()}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := runner.Down(ctx, eng, id, runner.DownOptions{Volumes: true, Now: true}); err != nil {
			t.Error(err)
		}
	})
	state := jobState(id.App)
	noSecrets := runner.SecretSources{LookupEnv: os.LookupEnv, ReadFile: os.ReadFile}
	cfg := runner.Config{
		Engine: eng, Identity: id, Secrets: noSecrets, Once: true, Timeout: time.Minute,
		Agent: func(string) (string, []byte, error) { return ref, archive, nil },
		Compile: func(context.Context) (runner.Compiled, error) {
			return runner.Compiled{State: state, Root: id.Root}, nil
		},
		Report: func(e runner.Event) { t.Log(e.Kind, e.Object, e.Message) },
	}
	if err := runner.Up(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	status := func() runner.Status {
		t.Helper()
		s, err := runner.GetStatus(t.Context(), eng, id)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	instance := func() string { // of the job that is done
		for _, p := range status().Pods {
			if p.Name == "talk-0" && p.Phase == "Succeeded" {
				return p.Containers[len(p.Containers)-1].ID
			}
		}
		t.Fatalf("pods: %+v", status().Pods)
		return ""
	}
	first := instance()

	// A supervisor starts the CronJob's runs, and leaves the job alone.
	ctx, kill := context.WithCancel(t.Context())
	supervised := cfg
	supervised.Once = false
	ended := make(chan error, 1)
	go func() { ended <- runner.Up(ctx, supervised) }()
	deadline := time.Now().Add(90 * time.Second)
	complete := func() (n int) {
		for _, j := range status().Jobs {
			if j.CronJob == "tick" && j.Status == "Complete" {
				n++
			}
		}
		return n
	}
	for complete() < 2 {
		if time.Now().After(deadline) {
			t.Fatalf("jobs: %+v", status().Jobs)
		}
		time.Sleep(100 * time.Millisecond)
	}
	lines, err := run(t, eng, id, "talk", true, noSecrets)
	if err != nil || !slices.Equal(lines, []string{"talk-1/main: hello"}) {
		t.Errorf("run job/talk: %v %q", err, lines)
	}
	kill()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if again := instanceOf(status(), "talk-0"); again == first {
		t.Error("the pod of the run before is still there")
	}

	// Nobody supervises: the command does it by itself.
	lines, err = run(t, eng, id, "cronjob/fail", false, noSecrets)
	var failed *runner.FailedError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "BackoffLimitExceeded") {
		t.Errorf("run cronjob/fail: %v %q", err, lines)
	}
	second := instanceOf(status(), "talk-1")
	if err := runner.Up(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if again := instanceOf(status(), "talk-1"); again != second || second == "" {
		t.Error("a complete job ran again")
	}
	for _, p := range status().Pods {
		if p.Job != "" && p.Phase != "Succeeded" && p.Phase != "Failed" && !strings.HasPrefix(p.Name, "tick-") {
			t.Errorf("pod %s is %s", p.Name, p.Phase)
		}
	}
}

func instanceOf(s runner.Status, pod string) string {
	for _, p := range s.Pods {
		if p.Name == pod {
			return p.Containers[len(p.Containers)-1].ID
		}
	}
	return ""
}

func run(t *testing.T, eng engine.Engine, id runner.Identity, job string, supervised bool, secrets runner.SecretSources) (lines []string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = runner.RunJob(ctx, runner.RunConfig{Engine: eng, Identity: id, Job: job, Supervised: supervised, Secrets: secrets,
		Emit: func(l runner.LogLine) {
			if l.Container == "main" {
				lines = append(lines, l.Pod+"/"+l.Container+": "+l.Text)
			}
		}})
	return lines, err
}

// cronState has a CronJob of each concurrency policy whose runs do not end by
// themselves, one that is suspended, and a job whose exit code ends it.
func cronState(app string) *docker.State {
	s := jobState(app)
	template := s.Jobs[0].Template
	job := func(name string, policy docker.ConcurrencyPolicy, suspend bool, args ...string) docker.Job {
		one := 1
		j := docker.Job{Name: name, Completions: &one, Parallelism: 1, BackoffLimit: 6, Template: docker.Pod{
			Name: name, Workload: name, Hostname: name, RestartPolicy: docker.RestartNever, GracePeriod: 2,
			Containers: []docker.Container{{Name: "main", EngineName: docker.ContainerName(app, name, "main"), Image: template.Containers[0].Image, PullPolicy: "Never", Cmd: args, Hash: name}},
		}}
		if policy != "" {
			j.Cron = &docker.Cron{Schedule: "@every 2s", ConcurrencyPolicy: policy, Suspend: suspend, SuccessfulJobsHistoryLimit: 3, FailedJobsHistoryLimit: 1}
		}
		return j
	}
	stop := job("stop", "", false, "exit", "42")
	stop.PodFailurePolicy = []docker.FailureRule{{Action: docker.FailJob, Operator: "In", Values: []int{42}}}
	s.Pods, s.Services = nil, nil
	s.Jobs = []docker.Job{
		job("allow", docker.AllowConcurrent, false, "wait"), job("forbid", docker.ForbidConcurrent, false, "wait"),
		job("replace", docker.ReplaceConcurrent, false, "wait"), job("never", docker.AllowConcurrent, true, "wait"), stop,
	}
	for i := range s.Jobs {
		s.Jobs[i].Hash = docker.JobHash(&s.Jobs[i])
	}
	return s
}

// conformance:S119 S120
func TestCronJobs_PoliciesOnARealEngine(t *testing.T) {
	eng, info := openEngine(t)
	ref, archive := agenttest.Image(t, info.Arch)
	id := runner.Identity{App: fmt.Sprintf("crontest-%06x", rand.Uint32N(1<<24)), Root: t.TempDir()}
	t.Cleanup(func() {
		if err := runner.Down(context.WithoutCancel(t.Context()), eng, id, runner.DownOptions{Volumes: true, Now: true}); err != nil {
			t.Error(err)
		}
	})
	ctx, kill := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- runner.Up(ctx, runner.Config{
			Engine: eng, Identity: id, Secrets: runner.SecretSources{LookupEnv: os.LookupEnv, ReadFile: os.ReadFile},
			Agent: func(string) (string, []byte, error) { return ref, archive, nil },
			Compile: func(context.Context) (runner.Compiled, error) {
				return runner.Compiled{State: cronState(id.App), Root: id.Root}, nil
			},
			Report: func(e runner.Event) { t.Log(e.Kind, e.Object, e.Message) },
		})
	}()
	most, names := map[string]int{}, map[string]map[string]bool{}
	stop := runner.JobStatus{}
	deadline := time.Now().Add(2 * time.Minute)
	for most["allow"] < 2 || len(names["replace"]) < 2 || len(names["forbid"]) < 1 || stop.Status != "Failed" {
		if time.Now().After(deadline) {
			t.Fatalf("most at once %v, runs %v, job stop %+v", most, names, stop)
		}
		time.Sleep(100 * time.Millisecond)
		s, err := runner.GetStatus(t.Context(), eng, id)
		if err != nil {
			continue // it has not begun
		}
		now := map[string]int{}
		for _, j := range s.Jobs {
			if j.Name == "stop" {
				stop = j
			}
			if names[j.CronJob] == nil {
				names[j.CronJob] = map[string]bool{}
			}
			names[j.CronJob][j.Name] = true
			if j.Active > 0 {
				now[j.CronJob]++
			}
		}
		for name, n := range now {
			most[name] = max(most[name], n)
		}
	}
	kill()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if most["forbid"] != 1 || len(names["forbid"]) != 1 || most["replace"] != 1 || len(names["never"]) != 0 {
		t.Errorf("most at once %v, runs %v", most, names)
	}
	if stop.Reason != "PodFailurePolicy" || stop.Failed != 1 {
		t.Errorf("job stop %+v, want one pod and PodFailurePolicy", stop)
	}
}
