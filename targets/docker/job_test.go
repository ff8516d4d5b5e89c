package docker

import (
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/google/go-cmp/cmp"
)

func testJob(change ...func(*Job)) *Job {
	one := 1
	j := &Job{
		Name: "migrate", Completions: &one, Parallelism: 1, BackoffLimit: 6,
		Template: Pod{
			Name: "migrate", Workload: "migrate", EngineName: "shop_migrate", Hostname: "migrate", RestartPolicy: RestartNever,
			Mounts: []Mount{{Volume: "shop_migrate_tmp", Path: "/volumes/tmp"}},
			Init:   []Container{{Name: "wait", EngineName: "shop_migrate_wait", Hash: "w"}},
			Containers: []Container{{
				Name: "run", EngineName: "shop_migrate_run", Hash: "r", Image: "migrate:1",
				Env:    []EnvVar{{Name: "ME", Source: FromPodName}, {Name: "LEVEL", Value: "info"}},
				Mounts: []Mount{{Volume: "shop_migrate_tmp", Path: "/tmp"}, {Volume: "shop_data", Path: "/data"}},
			}},
			DependsOn: []Dependency{{Service: "db", Condition: "ready"}},
		},
		Volumes: []Volume{{Name: "shop_migrate_tmp", Kind: EmptyDir, Pod: "migrate"}},
	}
	for _, f := range change {
		f(j)
	}
	j.Hash = JobHash(j)
	return j
}

func TestJobInstance(t *testing.T) {
	j := testJob()
	p, volumes := j.Instance("shop", "migrate", "17", "migrate-2")
	if diff := cmp.Diff([]Volume{{Name: "shop_migrate-2_tmp", Kind: EmptyDir, Pod: "migrate-2"}}, volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	want := Pod{
		Name: "migrate-2", Workload: "migrate", EngineName: "shop_migrate-2", Hostname: "migrate-2", RestartPolicy: RestartNever,
		Job: "migrate", Run: "17", Hash: j.Hash,
		Mounts: []Mount{{Volume: "shop_migrate-2_tmp", Path: "/volumes/tmp"}},
		Init:   []Container{{Name: "wait", EngineName: "shop_migrate-2_wait", Hash: "w"}},
		Containers: []Container{{
			Name: "run", EngineName: "shop_migrate-2_run", Hash: "r", Image: "migrate:1",
			Env:    []EnvVar{{Name: "ME", Source: Verbatim, Value: "migrate-2"}, {Name: "LEVEL", Value: "info"}},
			Mounts: []Mount{{Volume: "shop_migrate-2_tmp", Path: "/tmp"}, {Volume: "shop_data", Path: "/data"}},
		}},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(testJob(), j); diff != "" {
		t.Errorf("the job itself was changed (-want +got):\n%s", diff)
	}
	long := strings.Repeat("a", 61) + "-"
	if p, _ := j.Instance("shop", long, "17", long+"12"); p.Hostname != strings.Repeat("a", 61)+"-1" {
		t.Errorf("host name %q", p.Hostname)
	}
	indexed := testJob(func(j *Job) { j.Indexed = true })
	p, _ = indexed.Instance("shop", "migrate", "17", indexed.PodName("migrate", 3, 12))
	env := append(slices.Clone(want.Containers[0].Env), EnvVar{Name: "JOB_COMPLETION_INDEX", Source: Verbatim, Value: "3"})
	env[0].Value = "migrate-3-12"
	if diff := cmp.Diff(env, p.Containers[0].Env); diff != "" || p.Hostname != "migrate-3" || p.Name != "migrate-3-12" {
		t.Errorf("indexed: pod %s, host name %s, environment (-want +got):\n%s", p.Name, p.Hostname, diff)
	}
	for name, want := range map[string]int{"migrate-3-12": 3, "migrate-3": -1, "other-3-12": -1, "migrate-x-1": -1} {
		if got := IndexOf("migrate", name); got != want {
			t.Errorf("index of %s: %d, want %d", name, got, want)
		}
	}
	fixed, _ := testJob(func(j *Job) { j.Template.Hostname = "host" }).Instance("shop", "migrate", "17", "migrate-2")
	if fixed.Hostname != "host" {
		t.Errorf("a host name of the definition became %q", fixed.Hostname)
	}
}

func TestJobHash(t *testing.T) {
	three, seconds := 3, 60
	tests := []struct {
		name    string
		change  func(*Job)
		another bool
		words   string
	}{
		{"image", func(j *Job) { j.Template.Containers[0].Image, j.Template.Containers[0].Hash = "migrate:2", "r2" }, true, "container run: image migrate:1 -> migrate:2"},
		{"init container", func(j *Job) { j.Template.Init[0].Hash = "w2" }, true, "init containers changed"},
		{"restart policy", func(j *Job) { j.Template.RestartPolicy = RestartOnFailure }, true, "restartPolicy Never -> OnFailure"},
		{"completions", func(j *Job) { j.Completions = &three }, true, "completions 1 -> 3"},
		{"mode", func(j *Job) { j.Indexed = true }, true, "completionMode changed"},
		{"volume", func(j *Job) { j.Volumes[0].Kind = Memory }, true, ""},
		{"parallelism", func(j *Job) { j.Parallelism = 2 }, false, ""},
		{"backoffLimit", func(j *Job) { j.BackoffLimit = 2 }, false, ""},
		{"ttl", func(j *Job) { j.TTLSecondsAfterFinished = &seconds }, false, ""},
		{"deadline", func(j *Job) { j.ActiveDeadlineSeconds = 2 }, false, ""},
		{"suspend", func(j *Job) { j.Suspend = true }, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from, to := testJob(), testJob(tt.change)
			if another := from.Hash != to.Hash; another != tt.another {
				t.Errorf("another job: %t, want %t", another, tt.another)
			}
			if got := strings.Join(to.Changes(from), ", "); got != tt.words {
				t.Errorf("changes %q, want %q", got, tt.words)
			}
		})
	}
}

// conformance:S119
func TestJob_PoliciesAreResolved(t *testing.T) {
	two := 2
	p := app.Pod{Name: "batch", Kind: "Job", Completions: &two, CompletionMode: "Indexed", BackoffLimitPerIndex: &two, MaxFailedIndexes: &two,
		Containers: []app.Container{{Name: "run", Image: "job:1"}},
		PodFailurePolicy: &app.PodFailurePolicy{Rules: []app.PodFailurePolicyRule{
			{Action: "FailJob", OnExitCodes: &app.PodFailurePolicyOnExitCodesRequirement{ContainerName: "run", Operator: "In", Values: []int{3}}},
			{Action: "Ignore", OnPodConditions: []app.PodFailurePolicyOnPodConditionsPattern{{Type: "DisruptionTarget"}}},
		}},
		SuccessPolicy: &app.SuccessPolicy{Rules: []app.SuccessPolicyRule{{SucceededIndexes: "0,2-4,6"}, {SucceededCount: &two}}}}
	s, _, err := Render(&app.App{Name: "shop", Pods: []app.Pod{p}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	j := s.Jobs[0]
	wantFailure := []FailureRule{
		{Action: FailJob, Container: "run", Operator: "In", Values: []int{3}},
		{Action: IgnoreFailure, Conditions: []Condition{{"DisruptionTarget", "True"}}},
	}
	if diff := cmp.Diff(wantFailure, j.PodFailurePolicy); diff != "" {
		t.Errorf("podFailurePolicy (-want +got):\n%s", diff)
	}
	wantSuccess := []SuccessRule{{Indexes: []IndexRange{{0, 0}, {2, 4}, {6, 6}}}, {Count: &two}}
	if diff := cmp.Diff(wantSuccess, j.SuccessPolicy); diff != "" {
		t.Errorf("successPolicy (-want +got):\n%s", diff)
	}
	if *j.BackoffLimitPerIndex != 2 || *j.MaxFailedIndexes != 2 || j.BackoffLimit < 1<<30 {
		t.Errorf("limits %+v", j)
	}
}
