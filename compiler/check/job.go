package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/internal/cron"
)

// Limits of Jobs, from Kubernetes' batch/validation.
const (
	maxIndexedParallelism = 100_000 // of an Indexed Job
	manyCompletions       = 100_000 // above it, a limit per index has tighter limits
	maxWhenMany           = 10_000
	maxPolicyRules        = 20
	maxExitCodes          = 255
	maxManagedBy          = 63
	maxCronJobName        = 52 // 11 characters are added for each Job
	maxLabel              = 63 // characters of a host name
)

func (c *checker) job(p *app.Pod, at place) {
	if p.ActiveDeadlineSeconds != nil && *p.ActiveDeadlineSeconds < 1 {
		at.field("activeDeadlineSeconds").refuse("it must be at least 1")
	}
	if p.ManagedBy != "" {
		c.managedBy(p.ManagedBy, at.field("managedBy"))
	}
	if p.CompletionMode == "Indexed" {
		c.indexedJob(p, at)
	} else {
		c.plainJob(p, at)
	}
	if p.PodFailurePolicy != nil {
		c.podFailurePolicy(p, at)
	}
}

// managedBy wants a domain and a path.
func (c *checker) managedBy(name string, at place) {
	domain, rest, ok := strings.Cut(name, "/")
	if !ok || rest == "" || !isDNSName(domain) || strings.Trim(rest, headerLetters+"/._~%!$&'()*+,;=:") != "" || len(name) > maxManagedBy {
		at.refuse("%q is not valid", name).hint("it is a domain and a path, such as \"example.com/queue\", of at most %d characters", maxManagedBy)
	}
}

// plainJob refuses what only an Indexed Job has.
func (c *checker) plainJob(p *app.Pod, at place) {
	for _, f := range []kindField{
		{name: "backoffLimitPerIndex", set: p.BackoffLimitPerIndex != nil},
		{name: "maxFailedIndexes", set: p.MaxFailedIndexes != nil},
		{name: "successPolicy", set: p.SuccessPolicy != nil},
	} {
		if f.set {
			at.field(f.name).refuse("it needs numbered pods").hint("set completionMode: \"Indexed\"")
		}
	}
}

func (c *checker) indexedJob(p *app.Pod, at place) {
	completions := 1 // what Kubernetes fills in, when there is no parallelism either, and not in a CronJob
	switch {
	case p.Completions != nil:
		completions = *p.Completions
	case p.Parallelism != nil || p.Kind == "CronJob":
		at.field("completionMode").refuse("an Indexed Job needs completions").hint("add completions: NUMBER, how many pods have to succeed")
		return
	}
	most := maxIndexedParallelism
	if completions > manyCompletions && p.BackoffLimitPerIndex != nil {
		most = maxWhenMany
		if p.MaxFailedIndexes == nil {
			at.field("completions").refuse("more than %d completions with backoffLimitPerIndex need maxFailedIndexes", manyCompletions).hint("add maxFailedIndexes: NUMBER")
		}
	}
	within(at.field("parallelism"), p.Parallelism, 0, most)
	within(at.field("maxFailedIndexes"), p.MaxFailedIndexes, 0, min(most, completions))
	if p.MaxFailedIndexes != nil && p.BackoffLimitPerIndex == nil {
		at.field("maxFailedIndexes").refuse("it needs backoffLimitPerIndex").hint("add backoffLimitPerIndex: how often one index may fail")
	}
	if last := p.Name + "-" + strconv.Itoa(completions-1); p.Kind == "Job" && len(last) > maxLabel {
		at.field("completions").refuse("the last pod would be called %q, which is longer than %d characters", last, maxLabel).hint("give the pod a shorter name")
	}
	if p.SuccessPolicy != nil {
		c.successPolicy(p.SuccessPolicy, completions, at.field("successPolicy").at(p.SuccessPolicy.Pos))
	}
}

func (c *checker) successPolicy(s *app.SuccessPolicy, completions int, at place) {
	if n := len(s.Rules); n == 0 || n > maxPolicyRules {
		at.field("rules").refuse("there are %d rules; there can be 1 to %d", n, maxPolicyRules)
	}
	for i, rule := range s.Rules {
		at := at.field("rules").item(i).at(rule.Pos)
		if rule.SucceededIndexes == "" && rule.SucceededCount == nil {
			at.refuse("it says neither succeededIndexes nor succeededCount").hint("give it at least one of them")
			continue
		}
		most := completions
		if rule.SucceededIndexes != "" {
			total, err := indexes(rule.SucceededIndexes, completions)
			if err != nil {
				at.field("succeededIndexes").refuse("%v", err).hint("write numbers and ranges below completions, in rising order: \"0,2-4\"")
				continue
			}
			most = total
		}
		within(at.field("succeededCount"), rule.SucceededCount, 0, most)
	}
}

// indexes counts the indexes of a list such as "1,3-5".
func indexes(text string, completions int) (int, error) {
	total, last := 0, -1
	for _, interval := range strings.Split(text, ",") {
		low, high, ranged := strings.Cut(interval, "-")
		if !ranged {
			high = low
		}
		from, err := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err != nil || err2 != nil {
			return 0, fmt.Errorf("%q is neither a number nor a range", interval)
		}
		if from <= last || to < from || ranged && to == from {
			return 0, fmt.Errorf("the indexes do not rise at %q", interval)
		}
		if to >= completions {
			return 0, fmt.Errorf("%q is not below completions, %d", interval, completions)
		}
		total, last = total+to-from+1, to
	}
	return total, nil
}

func (c *checker) podFailurePolicy(p *app.Pod, at place) {
	if p.RestartPolicy == "OnFailure" {
		at.field("restartPolicy").refuse("it must be Never with a podFailurePolicy").hint("the policy judges pods that failed, and containers that are restarted never fail their pod")
	}
	if p.PodReplacementPolicy == "TerminatingOrFailed" {
		at.field("podReplacementPolicy").refuse("it must be Failed with a podFailurePolicy").hint("leave it out, or set it to \"Failed\"")
	}
	rules := at.field("podFailurePolicy").at(p.PodFailurePolicy.Pos).field("rules")
	if n := len(p.PodFailurePolicy.Rules); n > maxPolicyRules {
		rules.refuse("there are %d rules; there can be %d", n, maxPolicyRules)
	}
	for i := range p.PodFailurePolicy.Rules {
		rule := &p.PodFailurePolicy.Rules[i]
		c.podFailureRule(p, rule, rules.item(i).at(rule.Pos))
	}
}

func (c *checker) podFailureRule(p *app.Pod, rule *app.PodFailurePolicyRule, at place) {
	if rule.Action == "FailIndex" && p.BackoffLimitPerIndex == nil {
		at.field("action").refuse("FailIndex needs backoffLimitPerIndex").hint("set backoffLimitPerIndex, or the action \"FailJob\"")
	}
	at.one("condition", choice{"onExitCodes", rule.OnExitCodes != nil}, choice{"onPodConditions", len(rule.OnPodConditions) > 0})
	if rule.OnExitCodes != nil {
		c.exitCodes(p, rule.OnExitCodes, at.field("onExitCodes").at(rule.OnExitCodes.Pos))
	}
	conditions := at.field("onPodConditions")
	if n := len(rule.OnPodConditions); n > maxPolicyRules {
		conditions.refuse("there are %d patterns; there can be %d", n, maxPolicyRules)
	}
	for i, pattern := range rule.OnPodConditions {
		at := conditions.item(i).at(pattern.Pos)
		at.field("type").qualified(pattern.Type)
		at.field("status").oneOf(pattern.Status, "True", "False", "Unknown")
	}
}

func (c *checker) exitCodes(p *app.Pod, codes *app.PodFailurePolicyOnExitCodesRequirement, at place) {
	have := containerNames(p)
	if codes.ContainerName != "" && !slices.Contains(have, codes.ContainerName) {
		at.field("containerName").missing("container", codes.ContainerName, "pod "+p.Name, have)
	}
	values := at.field("values")
	if n := len(codes.Values); n == 0 || n > maxExitCodes {
		values.refuse("there are %d values; there can be 1 to %d", n, maxExitCodes)
		return
	}
	if codes.Operator == "In" && slices.Contains(codes.Values, 0) {
		values.refuse("0 is success, which is no failure").hint("leave 0 out, or use the operator \"NotIn\"")
	}
	if sorted := slices.Compact(slices.Sorted(slices.Values(codes.Values))); !slices.Equal(sorted, codes.Values) {
		values.refuse("the values must rise, each there once").hint("write them as %s", listed(sorted))
	}
}

func listed(numbers []int) string {
	return "[" + strings.Join(names(numbers, strconv.Itoa), ", ") + "]"
}

// containerNames are those of all containers of a pod.
func containerNames(p *app.Pod) []string {
	name := func(c app.Container) string { return c.Name }
	return slices.Concat(names(p.InitContainers, name), names(p.Containers, name))
}

func (c *checker) cronJob(p *app.Pod, at place) {
	if len(p.Name) > maxCronJobName {
		at.refuse("the name of a CronJob has at most %d characters, not %d", maxCronJobName, len(p.Name)).hint("the names of its Jobs get 11 more")
	}
	if p.Schedule == "" {
		at.refuse("a CronJob needs a schedule").hint("add schedule: \"MINUTE HOUR DAY MONTH WEEKDAY\", such as \"17 3 * * *\"")
		return
	}
	schedule := at.field("schedule")
	if strings.Contains(p.Schedule, "TZ") {
		schedule.refuse("%q has a time zone in it", p.Schedule).hint("set timeZone beside it")
		return
	}
	if word := strings.Join(strings.Fields(p.Schedule), " "); strings.HasPrefix(word, "@") && word != p.Schedule {
		schedule.refuse("%q has spaces that do not belong there", p.Schedule).hint("write it as %q", word)
	} else if _, err := cron.Parse(p.Schedule, ""); err != nil {
		schedule.refuse("%s", strings.TrimPrefix(err.Error(), "schedule ")).hint("write \"MINUTE HOUR DAY MONTH WEEKDAY\", such as \"17 3 * * *\", or @daily")
	}
	if _, err := cron.Parse("@daily", p.TimeZone); err != nil {
		at.field("timeZone").refuse("there is no time zone %q", p.TimeZone).hint("name one of the time zone database, such as \"Europe/Berlin\"")
	}
}
