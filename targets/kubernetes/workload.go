package kubernetes

import (
	"fmt"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// workload makes what runs a pod: a Deployment or another of the five kinds.
func (r *renderer) workload(p *app.Pod) (object, error) {
	template, err := r.template(p)
	if err != nil {
		return object{}, err
	}
	apiVersion, spec, err := r.workloadSpec(p, template)
	if err != nil {
		return object{}, err
	}
	body := r.head(apiVersion, p.Kind, meta{name: p.Name, component: p.Name, labels: r.app.PodLabels(p)}).Set("spec", spec)
	r.unify(body, p.Kubernetes, []string{"workload"}, "pods."+p.Name, p.Pos)
	return object{p.Kind, p.Name, body}, nil
}

func (r *renderer) workloadSpec(p *app.Pod, template *yaml.Map) (apiVersion string, spec *yaml.Map, err error) {
	switch p.Kind {
	case "Deployment":
		spec = r.replicas(p).Opt("strategy", r.deploymentStrategy(p))
		return "apps/v1", r.selecting(p, spec.Join(r.encodeDeploymentSpec(p)), template), nil
	case "StatefulSet":
		spec = r.replicas(p).Set("serviceName", r.app.GoverningService(p)).Opt("updateStrategy", updateStrategy(p.UpdateStrategy))
		spec = r.selecting(p, spec.Join(r.encodeStatefulSetSpec(p)), template)
		return "apps/v1", spec.Opt("volumeClaimTemplates", each(p.VolumeClaimTemplates, r.claimTemplate)), nil
	case "DaemonSet":
		spec = yaml.New().Opt("updateStrategy", updateStrategy(p.UpdateStrategy))
		return "apps/v1", r.selecting(p, spec.Join(r.encodeDaemonSetSpec(p)), template), nil
	case "Job":
		return "batch/v1", r.jobSpec(p, template, p.Suspend), nil
	case "CronJob":
		metadata := yaml.New().Set("labels", sorted(r.app.PodLabels(p))).Opt("annotations", sorted(r.app.Annotations))
		job := yaml.New().Set("metadata", metadata).Set("spec", r.jobSpec(p, template, nil))
		return "batch/v1", r.encodeCronJobSpec(p).Set("jobTemplate", job), nil
	}
	return "", nil, fmt.Errorf("kind %q is not supported", p.Kind)
}

// runsToEnd reports whether the pod is a Job's.
func runsToEnd(p *app.Pod) bool { return p.Kind == "Job" || p.Kind == "CronJob" }

// replicas are said even when they are one, except where an autoscaler counts:
// a number here would undo its work with every apply.
func (r *renderer) replicas(p *app.Pod) *yaml.Map {
	spec := yaml.New()
	if p.Autoscaling == nil {
		spec.Set("replicas", p.Replicas)
	}
	return spec
}

func (r *renderer) selecting(p *app.Pod, spec, template *yaml.Map) *yaml.Map {
	return spec.Set("selector", r.matchLabels(p.Name)).Set("template", template)
}

// jobSpec has no selector: the cluster makes one that no other Job has. In a
// CronJob suspend is not the Jobs' but its own.
func (r *renderer) jobSpec(p *app.Pod, template *yaml.Map, suspend *bool) *yaml.Map {
	spec := r.encodeJobSpec(p)
	if suspend != nil {
		spec.Set("suspend", *suspend)
	}
	return spec.Set("template", template)
}

// deploymentStrategy is the written one; without one, a pod that holds storage
// for itself is stopped before the next one starts.
func (r *renderer) deploymentStrategy(p *app.Pod) *yaml.Map {
	if p.UpdateStrategy == nil && r.app.HoldsExclusively(p) {
		return yaml.New().Set("type", "Recreate")
	}
	return updateStrategy(p.UpdateStrategy)
}

// updateStrategy joins what the three kinds' strategies have; nil for none.
func updateStrategy(u *app.UpdateStrategy) *yaml.Map {
	if u == nil {
		return nil
	}
	out := yaml.New().Set("type", u.Type)
	if u.RollingUpdate != nil {
		rolling := yaml.New()
		for _, f := range []struct {
			name  string
			value app.CountOrPercent
		}{{"maxSurge", u.RollingUpdate.MaxSurge}, {"maxUnavailable", u.RollingUpdate.MaxUnavailable}} {
			if f.value != "" {
				rolling.Set(f.name, countOrPercent(f.value))
			}
		}
		if u.RollingUpdate.Partition != nil {
			rolling.Set("partition", *u.RollingUpdate.Partition)
		}
		out.Set("rollingUpdate", rolling)
	}
	return out
}
