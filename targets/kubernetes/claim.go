package kubernetes

import (
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

func (r *renderer) claim(c *app.Claim) object {
	m := meta{name: c.Name, labels: c.Labels, annotations: c.Annotations}
	return object{"PersistentVolumeClaim", c.Name, r.head("v1", "PersistentVolumeClaim", m).Set("spec", r.claimSpec(c))}
}

// claimTemplate is a claim that a StatefulSet makes for each of its pods. It has
// the labels and annotations that are written on it and no others: a StatefulSet
// takes no change of them later.
func (r *renderer) claimTemplate(c *app.Claim) *yaml.Map {
	metadata := yaml.New().Set("name", c.Name).Opt("labels", sorted(c.Labels)).Opt("annotations", sorted(c.Annotations))
	return yaml.New().Set("metadata", metadata).Set("spec", r.claimSpec(c))
}

func (r *renderer) claimSpec(c *app.Claim) *yaml.Map {
	requests := yaml.New().Set("storage", string(c.Storage))
	return r.encodeClaim(c).Set("resources", yaml.New().Set("requests", requests))
}
