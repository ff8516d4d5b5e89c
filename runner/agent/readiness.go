package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/swap"
)

// podStatus decides how a pod is, from what the supervisor saw of its containers
// and what its agent last reported. A report outlives the connection it came
// over: losing the line to an agent says nothing about its pod. Without any
// report nothing is ready.
func podStatus(pod api.Pod, report *api.FromAgent, connected bool) api.PodStatus {
	st := api.PodStatus{Connected: connected, Containers: make(map[string]api.ContainerStatus, len(pod.Containers))}
	if report != nil {
		st.Generation, st.Error, st.Proxy, st.Late = report.Generation, report.Error, report.Proxy, report.Late
	}
	st.Serving = report != nil && len(pod.Containers) > 0
	for _, c := range pod.Containers {
		cs := containerStatus(c, report)
		st.Containers[c.Name] = cs
		st.Serving = st.Serving && cs.Ready
	}
	st.Ready = st.Serving && !pod.Draining
	st.Held = len(pod.Holds) > 0 && st.Proxy.Mode != ""
	return st
}

// standing is how a pod of this status stands behind services.
func standing(st api.PodStatus, pod api.Pod, report *api.FromAgent, generation int64) api.Standing {
	return api.Standing{Ready: st.Ready, Serving: st.Serving, Held: st.Held, Waits: waits(pod, report, generation)}
}

// waits are the ports of a pod to which the gateway lets new connections wait, as
// the pod has no rules that could: what its agent says, and until it has followed
// the snapshot, whatever that may be.
func waits(pod api.Pod, report *api.FromAgent, generation int64) []api.Wait {
	if len(pod.Holds) == 0 || report == nil || report.Proxy.Mode != api.ProxyUserspace {
		return nil
	}
	limits := map[swap.Port]int{}
	for _, o := range pod.Holds {
		for _, port := range slices.Concat(swap.Of(o), swap.Following(o)) {
			said := report.Held.TCP
			if port.UDP {
				said = report.Held.UDP
			}
			if report.Generation < generation || slices.Contains(said, port.Number) {
				limits[port] = max(limits[port], o.Limit)
			}
		}
	}
	var out []api.Wait
	for port, limit := range limits {
		out = append(out, api.Wait{Port: port.Number, UDP: port.UDP, Limit: limit})
	}
	slices.SortFunc(out, func(a, b api.Wait) int { return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Limit, b.Limit)) })
	return out
}

// readySince is when a pod got ready, with the containers that it has now.
func readySince(before, now api.PodStatus, at time.Time) int64 {
	if !now.Ready {
		return 0
	}
	if before.Since == 0 || len(before.Containers) != len(now.Containers) {
		return at.UnixMilli()
	}
	for name, c := range now.Containers {
		if before.Containers[name].ID != c.ID {
			return at.UnixMilli()
		}
	}
	return before.Since
}

// containerStatus joins the two views of one container. What the agent reports
// of another ID is of the container before this one.
func containerStatus(c api.Container, report *api.FromAgent) api.ContainerStatus {
	out := api.ContainerStatus{ID: c.ID}
	var seen api.ContainerStatus
	if report != nil && report.Containers[c.Name].ID == c.ID {
		seen = report.Containers[c.Name]
	}
	out.Unhealthy, out.Message = seen.Unhealthy, seen.Message
	if !c.Running {
		return out
	}
	out.Started, out.Ready = true, true
	for _, p := range c.Probes {
		ok := false
		switch exec := p.HTTP == nil && p.TCP == nil && p.GRPC == nil; {
		case exec:
			ok = c.Exec[p.Kind]
		case p.Kind == api.Startup:
			ok = seen.Started
		case p.Kind == api.Readiness:
			ok = seen.Ready
		}
		switch p.Kind {
		case api.Startup:
			out.Started = out.Started && ok
		case api.Readiness:
			out.Ready = out.Ready && ok
		}
	}
	out.Ready = out.Ready && out.Started
	return out
}

// readyServices returns the services with those backends only that receive.
func readyServices(services []api.Service, pods map[string]api.Standing) []api.Service {
	out := make([]api.Service, 0, len(services))
	for _, s := range services {
		out = append(out, readyService(s, pods))
	}
	return out
}

func readyService(s api.Service, pods map[string]api.Standing) api.Service {
	ports := make([]api.ServicePort, 0, len(s.Ports))
	for _, p := range s.Ports {
		p.Backends = receiving(s, p.Backends, pods)
		for i := range p.Backends {
			b := &p.Backends[i]
			b.Held = limit(pods[b.Pod].Waits, b.Port, strings.EqualFold(p.Protocol, "UDP"))
		}
		ports = append(ports, p)
	}
	s.Ports, s.Backends = ports, receiving(s, s.Backends, pods)
	return s
}

// limit is for how long connections to a port wait; 0 is not at all.
func limit(waits []api.Wait, port int, udp bool) int {
	for _, w := range waits {
		if w.Port == port && w.UDP == udp {
			return w.Limit
		}
	}
	return 0
}

// receiving are the backends that are ready, or, where none is, those that still
// serve on their way out. A name without an address of its own stands for the
// ready ones alone. Source: pkg/proxy/topology.go CategorizeEndpoints; CoreDNS'
// kubernetes plugin. Where neither is there, it is those that let connections wait
// for the next instance of a container.
func receiving(s api.Service, backends []api.Backend, pods map[string]api.Standing) []api.Backend {
	ready := make([]api.Backend, 0, len(backends))
	var serving, held []api.Backend
	for _, b := range backends {
		switch st := pods[b.Pod]; {
		case b.IP == "":
		case s.NotReady || st.Ready || b.Pod == "":
			ready = append(ready, b)
		case st.Serving && !s.Headless:
			serving = append(serving, b)
		case st.Held:
			held = append(held, b)
		}
	}
	switch {
	case len(ready) > 0:
		return ready
	case len(serving) > 0:
		return serving
	}
	return held
}
