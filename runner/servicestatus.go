package runner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/cuepod/cuepod/targets/route"
)

func serviceStatus(v view, state *docker.State, s *docker.Service, app string) ServiceStatus {
	out := ServiceStatus{Name: s.Name, Ports: []string{}, Total: len(s.Pods), ExternalName: s.ExternalName}
	if s.Virtual() && v.seen.Network != "" {
		out.VIP = v.seen.addresses.vip(v.seen.slots[s.Name])
	}
	for _, p := range s.Ports {
		out.Ports = append(out.Ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	out.Endpoints, out.Total = len(s.Given), out.Total+len(s.Given)
	for _, pod := range s.Pods {
		if p := state.Pod(pod); p != nil && reconcile.Ended(p, v.seen.Pods[pod]) != reconcile.NotEnded {
			out.Total-- // a pod that is done is no endpoint
			continue
		}
		if podReady(v, pod) || s.NotReady && v.seen.infra(pod) != nil {
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
	if port := httpPortOf(v.seen); port != 0 {
		out.URLs = append(out.URLs, routeURLs(state.Routes, s.Name, port)...)
	}
	return out
}

// routeURLs are where rules lead to a service: every host has a name in
// localhost, which browsers find by themselves.
func routeURLs(rules []route.Rule, service string, port int) []string {
	var out []string
	for _, r := range rules {
		if !slices.ContainsFunc(r.Backends, func(b route.Backend) bool { return b.Service == service && b.Weight > 0 }) {
			continue
		}
		path := "/"
		if len(r.Matches) > 0 {
			path = cmp.Or(r.Matches[0].Path, "/")
		}
		hosts := r.Hosts
		if len(hosts) == 0 {
			hosts = []string{loopback}
		}
		for _, h := range hosts {
			if h != loopback {
				h += ".localhost"
			}
			if url := fmt.Sprintf("http://%s:%d%s", strings.Replace(h, "*", "any", 1), port, path); !slices.Contains(out, url) {
				out = append(out, url)
			}
		}
	}
	return out
}
