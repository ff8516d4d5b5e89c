package docker

import (
	"cmp"
	"math"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// Kubernetes' defaults: pkg/apis/batch/v1/defaults.go.
const (
	defaultBackoffLimit   = 6
	defaultSuccessfulJobs = 3
	defaultFailedJobs     = 1
)

// job makes the job that runs a pod to its end. Its pods are named when they
// are made; see Job.Instance.
func (r *renderer) job(p *app.Pod) Job {
	template, volumes := r.pod(p, p.Name, 0)
	j := Job{
		Name:                    p.Name,
		Template:                template,
		Volumes:                 volumes,
		Completions:             p.Completions,
		Indexed:                 p.CompletionMode == "Indexed",
		Parallelism:             valueOr(p.Parallelism, 1),
		BackoffLimit:            valueOr(p.BackoffLimit, defaultBackoffLimit),
		ActiveDeadlineSeconds:   valueOr(p.ActiveDeadlineSeconds, 0),
		TTLSecondsAfterFinished: p.TTLSecondsAfterFinished,
		PodFailurePolicy:        failureRules(p.PodFailurePolicy),
		SuccessPolicy:           successRules(p.SuccessPolicy),
		BackoffLimitPerIndex:    p.BackoffLimitPerIndex,
		MaxFailedIndexes:        p.MaxFailedIndexes,
	}
	if p.Completions == nil && p.Parallelism == nil {
		one := 1
		j.Completions = &one
	}
	if p.BackoffLimit == nil && p.BackoffLimitPerIndex != nil {
		j.BackoffLimit = math.MaxInt32 // the limit of each index counts
	}
	if p.Kind == "CronJob" {
		j.Cron = &Cron{
			Schedule:                   p.Schedule,
			TimeZone:                   p.TimeZone,
			ConcurrencyPolicy:          AllowConcurrent,
			StartingDeadlineSeconds:    p.StartingDeadlineSeconds,
			Suspend:                    isTrue(p.Suspend),
			SuccessfulJobsHistoryLimit: valueOr(p.SuccessfulJobsHistoryLimit, defaultSuccessfulJobs),
			FailedJobsHistoryLimit:     valueOr(p.FailedJobsHistoryLimit, defaultFailedJobs),
		}
		if p.ConcurrencyPolicy != "" {
			j.Cron.ConcurrencyPolicy = ConcurrencyPolicy(p.ConcurrencyPolicy)
		}
	} else {
		j.Suspend = isTrue(p.Suspend)
	}
	j.Hash = JobHash(&j)
	return j
}

func failureRules(policy *app.PodFailurePolicy) []FailureRule {
	if policy == nil {
		return nil
	}
	var out []FailureRule
	for _, r := range policy.Rules {
		rule := FailureRule{Action: FailureAction(r.Action)}
		if e := r.OnExitCodes; e != nil {
			rule.Container, rule.Operator, rule.Values = e.ContainerName, e.Operator, e.Values
		}
		for _, c := range r.OnPodConditions {
			rule.Conditions = append(rule.Conditions, Condition{c.Type, cmp.Or(c.Status, "True")})
		}
		out = append(out, rule)
	}
	return out
}

func successRules(policy *app.SuccessPolicy) []SuccessRule {
	if policy == nil {
		return nil
	}
	var out []SuccessRule
	for _, r := range policy.Rules {
		out = append(out, SuccessRule{Indexes: indexRanges(r.SucceededIndexes), Count: r.SucceededCount})
	}
	return out
}

// indexRanges reads "0,2-4", which has been checked.
func indexRanges(text string) []IndexRange {
	var out []IndexRange
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err == nil && err2 == nil {
			out = append(out, IndexRange{from, to})
		}
	}
	return out
}

func valueOr[T any](v *T, otherwise T) T {
	if v != nil {
		return *v
	}
	return otherwise
}

// restartPolicy is "" for pods that are always kept running. Pods of a job end;
// Kubernetes has no default for them, and the other target's is the same.
func restartPolicy(p *app.Pod) RestartPolicy {
	switch {
	case p.RestartPolicy != "" && p.RestartPolicy != string(RestartAlways):
		return RestartPolicy(p.RestartPolicy)
	case runsToEnd(p):
		return RestartNever
	}
	return ""
}

func runsToEnd(p *app.Pod) bool { return p.Kind == "Job" || p.Kind == "CronJob" }
