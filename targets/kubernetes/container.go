package kubernetes

import (
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// containers makes a list of containers, which is at path in the definition.
func (r *renderer) containers(list []app.Container, path string) yaml.List {
	out := yaml.List{}
	for i := range list {
		c := &list[i]
		body := r.container(c)
		r.unify(body, c.Kubernetes, nil, path+"."+c.Name, c.Pos)
		out = append(out, body)
	}
	return out
}

func (r *renderer) container(c *app.Container) *yaml.Map {
	return yaml.New().
		Set("name", c.Name).
		Set("image", c.Image).
		Opt("imagePullPolicy", unless(c.ImagePullPolicy, defaultPullPolicy(c.Image))).
		Opt("command", yaml.Strings(c.Command)).
		Opt("args", yaml.Strings(c.Args)).
		Opt("workingDir", c.WorkingDir).
		Opt("ports", containerPorts(c.Ports)).
		Opt("envFrom", r.envFrom(c.EnvFrom)).
		Opt("env", r.env(c.Env)).
		Opt("resources", yaml.New().Opt("requests", quantities(c.Resources.Requests)).Opt("limits", quantities(c.Resources.Limits))).
		Opt("volumeMounts", volumeMounts(c.VolumeMounts)).
		Opt("startupProbe", probe(c.StartupProbe)).
		Opt("livenessProbe", probe(c.LivenessProbe)).
		Opt("readinessProbe", probe(c.ReadinessProbe)).
		Opt("securityContext", securityContext(&c.SecurityContext))
}

// defaultPullPolicy is what the API fills in: Always for :latest or no tag.
func defaultPullPolicy(image string) string {
	if strings.Contains(image, "@") {
		return "IfNotPresent"
	}
	name := image[strings.LastIndex(image, "/")+1:]
	if _, tag, ok := strings.Cut(name, ":"); ok && tag != "latest" {
		return "IfNotPresent"
	}
	return "Always"
}

func containerPorts(ports []app.ContainerPort) yaml.List {
	out := yaml.List{}
	for _, p := range ports {
		out = append(out, yaml.New().Opt("name", p.Name).Set("containerPort", p.ContainerPort).Opt("protocol", unless(p.Protocol, "TCP")))
	}
	return out
}

func (r *renderer) envFrom(list []app.EnvFrom) yaml.List {
	out := yaml.List{}
	for _, e := range list {
		source := yaml.New().Opt("prefix", e.Prefix)
		if e.ConfigMap != "" {
			source.Set("configMapRef", yaml.New().Set("name", r.configMapName(e.ConfigMap)).Opt("optional", e.Optional))
		} else {
			source.Set("secretRef", yaml.New().Set("name", e.Secret).Opt("optional", e.Optional))
		}
		out = append(out, source)
	}
	return out
}

func (r *renderer) env(list []app.EnvVar) yaml.List {
	out := yaml.List{}
	for _, e := range list {
		v := yaml.New().Set("name", e.Name)
		switch {
		case e.ConfigMapKeyRef != nil:
			v.Set("valueFrom", yaml.New().Set("configMapKeyRef", keyRef(r.configMapName(e.ConfigMapKeyRef.Name), e.ConfigMapKeyRef)))
		case e.SecretKeyRef != nil:
			v.Set("valueFrom", yaml.New().Set("secretKeyRef", keyRef(e.SecretKeyRef.Name, e.SecretKeyRef)))
		case e.FieldRef != "":
			v.Set("valueFrom", yaml.New().Set("fieldRef", yaml.New().Set("fieldPath", e.FieldRef)))
		default:
			v.Set("value", e.Value)
		}
		out = append(out, v)
	}
	return out
}

func keyRef(name string, k *app.KeyRef) *yaml.Map {
	return yaml.New().Set("name", name).Set("key", k.Key).Opt("optional", k.Optional)
}

func volumeMounts(mounts []app.VolumeMount) yaml.List {
	out := yaml.List{}
	for _, m := range mounts {
		out = append(out, yaml.New().Set("name", m.Name).Set("mountPath", m.MountPath).Opt("subPath", m.SubPath).Opt("readOnly", m.ReadOnly))
	}
	return out
}

// probe leaves out the timings that the API fills in: period 10, timeout 1,
// success 1, failure 3.
func probe(p *app.Probe) *yaml.Map {
	if p == nil {
		return nil
	}
	return handler(p).
		Opt("initialDelaySeconds", p.InitialDelaySeconds).
		Opt("periodSeconds", other(p.PeriodSeconds, 10)).
		Opt("timeoutSeconds", other(p.TimeoutSeconds, 1)).
		Opt("successThreshold", other(p.SuccessThreshold, 1)).
		Opt("failureThreshold", other(p.FailureThreshold, 3))
}

func other(value, byDefault int) int {
	if value == byDefault {
		return 0
	}
	return value
}

func handler(p *app.Probe) *yaml.Map {
	out := yaml.New()
	switch {
	case p.HTTPGet != nil:
		headers := yaml.List{}
		for _, h := range p.HTTPGet.Headers {
			headers = append(headers, yaml.New().Set("name", h.Name).Set("value", h.Value))
		}
		out.Set("httpGet", yaml.New().Opt("path", p.HTTPGet.Path).Set("port", port(p.HTTPGet.Port)).
			Opt("scheme", unless(p.HTTPGet.Scheme, "HTTP")).Opt("httpHeaders", headers))
	case p.TCPSocket != nil:
		out.Set("tcpSocket", yaml.New().Set("port", port(p.TCPSocket.Port)))
	case p.GRPC != nil:
		out.Set("grpc", yaml.New().Set("port", p.GRPC.Port).Opt("service", p.GRPC.Service))
	case p.Exec != nil:
		out.Set("exec", yaml.New().Set("command", yaml.Strings(p.Exec.Command)))
	}
	return out
}

func securityContext(s *app.SecurityContext) *yaml.Map {
	out := yaml.New()
	setIf(out, "runAsUser", s.RunAsUser)
	setIf(out, "runAsGroup", s.RunAsGroup)
	setIf(out, "runAsNonRoot", s.RunAsNonRoot)
	setIf(out, "readOnlyRootFilesystem", s.ReadOnlyRootFilesystem)
	setIf(out, "allowPrivilegeEscalation", s.AllowPrivilegeEscalation)
	return out.Opt("capabilities", yaml.New().Opt("add", yaml.Strings(s.CapabilitiesAdd)).Opt("drop", yaml.Strings(s.CapabilitiesDrop)))
}

func setIf[T int64 | bool](m *yaml.Map, key string, value *T) {
	if value != nil {
		m.Set(key, *value)
	}
}
