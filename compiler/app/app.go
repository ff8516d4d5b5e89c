// Package app is the typed model of an app: what one team ships, as plain data.
//
// The compiler makes an App from CUE; every target reads it. All defaults are
// applied, every list is in a stable order (declared order where order means
// something, else by name), and everything a user names carries the position
// where it was written, so that a target can point at the user's line. Names
// are Kubernetes' names. The types are made from the schema, cue/core, by
// internal/generate. The package imports only the standard library.
package app

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Pos is a place in a definition file. The zero value means unknown.
type Pos struct {
	File   string `json:"file,omitempty"`   // as a person would type it: relative to the working directory where possible
	Line   int    `json:"line,omitempty"`   // 1-based
	Column int    `json:"column,omitempty"` // 1-based, in bytes
}

// IsValid reports whether the position is known.
func (p Pos) IsValid() bool { return p.File != "" && p.Line > 0 }

// String gives file:line:col, or "-" for the zero Pos.
func (p Pos) String() string {
	if !p.IsValid() {
		return "-"
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// DNSNamespace is the namespace part of service names on a local run: the
// app's namespace, or "default".
func (a *App) DNSNamespace() string {
	if a.Namespace == "" {
		return "default"
	}
	return a.Namespace
}

// PortRef is a port by number or by the name of a container port. Exactly one
// is set; the zero value means absent.
type PortRef struct {
	Number int
	Name   string
}

// String gives the name, or the number.
func (p PortRef) String() string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(p.Number)
}

// IsZero reports whether the reference is absent.
func (p PortRef) IsZero() bool { return p == PortRef{} }

// CountOrPercent is a number of pods, or a part of them such as "25%". ""
// means absent.
type CountOrPercent string

// Number gives the number; ok is false for a percentage and when it is absent.
func (c CountOrPercent) Number() (n int, ok bool) {
	n, err := strconv.Atoi(string(c))
	return n, err == nil
}

// HasSource reports whether the definition names a source.
func (v *Volume) HasSource() bool {
	sources := 0
	w := walker{visit: func(f Field) bool {
		if f.Name != "kubernetes" {
			sources++
		}
		return false
	}}
	v.walk(&w)
	return sources > 0
}

// Find helpers: linear, as apps have tens of each.

// Pod returns the pod of that name, or nil.
func (a *App) Pod(name string) *Pod { return find(a.Pods, name, func(p *Pod) string { return p.Name }) }

// Service returns the service of that name, or nil.
func (a *App) Service(name string) *Service {
	return find(a.Services, name, func(s *Service) string { return s.Name })
}

// ConfigMap returns the ConfigMap of that name, or nil.
func (a *App) ConfigMap(name string) *ConfigMap {
	return find(a.ConfigMaps, name, func(c *ConfigMap) string { return c.Name })
}

// Secret returns the Secret of that name, or nil.
func (a *App) Secret(name string) *Secret {
	return find(a.Secrets, name, func(s *Secret) string { return s.Name })
}

// Claim returns the claim of that name, or nil.
func (a *App) Claim(name string) *Claim {
	return find(a.Claims, name, func(c *Claim) string { return c.Name })
}

// Volume returns the pod's volume of that name, or nil.
func (p *Pod) Volume(name string) *Volume {
	return find(p.Volumes, name, func(v *Volume) string { return v.Name })
}

func find[T any](list []T, name string, key func(*T) string) *T {
	for i := range list {
		if key(&list[i]) == name {
			return &list[i]
		}
	}
	return nil
}

// Sources counts the sources that are set; none of nil.
func (s *EnvVarSource) Sources() int {
	n := 0
	if s != nil {
		s.walk(&walker{visit: func(Field) bool { n++; return false }})
	}
	return n
}

// DefaultPullPolicy is Kubernetes' rule for an image without one: what can move
// is pulled every time.
func DefaultPullPolicy(image string) string {
	if strings.Contains(image, "@") {
		return "IfNotPresent"
	}
	last := image[strings.LastIndexByte(image, '/')+1:]
	if _, tag, ok := strings.Cut(last, ":"); ok && tag != "latest" {
		return "IfNotPresent"
	}
	return "Always"
}

// Source is where a variable's value comes from; empty when the value is
// written out.
func (e *EnvVar) Source() EnvVarSource {
	if e.ValueFrom == nil {
		return EnvVarSource{}
	}
	return *e.ValueFrom
}

// Files shows keys of a ConfigMap or secret as files.
type Files struct {
	Name        string      // of the ConfigMap or secret
	Items       []KeyToPath // by key; empty means every key, under its own name
	DefaultMode int         // file mode bits
	Optional    bool
	DefaultUser *int64 // owner; nil is root
}

// Files is the source of either kind of volume.
func (s *ConfigMapSource) Files() *Files {
	return &Files{s.Name, s.Items, s.DefaultMode, s.Optional, s.DefaultUser}
}

// Files is the source of either kind of volume.
func (s *SecretSource) Files() *Files {
	return &Files{s.SecretName, s.Items, s.DefaultMode, s.Optional, s.DefaultUser}
}

// Raised is something that a file of another module lets a pod do, beyond the
// ordinary.
type Raised struct {
	Right  string // the name of the schema's #Right
	Path   string // of the field, from the app
	Value  string // for people
	Module string // without its version
	Pos    Pos    // in the module's file
}

// The labels that Kubernetes recommends and that every object of an app has.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelComponent = "app.kubernetes.io/component"
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelManagedBy = "app.kubernetes.io/managed-by"
)

// PodLabels are the labels of a pod, by which selectors find it: the app's, the
// pod's own over them, and over both the two that tell the app's pods apart.
func (a *App) PodLabels(p *Pod) map[string]string {
	labels := map[string]string{LabelPartOf: a.Name, LabelManagedBy: "cuepod"}
	maps.Copy(labels, a.Labels)
	maps.Copy(labels, p.Labels)
	labels[LabelName], labels[LabelComponent] = a.Name, p.Name
	return labels
}

// HoldsExclusively reports whether the pod writes to a claim that one node at a
// time may mount: a rolling update would then wait for the old pod's node for
// ever.
func (a *App) HoldsExclusively(p *Pod) bool {
	return slices.ContainsFunc(p.Volumes, func(v Volume) bool {
		if v.Claim == nil {
			return false
		}
		c := a.Claim(v.Claim.ClaimName)
		return c != nil && !slices.Contains(c.AccessModes, "ReadWriteMany") && !slices.Contains(c.AccessModes, "ReadOnlyMany")
	})
}

// Behind lists the pods that answer for a service, in declared order: the one
// that it names, or all that have its selector's labels. Pods of Jobs and
// CronJobs are no exception, as in Kubernetes.
func (a *App) Behind(s *Service) []*Pod {
	var pods []*Pod
	for i := range a.Pods {
		p := &a.Pods[i]
		if s.Pod == p.Name || s.Pod == "" && len(s.Selector) > 0 && selects(s.Selector, a.PodLabels(p)) {
			pods = append(pods, p)
		}
	}
	return pods
}

// EndpointPort is the port at which an endpoint answers for the service's port;
// 0 when it has none for it.
func EndpointPort(e *Endpoint, p *ServicePort) int {
	switch {
	case e.Ports != nil:
		return e.Ports[p.Name]
	case p.TargetPort.IsZero():
		return p.Port
	default:
		return p.TargetPort.Number
	}
}

// GoverningService names the service that gives each pod of a StatefulSet its
// name: the written one, else the first headless service in front of it, else
// the pod's own name.
func (a *App) GoverningService(p *Pod) string {
	if p.ServiceName != "" {
		return p.ServiceName
	}
	for i := range a.Services {
		if s := &a.Services[i]; s.Headless && slices.Contains(a.Behind(s), p) {
			return s.Name
		}
	}
	return p.Name
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
