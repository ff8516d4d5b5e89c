package kubernetes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/unify"
	"github.com/cuepod/cuepod/targets/yaml"
)

// unify unifies one struct of a hatch, at path inside it, with ours. Clashes
// are kept for the end, so that all are told at once.
func (r *renderer) unify(ours *yaml.Map, h *app.Hatch, inside []string, path string, pos app.Pos) {
	raw := h.Field(inside...)
	if raw == nil {
		return
	}
	named := r.withNames(*raw)
	at := unify.Place{Path: strings.Join(append([]string{path, "kubernetes"}, inside...), "."), Beside: h.Beside, Pos: pos}
	lists := unify.Lists{Key: mergeKey, Append: func(string) bool { return false }}
	r.clashes = append(r.clashes, unify.Into(ours, &named, lists, at)...)
}

// mergeKey is what identifies an item of the lists that we write and that
// Kubernetes merges: the patchMergeKey of its API, for ports with the protocol.
func mergeKey(list string, item any) string {
	field := func(name string) string {
		m, ok := item.(*yaml.Map)
		if !ok {
			return ""
		}
		switch v, _ := m.Get(name); v := v.(type) {
		case string:
			return v
		case int, json.Number:
			return fmt.Sprint(v)
		}
		return ""
	}
	switch list {
	case "containers", "initContainers", "volumes", "env", "imagePullSecrets", "resourceClaims", "claims", "schedulingGates", "evictionResponders":
		return field("name")
	case "volumeMounts":
		return field("mountPath")
	case "volumeDevices":
		return field("devicePath")
	case "hostAliases":
		return field("ip")
	case "topologySpreadConstraints":
		return joinedKey(field("topologyKey"), field("whenUnsatisfiable"))
	case "rules": // of an Ingress
		if host := field("host"); host != "" {
			return host
		}
		return everyHost
	case "paths":
		return joinedKey(field("path"), field("pathType"))
	case "ports":
		number := field("containerPort")
		if number == "" {
			number = field("port")
		}
		if protocol := field("protocol"); protocol != "" && protocol != "TCP" {
			number += "/" + protocol
		}
		return number
	}
	return ""
}

// joinedKey is a key of two fields, none without the first.
func joinedKey(first, second string) string {
	if first == "" {
		return ""
	}
	return first + " " + second
}

// withNames gives the app's ConfigMaps in a hatch the name that they have in
// the cluster.
func (r *renderer) withNames(raw app.Raw) app.Raw {
	raw.Items = slices.Clone(raw.Items)
	for i, f := range raw.Items {
		if f.Name == "name" && f.Kind == app.RawString && slices.Contains([]string{"configMap", "configMapRef", "configMapKeyRef"}, raw.Name) {
			f.Text = r.configMapName(f.Text)
		}
		raw.Items[i] = r.withNames(f)
	}
	return raw
}

// withRaw adds the definition's own objects behind ours. It fails on all that
// the hatches contradict, and on two objects that are one in the cluster.
func (r *renderer) withRaw(objects []object) ([]object, error) {
	taken := map[string]bool{}
	for _, o := range objects {
		taken[r.identity(o.body)] = true
	}
	for i := range r.app.Objects {
		o := &r.app.Objects[i]
		body := r.object(o)
		if id := r.identity(body); taken[id] {
			r.clashes = append(r.clashes, fmt.Sprintf("%s: objects.%s: there is another %s", o.Pos, o.Name, id))
		} else {
			taken[id] = true
		}
		objects = append(objects, object{"Object", o.Name, body})
	}
	if len(r.clashes) > 0 {
		return nil, &targets.ContradictionError{Lines: r.clashes}
	}
	return objects, nil
}

// object is an object as it is, with the app's namespace where one belongs and
// none is.
func (r *renderer) object(o *app.Object) *yaml.Map {
	body := unify.Value(&o.Body).(*yaml.Map)
	metadata := o.Body.Field("metadata")
	if r.app.Namespace == "" || metadata.Field("namespace") != nil || app.ClusterScoped(o.Body.String("kind")) {
		return body
	}
	with := yaml.New()
	for i := range metadata.Items {
		with.Set(metadata.Items[i].Name, unify.Value(&metadata.Items[i]))
		if metadata.Items[i].Name == "name" {
			with.Set("namespace", r.app.Namespace)
		}
	}
	body.Put("metadata", with)
	return body
}

// identity is what makes an object one in the cluster: its group, kind,
// namespace and name.
func (r *renderer) identity(body *yaml.Map) string {
	text := func(m any, key string) string {
		fields, _ := m.(*yaml.Map)
		v, _ := fields.Get(key)
		s, _ := v.(string)
		return s
	}
	metadata, _ := body.Get("metadata")
	id := text(body, "kind") + " " + text(metadata, "name")
	if group, _, ok := strings.Cut(text(body, "apiVersion"), "/"); ok {
		id += " of " + group
	}
	if namespace := text(metadata, "namespace"); namespace != "" {
		id += " in namespace " + namespace
	}
	return id
}
