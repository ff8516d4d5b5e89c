package check

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// kindField is a field that only some kinds of pods have.
type kindField struct {
	name  string
	set   bool
	kinds []string
}

// kindFields lists the fields of a pod that not every kind has. The model keeps
// the lines of those whose zero value says nothing.
func kindFields(p *app.Pod) []kindField {
	var (
		rolling     = []string{"Deployment", "StatefulSet", "DaemonSet"}
		replicated  = []string{"Deployment", "StatefulSet"}
		deployment  = []string{"Deployment"}
		statefulSet = []string{"StatefulSet"}
		jobs        = []string{"Job", "CronJob"}
		cronJob     = []string{"CronJob"}
	)
	return []kindField{
		{"replicas", p.Replicas != 1, replicated},
		{"updateStrategy", p.UpdateStrategy != nil, rolling},
		{"autoscaling", p.Autoscaling != nil, replicated},
		{"disruptionBudget", p.DisruptionBudget != nil, rolling},
		{"minReadySeconds", p.MinReadySeconds != 0, rolling},
		{"revisionHistoryLimit", p.RevisionHistoryLimit != nil, rolling},
		{"paused", p.Paused, deployment},
		{"progressDeadlineSeconds", p.ProgressDeadlineSeconds != nil, deployment},
		{"volumeClaimTemplates", len(p.VolumeClaimTemplates) > 0, statefulSet},
		{"serviceName", p.ServiceName != "", statefulSet},
		{"podManagementPolicy", p.PodManagementPolicy != "", statefulSet},
		{"persistentVolumeClaimRetentionPolicy", p.PersistentVolumeClaimRetentionPolicy != nil, statefulSet},
		{"ordinals", p.Ordinals != nil, statefulSet},
		{"activeDeadlineSeconds", p.ActiveDeadlineSeconds != nil, jobs},
		{"suspend", p.Suspend != nil, jobs},
		{"parallelism", p.Parallelism != nil, jobs},
		{"completions", p.Completions != nil, jobs},
		{"completionMode", p.CompletionMode != "", jobs},
		{"podFailurePolicy", p.PodFailurePolicy != nil, jobs},
		{"successPolicy", p.SuccessPolicy != nil, jobs},
		{"backoffLimit", p.BackoffLimit != nil, jobs},
		{"backoffLimitPerIndex", p.BackoffLimitPerIndex != nil, jobs},
		{"maxFailedIndexes", p.MaxFailedIndexes != nil, jobs},
		{"ttlSecondsAfterFinished", p.TTLSecondsAfterFinished != nil, jobs},
		{"podReplacementPolicy", p.PodReplacementPolicy != "", jobs},
		{"managedBy", p.ManagedBy != "", jobs},
		{"schedule", p.Schedule != "", cronJob},
		{"timeZone", p.TimeZone != "", cronJob},
		{"startingDeadlineSeconds", p.StartingDeadlineSeconds != nil, cronJob},
		{"concurrencyPolicy", p.ConcurrencyPolicy != "", cronJob},
		{"successfulJobsHistoryLimit", p.SuccessfulJobsHistoryLimit != nil, cronJob},
		{"failedJobsHistoryLimit", p.FailedJobsHistoryLimit != nil, cronJob},
	}
}

// runsToEnd reports whether the pods of a kind end by themselves.
func runsToEnd(p *app.Pod) bool { return p.Kind == "Job" || p.Kind == "CronJob" }

// kindOf checks what depends on what runs a pod.
func (c *checker) kindOf(p *app.Pod, at place) {
	for _, f := range kindFields(p) {
		_, written := p.Lines[f.name]
		if (f.set || written) && !slices.Contains(f.kinds, p.Kind) {
			at.field(f.name).refuse("a %s has no %s", p.Kind, f.name).hint("it belongs to a %s: set kind, or leave it out", either(f.kinds))
		}
	}
	c.podRestartPolicy(p, at)
	switch p.Kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		c.updateStrategy(p, at.field("updateStrategy"))
	case "Job", "CronJob":
		c.job(p, at)
	}
	switch p.Kind {
	case "Deployment":
		c.progressDeadline(p, at)
	case "StatefulSet":
		c.statefulSet(p, at)
	case "CronJob":
		c.cronJob(p, at)
	}
	c.autoscaling(p, at)
	c.disruptionBudget(p, at.field("disruptionBudget"))
}

func (c *checker) podRestartPolicy(p *app.Pod, at place) {
	at = at.field("restartPolicy")
	switch {
	case runsToEnd(p) && p.RestartPolicy == "Always":
		at.refuse("the pods of a %s run to their end and cannot be restarted Always", p.Kind).hint("set it to \"OnFailure\" or \"Never\"")
	case !runsToEnd(p) && p.RestartPolicy != "" && p.RestartPolicy != "Always":
		at.refuse("the pods of a %s keep running: it can only be Always", p.Kind).hint("leave it out, or set kind: \"Job\" for what runs to its end")
	}
}

func (c *checker) updateStrategy(p *app.Pod, at place) {
	s := p.UpdateStrategy
	if s == nil {
		return
	}
	at = at.at(s.Pos)
	other := "OnDelete"
	if p.Kind == "Deployment" {
		other = "Recreate"
	}
	if !at.field("type").oneOf(s.Type, "RollingUpdate", other) || s.RollingUpdate == nil {
		return
	}
	rolling := at.field("rollingUpdate").at(s.RollingUpdate.Pos)
	if s.Type == other {
		rolling.refuse("the strategy %s has no rollingUpdate", other).hint("leave it out, or set type: \"RollingUpdate\"")
		return
	}
	c.rollingUpdate(p.Kind, s.RollingUpdate, rolling)
}

// rollingUpdate checks how many pods may be away or too many; the defaults are
// those of Kubernetes.
func (c *checker) rollingUpdate(kind string, u *app.RollingUpdate, at place) {
	surge, unavailable := at.field("maxSurge"), at.field("maxUnavailable")
	unavailable.partOfAll(u.MaxUnavailable)
	if u.Partition != nil && kind != "StatefulSet" {
		at.field("partition").refuse("a %s has no partition", kind).hint("only the replicas of a StatefulSet have numbers")
	}
	switch kind {
	case "Deployment":
		if amount(u.MaxSurge, 25) == 0 && amount(u.MaxUnavailable, 25) == 0 {
			at.refuse("maxSurge and maxUnavailable are both 0: no pod could ever be replaced").hint("let one of them be more than 0")
		}
	case "StatefulSet":
		if u.MaxSurge != "" {
			surge.refuse("a StatefulSet has no maxSurge").hint("each of its replicas is there once: use maxUnavailable")
		}
		if amount(u.MaxUnavailable, 1) == 0 {
			unavailable.refuse("it is 0: no pod could ever be replaced").hint("let it be more than 0")
		}
	case "DaemonSet":
		surge.partOfAll(u.MaxSurge)
		hasSurge, hasUnavailable := amount(u.MaxSurge, 0) != 0, amount(u.MaxUnavailable, 1) != 0
		if hasSurge && hasUnavailable {
			surge.refuse("a DaemonSet can have only one of maxSurge and maxUnavailable above 0").hint("set maxUnavailable: 0, whose default is 1, or leave maxSurge out")
		}
		if !hasSurge && !hasUnavailable {
			at.refuse("maxSurge and maxUnavailable are both 0: no pod could ever be replaced").hint("let one of them be more than 0")
		}
	}
}

// amount is the number of a count or of its percent sign, or what holds when
// neither is written.
func amount(n app.CountOrPercent, byDefault int) int {
	if n == "" {
		return byDefault
	}
	number, err := strconv.Atoi(strings.TrimSuffix(string(n), "%"))
	if err != nil {
		return maxID // too long to be read
	}
	return number
}

// partOfAll wants a percentage to be of at most all.
func (p place) partOfAll(n app.CountOrPercent) {
	if strings.HasSuffix(string(n), "%") && amount(n, 0) > 100 {
		p.refuse("%s is more than all", n).hint("a percentage is at most \"100%%\"")
	}
}

// defaultProgressDeadline is Kubernetes' own, in seconds.
const defaultProgressDeadline = 600

func (c *checker) progressDeadline(p *app.Pod, at place) {
	deadline, name := defaultProgressDeadline, "minReadySeconds"
	if p.ProgressDeadlineSeconds != nil {
		deadline, name = *p.ProgressDeadlineSeconds, "progressDeadlineSeconds"
	}
	if deadline <= p.MinReadySeconds {
		at.field(name).refuse("progressDeadlineSeconds, %d, must be more than minReadySeconds, %d", deadline, p.MinReadySeconds).hint("a change would fail before its pods count as ready")
	}
}

func (c *checker) statefulSet(p *app.Pod, at place) {
	if policy := p.PersistentVolumeClaimRetentionPolicy; policy != nil {
		retention := at.field("persistentVolumeClaimRetentionPolicy").at(policy.Pos)
		retention.field("whenDeleted").oneOf(policy.WhenDeleted, "Retain", "Delete")
		retention.field("whenScaled").oneOf(policy.WhenScaled, "Retain", "Delete")
	}
	for i := range p.VolumeClaimTemplates {
		cl := &p.VolumeClaimTemplates[i]
		template := at.field("volumeClaimTemplates").key(cl.Name).at(cl.Pos)
		c.claim(cl, template)
		if v := p.Volume(cl.Name); v != nil {
			template.refuse("the pod also has a volume of this name, at %s", v.Pos).hint("the template is a volume of its own: leave the other out")
		}
	}
	c.serviceOf(p, at.field("serviceName"))
}

// serviceOf checks the service that gives the replicas of a StatefulSet their
// names.
func (c *checker) serviceOf(p *app.Pod, at place) {
	if p.ServiceName == "" {
		return
	}
	s := c.app.Service(p.ServiceName)
	switch {
	case s == nil:
		at.missing("service", p.ServiceName, "the app", c.serviceNames())
	case !s.Headless:
		at.refuse("the service %q is not headless", s.Name).hint("the names of replicas come from a headless service: set headless: true there, at %s", s.Pos)
	case !slices.Contains(c.app.Behind(s), p):
		at.refuse("the pods are not behind the service %q", s.Name).hint("name a headless service whose pod is %q", p.Name)
	}
}
