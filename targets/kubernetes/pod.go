package kubernetes

import (
	"fmt"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// template is what a workload makes its pods from.
func (r *renderer) template(p *app.Pod) (*yaml.Map, error) {
	r.reservedLabels(p)
	metadata := yaml.New().Set("labels", sorted(r.app.PodLabels(p))).Opt("annotations", sorted(joined(r.app.Annotations, p.Annotations)))
	spec := r.encodePodSpec(p).Opt("restartPolicy", restartPolicy(p))
	path := "pods." + p.Name
	spec.Opt("initContainers", r.containers(p.InitContainers, path+".initContainers"))
	spec.Set("containers", r.containers(p.Containers, path+".containers"))
	volumes := yaml.List{}
	for i := range p.Volumes {
		v := &p.Volumes[i]
		if !v.HasSource() && v.Kubernetes == nil {
			return nil, fmt.Errorf("volume %s: it has no source", v.Name)
		}
		body := r.encodeVolume(v)
		r.unify(body, v.Kubernetes, nil, path+".volumes."+v.Name, v.Pos)
		volumes = append(volumes, body)
	}
	spec.Opt("volumes", volumes)
	r.unify(spec, p.Kubernetes, []string{"podSpec"}, path, p.Pos)
	return yaml.New().Set("metadata", metadata).Set("spec", spec), nil
}

// restartPolicy is the written one; the pods of a Job have to have one, and a
// Job that is retried in a new pod keeps what the failed one said.
func restartPolicy(p *app.Pod) string {
	if p.RestartPolicy == "" && runsToEnd(p) {
		return "Never"
	}
	return p.RestartPolicy
}

// containers makes a list of containers, which is at path in the definition.
func (r *renderer) containers(list []app.Container, path string) yaml.List {
	out := yaml.List{}
	for i := range list {
		c := &list[i]
		body := r.encodeContainer(c)
		r.unify(body, c.Kubernetes, nil, path+"."+c.Name, c.Pos)
		out = append(out, body)
	}
	return out
}
