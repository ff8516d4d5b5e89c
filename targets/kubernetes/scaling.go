package kubernetes

import (
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// autoscaler changes the replicas of a pod's workload by load.
func (r *renderer) autoscaler(p *app.Pod) object {
	target := yaml.New().Set("apiVersion", "apps/v1").Set("kind", p.Kind).Set("name", p.Name)
	spec := yaml.New().Set("scaleTargetRef", target).Join(r.encodeAutoscaling(p.Autoscaling)).Opt("metrics", r.metrics(p.Autoscaling))
	if p.Autoscaling.Behavior != nil {
		spec.Set("behavior", r.encodeHorizontalPodAutoscalerBehavior(p.Autoscaling.Behavior))
	}
	body := r.head("autoscaling/v2", "HorizontalPodAutoscaler", meta{name: p.Name, component: p.Name}).Set("spec", spec)
	return object{"HorizontalPodAutoscaler", p.Name, body}
}

// metrics are those with a short form, then those in the API's own.
func (r *renderer) metrics(a *app.Autoscaling) yaml.List {
	out := yaml.List{}
	for _, m := range []struct {
		resource string
		percent  int
	}{{"cpu", a.CPU}, {"memory", a.Memory}} {
		if m.percent != 0 {
			target := yaml.New().Set("type", "Utilization").Set("averageUtilization", m.percent)
			out = append(out, yaml.New().Set("type", "Resource").Set("resource", yaml.New().Set("name", m.resource).Set("target", target)))
		}
	}
	return append(out, each(a.Metrics, r.encodeMetricSpec)...)
}

// disruptionBudget keeps enough of a pod's replicas while nodes are emptied.
func (r *renderer) disruptionBudget(p *app.Pod) object {
	spec := r.encodeDisruptionBudget(p.DisruptionBudget).Set("selector", r.matchLabels(p.Name))
	body := r.head("policy/v1", "PodDisruptionBudget", meta{name: p.Name, component: p.Name}).Set("spec", spec)
	return object{"PodDisruptionBudget", p.Name, body}
}
