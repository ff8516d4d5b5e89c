package runner

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// exits is work that ends at once with a code for each pod, by its completion
// index and by how often that index was tried; 0 without one.
func exits(codes map[string][]int) func(context.Context, string, int) int {
	var mu sync.Mutex
	tries := map[string]int{}
	return func(_ context.Context, pod string, _ int) int {
		mu.Lock()
		defer mu.Unlock()
		index := strings.Split(pod, "-")[1]
		n := tries[index]
		tries[index]++
		if list := codes[index]; n < len(list) {
			return list[n]
		}
		return 0
	}
}

// Policies of jobs end them as Kubernetes' controller does:
// pkg/controller/job, test/e2e/apps/job.go.
//
// conformance:S119
func TestJob_Policies(t *testing.T) {
	indexed := func(completions int, change ...func(*docker.Job)) docker.Job {
		return aJob("batch", append([]func(*docker.Job){func(j *docker.Job) {
			j.Indexed, j.Completions, j.Parallelism = true, &completions, completions
		}}, change...)...)
	}
	perIndex := func(limit int) func(*docker.Job) {
		return func(j *docker.Job) { j.BackoffLimitPerIndex, j.BackoffLimit = &limit, 1<<31-1 }
	}
	policy := func(rules ...docker.FailureRule) func(*docker.Job) {
		return func(j *docker.Job) { j.PodFailurePolicy = rules }
	}
	success := func(rules ...docker.SuccessRule) func(*docker.Job) {
		return func(j *docker.Job) { j.SuccessPolicy = rules }
	}
	in := func(action docker.FailureAction, codes ...int) docker.FailureRule {
		return docker.FailureRule{Action: action, Operator: "In", Values: codes}
	}
	one, two := 1, 2
	tests := []struct {
		name   string
		job    docker.Job
		codes  map[string][]int
		status string // Status Reason completed/failed indexes, pods run
		runs   int
	}{
		{"FailJob ends it at the first such code", indexed(2, policy(in(docker.FailJob, 42))), map[string][]int{"0": {42}},
			"Failed PodFailurePolicy 1/", 2},
		{"another code counts", indexed(1, policy(in(docker.FailJob, 42)), func(j *docker.Job) { j.BackoffLimit = 1 }), map[string][]int{"0": {1, 1, 1}},
			"Failed BackoffLimitExceeded /", 2},
		{"Ignore does not count", indexed(1, policy(in(docker.IgnoreFailure, 7)), func(j *docker.Job) { j.BackoffLimit = 0 }), map[string][]int{"0": {7, 7}},
			"Complete  0/", 3},
		{"NotIn, of another container alone", indexed(1, policy(docker.FailureRule{Action: docker.FailJob, Container: "other", Operator: "NotIn", Values: []int{1}},
			docker.FailureRule{Action: docker.FailJob, Container: "run", Operator: "NotIn", Values: []int{3}})), map[string][]int{"0": {3, 4}},
			"Failed PodFailurePolicy /", 2},
		{"a condition that only a cluster has", indexed(1, policy(docker.FailureRule{Action: docker.IgnoreFailure, Conditions: []docker.Condition{{Type: "DisruptionTarget", Status: "True"}}}),
			func(j *docker.Job) { j.BackoffLimit = 0 }), map[string][]int{"0": {1}}, "Failed BackoffLimitExceeded /", 1},
		{"all indexes run, despite some that fail", indexed(4, perIndex(1)), map[string][]int{"0": {1, 1, 1}, "2": {1, 1, 1}},
			"Failed FailedIndexes 1,3/0,2", 6},
		{"an index that is tried again in time", indexed(2, perIndex(1)), map[string][]int{"0": {1}}, "Complete  0,1/", 3},
		{"FailIndex gives an index up at once", indexed(2, perIndex(3), policy(in(docker.FailIndex, 9))), map[string][]int{"1": {9}},
			"Failed FailedIndexes 0/1", 2},
		{"too many failed indexes end it", indexed(4, perIndex(0), func(j *docker.Job) { j.MaxFailedIndexes, j.Parallelism = &one, 1 }),
			map[string][]int{"0": {1}, "1": {1}, "2": {1}, "3": {1}}, "Failed MaxFailedIndexesExceeded /0,1", 2},
		{"succeededIndexes", indexed(5, success(docker.SuccessRule{Indexes: []docker.IndexRange{{First: 0, Last: 0}, {First: 2, Last: 3}}}), func(j *docker.Job) { j.Parallelism = 1 }),
			map[string][]int{}, "Complete SuccessPolicy 0-3/", 4},
		{"succeededCount", indexed(5, success(docker.SuccessRule{Count: &two}), func(j *docker.Job) { j.Parallelism = 1 }),
			map[string][]int{}, "Complete SuccessPolicy 0,1/", 2},
		{"succeededCount of some indexes", indexed(5, success(docker.SuccessRule{Indexes: []docker.IndexRange{{First: 3, Last: 4}}, Count: &one}), func(j *docker.Job) { j.Parallelism = 1 }),
			map[string][]int{}, "Complete SuccessPolicy 0-3/", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				w := r.addWork(takesThen(time.Second, exits(tt.codes)))
				r.shape = withJobs(tt.job)
				r.up()
				time.Sleep(time.Hour)
				s := r.status().Jobs[0]
				if got := s.Status + " " + s.Reason + " " + s.CompletedIndexes + "/" + s.FailedIndexes; got != tt.status || w.count() != tt.runs {
					t.Errorf("%s after %d pods, want %s after %d", got, w.count(), tt.status, tt.runs)
				}
				for name := range r.running() {
					if strings.Contains(name, "batch") {
						t.Errorf("%s still runs", name)
					}
				}
				r.settled()
			})
		})
	}
}

// takesThen is work that takes a while before it is done.
func takesThen(d time.Duration, do func(context.Context, string, int) int) func(context.Context, string, int) int {
	return func(ctx context.Context, pod string, n int) int {
		select {
		case <-time.After(d):
			return do(ctx, pod, n)
		case <-ctx.Done():
			return 143
		}
	}
}
