package runner

import (
	"fmt"

	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

func serviceStatus(v view, state *docker.State, s *docker.Service, app string) ServiceStatus {
	out := ServiceStatus{Name: s.Name, Ports: []string{}, Total: len(s.Pods)}
	if !s.Headless && v.seen.Network != "" {
		out.VIP = v.seen.addresses.vip(v.seen.slots[s.Name])
	}
	for _, p := range s.Ports {
		out.Ports = append(out.Ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	for _, pod := range s.Pods {
		if p := state.Pod(pod); p != nil && reconcile.Ended(p, v.seen.Pods[pod]) != reconcile.NotEnded {
			out.Total-- // a pod that is done is no endpoint
			continue
		}
		if podReady(v, pod) {
			out.Endpoints++
		}
	}
	for _, p := range state.Portals {
		if p.Service != s.Name {
			continue
		}
		for _, port := range p.Ports {
			if port.Protocol == "TCP" {
				out.URLs = append(out.URLs, fmt.Sprintf("http://%s:%d", loopback, port.HostPort))
			} else {
				out.URLs = append(out.URLs, fmt.Sprintf("udp://%s:%d", loopback, port.HostPort))
			}
		}
	}
	if port := httpPortOf(v.seen); port != 0 && s.HTTP {
		out.URLs = append(out.URLs, fmt.Sprintf("http://%s.%s.localhost:%d", s.Name, app, port))
	}
	return out
}
