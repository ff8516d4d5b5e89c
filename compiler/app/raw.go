package app

import (
	"slices"
	"strings"
)

// RawKind is what a Raw is.
type RawKind string

const (
	RawStruct RawKind = "struct"
	RawList   RawKind = "list"
	RawString RawKind = "string"
	RawNumber RawKind = "number"
	RawBool   RawKind = "bool"
	RawNull   RawKind = "null"
)

// Raw is a value that is passed on as it was written: part of an object or of
// an escape hatch. It is plain data and passes through JSON unchanged.
type Raw struct {
	Name  string // of a field of a struct; "" for an item of a list
	Kind  RawKind
	Text  string // of a scalar: the string itself, or the number, true or false as JSON has it
	Items []Raw  // fields of a struct in declared order, items of a list
	Pos   Pos
}

// Field returns the value at a path of field names, or nil.
func (r *Raw) Field(path ...string) *Raw {
	for _, name := range path {
		if r == nil || r.Kind != RawStruct {
			return nil
		}
		r = find(r.Items, name, func(f *Raw) string { return f.Name })
	}
	return r
}

// String is the text at a path, or "" when no string is there.
func (r *Raw) String(path ...string) string {
	if f := r.Field(path...); f != nil && f.Kind == RawString {
		return f.Text
	}
	return ""
}

// Hatch is an escape hatch: fields for one target, unified with what that
// target makes of the fields beside them.
type Hatch struct {
	Raw    Raw            // a struct
	Beside map[string]Pos // where the fields beside the hatch are written, for messages about both
}

// Field returns the value at a path of the hatch, or nil; also on a nil Hatch.
func (h *Hatch) Field(path ...string) *Raw {
	if h == nil {
		return nil
	}
	return h.Raw.Field(path...)
}

// Object is a Kubernetes object that travels with the app as it was written.
type Object struct {
	Name string // in the definition
	Body Raw    // a struct with apiVersion, kind and metadata.name
	Pos  Pos
}

// HatchField is one field of one escape hatch.
type HatchField struct {
	Target string // "kubernetes" or "compose"
	Path   string // in the definition
	Pos    Pos
}

// HatchFields lists the fields of all escape hatches in declared order.
func (a *App) HatchFields() []HatchField {
	var out []HatchField
	add := func(target, path string, h *Hatch) {
		if h != nil {
			out = append(out, hatchFields(target, path+target, &h.Raw)...)
		}
	}
	add("compose", "", a.Compose)
	for i := range a.Pods {
		p := &a.Pods[i]
		path := "pods." + p.Name + "."
		add("kubernetes", path, p.Kubernetes)
		for _, c := range p.InitContainers {
			add("kubernetes", path+"initContainers."+c.Name+".", c.Kubernetes)
			add("compose", path+"initContainers."+c.Name+".", c.Compose)
		}
		for _, c := range p.Containers {
			add("kubernetes", path+"containers."+c.Name+".", c.Kubernetes)
			add("compose", path+"containers."+c.Name+".", c.Compose)
		}
		for _, v := range p.Volumes {
			add("kubernetes", path+"volumes."+v.Name+".", v.Kubernetes)
		}
	}
	for _, s := range a.Services {
		add("kubernetes", "services."+s.Name+".", s.Kubernetes)
	}
	for _, i := range a.Ingresses {
		add("kubernetes", "ingresses."+i.Name+".", i.Kubernetes)
	}
	return out
}

// wrappers are fields that only hold the fields that count.
func wrappers() []string { return []string{"workload", "podSpec", "spec", "services"} }

func hatchFields(target, path string, raw *Raw) []HatchField {
	var out []HatchField
	for i := range raw.Items {
		f := &raw.Items[i]
		at := path + "." + f.Name
		if f.Kind == RawStruct && slices.Contains(wrappers(), f.Name) {
			out = append(out, hatchFields(target, at, f)...)
			continue
		}
		out = append(out, HatchField{Target: target, Path: at, Pos: f.Pos})
	}
	return out
}

// ClusterScoped reports whether a kind of object belongs to no namespace: the
// built-in kinds, and by the custom of naming others that begin with Cluster.
// No definition tells the scope of a custom kind, so the rest is taken to be in
// a namespace.
func ClusterScoped(kind string) bool {
	switch kind {
	case "APIService", "CSIDriver", "CSINode", "CertificateSigningRequest", "CustomResourceDefinition", "DeviceClass", "FlowSchema",
		"GatewayClass", "IPAddress", "IngressClass", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
		"MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume", "PriorityClass", "PriorityLevelConfiguration",
		"ResourceSlice", "RuntimeClass", "ServiceCIDR", "StorageClass", "StorageVersionMigration", "ValidatingAdmissionPolicy",
		"ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "VolumeAttachment", "VolumeAttributesClass":
		return true
	}
	return strings.HasPrefix(kind, "Cluster")
}
