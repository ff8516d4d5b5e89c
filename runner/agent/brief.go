package agent

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/proxy"
)

// brief leaves out of an order what the one before it on the same line said. Every
// change of readiness goes to all pods: with all services and all files in each,
// fifty pods would read for as long as a pod takes to start.
func brief(before *api.ToAgent, now api.ToAgent) api.ToAgent {
	if before == nil {
		return now
	}
	if reflect.DeepEqual(before.Pod, now.Pod) {
		now.Pod = nil
	}
	now.Services, now.Gone = different(before.Services, now.Services)
	if now.Standing != nil {
		now.Standing = changedStanding(before.Standing, now.Standing)
	}
	return now
}

// changedStanding is how those pods stand that stand otherwise than before.
func changedStanding(before, now map[string]api.Standing) map[string]api.Standing {
	out := map[string]api.Standing{}
	for pod, st := range now {
		if !st.Same(before[pod]) {
			out[pod] = st
		}
	}
	for pod := range before {
		if _, ok := now[pod]; !ok {
			out[pod] = api.Standing{}
		}
	}
	return out
}

// different are the services that are new or other than before, and the names of
// those that are gone.
func different(before, now []api.Service) (other []api.Service, gone []string) {
	if len(before) == len(now) && (len(now) == 0 || &before[0] == &now[0]) {
		return nil, nil // of one snapshot
	}
	known := make(map[string]api.Service, len(before))
	for _, s := range before {
		known[s.Name] = s
	}
	for _, s := range now {
		if was, ok := known[s.Name]; !ok || !reflect.DeepEqual(was, s) {
			other = append(other, s)
		}
		delete(known, s.Name)
	}
	for name := range known {
		gone = append(gone, name)
	}
	slices.Sort(gone)
	return other, gone
}

// follow makes the whole order again of what brief left. Neither is changed.
func follow(before, now api.ToAgent) api.ToAgent {
	if now.Standing == nil {
		return now // of a gateway that leaves out nothing
	}
	if now.Pod == nil {
		now.Pod = before.Pod
	}
	if len(before.Standing) > 0 {
		standing := maps.Clone(before.Standing)
		maps.Copy(standing, now.Standing)
		now.Standing = standing
	}
	maps.DeleteFunc(now.Standing, func(_ string, st api.Standing) bool { return st.Same(api.Standing{}) })
	if len(now.Services)+len(now.Gone) == 0 {
		now.Services = before.Services
		return now
	}
	all := slices.DeleteFunc(slices.Clone(before.Services), func(s api.Service) bool {
		return slices.Contains(now.Gone, s.Name) || slices.ContainsFunc(now.Services, func(n api.Service) bool { return n.Name == s.Name })
	})
	now.Services, now.Gone = append(all, now.Services...), nil
	slices.SortStableFunc(now.Services, func(a, b api.Service) int { return cmp.Compare(a.Name, b.Name) })
	return now
}

// endpoints are the services of an order with those backends that receive. Those to
// which nothing happened since the order before are what they were then: every
// change of readiness comes to all pods, and is about few services.
func endpoints(m, before api.ToAgent, then []api.Service) []api.Service {
	if m.Standing == nil {
		return m.Services
	}
	if before.Standing == nil || len(then) != len(before.Services) {
		return readyServices(m.Services, m.Standing)
	}
	moved := changedStanding(before.Standing, m.Standing)
	out := make([]api.Service, len(m.Services))
	for i, s := range m.Services {
		if i < len(then) && proxy.Shares(s, before.Services[i]) && !stands(moved, s) {
			out[i] = then[i]
		} else {
			out[i] = readyService(s, m.Standing)
		}
	}
	return out
}

// stands reports whether one of these pods is behind a service.
func stands(pods map[string]api.Standing, s api.Service) bool {
	among := func(b api.Backend) bool { _, ok := pods[b.Pod]; return ok }
	return slices.ContainsFunc(s.Backends, among) ||
		slices.ContainsFunc(s.Ports, func(p api.ServicePort) bool { return slices.ContainsFunc(p.Backends, among) })
}

// reuse has a snapshot share with the one before it what is the same in both, so
// that comparing them later costs next to nothing.
func reuse(before *api.Snapshot, now *api.Snapshot) {
	if before == nil {
		return
	}
	share(before.Services, now.Services, func(s api.Service) string { return s.Name })
	share(before.Pods, now.Pods, func(p api.Pod) string { return p.Name })
	if len(before.Services) == len(now.Services) && reflect.DeepEqual(before.Services, now.Services) {
		now.Services = before.Services
	}
}

func share[T any](before, now []T, name func(T) string) {
	known := make(map[string]T, len(before))
	for _, v := range before {
		known[name(v)] = v
	}
	for i, v := range now {
		if was, ok := known[name(v)]; ok && reflect.DeepEqual(was, v) {
			now[i] = was
		}
	}
}
