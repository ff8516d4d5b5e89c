package kubernetes

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// defaultGrace is what the API fills in for terminationGracePeriodSeconds.
const defaultGrace = 30

func (r *renderer) workload(p *app.Pod) (object, error) {
	if p.Kind != "Deployment" {
		return object{}, fmt.Errorf("kind %q is not supported", p.Kind)
	}
	for _, d := range p.DependsOn {
		r.findings.Add("kubernetes/depends-on", "pods."+p.Name+".dependsOn."+d.Service, d.Pos,
			fmt.Sprintf("pod %s does not wait for service %s: Kubernetes starts all pods at once", p.Name, d.Service),
			"let the container retry, or wait in an init container")
	}
	template, err := r.template(p)
	if err != nil {
		return object{}, err
	}
	spec := yaml.New().Set("replicas", p.Replicas)
	if r.holdsExclusively(p) {
		spec.Set("strategy", yaml.New().Set("type", "Recreate"))
	}
	spec.Set("selector", yaml.New().Set("matchLabels", r.selector(p.Name))).Set("template", template)
	body := r.head("apps/v1", "Deployment", p.Name, p.Name, r.podLabels(p), nil).Set("spec", spec)
	r.unify(body, p.Kubernetes, []string{"workload"}, "pods."+p.Name, p.Pos)
	return object{"Deployment", p.Name, body}, nil
}

// holdsExclusively reports whether the pod writes to a claim that one node at a
// time may mount: a rolling update would then wait for the old pod's node for
// ever.
func (r *renderer) holdsExclusively(p *app.Pod) bool {
	return slices.ContainsFunc(p.Volumes, func(v app.Volume) bool {
		if v.Claim == nil {
			return false
		}
		c := r.app.Claim(v.Claim.ClaimName)
		return c != nil && !slices.Contains(c.AccessModes, "ReadWriteMany") && !slices.Contains(c.AccessModes, "ReadOnlyMany")
	})
}

// podLabels are the user's labels of the pod, without those that select it.
func (r *renderer) podLabels(p *app.Pod) map[string]string {
	labels := maps.Clone(r.app.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, p.Labels)
	labels[labelName] = r.app.Name
	labels[labelComponent] = p.Name
	return labels
}

// reservedLabels reports labels that the selectors need otherwise.
func (r *renderer) reservedLabels(p *app.Pod) {
	for _, from := range []struct {
		path   string
		pos    app.Pos
		labels map[string]string
	}{{"labels", r.app.Pos, r.app.Labels}, {"pods." + p.Name + ".labels", p.Pos, p.Labels}} {
		for key, want := range map[string]string{labelName: r.app.Name, labelComponent: p.Name} {
			if got, ok := from.labels[key]; ok && got != want {
				r.findings.Add("kubernetes/label-reserved", from.path+"."+key, from.pos,
					fmt.Sprintf("the pods of %s keep the label %s: %s, which their Deployment and Services select by", p.Name, key, want), "use a label of your own")
			}
		}
	}
}

func (r *renderer) template(p *app.Pod) (*yaml.Map, error) {
	r.reservedLabels(p)
	labels := recommended(r.app.Name, p.Name)
	maps.Copy(labels, r.podLabels(p))
	notes := maps.Clone(r.app.Annotations)
	if notes == nil {
		notes = map[string]string{}
	}
	maps.Copy(notes, p.Annotations)
	meta := yaml.New().Set("labels", sorted(labels)).Opt("annotations", sorted(notes))

	spec := yaml.New()
	if p.TerminationGracePeriodSeconds != defaultGrace {
		spec.Set("terminationGracePeriodSeconds", p.TerminationGracePeriodSeconds)
	}
	spec.Opt("hostname", p.Hostname)
	spec.Opt("initContainers", r.containers(p.InitContainers, "pods."+p.Name+".initContainers"))
	spec.Set("containers", r.containers(p.Containers, "pods."+p.Name+".containers"))
	volumes := yaml.List{}
	for i := range p.Volumes {
		v, err := r.volume(&p.Volumes[i])
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", p.Volumes[i].Name, err)
		}
		r.unify(v, p.Volumes[i].Kubernetes, nil, "pods."+p.Name+".volumes."+p.Volumes[i].Name, p.Volumes[i].Pos)
		volumes = append(volumes, v)
	}
	spec.Opt("volumes", volumes)
	r.unify(spec, p.Kubernetes, []string{"podSpec"}, "pods."+p.Name, p.Pos)
	return yaml.New().Set("metadata", meta).Set("spec", spec), nil
}

func (r *renderer) volume(v *app.Volume) (*yaml.Map, error) {
	out := yaml.New().Set("name", v.Name)
	switch {
	case v.EmptyDir != nil:
		return out.Set("emptyDir", yaml.New().Opt("medium", v.EmptyDir.Medium).Opt("sizeLimit", string(v.EmptyDir.SizeLimit))), nil
	case v.ConfigMap != nil:
		return out.Set("configMap", files("name", r.configMapName(v.ConfigMap.Name), v.ConfigMap)), nil
	case v.Secret != nil:
		return out.Set("secret", files("secretName", v.Secret.Name, v.Secret)), nil
	case v.Claim != nil:
		return out.Set("persistentVolumeClaim", yaml.New().Set("claimName", v.Claim.ClaimName).Opt("readOnly", v.Claim.ReadOnly)), nil
	case v.Kubernetes != nil:
		return out, nil // the hatch holds the source
	}
	return nil, fmt.Errorf("it has no source")
}

// defaultMode is what the API fills in for the files of a volume.
const defaultMode = 0o644

func files(nameKey, name string, f *app.FilesSource) *yaml.Map {
	out := yaml.New().Set(nameKey, name)
	items := yaml.List{}
	for _, key := range slices.Sorted(maps.Keys(f.Items)) {
		items = append(items, yaml.New().Set("key", key).Set("path", f.Items[key]))
	}
	out.Opt("items", items)
	if f.DefaultMode != defaultMode {
		out.Opt("defaultMode", f.DefaultMode) // decimal, as JSON has no octal and YAML has two
	}
	return out.Opt("optional", f.Optional)
}
