package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

func (c *checker) envVar(p *app.Pod, e *app.EnvVar, at place) {
	c.argument(e.Pos, at.path, e.Name+"="+e.Value)
	source := e.Source()
	if ref := source.ConfigMapKeyRef; ref != nil {
		c.keyRef(at, ref.Name, ref.Key, ref.Optional, c.configMapKey)
		if cm := c.app.ConfigMap(ref.Name); cm != nil {
			c.argument(e.Pos, at.path, e.Name+"="+cm.Data[ref.Key])
		}
	}
	if ref := source.SecretKeyRef; ref != nil {
		c.keyRef(at, ref.Name, ref.Key, ref.Optional, c.secretKey)
	}
	if ref := source.FieldRef; ref != nil {
		c.fieldRef(ref, envFields(), at)
	}
	from := at.field("valueFrom")
	if ref := source.ResourceFieldRef; ref != nil {
		c.resourceFieldRef(p, ref, from.field("resourceFieldRef").at(ref.Pos))
	}
	if ref := source.FileKeyRef; ref != nil {
		c.fileKeyRef(p, ref, from.field("fileKeyRef").at(ref.Pos))
	}
}

// keyRef checks that the key exists, or that it could.
func (c *checker) keyRef(at place, name, key string, optional bool, exists func(pos app.Pos, path, name, key string)) {
	if optional {
		c.key(at.pos, at.path, key)
		return
	}
	exists(at.pos, at.path, name, key)
}

// envFields are the plain fields that a variable can have the value of.
func envFields() []string {
	return []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
}

// fileFields are the plain fields that a file can have the value of.
func fileFields() []string {
	return []string{"metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"}
}

func (c *checker) fieldRef(ref *app.ObjectFieldSelector, plain []string, at place) {
	if !fieldPath(ref.FieldPath, plain) {
		at.refuse("there is no field %q", ref.FieldPath).hint("fields are: %s, metadata.labels['KEY'], metadata.annotations['KEY']", strings.Join(plain, ", "))
	}
	if ref.APIVersion != "" && ref.APIVersion != "v1" {
		at.refuse("there is no version %q of a pod's fields", ref.APIVersion).hint("leave apiVersion out")
	}
}

// fieldPath reports whether a fieldRef can name this field: a plain one, or
// one label or annotation as in metadata.labels['key'].
func fieldPath(p string, plain []string) bool {
	if slices.Contains(plain, p) {
		return true
	}
	for _, prefix := range []string{"metadata.labels['", "metadata.annotations['"} {
		if key, ok := strings.CutPrefix(p, prefix); ok {
			key, ok = strings.CutSuffix(key, "']")
			return ok && qualifiedName(key)
		}
	}
	return false
}

// resourceFieldRef checks a reference to what a container requests or may use.
func (c *checker) resourceFieldRef(p *app.Pod, ref *app.ResourceFieldSelector, at place) {
	if ref.ContainerName != "" {
		c.containerOf(p, ref.ContainerName, at.field("containerName"))
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	known := name == "cpu" || name == "memory" || name == "ephemeral-storage" || strings.HasPrefix(name, hugePages)
	if kind != "requests" && kind != "limits" || !known {
		at.field("resource").refuse("there is no resource %q", ref.Resource).hint("resources are requests and limits of cpu, memory, ephemeral-storage and hugepages-SIZE, such as \"limits.memory\"")
		return
	}
	if ref.Divisor == "" || ref.Divisor.Compare("0") == 0 {
		return
	}
	units := []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
	if name == "cpu" {
		units = []string{"1", "1m"}
	}
	at.field("divisor").oneOf(string(ref.Divisor), units...)
}

// fileKeyRef checks a reference to a variable in a file of a volume.
func (c *checker) fileKeyRef(p *app.Pod, ref *app.FileKeySelector, at place) {
	v := p.Volume(ref.VolumeName)
	switch {
	case v == nil:
		at.field("volumeName").missing("volume", ref.VolumeName, "pod "+p.Name, volumeNames(p))
	case v.EmptyDir == nil:
		at.field("volumeName").refuse("the volume %q is no emptyDir", v.Name).hint("files with variables are written by an init container into an emptyDir")
	}
	at.field("path").below(ref.Path)
	if strings.ContainsFunc(ref.Key, func(r rune) bool { return r < ' ' || r > '~' || r == '=' }) {
		at.field("key").refuse("%q is not the name of a variable", ref.Key)
	}
}

func (c *checker) envFrom(e app.EnvFromSource, at place) {
	at.one("source", choice{"configMapRef", e.ConfigMapRef != nil}, choice{"secretRef", e.SecretRef != nil})
	if e.ConfigMapRef != nil && !e.ConfigMapRef.Optional {
		c.configMapKey(at.pos, at.path, e.ConfigMapRef.Name, "")
	}
	if e.ConfigMapRef != nil {
		if cm := c.app.ConfigMap(e.ConfigMapRef.Name); cm != nil {
			for _, key := range slices.Sorted(maps.Keys(cm.Data)) {
				c.argument(at.pos, at.path+": key "+key, e.Prefix+key+"="+cm.Data[key])
			}
		}
	}
	if e.SecretRef != nil && !e.SecretRef.Optional {
		c.secretKey(at.pos, at.path, e.SecretRef.Name, "")
	}
}
