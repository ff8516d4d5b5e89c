package docker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Job is a workload that ends: pods that are made until enough of them have
// succeeded. With Cron it is a CronJob, and each of its runs is such a job.
// Defaults are applied.
type Job struct {
	Name string `json:"name"`
	// Template is the pod, rendered as the pod named like the job. Its
	// RestartPolicy is OnFailure or Never.
	Template Pod      `json:"template"`
	Volumes  []Volume `json:"volumes,omitempty"` // those that live and die with each pod, under the template's name
	// Completions is how many pods have to succeed. nil means a work queue: done
	// when one pod has succeeded and all have ended.
	Completions             *int  `json:"completions,omitempty"`
	Indexed                 bool  `json:"indexed,omitempty"` // completionMode: a success for each index below Completions
	Parallelism             int   `json:"parallelism"`       // pods at once
	BackoffLimit            int   `json:"backoffLimit"`      // failures that are tried again
	ActiveDeadlineSeconds   int64 `json:"activeDeadlineSeconds,omitempty"`
	TTLSecondsAfterFinished *int  `json:"ttlSecondsAfterFinished,omitempty"` // nil keeps finished pods
	Suspend                 bool  `json:"suspend,omitempty"`
	// PodFailurePolicy are rules for pods that fail, of which the first that fits
	// counts; SuccessPolicy says when an indexed job is done before all indexes are.
	PodFailurePolicy     []FailureRule `json:"podFailurePolicy,omitempty"`
	SuccessPolicy        []SuccessRule `json:"successPolicy,omitempty"`
	BackoffLimitPerIndex *int          `json:"backoffLimitPerIndex,omitempty"` // failures of an index that are tried again
	MaxFailedIndexes     *int          `json:"maxFailedIndexes,omitempty"`     // indexes that may fail; nil is any number
	Cron                 *Cron         `json:"cron,omitempty"`
	// Hash is made by JobHash. It covers what a job that has run does not follow:
	// a job with another hash is another job, and runs again.
	Hash string `json:"hash"`
}

// FailureAction is what becomes of a job whose pod failed.
type FailureAction string

const (
	CountFailure  FailureAction = "Count"     // towards the back-off limit
	IgnoreFailure FailureAction = "Ignore"    // another pod is made, and nothing counted
	FailJob       FailureAction = "FailJob"   // the job has failed
	FailIndex     FailureAction = "FailIndex" // the pod's index is not tried again
)

// FailureRule is one rule of a podFailurePolicy: for exit codes when Operator is
// set, else for conditions.
type FailureRule struct {
	Action     FailureAction `json:"action"`
	Container  string        `json:"container,omitempty"` // "" is any
	Operator   string        `json:"operator,omitempty"`  // In or NotIn Values
	Values     []int         `json:"values,omitempty"`
	Conditions []Condition   `json:"conditions,omitempty"`
}

// Condition is a condition of a pod.
type Condition struct {
	Type   string `json:"type"`
	Status string `json:"status"` // True, False or Unknown
}

// SuccessRule is one rule of a successPolicy: so many of these indexes, all of
// them without a number, of all indexes without any.
type SuccessRule struct {
	Indexes []IndexRange `json:"indexes,omitempty"`
	Count   *int         `json:"count,omitempty"`
}

// IndexRange are the indexes from First to Last.
type IndexRange struct {
	First int `json:"first"`
	Last  int `json:"last"`
}

// ConcurrencyPolicy says what becomes of a run whose time comes while another
// is still under way.
type ConcurrencyPolicy string

const (
	AllowConcurrent   ConcurrencyPolicy = "Allow"
	ForbidConcurrent  ConcurrencyPolicy = "Forbid"
	ReplaceConcurrent ConcurrencyPolicy = "Replace"
)

// Cron is when a CronJob runs. Defaults are applied.
type Cron struct {
	Schedule                   string            `json:"schedule"`           // see internal/cron
	TimeZone                   string            `json:"timeZone,omitempty"` // "" is UTC
	ConcurrencyPolicy          ConcurrencyPolicy `json:"concurrencyPolicy"`
	StartingDeadlineSeconds    *int64            `json:"startingDeadlineSeconds,omitempty"` // nil: however late
	Suspend                    bool              `json:"suspend,omitempty"`
	SuccessfulJobsHistoryLimit int               `json:"successfulJobsHistoryLimit"`
	FailedJobsHistoryLimit     int               `json:"failedJobsHistoryLimit"`
}

// JobHash digests a job whose template and volumes have their hashes and names.
func JobHash(j *Job) string {
	pod := j.Template
	containers := func(list []Container) []string {
		var out []string
		for i := range list {
			out = append(out, list[i].Name+"="+list[i].Hash)
		}
		return out
	}
	return hashOf(struct {
		Pod         string
		Init        []string
		Containers  []string
		Restart     RestartPolicy
		Completions *int
		Indexed     bool
	}{podHash(&pod, j.Volumes), containers(pod.Init), containers(pod.Containers), pod.RestartPolicy, j.Completions, j.Indexed})
}

// CronHash digests when a CronJob runs. With another hash, times before the
// change no longer count as missed.
func (c *Cron) CronHash() string { return hashOf([]string{c.Schedule, c.TimeZone}) }

// Instance is a pod of a run of the job: the template under a name of its own,
// and the volumes that live with it. Hashes are those of the job and of the
// template, so that all its pods have the same.
func (j *Job) Instance(project, run, id, name string) (Pod, []Volume) {
	p := j.Template
	p.Name, p.Workload, p.EngineName, p.Job, p.Run, p.Hash = name, j.Name, InfraName(project, name), run, id, j.Hash
	p.Ordered, p.DependsOn = false, nil // whoever makes pods of a job waits for what it depends on
	host := name
	if j.Indexed {
		host = fmt.Sprintf("%s-%d", run, IndexOf(run, name))
	}
	if p.Hostname == j.Template.Name {
		p.Hostname = hostLabel(host)
		if j.Indexed && p.Subdomain != "" { // the others have no host name of their own in the template
			p.DNSName = p.Hostname
		}
	}
	own := VolumeName(project, j.Template.Name, "")
	renamed := map[string]string{}
	volumes := make([]Volume, len(j.Volumes))
	for i, v := range j.Volumes {
		old := v.Name
		v.Name, v.Pod = VolumeName(project, name, strings.TrimPrefix(old, own)), name
		renamed[old], volumes[i] = v.Name, v
	}
	p.Mounts = renameMounts(p.Mounts, renamed)
	p.Files = instanceFiles(p.Files, name, IndexOf(run, name))
	p.Init = instanceContainers(p.Init, project, name, renamed)
	p.Containers = instanceContainers(p.Containers, project, name, renamed)
	if j.Indexed {
		p.tellIndex(IndexOf(run, name))
	}
	return p, volumes
}

// instanceFiles fills in the pod's name and index, where a file shows them.
func instanceFiles(list []FileVolume, pod string, index int) []FileVolume {
	out := slices.Clone(list)
	for i := range out {
		out[i].Files = slices.Clone(out[i].Files)
		for n := range out[i].Files {
			switch f := &out[i].Files[n]; f.Source {
			case FromPodName:
				f.Source, f.Data = "", Bytes(pod)
			case FromJobIndex:
				f.Source, f.Data = "", Bytes(strconv.Itoa(index))
			}
		}
	}
	return out
}

func instanceContainers(list []Container, project, pod string, volumes map[string]string) []Container {
	out := slices.Clone(list)
	for i := range out {
		c := &out[i]
		c.EngineName, c.Mounts, c.Env = ContainerName(project, pod, c.Name), renameMounts(c.Mounts, volumes), slices.Clone(c.Env)
		for n := range c.Env {
			if e := &c.Env[n]; e.Source == FromPodName {
				e.Source, e.Value = Verbatim, pod
			}
		}
	}
	return out
}

func renameMounts(list []Mount, names map[string]string) []Mount {
	out := slices.Clone(list)
	for i := range out {
		if name, ok := names[out[i].Volume]; ok {
			out[i].Volume = name
		}
	}
	return out
}

// Changes says in words why a job that has run has to run again.
func (j *Job) Changes(from *Job) []string {
	out := j.Template.Changes(&from.Template)
	for i := range j.Template.Containers {
		c := &j.Template.Containers[i]
		old := from.Template.Container(c.Name)
		if old == nil {
			out = append(out, "container "+c.Name+" added")
			continue
		}
		if c.Hash == old.Hash {
			continue
		}
		for _, what := range c.Changes(old) {
			out = append(out, "container "+c.Name+": "+what)
		}
	}
	for _, c := range from.Template.Containers {
		if j.Template.Container(c.Name) == nil {
			out = append(out, "container "+c.Name+" removed")
		}
	}
	if from.Indexed != j.Indexed {
		out = append(out, "completionMode changed")
	}
	if was, now := completionsWord(from.Completions), completionsWord(j.Completions); was != now {
		out = append(out, fmt.Sprintf("completions %s -> %s", was, now))
	}
	return out
}

func completionsWord(n *int) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprint(*n)
}
