package reconcile

import (
	"maps"
	"slices"

	"github.com/cuepod/cuepod/targets/docker"
)

// instance is a pod of a run, with its volumes known to this builder.
func (b *builder) instance(j *docker.Job, r *Job, name string) *docker.Pod {
	p, volumes := j.Instance(b.desired.State.Prefix(), r.Name, r.Run, name)
	b.podVolumes[name] = volumes
	b.instances = append(b.instances, Instance{p, volumes})
	return &p
}

// WithJobs is a state with the pods of jobs in it: those that are there, and
// those that a plan makes. A service over a job has those as endpoints that
// have not ended.
func WithJobs(s *docker.State, o *Observed, plan Plan) *docker.State {
	if s == nil || len(s.Jobs) == 0 {
		return s
	}
	out := *s
	out.Pods, out.Volumes, out.Services = slices.Clone(s.Pods), slices.Clone(s.Volumes), slices.Clone(s.Services)
	known := map[string]bool{}
	add := func(i Instance) {
		if !known[i.Pod.Name] {
			known[i.Pod.Name] = true
			out.Pods = append(out.Pods, i.Pod)
			out.Volumes = append(out.Volumes, i.Volumes...)
		}
	}
	for _, name := range sortedNames(o.Pods) {
		p := o.Pods[name]
		j := s.Job(p.Workload)
		if p.Job == "" || j == nil {
			continue
		}
		pod, volumes := j.Instance(s.Prefix(), p.Job, p.Run, name)
		add(Instance{pod, volumes})
		if Ended(&j.Template, p) == NotEnded {
			serveJobPod(out.Services, j.Name, name)
		}
	}
	for _, i := range plan.Instances {
		add(i)
	}
	return &out
}

// serveJobPod makes a pod of a job an endpoint of the services over the job.
func serveJobPod(services []docker.Service, job, pod string) {
	for i := range services {
		s := &services[i]
		if !slices.Contains(s.Jobs, job) {
			continue
		}
		s.Pods = append(slices.Clone(s.Pods), pod)
		s.Ports = slices.Clone(s.Ports)
		for n := range s.Ports {
			if target := s.Ports[n].Targets[job]; target != 0 {
				s.Ports[n].Targets = maps.Clone(s.Ports[n].Targets)
				s.Ports[n].Targets[pod] = target
			}
		}
	}
}
