// Package kubernetes renders an app as Kubernetes objects: accounts, ConfigMaps,
// claims, network policies, services, workloads and routes, in that order, then
// the objects that the definition holds as they are; as one YAML stream or a
// file each.
//
// The text is what a person would want to review: fields in the customary
// order, the API's defaults left out, no status. A ConfigMap's name ends in the
// hash of its data, and so a change of configuration is a new ConfigMap and a
// rollout. Secrets are never written: a finding says which have to exist and
// how to make them.
package kubernetes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/yaml"
)

// Format is how the objects are written.
type Format string

const (
	YAML  Format = ""      // manifests.yaml, one document per object
	JSON  Format = "json"  // manifests.json, one List
	KYAML Format = "kyaml" // manifests.yaml in the YAML subset that kubectl calls KYAML
	Dir   Format = "dir"   // one YAML file per object, named after its kind and name in the definition
)

// Options say how to render.
type Options struct {
	Format Format // default YAML
}

// Render renders the app. It fails on what the definition should not hold: a
// kind of pod, a format or a reference that does not exist, and with a
// *targets.ContradictionError.
func Render(a *app.App, opts Options) (targets.Output, error) {
	r := &renderer{app: a, configMaps: hashedNames(a), findings: targets.NewFindings(Rules())}
	exceptions().Report(a, r.findings)
	objects, err := r.objects()
	if err != nil {
		return targets.Output{}, err
	}
	if objects, err = r.withRaw(objects); err != nil {
		return targets.Output{}, err
	}
	files, err := write(objects, opts.Format)
	if err != nil {
		return targets.Output{}, err
	}
	return targets.Output{Files: files, Findings: r.findings.List()}, nil
}

// object is one Kubernetes object with the name that the definition gives it.
type object struct {
	kind string
	name string
	body *yaml.Map
}

// renderer holds what all parts of one rendering look at.
type renderer struct {
	app        *app.App
	configMaps map[string]string // name in the definition to name in the cluster
	findings   *targets.Findings
	clashes    []string // of escape hatches, one line each
}

// objects makes all objects in the order they are applied: what is read before
// who reads it, and what keeps others away before whom it protects.
func (r *renderer) objects() ([]object, error) {
	var out []object
	for i := range r.app.ServiceAccounts {
		out = append(out, r.account(&r.app.ServiceAccounts[i])...)
	}
	for i := range r.app.ConfigMaps {
		out = append(out, r.configMap(&r.app.ConfigMaps[i]))
	}
	for i := range r.app.Claims {
		out = append(out, r.claim(&r.app.Claims[i]))
	}
	for i := range r.app.Secrets {
		r.needSecret(&r.app.Secrets[i])
	}
	for i := range r.app.NetworkPolicies {
		n, err := r.networkPolicy(&r.app.NetworkPolicies[i])
		if err != nil {
			return nil, fmt.Errorf("networkPolicy %s: %w", r.app.NetworkPolicies[i].Name, err)
		}
		out = append(out, n)
	}
	for i := range r.app.Services {
		s, err := r.service(&r.app.Services[i])
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", r.app.Services[i].Name, err)
		}
		out = append(out, s)
		out = append(out, r.endpointSlices(&r.app.Services[i])...)
	}
	for i := range r.app.Pods {
		p, err := r.pod(&r.app.Pods[i])
		if err != nil {
			return nil, fmt.Errorf("pod %s: %w", r.app.Pods[i].Name, err)
		}
		out = append(out, p...)
	}
	for i := range r.app.Ingresses {
		out = append(out, r.ingress(&r.app.Ingresses[i]))
	}
	for i := range r.app.HTTPRoutes {
		out = append(out, r.httpRoute(&r.app.HTTPRoutes[i]))
	}
	return out, nil
}

// pod makes what runs a pod, and what acts on that.
func (r *renderer) pod(p *app.Pod) ([]object, error) {
	w, err := r.workload(p)
	if err != nil {
		return nil, err
	}
	out := []object{w}
	if p.Autoscaling != nil {
		out = append(out, r.autoscaler(p))
	}
	if p.DisruptionBudget != nil {
		out = append(out, r.disruptionBudget(p))
	}
	return out, nil
}

func write(objects []object, format Format) ([]targets.File, error) {
	switch format {
	case YAML:
		docs := make([]any, len(objects))
		for i, o := range objects {
			docs[i] = o.body
		}
		return []targets.File{{Name: "manifests.yaml", Data: yaml.AppendStream(nil, docs...)}}, nil
	case KYAML:
		docs := make([]any, len(objects))
		for i, o := range objects {
			docs[i] = o.body
		}
		return []targets.File{{Name: "manifests.yaml", Data: yaml.AppendKYAML(nil, docs...)}}, nil
	case JSON:
		items := yaml.List{}
		for _, o := range objects {
			items = append(items, o.body)
		}
		data, err := json.MarshalIndent(yaml.New().Set("apiVersion", "v1").Set("kind", "List").Set("items", items), "", "  ")
		if err != nil {
			return nil, fmt.Errorf("objects as json: %w", err)
		}
		return []targets.File{{Name: "manifests.json", Data: append(data, '\n')}}, nil
	case Dir:
		files := make([]targets.File, len(objects))
		for i, o := range objects {
			files[i] = targets.File{Name: strings.ToLower(o.kind) + "-" + o.name + ".yaml", Data: yaml.Append(nil, o.body)}
		}
		slices.SortFunc(files, func(a, b targets.File) int { return strings.Compare(a.Name, b.Name) })
		return files, nil
	}
	return nil, fmt.Errorf("format %q is not yaml, kyaml, json or dir", format)
}
