package compose

import (
	"fmt"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
)

// runsToEnd reports whether the pod's containers are meant to end.
func runsToEnd(pod *app.Pod) bool { return pod.Kind == "Job" || pod.Kind == "CronJob" }

// waits reports whether nothing starts the pod but somebody who asks for it: a
// CronJob, as Compose has no clock, and a Job that is suspended.
func waits(pod *app.Pod) bool {
	switch pod.Kind {
	case "CronJob":
		return true
	case "Job":
		return pod.Suspend != nil && *pod.Suspend || pod.Parallelism != nil && *pod.Parallelism == 0
	}
	return false
}

// ordinals are the numbers of the pod's replicas.
func ordinals(pod *app.Pod) []int {
	first, n := 0, pod.Replicas
	switch {
	case pod.Autoscaling != nil:
		n = max(1, pod.Autoscaling.MinReplicas)
	case pod.Kind == "DaemonSet":
		n = 1
	case runsToEnd(pod):
		n = completions(pod)
	}
	if pod.Kind == "StatefulSet" && pod.Ordinals != nil {
		first = pod.Ordinals.Start
	}
	out := make([]int, n)
	for i := range out {
		out[i] = first + i
	}
	return out
}

// replicaNames are the names of the pod's replicas.
func replicaNames(pod *app.Pod) []string {
	var names []string
	for _, i := range ordinals(pod) {
		names = append(names, replicaName(pod.Name, i))
	}
	return names
}

// completions is how many pods of a Job have to succeed: one of those that run
// beside each other, and at least one, where the definition does not say.
func completions(pod *app.Pod) int {
	if pod.Completions != nil {
		return *pod.Completions
	}
	return max(1, parallelism(pod))
}

// parallelism is how many pods of a Job run at once; 0 for one that waits.
func parallelism(pod *app.Pod) int {
	if pod.Parallelism != nil {
		return *pod.Parallelism
	}
	return 1
}

// defaultBackoff is Kubernetes' number of retries of a Job.
const defaultBackoff = 6

// retries is how often each container of a Job is tried again.
func retries(pod *app.Pod) int {
	switch {
	case pod.BackoffLimitPerIndex != nil:
		return *pod.BackoffLimitPerIndex
	case pod.BackoffLimit != nil:
		return *pod.BackoffLimit
	}
	return defaultBackoff
}

// role is what a container is in its pod.
type role int

const (
	mainContainer role = iota
	initContainer
	sidecar // an init container that stays
)

func initRole(c *app.Container) role {
	if c.RestartPolicy == "Always" {
		return sidecar
	}
	return initContainer
}

// restart is the engine's restart policy of a container.
func restart(pod *app.Pod, c *app.Container, as role) string {
	policy := c.RestartPolicy
	if policy == "" {
		policy = pod.RestartPolicy
	}
	switch {
	case as == sidecar:
		return "unless-stopped"
	case runsToEnd(pod) && c.RestartPolicy == "" && retries(pod) > 0:
		return fmt.Sprintf("on-failure:%d", retries(pod))
	case runsToEnd(pod) && c.RestartPolicy == "", policy == "Never":
		return "no"
	case as == initContainer, policy == "OnFailure":
		return "on-failure"
	}
	return "unless-stopped"
}

// kindFindings tells what Compose makes of the pod's kind.
func (r *renderer) kindFindings(pod *app.Pod) {
	path := "pods." + pod.Name
	at := fieldPos(pod.Lines, "kind", pod.Pos)
	switch pod.Kind {
	case "DaemonSet":
		r.findings.Add("compose/daemon-set", path+".kind", at, "one machine is one node: the pod runs once", "")
	case "Job":
		message := "the Job runs at every docker compose up"
		if waits(pod) {
			message = "the Job runs at " + onDemand(pod)
		}
		r.findings.Add("compose/job", path+".kind", at, message+retried(pod)+"; its holder and sidecars stay until docker compose down", "make it safe to run twice")
	case "CronJob":
		r.findings.Add("compose/cron-job", path+".kind", at, "Compose has no clock: nothing starts the Job by itself"+retried(pod),
			onDemand(pod)+" runs it once, docker compose --profile "+pod.Name+" down removes it")
	}
	if n := ordinals(pod); len(n) > 1 {
		r.findings.Add("compose/replicas-unrolled", path+"."+countField(pod), fieldPos(pod.Lines, countField(pod), pod.Pos),
			fmt.Sprintf("the %d replicas are written out as %s to %s", len(n), replicaName(pod.Name, n[0]), replicaName(pod.Name, n[len(n)-1])),
			"to change their number, change the definition and render again")
	}
}

// onDemand is the command that runs a pod which waits to be asked for, and what
// it depends on.
func onDemand(pod *app.Pod) string {
	command := "docker compose --profile " + pod.Name + " up"
	for _, name := range replicaNames(pod) {
		for _, c := range pod.Containers {
			command += " " + name + "-" + c.Name
		}
	}
	return command
}

func retried(pod *app.Pod) string {
	if n := retries(pod); n > 0 {
		return fmt.Sprintf("; a container that fails is started again in the same pod, up to %d times", n)
	}
	return ""
}

// countField is the field that says how many replicas there are.
func countField(pod *app.Pod) string {
	switch {
	case pod.Autoscaling != nil:
		return "autoscaling.minReplicas"
	case runsToEnd(pod) && pod.Completions != nil:
		return "completions"
	case runsToEnd(pod):
		return "parallelism"
	}
	return "replicas"
}

// before lists what a replica waits for because of its kind: the replica before
// it in a StatefulSet, and a free place among those of a Job that run at once.
func (p *replica) before(wait map[string]string) {
	names := replicaNames(p.pod)
	i := slices.Index(names, p.name)
	switch {
	case p.pod.Kind == "StatefulSet" && p.pod.PodManagementPolicy != "Parallel" && i > 0:
		waitReady(wait, p.pod, names[i-1], true)
	case runsToEnd(p.pod) && parallelism(p.pod) > 0 && i >= parallelism(p.pod):
		for _, c := range p.pod.Containers {
			wait[names[i-parallelism(p.pod)]+"-"+c.Name] = "service_completed_successfully"
		}
	}
}

// indexed reports whether the pods of a Job know their number.
func indexed(pod *app.Pod) bool { return runsToEnd(pod) && pod.CompletionMode == "Indexed" }

// fieldPos is where a field is written, or what holds it.
func fieldPos(lines map[string]app.Pos, name string, otherwise app.Pos) app.Pos {
	if pos, ok := lines[name]; ok && pos.IsValid() {
		return pos
	}
	return otherwise
}
