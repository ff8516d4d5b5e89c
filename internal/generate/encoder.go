package main

import (
	"bytes"
	"fmt"
	"slices"

	"cuelang.org/go/cue/token"
)

// encoderText writes every type of the API as the API has it.
func encoderText(m *model) []byte {
	var b bytes.Buffer
	b.WriteString(genHead + `package kubernetes

import (
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)
`)
	for _, t := range m.types {
		for _, at := range t.apis {
			if slices.Contains(encodedByHand(), at.name) {
				continue
			}
			name := "encode" + t.name
			if len(t.apis) > 1 {
				name = "encode" + at.name
			}
			fmt.Fprintf(&b, "\n// %s writes the fields of %s that the definition says.\nfunc (r *renderer) %s(x *app.%s) *yaml.Map {\n\tout := yaml.New()\n", name, at.name, name, t.name)
			encodeFields(&b, t, at)
			b.WriteString("\treturn out\n}\n")
		}
	}
	return b.Bytes()
}

// encodeFields writes the fields in the order in which the API has them, which
// is that of most manifests.
func encodeFields(b *bytes.Buffer, t *goType, at *apiType) {
	var fields []*goField
	for _, f := range t.fields {
		if _, ok := f.apiOf[at]; ok && !slices.Contains(encodedByHand(), at.name+"."+f.name) {
			fields = append(fields, f)
		}
	}
	slices.SortFunc(fields, func(f, g *goField) int { return f.apiOf[at] - g.apiOf[at] })
	keyed := t.key == ""
	for _, f := range fields {
		if !keyed && f.apiOf[at] > t.keyAt {
			encodeKey(b, t)
			keyed = true
		}
		encodeField(b, t, f)
	}
	if !keyed {
		encodeKey(b, t)
	}
}

func encodeKey(b *bytes.Buffer, t *goType) {
	fmt.Fprintf(b, "\tout.Set(%q, x.%s)\n", t.key, t.keyGo)
}

// encodedByHand are the types of the API, and fields of them, that need more
// than what the model's field says: a hatch that is unified with it, another
// name in another kind, a default that depends on others.
func encodedByHand() []string {
	return []string{
		"PodSpec.initContainers", "PodSpec.containers", "PodSpec.volumes", "PodSpec.restartPolicy", "PodSpec.activeDeadlineSeconds",
		"DeploymentSpec.replicas", "StatefulSetSpec.replicas",
		"StatefulSetSpec.updateStrategy", "DaemonSetSpec.updateStrategy", "StatefulSetUpdateStrategy", "RollingUpdateStatefulSetStrategy",
		"StatefulSetSpec.serviceName", "StatefulSetSpec.volumeClaimTemplates",
		"JobSpec.suspend",
		"ServiceSpec.selector", "ServiceSpec.ports",
		"HorizontalPodAutoscalerSpec.metrics", "HorizontalPodAutoscalerSpec.behavior",
		"NetworkPolicySpec.podSelector",
	}
}

// conditions are when a field is written where that is not simply when it is
// set.
func conditions() map[string]string {
	return map[string]string{
		"EnvVar.value":              `x.Value != "" || x.ValueFrom == nil`,
		"Container.imagePullPolicy": `x.ImagePullPolicy != "" && x.ImagePullPolicy != app.DefaultPullPolicy(x.Image)`,
	}
}

func encodeField(b *bytes.Buffer, t *goType, f *goField) {
	x := "x." + f.goName
	set := func(cond, value string) {
		fmt.Fprintf(b, "\tif %s {\n\t\tout.Set(%q, %s)\n\t}\n", cond, f.name, value)
	}
	cond, special := conditions()[t.def.name+"."+f.name]
	switch {
	case special:
		set(cond, x)
	case f.isHatch, f.isObject:
	case f.under != nil && len(f.under.apis) == 0 && f.under.name != "Named" && f.under.name != "TemplateMetadata" && f.under.name != "StorageList":
		// Our own form of the field: written by hand.
	case f.under != nil && f.typ.shape == one && f.value:
		fmt.Fprintf(b, "\tout.Opt(%q, r.encode%s(&%s))\n", f.name, f.under.name, x)
	case f.under != nil && f.under.name == "TemplateMetadata":
		set(f.isSet("x"), "templateMetadata("+x+")")
	case f.under != nil && f.under.name == "StorageList":
		set(f.isSet("x"), `yaml.New().Set("storage", string(`+x+`.Storage))`)
	case f.under != nil && f.typ.shape == one:
		set(f.isSet("x"), fmt.Sprintf("r.encode%s(%s)", f.under.name, x))
	case f.under != nil && f.under.name == "Named":
		set(f.isSet("x"), fmt.Sprintf("named(%s)", x))
	case f.under != nil:
		set(f.isSet("x"), fmt.Sprintf("each(%s, r.encode%s)", x, f.under.name))
	case f.typ.shape == list:
		set(f.isSet("x"), "scalars("+x+")")
	case f.typ.shape == dict && f.plain.kind == "quantity":
		set(f.isSet("x"), "quantities("+x+")")
	case f.typ.shape == dict:
		set(f.isSet("x"), "sorted("+x+")")
	case f.configs:
		fmt.Fprintf(b, "\tout.Set(%q, r.configMapName(%s))\n", f.name, x)
	case f.plain.kind == "portRef":
		set(f.isSet("x"), "port("+x+")")
	case f.plain.kind == "countOrPercent":
		set(f.isSet("x"), "countOrPercent("+x+")")
	case f.plain.kind == "quantity":
		set(f.isSet("x"), "string("+x+")")
	case f.pointer:
		set(f.isSet("x"), "*"+x)
	case f.mark == token.NOT:
		fmt.Fprintf(b, "\tout.Set(%q, %s)\n", f.name, x)
	default:
		set(f.isSet("x"), x)
	}
}
