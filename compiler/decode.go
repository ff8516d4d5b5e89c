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
//
// A field that the schema has and the decoder lacks panics: every field that
// is accepted has to reach the model.
type decoder struct {
	places   *places
	problems []Diagnostic // what only the definition shows, not the model
}

// each calls f for every field of a struct in declared order.
func (d *decoder) each(v cue.Value, f func(name string, v cue.Value)) {
	it, err := v.Fields()
	if err != nil {
		panic(fmt.Sprintf("compiler: a validated value has no fields: %v", err))
	}
	for it.Next() {
		f(it.Selector().Unquoted(), it.Value())
	}
}

// items calls f for every item of a list.
func (d *decoder) items(v cue.Value, f func(v cue.Value)) {
	it, err := v.List()
	if err != nil {
		panic(fmt.Sprintf("compiler: a validated value is no list: %v", err))
	}
	for it.Next() {
		f(it.Value())
	}
}

// must unwraps a scalar of a validated value.
func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("compiler: a validated value cannot be read: %v", err))
	}
	return v
}

func str(v cue.Value) string      { return must(v.String()) }
func integer(v cue.Value) int     { return int(must(v.Int64())) }
func integer64(v cue.Value) int64 { return must(v.Int64()) }
func boolean(v cue.Value) bool    { return must(v.Bool()) }
func pointer[T any](v T) *T       { return &v }

func unknown(object, field string) {
	panic("compiler: the decoder lacks the schema's field " + field + " of a " + object)
}

func (d *decoder) strs(v cue.Value) []string {
	var list []string
	d.items(v, func(v cue.Value) { list = append(list, str(v)) })
	return list
}

func (d *decoder) strMap(v cue.Value) map[string]string {
	m := map[string]string{}
	d.each(v, func(name string, v cue.Value) { m[name] = str(v) })
	return m
}

func byName[T any](list []T, name func(T) string) {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
}

func (d *decoder) app(v cue.Value, pos app.Pos) *app.App {
	a := &app.App{Pos: pos}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "name":
			a.Name = str(v)
		case "namespace":
			a.Namespace = str(v)
		case "labels":
			a.Labels = d.strMap(v)
		case "annotations":
			a.Annotations = d.strMap(v)
		case "pods":
			d.each(v, func(name string, v cue.Value) { a.Pods = append(a.Pods, d.pod(name, v, pos)) })
		case "services":
			d.each(v, func(name string, v cue.Value) { a.Services = append(a.Services, d.service(name, v, pos)) })
		case "configMaps":
			d.each(v, func(name string, v cue.Value) { a.ConfigMaps = append(a.ConfigMaps, d.configMap(name, v, pos)) })
		case "secrets":
			d.each(v, func(name string, v cue.Value) { a.Secrets = append(a.Secrets, d.secret(name, v, pos)) })
		case "persistentVolumeClaims":
			d.each(v, func(name string, v cue.Value) { a.Claims = append(a.Claims, d.claim(name, v, pos)) })
		default:
			unknown("App", name)
		}
	})
	byName(a.Services, func(s app.Service) string { return s.Name })
	byName(a.ConfigMaps, func(c app.ConfigMap) string { return c.Name })
	byName(a.Secrets, func(s app.Secret) string { return s.Name })
	byName(a.Claims, func(c app.Claim) string { return c.Name })
	return a
}

func (d *decoder) pod(name string, v cue.Value, parent app.Pos) app.Pod {
	p := app.Pod{Name: name, Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 30, Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "kind":
			p.Kind = str(v)
		case "replicas":
			p.Replicas = integer(v)
		case "labels":
			p.Labels = d.strMap(v)
		case "annotations":
			p.Annotations = d.strMap(v)
		case "initContainers":
			d.each(v, func(name string, v cue.Value) {
				p.InitContainers = append(p.InitContainers, d.container(name, v, p.Pos))
			})
		case "containers":
			d.each(v, func(name string, v cue.Value) { p.Containers = append(p.Containers, d.container(name, v, p.Pos)) })
		case "volumes":
			d.each(v, func(name string, v cue.Value) { p.Volumes = append(p.Volumes, d.volume(name, v, p.Pos)) })
		case "dependsOn":
			d.each(v, func(name string, v cue.Value) { p.DependsOn = append(p.DependsOn, d.dependency(name, v, p.Pos)) })
		case "hostname":
			p.Hostname = str(v)
		case "terminationGracePeriodSeconds":
			p.TerminationGracePeriodSeconds = integer64(v)
		default:
			unknown("Pod", name)
		}
	})
	byName(p.DependsOn, func(dep app.Dependency) string { return dep.Service })
	return p
}

func (d *decoder) dependency(name string, v cue.Value, parent app.Pos) app.Dependency {
	dep := app.Dependency{Service: name, Condition: "ready", Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "condition":
			dep.Condition = str(v)
		default:
			unknown("Dependency", name)
		}
	})
	return dep
}

func (d *decoder) container(name string, v cue.Value, parent app.Pos) app.Container {
	c := app.Container{Name: name, Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "image":
			c.Image = str(v)
		case "imagePullPolicy":
			c.ImagePullPolicy = str(v)
		case "command":
			c.Command = d.strs(v)
		case "args":
			c.Args = d.strs(v)
		case "workingDir":
			c.WorkingDir = str(v)
		case "env":
			d.each(v, func(name string, v cue.Value) { c.Env = append(c.Env, d.envVar(name, v, c.Pos)) })
		case "envFrom":
			d.items(v, func(v cue.Value) { c.EnvFrom = append(c.EnvFrom, d.envFrom(v, c.Pos)) })
		case "ports":
			d.each(v, func(name string, v cue.Value) { c.Ports = append(c.Ports, d.containerPort(name, v, c.Pos)) })
		case "volumeMounts":
			d.each(v, func(path string, v cue.Value) {
				c.VolumeMounts = append(c.VolumeMounts, d.volumeMount(path, v, c.Pos))
			})
		case "resources":
			c.Resources = d.resources(v)
		case "livenessProbe":
			c.LivenessProbe = d.probe(v, c.Pos)
		case "readinessProbe":
			c.ReadinessProbe = d.probe(v, c.Pos)
		case "startupProbe":
			c.StartupProbe = d.probe(v, c.Pos)
		case "securityContext":
			c.SecurityContext = d.securityContext(v, c.Pos)
		default:
			unknown("Container", name)
		}
	})
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = defaultPullPolicy(c.Image)
	}
	byName(c.Ports, func(p app.ContainerPort) string { return p.Name })
	byName(c.VolumeMounts, func(m app.VolumeMount) string { return m.MountPath })
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

func (d *decoder) envVar(name string, v cue.Value, parent app.Pos) app.EnvVar {
	e := app.EnvVar{Name: name, Pos: d.places.of(v, parent)}
	sources := 0
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "value":
			e.Value = str(v)
			sources++
		case "valueFrom":
			sources += d.envSource(&e, v)
		default:
			unknown("EnvVar", name)
		}
	})
	if sources != 1 {
		d.problems = append(d.problems, Diagnostic{
			Pos:     e.Pos,
			Message: fmt.Sprintf("environment variable %s has %s", name, countOf(sources, "source")),
			Hint:    "give it exactly one of value, valueFrom.configMapKeyRef, valueFrom.secretKeyRef and valueFrom.fieldRef",
		})
	}
	return e
}

// envSource reads valueFrom and returns how many sources it has.
func (d *decoder) envSource(e *app.EnvVar, v cue.Value) int {
	sources := 0
	d.each(v, func(name string, v cue.Value) {
		sources++
		switch name {
		case "configMapKeyRef":
			e.ConfigMapKeyRef = d.keyRef(v)
		case "secretKeyRef":
			e.SecretKeyRef = d.keyRef(v)
		case "fieldRef":
			d.each(v, func(_ string, v cue.Value) { e.FieldRef = str(v) })
		default:
			unknown("valueFrom", name)
		}
	})
	return sources
}

func (d *decoder) keyRef(v cue.Value) *app.KeyRef {
	ref := &app.KeyRef{}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "name":
			ref.Name = str(v)
		case "key":
			ref.Key = str(v)
		case "optional":
			ref.Optional = boolean(v)
		default:
			unknown("KeyRef", name)
		}
	})
	return ref
}

func (d *decoder) envFrom(v cue.Value, parent app.Pos) app.EnvFrom {
	e := app.EnvFrom{Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "prefix":
			e.Prefix = str(v)
		case "configMapRef":
			e.ConfigMap = d.envFromRef(&e, v)
		case "secretRef":
			e.Secret = d.envFromRef(&e, v)
		default:
			unknown("EnvFrom", name)
		}
	})
	return e
}

func (d *decoder) envFromRef(e *app.EnvFrom, v cue.Value) (ref string) {
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "name":
			ref = str(v)
		case "optional":
			e.Optional = boolean(v)
		default:
			unknown("EnvFromRef", name)
		}
	})
	return ref
}

func (d *decoder) containerPort(name string, v cue.Value, parent app.Pos) app.ContainerPort {
	p := app.ContainerPort{Name: name, Protocol: "TCP", Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "containerPort":
			p.ContainerPort = integer(v)
		case "protocol":
			p.Protocol = str(v)
		default:
			unknown("ContainerPort", name)
		}
	})
	return p
}

func (d *decoder) volumeMount(path string, v cue.Value, parent app.Pos) app.VolumeMount {
	m := app.VolumeMount{MountPath: path, Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "name":
			m.Name = str(v)
		case "subPath":
			m.SubPath = str(v)
		case "readOnly":
			m.ReadOnly = boolean(v)
		default:
			unknown("VolumeMount", name)
		}
	})
	return m
}

func (d *decoder) resources(v cue.Value) app.Resources {
	var r app.Resources
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "requests":
			r.Requests = d.quantities(v)
		case "limits":
			r.Limits = d.quantities(v)
		default:
			unknown("resources", name)
		}
	})
	return r
}

func (d *decoder) quantities(v cue.Value) map[string]app.Quantity {
	m := map[string]app.Quantity{}
	d.each(v, func(name string, v cue.Value) { m[name] = app.Quantity(str(v)) })
	return m
}

func (d *decoder) probe(v cue.Value, parent app.Pos) *app.Probe {
	p := &app.Probe{PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3, Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "httpGet":
			p.HTTPGet = d.httpGet(v)
		case "tcpSocket":
			p.TCPSocket = &app.TCPSocketAction{}
			d.each(v, func(_ string, v cue.Value) { p.TCPSocket.Port = portRef(v) })
		case "grpc":
			p.GRPC = d.grpc(v)
		case "exec":
			p.Exec = &app.ExecAction{}
			d.each(v, func(_ string, v cue.Value) { p.Exec.Command = d.strs(v) })
		case "initialDelaySeconds":
			p.InitialDelaySeconds = integer(v)
		case "periodSeconds":
			p.PeriodSeconds = integer(v)
		case "timeoutSeconds":
			p.TimeoutSeconds = integer(v)
		case "successThreshold":
			p.SuccessThreshold = integer(v)
		case "failureThreshold":
			p.FailureThreshold = integer(v)
		default:
			unknown("Probe", name)
		}
	})
	return p
}

func (d *decoder) httpGet(v cue.Value) *app.HTTPGetAction {
	h := &app.HTTPGetAction{Path: "/", Scheme: "HTTP"}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "path":
			h.Path = str(v)
		case "port":
			h.Port = portRef(v)
		case "scheme":
			h.Scheme = str(v)
		case "httpHeaders":
			d.items(v, func(v cue.Value) { h.Headers = append(h.Headers, d.header(v)) })
		default:
			unknown("httpGet", name)
		}
	})
	return h
}

func (d *decoder) header(v cue.Value) app.Header {
	var h app.Header
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "name":
			h.Name = str(v)
		case "value":
			h.Value = str(v)
		default:
			unknown("Header", name)
		}
	})
	return h
}

func (d *decoder) grpc(v cue.Value) *app.GRPCAction {
	g := &app.GRPCAction{}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "port":
			g.Port = integer(v)
		case "service":
			g.Service = str(v)
		default:
			unknown("grpc", name)
		}
	})
	return g
}

func portRef(v cue.Value) app.PortRef {
	if v, ok := v.Default(); ok && v.Kind() == cue.StringKind {
		return app.PortRef{Name: str(v)}
	}
	if v.Kind() == cue.StringKind {
		return app.PortRef{Name: str(v)}
	}
	return app.PortRef{Number: integer(v)}
}

func (d *decoder) securityContext(v cue.Value, parent app.Pos) app.SecurityContext {
	s := app.SecurityContext{Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "runAsUser":
			s.RunAsUser = pointer(integer64(v))
		case "runAsGroup":
			s.RunAsGroup = pointer(integer64(v))
		case "runAsNonRoot":
			s.RunAsNonRoot = pointer(boolean(v))
		case "readOnlyRootFilesystem":
			s.ReadOnlyRootFilesystem = pointer(boolean(v))
		case "allowPrivilegeEscalation":
			s.AllowPrivilegeEscalation = pointer(boolean(v))
		case "capabilities":
			d.capabilities(&s, v)
		default:
			unknown("SecurityContext", name)
		}
	})
	return s
}

func (d *decoder) capabilities(s *app.SecurityContext, v cue.Value) {
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "add":
			s.CapabilitiesAdd = d.strs(v)
		case "drop":
			s.CapabilitiesDrop = d.strs(v)
		default:
			unknown("capabilities", name)
		}
	})
}

func (d *decoder) volume(name string, v cue.Value, parent app.Pos) app.Volume {
	vol := app.Volume{Name: name, Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "emptyDir":
			vol.EmptyDir = d.emptyDir(v)
		case "configMap":
			vol.ConfigMap = d.filesSource(v)
		case "secret":
			vol.Secret = d.filesSource(v)
		case "persistentVolumeClaim":
			vol.Claim = d.claimSource(v)
		default:
			unknown("Volume", name)
		}
	})
	return vol
}

func (d *decoder) emptyDir(v cue.Value) *app.EmptyDir {
	e := &app.EmptyDir{}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "medium":
			e.Medium = str(v)
		case "sizeLimit":
			e.SizeLimit = app.Quantity(str(v))
		default:
			unknown("emptyDir", name)
		}
	})
	return e
}

func (d *decoder) filesSource(v cue.Value) *app.FilesSource {
	f := &app.FilesSource{DefaultMode: 0o644}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "name", "secretName":
			f.Name = str(v)
		case "items":
			f.Items = d.strMap(v)
		case "defaultMode":
			f.DefaultMode = integer(v)
		case "optional":
			f.Optional = boolean(v)
		default:
			unknown("volume source", name)
		}
	})
	return f
}

func (d *decoder) claimSource(v cue.Value) *app.ClaimSource {
	c := &app.ClaimSource{}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "claimName":
			c.ClaimName = str(v)
		case "readOnly":
			c.ReadOnly = boolean(v)
		default:
			unknown("persistentVolumeClaim", name)
		}
	})
	return c
}

func (d *decoder) service(name string, v cue.Value, parent app.Pos) app.Service {
	s := app.Service{Name: name, Type: "ClusterIP", SessionAffinity: "None", Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "pod":
			s.Pod = str(v)
		case "type":
			s.Type = str(v)
		case "headless":
			s.Headless = boolean(v)
		case "ports":
			d.each(v, func(name string, v cue.Value) { s.Ports = append(s.Ports, d.servicePort(name, v, s.Pos)) })
		case "sessionAffinity":
			s.SessionAffinity = str(v)
		case "labels":
			s.Labels = d.strMap(v)
		case "annotations":
			s.Annotations = d.strMap(v)
		default:
			unknown("Service", name)
		}
	})
	byName(s.Ports, func(p app.ServicePort) string { return p.Name })
	return s
}

func (d *decoder) servicePort(name string, v cue.Value, parent app.Pos) app.ServicePort {
	p := app.ServicePort{Name: name, Protocol: "TCP", Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "port":
			p.Port = integer(v)
		case "targetPort":
			p.TargetPort = portRef(v)
		case "nodePort":
			p.NodePort = integer(v)
		case "protocol":
			p.Protocol = str(v)
		default:
			unknown("ServicePort", name)
		}
	})
	if p.TargetPort.IsZero() {
		p.TargetPort.Number = p.Port
	}
	return p
}

func (d *decoder) configMap(name string, v cue.Value, parent app.Pos) app.ConfigMap {
	c := app.ConfigMap{Name: name, Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "data":
			c.Data = d.strMap(v)
		default:
			unknown("ConfigMap", name)
		}
	})
	return c
}

func (d *decoder) secret(name string, v cue.Value, parent app.Pos) app.Secret {
	s := app.Secret{Name: name, Type: "Opaque", Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "type":
			s.Type = str(v)
		case "keys":
			d.each(v, func(name string, v cue.Value) { s.Keys = append(s.Keys, d.secretKey(name, v, s.Pos)) })
		default:
			unknown("Secret", name)
		}
	})
	byName(s.Keys, func(k app.SecretKey) string { return k.Name })
	return s
}

func (d *decoder) secretKey(name string, v cue.Value, parent app.Pos) app.SecretKey {
	k := app.SecretKey{Name: name, Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "external":
			k.External = boolean(v)
		case "env":
			k.Env = str(v)
		case "file":
			k.File = str(v)
		case "generate":
			k.Generate = &app.GenerateSecret{Length: 32}
			d.each(v, func(_ string, v cue.Value) { k.Generate.Length = integer(v) })
		default:
			unknown("SecretSource", name)
		}
	})
	return k
}

func (d *decoder) claim(name string, v cue.Value, parent app.Pos) app.Claim {
	c := app.Claim{Name: name, AccessModes: []string{"ReadWriteOnce"}, Pos: d.places.of(v, parent)}
	d.each(v, func(name string, v cue.Value) {
		switch name {
		case "storage":
			c.Storage = app.Quantity(str(v))
		case "accessModes":
			c.AccessModes = d.strs(v)
		case "storageClassName":
			c.StorageClassName = str(v)
		default:
			unknown("PersistentVolumeClaim", name)
		}
	})
	return c
}
