package docker

import (
	"maps"
	"path"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
)

// env lists the variables in Kubernetes' order: envFrom first, then env. One
// that a later one replaces stays, for those between them to refer to.
func (r *renderer) env(c *app.Container, p *app.Pod, d *Pod) []EnvVar {
	var vars []EnvVar
	set := func(v EnvVar) { vars = append(vars, v) }
	for _, from := range c.EnvFrom {
		r.envFrom(&from, set)
	}
	for _, e := range c.Env {
		if v, ok := r.envVar(&e, c, p, d); ok {
			set(v)
		}
	}
	return vars
}

func (r *renderer) envFrom(from *app.EnvFromSource, set func(EnvVar)) {
	if from.ConfigMapRef != nil {
		if cm := r.app.ConfigMap(from.ConfigMapRef.Name); cm != nil { // only text can be a variable
			for _, key := range slices.Sorted(maps.Keys(cm.Data)) {
				set(EnvVar{Name: from.Prefix + key, Source: Verbatim, Value: cm.Data[key]})
			}
		}
	}
	if from.SecretRef != nil {
		if s := r.app.Secret(from.SecretRef.Name); s != nil {
			for _, key := range s.Keys {
				ref := &KeyRef{Name: s.Name, Key: key.Name, Optional: from.SecretRef.Optional}
				set(EnvVar{Name: from.Prefix + key.Name, Source: FromSecret, Secret: ref})
			}
		}
	}
}

// envVar reports false for a variable that is absent: an optional reference to
// something that does not exist.
func (r *renderer) envVar(e *app.EnvVar, c *app.Container, p *app.Pod, d *Pod) (EnvVar, bool) {
	switch from := e.Source(); {
	case from.ConfigMapKeyRef != nil:
		cm := r.app.ConfigMap(from.ConfigMapKeyRef.Name)
		if cm == nil {
			return EnvVar{}, false
		}
		value, ok := cm.Data[from.ConfigMapKeyRef.Key]
		return EnvVar{Name: e.Name, Source: Verbatim, Value: value}, ok
	case from.SecretKeyRef != nil:
		ref := &KeyRef{from.SecretKeyRef.Name, from.SecretKeyRef.Key, from.SecretKeyRef.Optional}
		return EnvVar{Name: e.Name, Source: FromSecret, Secret: ref}, r.hasSecretKey(ref)
	case from.FieldRef != nil:
		value, source := r.field(from.FieldRef.FieldPath, p, d)
		if own := instanceSource(from.FieldRef.FieldPath, p); own != "" {
			value, source = "", own
		}
		return EnvVar{Name: e.Name, Source: source, Value: value}, true
	case from.ResourceFieldRef != nil:
		value, machine, ok := resourceVar(from.ResourceFieldRef, c, p)
		if machine != nil {
			return EnvVar{Name: e.Name, Source: FromMachine, Resource: machine}, true
		}
		return EnvVar{Name: e.Name, Source: Verbatim, Value: value}, ok
	case from.FileKeyRef != nil:
		return EnvVar{Name: e.Name, Source: FromFile, File: fileKey(from.FileKeyRef)}, true
	}
	return EnvVar{Name: e.Name, Value: e.Value}, true
}

func (r *renderer) hasSecretKey(ref *KeyRef) bool {
	s := r.app.Secret(ref.Name)
	return s != nil && slices.ContainsFunc(s.Keys, func(k app.SecretKey) bool { return k.Name == ref.Key })
}

func fileKey(ref *app.FileKeySelector) *FileKeyRef {
	return &FileKeyRef{Path: path.Join(volumesDir, ref.VolumeName, ref.Path), Key: ref.Key, Optional: ref.Optional}
}

// resourceVar is about the container itself unless it names another.
func resourceVar(ref *app.ResourceFieldSelector, c *app.Container, p *app.Pod) (value string, machine *ResourceRef, ok bool) {
	if ref.ContainerName == "" {
		return resource(ref, c)
	}
	return resourceOf(ref, p)
}
