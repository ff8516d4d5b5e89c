package docker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cuepod/cuepod/compiler/app"
)

// Labels of a StatefulSet's pods, which programs read to know which replica
// they are.
const (
	labelPodName  = "statefulset.kubernetes.io/pod-name"
	labelPodIndex = "apps.kubernetes.io/pod-index"
)

// workload adds the replicas of a pod, or the job.
func (r *renderer) workload(p *app.Pod, s *State) {
	if runsToEnd(p) {
		s.Jobs = append(s.Jobs, r.job(p))
		return
	}
	w := r.controller(p)
	for n := range w.Replicas {
		pod, volumes := r.replica(p, &w, n)
		s.Pods = append(s.Pods, pod)
		s.Volumes = append(s.Volumes, volumes...)
	}
	if r.opts.Strict && w.Replicas > 0 {
		for n := range w.MaxSurge {
			pod, volumes := r.replica(p, &w, w.Replicas+n)
			w.Surge = append(w.Surge, pod)
			w.SurgeVolumes = append(w.SurgeVolumes, volumes...)
		}
	}
	s.Workloads = append(s.Workloads, w)
}

// replica is the n-th replica of a pod.
func (r *renderer) replica(p *app.Pod, w *Workload, n int) (Pod, []Volume) {
	pod, volumes := r.pod(p, fmt.Sprintf("%s-%d", p.Name, w.Start+n), w.Start+n)
	pod.Revision, pod.Ports = w.Revision, namedPorts(p)
	if n > 0 {
		pod.HostPorts = nil // checkPorts tells: one machine has one such port
		pod.Hash = podHash(&pod, volumes)
	}
	return pod, volumes
}

// namedPorts are the ports of a pod that have names; of two the first counts, as
// in Kubernetes: pkg/api/v1/pod/util.go FindPort.
func namedPorts(p *app.Pod) map[string]int {
	var out map[string]int
	for _, list := range [][]app.Container{p.Containers, p.InitContainers} {
		for _, c := range list {
			for _, port := range c.Ports {
				key := port.Name + "/" + port.Protocol
				if _, seen := out[key]; port.Name == "" || seen {
					continue
				}
				if out == nil {
					out = map[string]int{}
				}
				out[key] = port.ContainerPort
			}
		}
	}
	return out
}

// replicas is how many copies run: a DaemonSet has one on each machine, and
// there is one.
func replicas(p *app.Pod) int {
	switch {
	case p.Kind == "DaemonSet":
		return 1
	case p.Autoscaling != nil:
		return min(max(p.Replicas, p.Autoscaling.MinReplicas), p.Autoscaling.MaxReplicas)
	}
	return p.Replicas
}

func (r *renderer) pod(p *app.Pod, name string, ordinal int) (Pod, []Volume) {
	d := Pod{
		Name:        name,
		Workload:    p.Name,
		Ordinal:     ordinal,
		EngineName:  InfraName(r.project, name),
		Labels:      r.podLabels(p, name, ordinal),
		GracePeriod: p.TerminationGracePeriodSeconds,
		Ordered:     p.Kind == "StatefulSet" && p.PodManagementPolicy != "Parallel",
		HostIPC:     p.HostIPC,
		PID:         pidNamespace(p),
		QoS:         qosClass(p),

		RestartPolicy: restartPolicy(p),
	}
	r.setNames(&d, p)
	for _, dep := range p.DependsOn {
		if r.answers(dep.Service) {
			d.DependsOn = append(d.DependsOn, Dependency{Service: dep.Service, Condition: dep.Condition})
		}
	}
	r.setNetwork(&d, p)
	var volumes []Volume
	for i := range p.Volumes {
		if v, ok := r.volume(&p.Volumes[i], p, &d); ok {
			volumes = append(volumes, v)
		}
	}
	for i := range p.VolumeClaimTemplates {
		claim := p.VolumeClaimTemplates[i].Name + "-" + name // Kubernetes' name of the claim
		volumes = append(volumes, Volume{Name: ClaimName(r.project, claim), Kind: Claim, Claim: claim})
		r.shareClaim(p.VolumeClaimTemplates[i].Name, claim, p, &d)
	}
	volumes = append(volumes, r.setMessages(&d))
	setAgentRights(&d, p)
	for i := range p.InitContainers {
		c := r.container(&p.InitContainers[i], p, &d)
		if c.Restart == RestartAlways {
			c.Sidecar, c.Restart = true, ""
			c.Hash = containerHash(&c)
		}
		d.Init = append(d.Init, c)
	}
	for i := range p.Containers {
		d.Containers = append(d.Containers, r.container(&p.Containers[i], p, &d))
	}
	if !runsToEnd(p) {
		r.setPrograms(&d, p.Name)
	}
	if v, ok := r.setSync(&d); ok {
		volumes = append(volumes, v)
	}
	r.reachSubPaths(&d)
	d.Hash = podHash(&d, volumes)
	return d, volumes
}

// podLabels are the pod's labels that its definition says, and those by which a
// StatefulSet tells its pods who they are.
func (r *renderer) podLabels(p *app.Pod, name string, ordinal int) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, r.app.Labels)
	maps.Copy(labels, p.Labels)
	if p.Kind == "StatefulSet" {
		labels[labelPodName], labels[labelPodIndex] = name, strconv.Itoa(ordinal)
	}
	return labels
}

func pidNamespace(p *app.Pod) PIDNamespace {
	switch {
	case p.HostPID:
		return HostPID
	case isTrue(p.ShareProcessNamespace):
		return PodPID
	}
	return ""
}

func isTrue(b *bool) bool { return b != nil && *b }

// answers reports whether there is anybody to wait for behind a service. Pods of
// jobs come and go: nobody waits for one.
func (r *renderer) answers(service string) bool {
	s := r.app.Service(service)
	return s != nil && s.Type != "ExternalName" &&
		slices.ContainsFunc(r.app.Behind(s), func(p *app.Pod) bool { return !runsToEnd(p) && replicas(p) > 0 })
}
