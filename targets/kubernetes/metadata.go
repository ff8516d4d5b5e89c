package kubernetes

import (
	"fmt"
	"maps"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// meta is what the definition says of an object beside its own fields.
type meta struct {
	name        string
	component   string // the pod that the object belongs to; "" for the app as a whole
	labels      map[string]string
	annotations map[string]string
}

// head starts an object: what every object has before its own fields.
func (r *renderer) head(apiVersion, kind string, m meta) *yaml.Map {
	metadata := yaml.New().Set("name", m.name)
	if !app.ClusterScoped(kind) {
		metadata.Opt("namespace", r.app.Namespace)
	}
	metadata.Set("labels", sorted(r.labels(m))).Opt("annotations", sorted(joined(r.app.Annotations, m.annotations)))
	return yaml.New().Set("apiVersion", apiVersion).Set("kind", kind).Set("metadata", metadata)
}

// labels are the recommended ones, the app's over them, the object's over both.
func (r *renderer) labels(m meta) map[string]string {
	labels := map[string]string{app.LabelName: r.app.Name, app.LabelPartOf: r.app.Name, app.LabelManagedBy: "cuepod"}
	if m.component != "" {
		labels[app.LabelComponent] = m.component
	}
	return joined(labels, r.app.Labels, m.labels)
}

func joined(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// selector picks a pod's replicas. It never holds more, as a Deployment's
// selector cannot change once it exists.
func (r *renderer) selector(pod string) *yaml.Map {
	return yaml.New().Set(app.LabelComponent, pod).Set(app.LabelName, r.app.Name)
}

// matchLabels is selector as a label query.
func (r *renderer) matchLabels(pod string) *yaml.Map {
	return yaml.New().Set("matchLabels", r.selector(pod))
}

// reservedLabels reports labels that the selectors need otherwise.
func (r *renderer) reservedLabels(p *app.Pod) {
	for _, from := range []struct {
		path   string
		pos    app.Pos
		labels map[string]string
	}{{"labels", r.app.Pos, r.app.Labels}, {"pods." + p.Name + ".labels", p.Pos, p.Labels}} {
		for key, want := range map[string]string{app.LabelName: r.app.Name, app.LabelComponent: p.Name} {
			if got, ok := from.labels[key]; ok && got != want {
				r.findings.Add("kubernetes/label-reserved", from.path+"."+key, from.pos,
					fmt.Sprintf("the pods of %s keep the label %s: %s, which their %s and Services select by", p.Name, key, want, p.Kind), "use a label of your own")
			}
		}
	}
}
