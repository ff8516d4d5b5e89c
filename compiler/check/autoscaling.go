package check

import (
	"github.com/cuepod/cuepod/compiler/app"
)

// Limits of autoscaling in seconds, from Kubernetes' autoscaling/validation.
const (
	maxScalingPeriod       = 1800
	maxStabilizationWindow = 3600
)

func (c *checker) autoscaling(p *app.Pod, at place) {
	a := p.Autoscaling
	if a == nil {
		return
	}
	if _, written := p.Lines["replicas"]; written || p.Replicas != 1 {
		at.field("replicas").refuse("the pod has autoscaling, which decides how many replicas there are").hint("leave replicas out; autoscaling.minReplicas is the least number")
	}
	at = at.field("autoscaling").at(a.Pos)
	if a.MinReplicas > a.MaxReplicas {
		at.field("minReplicas").refuse("%d is more than maxReplicas, %d", a.MinReplicas, a.MaxReplicas).hint("let minReplicas be at most maxReplicas")
	}
	if a.CPU == 0 && a.Memory == 0 && len(a.Metrics) == 0 {
		at.refuse("there is nothing to scale by").hint("add cpu: 80, the use to aim for in percent of what the pods request")
	}
	for _, resource := range []struct {
		name    string
		percent int
	}{{"cpu", a.CPU}, {"memory", a.Memory}} {
		if resource.percent != 0 {
			c.requested(p, resource.name, at.field(resource.name))
		}
	}
	for i := range a.Metrics {
		c.metric(p, &a.Metrics[i], at.field("metrics").item(i).at(a.Metrics[i].Pos))
	}
	if a.Behavior != nil {
		behavior := at.field("behavior").at(a.Behavior.Pos)
		c.scalingRules(a.Behavior.ScaleUp, behavior.field("scaleUp"))
		c.scalingRules(a.Behavior.ScaleDown, behavior.field("scaleDown"))
	}
}

// requested wants a request, of which a percentage can be taken, in every
// container that runs for as long as the pod.
func (c *checker) requested(p *app.Pod, resource string, at place) {
	if has(p.Resources, resource) {
		return
	}
	for _, ctr := range lasting(p) {
		if !has(ctr.Resources, resource) {
			at.refuse("the container %q requests no %s, of which a percentage could be taken", ctr.Name, resource).hint("add resources: requests: %s: AMOUNT to it, at %s", resource, ctr.Pos)
		}
	}
}

// has reports whether a resource is requested; a limit alone is a request too.
func has(r app.Resources, name string) bool { return r.Requests[name] != "" || r.Limits[name] != "" }

// lasting lists the containers that run as long as the pod: its containers and
// sidecars.
func lasting(p *app.Pod) []*app.Container {
	var list []*app.Container
	for i := range p.InitContainers {
		if sidecar(&p.InitContainers[i]) {
			list = append(list, &p.InitContainers[i])
		}
	}
	for i := range p.Containers {
		list = append(list, &p.Containers[i])
	}
	return list
}

// sidecar reports whether an init container stays when the next one starts.
func sidecar(init *app.Container) bool { return init.RestartPolicy == "Always" }

func (c *checker) metric(p *app.Pod, m *app.MetricSpec, at place) {
	sources := []choice{
		{"object", m.Object != nil}, {"pods", m.Pods != nil}, {"resource", m.Resource != nil},
		{"containerResource", m.ContainerResource != nil}, {"external", m.External != nil}}
	if !at.field("type").oneOf(m.Type, "Object", "Pods", "Resource", "ContainerResource", "External") || !at.one("source", sources...) {
		return
	}
	types := map[string]string{"object": "Object", "pods": "Pods", "resource": "Resource", "containerResource": "ContainerResource", "external": "External"}
	for _, source := range sources {
		if source.set && types[source.name] != m.Type {
			at.field("type").refuse("it is %q, and the source is %s", m.Type, source.name).hint("set type: %q", types[source.name])
		}
	}
	switch {
	case m.Object != nil:
		c.metricName(m.Object.Metric, at.field("object", "metric"))
		c.target(m.Object.Target, at.field("object", "target"), "value", "averageValue")
		if group, version := group(m.Object.DescribedObject.APIVersion), m.Object.DescribedObject.APIVersion; version == "" || group != "" && !isDNSName(group) {
			at.field("object", "describedObject").refuse("it has no apiVersion that can be read").hint("add apiVersion, such as \"networking.k8s.io/v1\"")
		}
	case m.Pods != nil:
		c.metricName(m.Pods.Metric, at.field("pods", "metric"))
		c.target(m.Pods.Target, at.field("pods", "target"), "averageValue")
	case m.External != nil:
		c.metricName(m.External.Metric, at.field("external", "metric"))
		c.target(m.External.Target, at.field("external", "target"), "value", "averageValue")
	case m.Resource != nil:
		c.target(m.Resource.Target, at.field("resource", "target"), "averageUtilization", "averageValue")
	case m.ContainerResource != nil:
		from := at.field("containerResource")
		c.target(m.ContainerResource.Target, from.field("target"), "averageUtilization", "averageValue")
		from.field("name").resourceName(m.ContainerResource.Name)
		c.containerOf(p, m.ContainerResource.Container, from.field("container"))
	}
}

// containerOf wants the name of a container of the pod.
func (c *checker) containerOf(p *app.Pod, name string, at place) {
	have := containerNames(p)
	for _, n := range have {
		if n == name {
			return
		}
	}
	at.missing("container", name, "pod "+p.Name, have)
}

func (c *checker) metricName(id *app.MetricIdentifier, at place) {
	if id == nil {
		return
	}
	at = at.at(id.Pos)
	if !pathSegment(id.Name) {
		at.field("name").refuse("%q is not valid; it must be without \"/\" and \"%%\"", id.Name)
	}
	c.selector(id.Selector, at.field("selector"))
}

// target checks what a metric aims for: exactly one of the values that its
// source can have.
func (c *checker) target(t *app.MetricTarget, at place, values ...string) {
	if t == nil {
		return
	}
	at = at.at(t.Pos)
	types := map[string]string{"averageUtilization": "Utilization", "value": "Value", "averageValue": "AverageValue"}
	set := []choice{{"value", t.Value != ""}, {"averageValue", t.AverageValue != ""}, {"averageUtilization", t.AverageUtilization != nil}}
	var choices []choice
	for _, ch := range set {
		possible := false
		for _, v := range values {
			possible = possible || v == ch.name
		}
		if possible {
			choices = append(choices, ch)
		} else if ch.set {
			at.field(ch.name).refuse("a metric of this source has no %s", ch.name).hint("use %s", either(values))
			return
		}
	}
	if !at.one("value", choices...) {
		return
	}
	for _, ch := range choices {
		if ch.set && t.Type != types[ch.name] {
			at.field("type").refuse("%q does not fit %s", t.Type, ch.name).hint("set type: %q", types[ch.name])
		}
	}
	for name, q := range map[string]app.Quantity{"value": t.Value, "averageValue": t.AverageValue} {
		if q != "" && c.quantity(at.pos, at.field(name).path, q) && q.Compare("0") <= 0 {
			at.field(name).refuse("it must be more than 0")
		}
	}
	within(at.field("averageUtilization"), t.AverageUtilization, 1, maxID)
}

func (c *checker) scalingRules(r *app.HPAScalingRules, at place) {
	if r == nil {
		return
	}
	at = at.at(r.Pos)
	within(at.field("stabilizationWindowSeconds"), r.StabilizationWindowSeconds, 0, maxStabilizationWindow)
	at.field("selectPolicy").oneOf(r.SelectPolicy, "Max", "Min", "Disabled")
	if r.Tolerance != "" {
		c.quantity(at.pos, at.field("tolerance").path, r.Tolerance)
	}
	for i, policy := range r.Policies {
		at := at.field("policies").item(i).at(policy.Pos)
		at.field("type").oneOf(policy.Type, "Pods", "Percent")
		within(at.field("value"), &policy.Value, 1, maxID)
		within(at.field("periodSeconds"), &policy.PeriodSeconds, 1, maxScalingPeriod)
	}
}

func (c *checker) disruptionBudget(p *app.Pod, at place) {
	b := p.DisruptionBudget
	if b == nil {
		return
	}
	at = at.at(b.Pos)
	at.one("limit", choice{"minAvailable", b.MinAvailable != ""}, choice{"maxUnavailable", b.MaxUnavailable != ""})
	at.field("minAvailable").partOfAll(b.MinAvailable)
	at.field("maxUnavailable").partOfAll(b.MaxUnavailable)
}
