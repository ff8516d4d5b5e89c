package check

import (
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

func (c *checker) service(s *app.Service) {
	at := "services." + s.Name
	c.meta(at+".", s.Pos, s.Labels, s.Annotations)
	if s.Name[0] >= '0' && s.Name[0] <= '9' {
		c.report(s.Pos, "%s: a service's name must start with a letter", at)
	}
	pod := c.app.Pod(s.Pod)
	if pod == nil {
		c.missing(s.Pos, at, "pod", s.Pod, "the app", c.podNames())
	}
	if s.Headless && s.Type != "ClusterIP" {
		c.report(s.Pos, "%s: a headless service cannot have the type %s", at, s.Type)
		c.hint("a headless service has no address of its own that could be exposed")
	}
	if s.Headless && s.SessionAffinity == "ClientIP" {
		c.report(s.Pos, "%s: a headless service cannot have sessionAffinity", at)
		c.hint("a client of a headless service chooses a pod itself")
	}
	if len(s.Ports) == 0 && !s.Headless {
		c.report(s.Pos, "%s: a service needs at least one port", at)
		c.hint("add ports: NAME: port: NUMBER, or headless: true")
	}
	c.servicePorts(s, pod, at+".ports.")
}

func (c *checker) servicePorts(s *app.Service, pod *app.Pod, at string) {
	type key struct {
		port     int
		protocol string
	}
	taken := map[key]app.ServicePort{}
	for _, port := range s.Ports {
		k := key{port.Port, port.Protocol}
		if first, ok := taken[k]; ok {
			c.report(port.Pos, "%s%s: %s port %d is already taken in this service, at %s", at, port.Name, port.Protocol, port.Port, first.Pos)
		}
		taken[k] = port
		if port.NodePort != 0 && s.Type == "ClusterIP" {
			c.report(port.Pos, "%s%s: a service of type ClusterIP has no nodePort", at, port.Name)
			c.hint("set type: \"NodePort\" or \"LoadBalancer\", or remove nodePort")
		}
		if pod != nil && port.TargetPort.Name != "" {
			c.targetPort(port, pod, at+port.Name+".targetPort")
		}
	}
}

// targetPort checks a target by name: Kubernetes looks for a container port of
// that name and of the same protocol.
func (c *checker) targetPort(port app.ServicePort, pod *app.Pod, at string) {
	var have []string
	for _, ctr := range pod.Containers {
		for _, p := range ctr.Ports {
			if p.Protocol == port.Protocol {
				have = append(have, p.Name)
			}
		}
	}
	if !slices.Contains(have, port.TargetPort.Name) {
		c.missing(port.Pos, at, port.Protocol+" port", port.TargetPort.Name, "pod "+pod.Name, have)
	}
}

// nodePorts checks that no two services ask for one port of the node.
func (c *checker) nodePorts() {
	type key struct {
		port     int
		protocol string
	}
	taken := map[key]app.ServicePort{}
	for _, s := range c.app.Services {
		for _, p := range s.Ports {
			if p.NodePort == 0 {
				continue
			}
			k := key{p.NodePort, p.Protocol}
			if first, ok := taken[k]; ok {
				c.report(p.Pos, "services.%s.ports.%s.nodePort: %d is already taken, at %s", s.Name, p.Name, p.NodePort, first.Pos)
				continue
			}
			taken[k] = p
		}
	}
}

// cycles reports pods that wait for each other through dependsOn.
func (c *checker) cycles() {
	done := map[string]bool{}
	var path []string
	var visit func(p *app.Pod)
	visit = func(p *app.Pod) {
		if i := slices.Index(path, p.Name); i >= 0 {
			c.cycle(append(slices.Clone(path[i:]), p.Name))
			return
		}
		if done[p.Name] {
			return
		}
		path = append(path, p.Name)
		for _, d := range p.DependsOn {
			if s := c.app.Service(d.Service); s != nil && c.app.Pod(s.Pod) != nil {
				visit(c.app.Pod(s.Pod))
			}
		}
		path = path[:len(path)-1]
		done[p.Name] = true
	}
	for i := range c.app.Pods {
		visit(&c.app.Pods[i])
	}
}

// cycle reports one circle of pods, at the dependency that closes it.
func (c *checker) cycle(circle []string) {
	last := c.app.Pod(circle[len(circle)-2])
	for _, d := range last.DependsOn {
		if s := c.app.Service(d.Service); s != nil && s.Pod == circle[len(circle)-1] {
			c.report(d.Pos, "pods.%s.dependsOn.%s: the pods wait for each other: %s", last.Name, d.Service, strings.Join(circle, " -> "))
			return
		}
	}
}
