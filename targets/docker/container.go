package docker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

func (r *renderer) container(c *app.Container, p *app.Pod, d *Pod) Container {
	out := Container{
		Name:       c.Name,
		EngineName: ContainerName(r.app.Name, d.Name, c.Name),
		Image:      c.Image,
		PullPolicy: c.ImagePullPolicy,
		Entrypoint: c.Command,
		Cmd:        c.Args,
		WorkingDir: c.WorkingDir,
		Env:        r.env(c, d),
		Line:       c.Pos.String(),
	}
	for _, m := range c.VolumeMounts {
		out.Mounts = append(out.Mounts, r.mount(&m, p.Volume(m.Name), d))
	}
	setSecurity(&out, &c.SecurityContext)
	setResources(&out, &c.Resources)
	for kind, probe := range map[string]*app.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		if probe != nil {
			out.Probes = append(out.Probes, renderProbe(kind, probe, c.Ports))
		}
	}
	slices.SortFunc(out.Probes, func(a, b Probe) int { return strings.Compare(b.Kind, a.Kind) }) // startup first
	out.Hash = containerHash(&out)
	return out
}

func (r *renderer) mount(m *app.VolumeMount, v *app.Volume, d *Pod) Mount {
	out := Mount{Path: m.MountPath, SubPath: m.SubPath, ReadOnly: m.ReadOnly}
	if v.Claim != nil {
		out.Volume = ClaimName(r.app.Name, v.Claim.ClaimName)
		out.ReadOnly = out.ReadOnly || v.Claim.ReadOnly
		return out
	}
	out.Volume = VolumeName(r.app.Name, d.Name, v.Name)
	// Kubernetes mounts ConfigMaps and Secrets read-only whatever the mount says.
	out.ReadOnly = out.ReadOnly || v.ConfigMap != nil || v.Secret != nil
	return out
}

func setSecurity(out *Container, s *app.SecurityContext) {
	out.CapAdd, out.CapDrop = s.Capabilities.Add, s.Capabilities.Drop
	isTrue := func(b *bool) bool { return b != nil && *b }
	out.ReadOnlyRoot = isTrue(s.ReadOnlyRootFilesystem)
	out.NewPrivileges = isTrue(s.AllowPrivilegeEscalation)
	out.NonRoot = isTrue(s.RunAsNonRoot)
	switch {
	case s.RunAsUser != nil && s.RunAsGroup != nil:
		out.User = fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup)
	case s.RunAsUser != nil:
		out.User = strconv.FormatInt(*s.RunAsUser, 10)
	case s.RunAsGroup != nil:
		out.User = ":" + strconv.FormatInt(*s.RunAsGroup, 10)
	}
}

// Kubernetes' own numbers: pkg/kubelet/cm/helpers_linux.go.
const (
	minShares   = 2
	maxShares   = 262144
	quotaPeriod = 100_000 // microseconds
	minQuota    = 1000    // microseconds
)

func setResources(out *Container, res *app.Resources) {
	request, limit := res.Requests["cpu"], res.Limits["cpu"]
	if request == "" {
		request = limit
	}
	// The compiler has checked every quantity, so parsing cannot fail here.
	if request != "" {
		m, _ := request.Milli()
		out.CPUShares = min(max(m*1024/1000, minShares), maxShares)
	}
	if limit != "" {
		m, _ := limit.Milli()
		out.CPUQuota = max(m*quotaPeriod/1000, minQuota)
	}
	if memory := res.Limits["memory"]; memory != "" {
		out.Memory, _ = memory.Value()
	}
}

func renderProbe(kind string, p *app.Probe, ports []app.ContainerPort) Probe {
	out := Probe{
		Kind:             kind,
		InitialDelay:     p.InitialDelaySeconds,
		Period:           p.PeriodSeconds,
		Timeout:          p.TimeoutSeconds,
		SuccessThreshold: p.SuccessThreshold,
		FailureThreshold: p.FailureThreshold,
	}
	switch {
	case p.HTTPGet != nil:
		out.HTTP = &HTTPProbe{Port: resolvePort(p.HTTPGet.Port, ports, "TCP"), Path: p.HTTPGet.Path, Scheme: p.HTTPGet.Scheme}
		for _, h := range p.HTTPGet.HTTPHeaders {
			out.HTTP.Headers = append(out.HTTP.Headers, [2]string{h.Name, h.Value})
		}
	case p.TCPSocket != nil:
		out.TCP = resolvePort(p.TCPSocket.Port, ports, "TCP")
	case p.GRPC != nil:
		out.GRPC = &GRPCProbe{Port: p.GRPC.Port, Service: p.GRPC.Service}
	case p.Exec != nil:
		out.Exec = p.Exec.Command
	}
	return out
}

// resolvePort gives the number of a port reference, or 0 when no port of that
// name and protocol exists.
func resolvePort(ref app.PortRef, ports []app.ContainerPort, protocol string) int {
	if ref.Name == "" {
		return ref.Number
	}
	for _, p := range ports {
		if p.Name == ref.Name && p.Protocol == protocol {
			return p.ContainerPort
		}
	}
	return 0
}

// env lists the variables in Kubernetes' order: envFrom first, then env, a
// later one replacing an earlier one of the same name in its place.
func (r *renderer) env(c *app.Container, d *Pod) []EnvVar {
	var vars []EnvVar
	set := func(v EnvVar) {
		if i := slices.IndexFunc(vars, func(o EnvVar) bool { return o.Name == v.Name }); i >= 0 {
			vars = slices.Delete(vars, i, i+1) // last wins, and may refer to all before it
		}
		vars = append(vars, v)
	}
	for _, from := range c.EnvFrom {
		r.envFrom(&from, set)
	}
	for _, e := range c.Env {
		if v, ok := r.envVar(&e, d); ok {
			set(v)
		}
	}
	return vars
}

func (r *renderer) envFrom(from *app.EnvFromSource, set func(EnvVar)) {
	if from.ConfigMapRef != nil {
		if cm := r.app.ConfigMap(from.ConfigMapRef.Name); cm != nil {
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
func (r *renderer) envVar(e *app.EnvVar, d *Pod) (EnvVar, bool) {
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
		return r.fieldVar(e.Name, from.FieldRef.FieldPath, d), true
	}
	return EnvVar{Name: e.Name, Value: e.Value}, true
}

func (r *renderer) hasSecretKey(ref *KeyRef) bool {
	s := r.app.Secret(ref.Name)
	return s != nil && slices.ContainsFunc(s.Keys, func(k app.SecretKey) bool { return k.Name == ref.Key })
}

func (r *renderer) fieldVar(name, path string, d *Pod) EnvVar {
	v := EnvVar{Name: name, Source: Verbatim}
	switch path {
	case "metadata.name":
		v.Value = d.Name
	case "metadata.namespace":
		v.Value = r.app.DNSNamespace()
	case "spec.nodeName":
		v.Value = "localhost" // the one node there is
	case "status.podIP":
		v.Source = FromPodIP
	case "status.hostIP":
		v.Source = FromHostIP
	default:
		if key, ok := strings.CutPrefix(path, "metadata.labels['"); ok {
			v.Value = d.Labels[strings.TrimSuffix(key, "']")]
		} else if key, ok := strings.CutPrefix(path, "metadata.annotations['"); ok {
			v.Value = r.annotation(d.Workload, strings.TrimSuffix(key, "']"))
		}
	}
	return v
}

func (r *renderer) annotation(workload, key string) string {
	if v, ok := r.app.Pod(workload).Annotations[key]; ok {
		return v
	}
	return r.app.Annotations[key]
}
