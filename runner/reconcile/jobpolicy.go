package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/targets/docker"
)

// Why a job ended by a policy of its own, in Kubernetes' words.
const (
	FailedByPolicy           = "PodFailurePolicy"
	FailedIndexes            = "FailedIndexes"
	MaxFailedIndexesExceeded = "MaxFailedIndexesExceeded"
	SucceededByPolicy        = "SuccessPolicy"
)

// failureAction is what the first rule that fits says of a pod that failed.
// Without one it counts. Source: pkg/controller/job/pod_failure_policy.go.
func failureAction(j *docker.Job, p *Pod) docker.FailureAction {
	for i := range j.PodFailurePolicy {
		rule := &j.PodFailurePolicy[i]
		if rule.Action == docker.FailIndex && j.BackoffLimitPerIndex == nil {
			continue
		}
		if rule.Operator != "" && exitMatches(rule, p) || rule.Operator == "" && conditionMatches(rule, p) {
			return rule.Action
		}
	}
	return docker.CountFailure
}

// exitMatches reports whether a container that failed ended with a code of the
// rule.
func exitMatches(rule *docker.FailureRule, p *Pod) bool {
	return slices.ContainsFunc(p.Members, func(m Container) bool {
		if rule.Container != "" && rule.Container != m.Key || m.State != Exited || m.ExitCode == 0 {
			return false
		}
		return slices.Contains(rule.Values, m.ExitCode) == (rule.Operator == "In")
	})
}

// conditionMatches reports whether a pod that failed has a condition of the
// rule. Nobody disrupts pods here, so DisruptionTarget is never among them.
func conditionMatches(rule *docker.FailureRule, p *Pod) bool {
	initialised := !slices.ContainsFunc(p.Members, func(m Container) bool { return m.Init && m.failed() })
	has := map[string]bool{"PodScheduled": true, "Initialized": initialised, "PodReadyToStartContainers": false, "ContainersReady": false, "Ready": false}
	return slices.ContainsFunc(rule.Conditions, func(c docker.Condition) bool {
		is, known := has[c.Type]
		return known && is == (c.Status == "True")
	})
}

// countFailure counts a pod that failed.
func (t *Tally) countFailure(j *docker.Job, index int, p *Pod) {
	action := docker.CountFailure
	if j != nil {
		action = failureAction(j, p)
	}
	end := p.finished()
	if index >= 0 && end.After(t.lastOf[index]) {
		t.lastOf[index] = end
	}
	t.triesOf[index]++
	switch action {
	case docker.IgnoreFailure:
		return
	case docker.FailJob:
		t.failJob = true
	case docker.FailIndex:
		t.failedIndex[index] = true
	}
	t.Failed++
	t.failuresOf[index]++
	if j != nil && j.BackoffLimitPerIndex != nil && t.failuresOf[index] > *j.BackoffLimitPerIndex {
		t.failedIndex[index] = true
	}
}

// indexVerdict says whether an indexed job is over for the sake of its indexes.
func indexVerdict(j *docker.Job, t Tally) (Result, string) {
	switch {
	case j.BackoffLimitPerIndex == nil:
	case j.MaxFailedIndexes != nil && len(t.failedIndex) > *j.MaxFailedIndexes:
		return JobFailed, MaxFailedIndexesExceeded
	case j.Completions != nil && len(t.failedIndex) > 0 && len(t.failedIndex)+len(t.doneIndex) >= *j.Completions:
		return JobFailed, FailedIndexes
	}
	for _, rule := range j.SuccessPolicy {
		if satisfied(rule, t.doneIndex) {
			return JobComplete, SucceededByPolicy
		}
	}
	return "", ""
}

// satisfied reports whether enough of the indexes of a rule have succeeded.
// Source: pkg/controller/job/success_policy.go.
func satisfied(rule docker.SuccessRule, done map[int]bool) bool {
	if len(rule.Indexes) == 0 {
		return rule.Count != nil && len(done) >= *rule.Count
	}
	of, succeeded := 0, 0
	for _, r := range rule.Indexes {
		of += r.Last - r.First + 1
		for index := range done {
			if r.First <= index && index <= r.Last {
				succeeded++
			}
		}
	}
	if rule.Count != nil {
		return succeeded >= *rule.Count
	}
	return succeeded >= of
}

// CompletedIndexes are the indexes that have succeeded, as Kubernetes writes
// them: "0,2-4".
func (t Tally) CompletedIndexes() string { return ranges(t.doneIndex) }

// FailedIndexes are the indexes that are not tried again, in the same form.
func (t Tally) FailedIndexes() string { return ranges(t.failedIndex) }

func ranges(set map[int]bool) string {
	var out []string
	list := slices.Sorted(maps.Keys(set))
	for i := 0; i < len(list); {
		last := i
		for last+1 < len(list) && list[last+1] == list[last]+1 {
			last++
		}
		switch last - i {
		case 0:
			out = append(out, fmt.Sprint(list[i]))
		case 1:
			out = append(out, fmt.Sprint(list[i]), fmt.Sprint(list[last]))
		default:
			out = append(out, fmt.Sprintf("%d-%d", list[i], list[last]))
		}
		i = last + 1
	}
	return strings.Join(out, ",")
}
