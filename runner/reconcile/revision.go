package reconcile

import (
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/targets/docker"
)

// While a rollout is under way, and for as long as a partition, OnDelete or a
// pause holds a replica back, pods of one workload are made from different
// revisions of its template. What the last record says of such a pod goes into
// the next one, Record.Earlier, as ReplicaSets and ControllerRevisions keep it
// in Kubernetes: its probes, its ports and its grace are then still its own.

// made is what a pod of that name and revision was made from, or nil when the
// record does not know.
func (r *Record) made(name, revision string) *Instance {
	if r == nil {
		return nil
	}
	if i := instanceIn(r.State, name); i != nil && i.Pod.Revision == revision {
		return i
	}
	for i := range r.Earlier {
		if e := &r.Earlier[i]; e.Pod.Name == name && e.Pod.Revision == revision {
			return e
		}
	}
	return nil
}

// last is what a pod of that name was last made from: also of one that is gone,
// or whose containers were replaced within it.
func (r *Record) last(name string) *Instance {
	if r == nil {
		return nil
	}
	for i := range r.Earlier {
		if e := &r.Earlier[i]; e.Pod.Name == name {
			return e
		}
	}
	return instanceIn(r.State, name)
}

// knows reports whether all of these are in the record.
func (r *Record) knows(earlier []Instance) bool {
	return !slices.ContainsFunc(earlier, func(i Instance) bool {
		return !slices.ContainsFunc(r.Earlier, func(e Instance) bool {
			return e.Pod.Name == i.Pod.Name && e.Pod.Revision == i.Pod.Revision
		})
	})
}

// instanceIn is the replica of that name in a state, one for a surge included.
func instanceIn(s *docker.State, name string) *Instance {
	if s == nil {
		return nil
	}
	if p := s.Pod(name); p != nil {
		return &Instance{*p, volumesOf(s.Volumes, name)}
	}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		for n := range w.Surge {
			if w.Surge[n].Name == name {
				return &Instance{w.Surge[n], volumesOf(w.SurgeVolumes, name)}
			}
		}
	}
	return nil
}

// instancesOf is instanceIn for all replicas of a state.
func instancesOf(s *docker.State) map[string]*Instance {
	out := map[string]*Instance{}
	add := func(pods []docker.Pod, volumes []docker.Volume) {
		for i := range pods {
			if out[pods[i].Name] == nil {
				out[pods[i].Name] = &Instance{Pod: pods[i]}
			}
		}
		for _, v := range volumes {
			if i := out[v.Pod]; i != nil {
				i.Volumes = append(i.Volumes, v)
			}
		}
	}
	add(s.Pods, s.Volumes)
	for i := range s.Workloads {
		add(s.Workloads[i].Surge, s.Workloads[i].SurgeVolumes)
	}
	return out
}

func volumesOf(all []docker.Volume, pod string) []docker.Volume {
	var out []docker.Volume
	for _, v := range all {
		if v.Pod == pod {
			out = append(out, v)
		}
	}
	return out
}

// Present is the desired state with the pods as they are there: replicas of an
// earlier revision as that had them, replicas beyond the wanted ones that a
// rollout needs, pods of jobs. They are endpoints by their own ports.
func Present(d Desired, o *Observed) *docker.State {
	s := d.State
	if s == nil {
		return nil
	}
	c := newControllers(d, o)
	var found []Instance
	for _, name := range sortedNames(o.Pods) {
		p := o.Pods[name]
		w := s.Workload(p.Workload)
		if w == nil || p.Job != "" {
			continue
		}
		want := c.instances[name]
		if i := c.current(w, want, p); i != nil && (want == nil || i != want) {
			found = append(found, *i)
		} else if s.Pod(name) == nil && want != nil && p.Revision == want.Pod.Revision {
			found = append(found, *want)
		}
	}
	return WithJobs(with(s, found), o, Plan{})
}

// with is a state in which some replicas are others, or come to those there
// are.
func with(s *docker.State, replicas []Instance) *docker.State {
	if len(replicas) == 0 {
		return s
	}
	out := *s
	out.Pods, out.Services = slices.Clone(s.Pods), slices.Clone(s.Services)
	others := map[string]bool{}
	for _, i := range replicas {
		others[i.Pod.Name] = true
	}
	out.Volumes = slices.DeleteFunc(slices.Clone(s.Volumes), func(v docker.Volume) bool { return others[v.Pod] })
	for _, i := range replicas {
		if n := slices.IndexFunc(out.Pods, func(p docker.Pod) bool { return p.Name == i.Pod.Name }); n >= 0 {
			out.Pods[n] = i.Pod
		} else {
			out.Pods = append(out.Pods, i.Pod)
		}
		out.Volumes = append(out.Volumes, i.Volumes...)
		for n := range out.Services {
			serveReplica(&out.Services[n], s, &i.Pod)
		}
	}
	return &out
}

// serveReplica makes a replica an endpoint of a service that its workload is
// behind, by its own ports.
func serveReplica(service *docker.Service, s *docker.State, p *docker.Pod) {
	sibling := ""
	for _, name := range service.Pods {
		if q := s.Pod(name); q != nil && q.Workload == p.Workload {
			sibling = name
			break
		}
	}
	if sibling == "" {
		return
	}
	if !slices.Contains(service.Pods, p.Name) {
		service.Pods = append(slices.Clone(service.Pods), p.Name)
	}
	service.Ports = slices.Clone(service.Ports)
	for i := range service.Ports {
		port := &service.Ports[i]
		port.Targets = maps.Clone(port.Targets)
		target := port.Targets[sibling]
		if port.Target != "" {
			target = p.Ports[port.Target+"/"+port.Protocol]
		}
		if delete(port.Targets, p.Name); target != 0 {
			port.Targets[p.Name] = target
		}
	}
}

// change says in words what makes one revision of a pod another.
func change(from, to *docker.Pod) string {
	if from == nil || to == nil {
		return "its template changed"
	}
	out := to.Changes(from)
	for _, list := range [][]docker.Container{to.Init, to.Containers} {
		for i := range list {
			c := &list[i]
			old := from.Container(c.Name)
			if old == nil {
				out = append(out, "container "+c.Name+" added")
				continue
			}
			for _, what := range c.Changes(old) {
				out = append(out, "container "+c.Name+": "+what)
			}
		}
	}
	for _, c := range slices.Concat(from.Init, from.Containers) {
		if to.Container(c.Name) == nil {
			out = append(out, "container "+c.Name+" removed")
		}
	}
	for _, live := range docker.LiveChanges(&docker.State{Pods: []docker.Pod{*from}}, &docker.State{Pods: []docker.Pod{*to}}) {
		if !strings.HasPrefix(live.What, "file ") { // files are not of the template
			out = append(out, live.What)
		}
	}
	if len(out) == 0 {
		return "its template changed"
	}
	return strings.Join(out, ", ")
}
