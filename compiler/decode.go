package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"

	"github.com/cuepod/cuepod/compiler/app"
)

// decoder makes the model from a value that has passed validation: every field
// is one that the schema allows, concrete, and of its kind. It reads field by
// field, as decoding into structs by reflection costs twice as much.
type decoder struct {
	places *places
	path   []string // of the object at hand, for messages
	kinds  map[string][]field
	// exhaustive makes the decoder look for fields that it lacks, and panic.
	// That costs as much again as decoding, so tests do it: every field that is
	// accepted has to reach the model.
	exhaustive bool
	problems   []Diagnostic // what only the definition shows, not the model
}

// object is a value of the definition and where it is.
type object struct {
	v    cue.Value
	mark *mark   // of v
	pos  app.Pos // of v once it is located; before, of what holds it
}

// locate finds where the user wrote an object.
func (d *decoder) locate(o object) object {
	o.pos = d.places.position(o.v, o.mark, o.pos)
	return o
}

// each calls f for every field of a struct in declared order.
func (d *decoder) each(o object, f func(name string, o object)) {
	it, err := o.v.Fields()
	if err != nil {
		panic(fmt.Sprintf("compiler: a validated value has no fields: %v", err))
	}
	for it.Next() {
		name := it.Selector().Unquoted()
		d.path = append(d.path, name)
		f(name, object{it.Value(), o.mark.field(name), o.pos})
		d.path = d.path[:len(d.path)-1]
	}
}

// fields calls f for the fields that a struct of a kind has, in the order of
// fieldsByKind.
func (d *decoder) fields(o object, kind string, f func(name string, o object)) {
	if d.exhaustive {
		d.each(o, func(name string, o object) {
			if !slices.ContainsFunc(d.kinds[kind], func(f field) bool { return f.name == name }) {
				unknown(kind, name)
			}
			f(name, o)
		})
		return
	}
	for _, field := range d.kinds[kind] {
		v := o.v.LookupPath(field.path)
		if !v.Exists() {
			continue
		}
		d.path = append(d.path, field.name)
		f(field.name, object{v, o.mark.field(field.name), o.pos})
		d.path = d.path[:len(d.path)-1]
	}
}

// items calls f for every item of a list.
func (d *decoder) items(o object, f func(o object)) {
	it, err := o.v.List()
	if err != nil {
		panic(fmt.Sprintf("compiler: a validated value is no list: %v", err))
	}
	for it.Next() {
		f(object{it.Value(), nil, o.pos})
	}
}

// must unwraps a scalar of a validated value.
func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("compiler: a validated value cannot be read: %v", err))
	}
	return v
}

func str(o object) string      { return must(o.v.String()) }
func integer(o object) int     { return int(must(o.v.Int64())) }
func integer64(o object) int64 { return must(o.v.Int64()) }
func boolean(o object) bool    { return must(o.v.Bool()) }
func pointer[T any](v T) *T    { return &v }

func unknown(object, field string) {
	panic("compiler: the decoder lacks the schema's field " + field + " of a " + object)
}

func (d *decoder) strs(o object) []string {
	var list []string
	d.items(o, func(o object) { list = append(list, str(o)) })
	return list
}

func (d *decoder) strMap(o object) map[string]string {
	m := map[string]string{}
	d.each(o, func(name string, o object) { m[name] = str(o) })
	return m
}

func byName[T any](list []T, name func(T) string) {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
}

func (d *decoder) app(o object) *app.App {
	o = d.locate(o)
	a := &app.App{Pos: o.pos}
	d.fields(o, "App", func(name string, o object) {
		switch name {
		case "name":
			a.Name = str(o)
		case "namespace":
			a.Namespace = str(o)
		case "labels":
			a.Labels = d.strMap(o)
		case "annotations":
			a.Annotations = d.strMap(o)
		case "pods":
			d.each(o, func(name string, o object) { a.Pods = append(a.Pods, d.pod(name, o)) })
		case "services":
			d.each(o, func(name string, o object) { a.Services = append(a.Services, d.service(name, o)) })
		case "configMaps":
			d.each(o, func(name string, o object) { a.ConfigMaps = append(a.ConfigMaps, d.configMap(name, o)) })
		case "secrets":
			d.each(o, func(name string, o object) { a.Secrets = append(a.Secrets, d.secret(name, o)) })
		case "persistentVolumeClaims":
			d.each(o, func(name string, o object) { a.Claims = append(a.Claims, d.claim(name, o)) })
		case "objects":
			d.each(o, func(name string, o object) { a.Objects = append(a.Objects, d.object(name, o)) })
		case "compose":
			a.Compose = d.hatch(o)
		default:
			unknown("App", name)
		}
	})
	byName(a.Services, func(s app.Service) string { return s.Name })
	byName(a.ConfigMaps, func(c app.ConfigMap) string { return c.Name })
	byName(a.Secrets, func(s app.Secret) string { return s.Name })
	byName(a.Claims, func(c app.Claim) string { return c.Name })
	d.beside(o, a.Compose)
	return a
}

func (d *decoder) pod(name string, o object) app.Pod {
	o = d.locate(o)
	p := app.Pod{Name: name, Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 30, Pos: o.pos}
	d.fields(o, "Pod", func(name string, o object) {
		switch name {
		case "kind":
			p.Kind = str(o)
		case "replicas":
			p.Replicas = integer(o)
		case "labels":
			p.Labels = d.strMap(o)
		case "annotations":
			p.Annotations = d.strMap(o)
		case "initContainers":
			d.each(o, func(name string, o object) {
				p.InitContainers = append(p.InitContainers, d.container(name, o))
			})
		case "containers":
			d.each(o, func(name string, o object) { p.Containers = append(p.Containers, d.container(name, o)) })
		case "volumes":
			d.each(o, func(name string, o object) { p.Volumes = append(p.Volumes, d.volume(name, o)) })
		case "dependsOn":
			d.each(o, func(name string, o object) { p.DependsOn = append(p.DependsOn, d.dependency(name, o)) })
		case "hostname":
			p.Hostname = str(o)
		case "terminationGracePeriodSeconds":
			p.TerminationGracePeriodSeconds = integer64(o)
		case "kubernetes":
			p.Kubernetes = d.hatch(o)
		default:
			unknown("Pod", name)
		}
	})
	byName(p.DependsOn, func(dep app.Dependency) string { return dep.Service })
	d.beside(o, p.Kubernetes)
	return p
}

func (d *decoder) dependency(name string, o object) app.Dependency {
	o = d.locate(o)
	dep := app.Dependency{Service: name, Condition: "ready", Pos: o.pos}
	d.fields(o, "Dependency", func(name string, o object) {
		switch name {
		case "condition":
			dep.Condition = str(o)
		default:
			unknown("Dependency", name)
		}
	})
	return dep
}

func (d *decoder) container(name string, o object) app.Container {
	o = d.locate(o)
	c := app.Container{Name: name, Pos: o.pos}
	d.fields(o, "Container", func(name string, o object) {
		switch name {
		case "image":
			c.Image = str(o)
		case "imagePullPolicy":
			c.ImagePullPolicy = str(o)
		case "command":
			c.Command = d.strs(o)
		case "args":
			c.Args = d.strs(o)
		case "workingDir":
			c.WorkingDir = str(o)
		case "env":
			d.each(o, func(name string, o object) { c.Env = append(c.Env, d.envVar(name, o)) })
		case "envFrom":
			d.items(o, func(o object) { c.EnvFrom = append(c.EnvFrom, d.envFrom(o)) })
		case "ports":
			d.each(o, func(name string, o object) { c.Ports = append(c.Ports, d.containerPort(name, o)) })
		case "volumeMounts":
			d.each(o, func(path string, o object) {
				c.VolumeMounts = append(c.VolumeMounts, d.volumeMount(path, o))
			})
		case "resources":
			c.Resources = d.resources(o)
		case "livenessProbe":
			c.LivenessProbe = d.probe(o)
		case "readinessProbe":
			c.ReadinessProbe = d.probe(o)
		case "startupProbe":
			c.StartupProbe = d.probe(o)
		case "securityContext":
			c.SecurityContext = d.securityContext(o)
		case "kubernetes":
			c.Kubernetes = d.hatch(o)
		case "compose":
			c.Compose = d.hatch(o)
		default:
			unknown("Container", name)
		}
	})
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = defaultPullPolicy(c.Image)
	}
	byName(c.Ports, func(p app.ContainerPort) string { return p.Name })
	byName(c.VolumeMounts, func(m app.VolumeMount) string { return m.MountPath })
	d.beside(o, c.Kubernetes)
	d.beside(o, c.Compose)
	return c
}

// defaultPullPolicy is Kubernetes' rule: what can move is pulled every time.
func defaultPullPolicy(image string) string {
	if strings.Contains(image, "@") {
		return "IfNotPresent"
	}
	last := image[strings.LastIndexByte(image, '/')+1:]
	if _, tag, ok := strings.Cut(last, ":"); ok && tag != "latest" {
		return "IfNotPresent"
	}
	return "Always"
}

func (d *decoder) envVar(name string, o object) app.EnvVar {
	o = d.locate(o)
	e := app.EnvVar{Name: name, Pos: o.pos}
	sources := 0
	d.fields(o, "EnvVar", func(name string, o object) {
		switch name {
		case "value":
			e.Value = str(o)
			sources++
		case "valueFrom":
			sources += d.envSource(&e, o)
		default:
			unknown("EnvVar", name)
		}
	})
	if sources != 1 {
		d.problems = append(d.problems, Diagnostic{
			Pos:     e.Pos,
			Message: fmt.Sprintf("%s: %s", strings.Join(d.path, "."), countOf(sources, "source")),
			Hint:    "give it exactly one of value, valueFrom.configMapKeyRef, valueFrom.secretKeyRef, valueFrom.fieldRef",
		})
	}
	return e
}

// envSource reads valueFrom and returns how many sources it has.
func (d *decoder) envSource(e *app.EnvVar, o object) int {
	sources := 0
	d.each(o, func(name string, o object) {
		sources++
		switch name {
		case "configMapKeyRef":
			e.ConfigMapKeyRef = d.keyRef(o)
		case "secretKeyRef":
			e.SecretKeyRef = d.keyRef(o)
		case "fieldRef":
			d.each(o, func(_ string, o object) { e.FieldRef = str(o) })
		default:
			unknown("valueFrom", name)
		}
	})
	return sources
}

func (d *decoder) keyRef(o object) *app.KeyRef {
	ref := &app.KeyRef{}
	d.fields(o, "KeyRef", func(name string, o object) {
		switch name {
		case "name":
			ref.Name = str(o)
		case "key":
			ref.Key = str(o)
		case "optional":
			ref.Optional = boolean(o)
		default:
			unknown("KeyRef", name)
		}
	})
	return ref
}

func (d *decoder) envFrom(o object) app.EnvFrom {
	o = d.locate(o)
	e := app.EnvFrom{Pos: o.pos}
	d.fields(o, "EnvFrom", func(name string, o object) {
		switch name {
		case "prefix":
			e.Prefix = str(o)
		case "configMapRef":
			e.ConfigMap = d.envFromRef(&e, o)
		case "secretRef":
			e.Secret = d.envFromRef(&e, o)
		default:
			unknown("EnvFrom", name)
		}
	})
	return e
}

func (d *decoder) envFromRef(e *app.EnvFrom, o object) (ref string) {
	d.fields(o, "EnvFromRef", func(name string, o object) {
		switch name {
		case "name":
			ref = str(o)
		case "optional":
			e.Optional = boolean(o)
		default:
			unknown("EnvFromRef", name)
		}
	})
	return ref
}

func (d *decoder) containerPort(name string, o object) app.ContainerPort {
	o = d.locate(o)
	p := app.ContainerPort{Name: name, Protocol: "TCP", Pos: o.pos}
	d.fields(o, "ContainerPort", func(name string, o object) {
		switch name {
		case "containerPort":
			p.ContainerPort = integer(o)
		case "protocol":
			p.Protocol = str(o)
		default:
			unknown("ContainerPort", name)
		}
	})
	return p
}

func (d *decoder) volumeMount(path string, o object) app.VolumeMount {
	o = d.locate(o)
	m := app.VolumeMount{MountPath: path, Pos: o.pos}
	d.fields(o, "VolumeMount", func(name string, o object) {
		switch name {
		case "name":
			m.Name = str(o)
		case "subPath":
			m.SubPath = str(o)
		case "readOnly":
			m.ReadOnly = boolean(o)
		default:
			unknown("VolumeMount", name)
		}
	})
	return m
}

func (d *decoder) resources(o object) app.Resources {
	var r app.Resources
	d.fields(o, "resources", func(name string, o object) {
		switch name {
		case "requests":
			r.Requests = d.quantities(o)
		case "limits":
			r.Limits = d.quantities(o)
		default:
			unknown("resources", name)
		}
	})
	return r
}

func (d *decoder) quantities(o object) map[string]app.Quantity {
	m := map[string]app.Quantity{}
	d.each(o, func(name string, o object) { m[name] = app.Quantity(str(o)) })
	return m
}

func (d *decoder) probe(o object) *app.Probe {
	o = d.locate(o)
	p := &app.Probe{PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3, Pos: o.pos}
	d.fields(o, "Probe", func(name string, o object) {
		switch name {
		case "httpGet":
			p.HTTPGet = d.httpGet(o)
		case "tcpSocket":
			p.TCPSocket = &app.TCPSocketAction{}
			d.each(o, func(_ string, o object) { p.TCPSocket.Port = portRef(o) })
		case "grpc":
			p.GRPC = d.grpc(o)
		case "exec":
			p.Exec = &app.ExecAction{}
			d.each(o, func(_ string, o object) { p.Exec.Command = d.strs(o) })
		case "initialDelaySeconds":
			p.InitialDelaySeconds = integer(o)
		case "periodSeconds":
			p.PeriodSeconds = integer(o)
		case "timeoutSeconds":
			p.TimeoutSeconds = integer(o)
		case "successThreshold":
			p.SuccessThreshold = integer(o)
		case "failureThreshold":
			p.FailureThreshold = integer(o)
		default:
			unknown("Probe", name)
		}
	})
	return p
}

func (d *decoder) httpGet(o object) *app.HTTPGetAction {
	h := &app.HTTPGetAction{Path: "/", Scheme: "HTTP"}
	d.fields(o, "httpGet", func(name string, o object) {
		switch name {
		case "path":
			h.Path = str(o)
		case "port":
			h.Port = portRef(o)
		case "scheme":
			h.Scheme = str(o)
		case "httpHeaders":
			d.items(o, func(o object) { h.Headers = append(h.Headers, d.header(o)) })
		default:
			unknown("httpGet", name)
		}
	})
	return h
}

func (d *decoder) header(o object) app.Header {
	var h app.Header
	d.fields(o, "Header", func(name string, o object) {
		switch name {
		case "name":
			h.Name = str(o)
		case "value":
			h.Value = str(o)
		default:
			unknown("Header", name)
		}
	})
	return h
}

func (d *decoder) grpc(o object) *app.GRPCAction {
	g := &app.GRPCAction{}
	d.fields(o, "grpc", func(name string, o object) {
		switch name {
		case "port":
			g.Port = integer(o)
		case "service":
			g.Service = str(o)
		default:
			unknown("grpc", name)
		}
	})
	return g
}

func portRef(o object) app.PortRef {
	if o.v.IncompleteKind() == cue.IntKind {
		return app.PortRef{Number: integer(o)}
	}
	return app.PortRef{Name: str(o)}
}

func (d *decoder) securityContext(o object) app.SecurityContext {
	o = d.locate(o)
	s := app.SecurityContext{Pos: o.pos}
	d.fields(o, "SecurityContext", func(name string, o object) {
		switch name {
		case "runAsUser":
			s.RunAsUser = pointer(integer64(o))
		case "runAsGroup":
			s.RunAsGroup = pointer(integer64(o))
		case "runAsNonRoot":
			s.RunAsNonRoot = pointer(boolean(o))
		case "readOnlyRootFilesystem":
			s.ReadOnlyRootFilesystem = pointer(boolean(o))
		case "allowPrivilegeEscalation":
			s.AllowPrivilegeEscalation = pointer(boolean(o))
		case "capabilities":
			d.capabilities(&s, o)
		default:
			unknown("SecurityContext", name)
		}
	})
	return s
}

func (d *decoder) capabilities(s *app.SecurityContext, o object) {
	d.fields(o, "capabilities", func(name string, o object) {
		switch name {
		case "add":
			s.CapabilitiesAdd = d.strs(o)
		case "drop":
			s.CapabilitiesDrop = d.strs(o)
		default:
			unknown("capabilities", name)
		}
	})
}

func (d *decoder) volume(name string, o object) app.Volume {
	o = d.locate(o)
	vol := app.Volume{Name: name, Pos: o.pos}
	d.fields(o, "Volume", func(name string, o object) {
		switch name {
		case "emptyDir":
			vol.EmptyDir = d.emptyDir(o)
		case "configMap":
			vol.ConfigMap = d.filesSource(o)
		case "secret":
			vol.Secret = d.filesSource(o)
		case "persistentVolumeClaim":
			vol.Claim = d.claimSource(o)
		case "kubernetes":
			vol.Kubernetes = d.hatch(o)
		default:
			unknown("Volume", name)
		}
	})
	d.beside(o, vol.Kubernetes)
	return vol
}

func (d *decoder) emptyDir(o object) *app.EmptyDir {
	e := &app.EmptyDir{}
	d.fields(o, "emptyDir", func(name string, o object) {
		switch name {
		case "medium":
			e.Medium = str(o)
		case "sizeLimit":
			e.SizeLimit = app.Quantity(str(o))
		default:
			unknown("emptyDir", name)
		}
	})
	return e
}

func (d *decoder) filesSource(o object) *app.FilesSource {
	f := &app.FilesSource{DefaultMode: 0o644}
	d.fields(o, "volume source", func(name string, o object) {
		switch name {
		case "name", "secretName":
			f.Name = str(o)
		case "items":
			f.Items = d.strMap(o)
		case "defaultMode":
			f.DefaultMode = integer(o)
		case "optional":
			f.Optional = boolean(o)
		default:
			unknown("volume source", name)
		}
	})
	return f
}

func (d *decoder) claimSource(o object) *app.ClaimSource {
	c := &app.ClaimSource{}
	d.fields(o, "persistentVolumeClaim", func(name string, o object) {
		switch name {
		case "claimName":
			c.ClaimName = str(o)
		case "readOnly":
			c.ReadOnly = boolean(o)
		default:
			unknown("persistentVolumeClaim", name)
		}
	})
	return c
}

func (d *decoder) service(name string, o object) app.Service {
	o = d.locate(o)
	s := app.Service{Name: name, Type: "ClusterIP", SessionAffinity: "None", Pos: o.pos}
	d.fields(o, "Service", func(name string, o object) {
		switch name {
		case "pod":
			s.Pod = str(o)
		case "type":
			s.Type = str(o)
		case "headless":
			s.Headless = boolean(o)
		case "ports":
			d.each(o, func(name string, o object) { s.Ports = append(s.Ports, d.servicePort(name, o)) })
		case "sessionAffinity":
			s.SessionAffinity = str(o)
		case "labels":
			s.Labels = d.strMap(o)
		case "annotations":
			s.Annotations = d.strMap(o)
		case "kubernetes":
			s.Kubernetes = d.hatch(o)
		default:
			unknown("Service", name)
		}
	})
	d.beside(o, s.Kubernetes)
	byName(s.Ports, func(p app.ServicePort) string { return p.Name })
	return s
}

func (d *decoder) servicePort(name string, o object) app.ServicePort {
	o = d.locate(o)
	p := app.ServicePort{Name: name, Protocol: "TCP", Pos: o.pos}
	d.fields(o, "ServicePort", func(name string, o object) {
		switch name {
		case "port":
			p.Port = integer(o)
		case "targetPort":
			p.TargetPort = portRef(o)
		case "nodePort":
			p.NodePort = integer(o)
		case "protocol":
			p.Protocol = str(o)
		default:
			unknown("ServicePort", name)
		}
	})
	if p.TargetPort.IsZero() {
		p.TargetPort.Number = p.Port
	}
	return p
}

func (d *decoder) configMap(name string, o object) app.ConfigMap {
	o = d.locate(o)
	c := app.ConfigMap{Name: name, Pos: o.pos}
	d.fields(o, "ConfigMap", func(name string, o object) {
		switch name {
		case "data":
			c.Data = d.strMap(o)
		default:
			unknown("ConfigMap", name)
		}
	})
	return c
}

func (d *decoder) secret(name string, o object) app.Secret {
	o = d.locate(o)
	s := app.Secret{Name: name, Type: "Opaque", Pos: o.pos}
	d.fields(o, "Secret", func(name string, o object) {
		switch name {
		case "type":
			s.Type = str(o)
		case "keys":
			d.each(o, func(name string, o object) { s.Keys = append(s.Keys, d.secretKey(name, o)) })
		default:
			unknown("Secret", name)
		}
	})
	byName(s.Keys, func(k app.SecretKey) string { return k.Name })
	return s
}

func (d *decoder) secretKey(name string, o object) app.SecretKey {
	o = d.locate(o)
	k := app.SecretKey{Name: name, Pos: o.pos}
	d.fields(o, "SecretSource", func(name string, o object) {
		switch name {
		case "external":
			k.External = boolean(o)
		case "env":
			k.Env = str(o)
		case "file":
			k.File = str(o)
		case "generate":
			k.Generate = &app.GenerateSecret{Length: 32}
			d.each(o, func(_ string, o object) { k.Generate.Length = integer(o) })
		default:
			unknown("SecretSource", name)
		}
	})
	return k
}

func (d *decoder) claim(name string, o object) app.Claim {
	o = d.locate(o)
	c := app.Claim{Name: name, AccessModes: []string{"ReadWriteOnce"}, Pos: o.pos}
	d.fields(o, "PersistentVolumeClaim", func(name string, o object) {
		switch name {
		case "storage":
			c.Storage = app.Quantity(str(o))
		case "accessModes":
			c.AccessModes = d.strs(o)
		case "storageClassName":
			c.StorageClassName = str(o)
		default:
			unknown("PersistentVolumeClaim", name)
		}
	})
	return c
}
