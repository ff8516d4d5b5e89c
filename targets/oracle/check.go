package oracle

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// check finds what is wrong between the objects, and the mistakes inside one
// that a server only warns of or that break a later apply.
func (o *objects) check(secrets map[string][]string) []string {
	c := &checker{objects: o, secrets: secrets}
	for name := range o.configMaps {
		c.name("ConfigMap", name, validation.IsDNS1123Subdomain)
	}
	for name := range o.claims {
		c.name("PersistentVolumeClaim", name, validation.IsDNS1123Subdomain)
	}
	for i := range o.workloads {
		c.workload(&o.workloads[i], o.workloads[i+1:])
	}
	for _, s := range o.services {
		c.where = "Service " + s.Name
		c.service(s)
	}
	c.references()
	return c.problems
}

type checker struct {
	*objects
	secrets  map[string][]string
	where    string
	problems []string
}

func (c *checker) problem(format string, args ...any) {
	c.problems = append(c.problems, c.where+": "+fmt.Sprintf(format, args...))
}

func (c *checker) hasSecret(name string) bool {
	_, ok := c.secrets[name]
	return ok || c.secrets == nil
}

func (c *checker) hasKey(secret, key string) bool {
	return slices.Contains(c.secrets[secret], key) || c.secrets == nil
}

func (c *checker) name(kind, name string, valid func(string) []string) {
	for _, why := range valid(name) {
		c.problems = append(c.problems, fmt.Sprintf("%s %s: the name: %s", kind, name, why))
	}
}

func (c *checker) labels(labels map[string]string) {
	for key, value := range labels {
		for _, why := range append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...) {
			c.problem("label %s: %s: %s", key, value, why)
		}
	}
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

func (c *checker) workload(w *workload, others []workload) {
	c.where = w.kind + " " + w.name
	c.name(w.kind, w.name, validation.IsDNS1123Subdomain)
	c.labels(w.labels)
	c.labels(w.template.Labels)
	if w.kind != "Job" && w.kind != "CronJob" {
		switch {
		case w.selector == nil || len(w.selector.MatchLabels) == 0:
			c.problem("selects nothing")
			return
		case !matches(w.selector.MatchLabels, w.template.Labels):
			c.problem("does not select its own pods")
		}
		for _, other := range others {
			if matches(w.selector.MatchLabels, other.template.Labels) {
				c.problem("also selects the pods of %s", other.name)
			}
		}
	}
	if policy := w.template.Spec.RestartPolicy; w.selector == nil && policy != corev1.RestartPolicyNever && policy != corev1.RestartPolicyOnFailure {
		c.problem("the restartPolicy %q is none of a Job's", policy)
	}
	c.pod(&w.template.Spec, w.claims)
}

// references finds what names an object that is not there. Accounts, classes
// and gateways may be the cluster's.
func (c *checker) references() {
	for _, i := range c.ingresses {
		c.where = "Ingress " + i.Name
		for _, b := range ingressBackends(i) {
			c.backend(b.Name, func(p corev1.ServicePort) bool {
				return p.Name == b.Port.Name && p.Name != "" || p.Port == b.Port.Number
			})
		}
	}
	for _, r := range c.routes {
		c.where = "HTTPRoute " + r.Name
		for _, rule := range r.Spec.Rules {
			for _, b := range rule.BackendRefs {
				if b.Kind == nil || *b.Kind == "Service" {
					c.backend(string(b.Name), func(p corev1.ServicePort) bool { return b.Port != nil && p.Port == *b.Port })
				}
			}
		}
	}
	for _, s := range c.scalers {
		if t := s.Spec.ScaleTargetRef; !c.names[t.Kind+" "+t.Name] {
			c.problems = append(c.problems, fmt.Sprintf("HorizontalPodAutoscaler %s: there is no %s %s", s.Name, t.Kind, t.Name))
		}
	}
	for _, b := range c.bindings {
		c.where = b.id
		if !c.names[b.role.Kind+" "+b.role.Name] {
			c.problem("there is no %s %s", b.role.Kind, b.role.Name)
		}
		for _, s := range b.subjects {
			if !c.names[s.Kind+" "+s.Name] {
				c.problem("there is no %s %s", s.Kind, s.Name)
			}
		}
	}
}

func ingressBackends(i *networkingv1.Ingress) []*networkingv1.IngressServiceBackend {
	var out []*networkingv1.IngressServiceBackend
	add := func(b *networkingv1.IngressBackend) {
		if b != nil && b.Service != nil {
			out = append(out, b.Service)
		}
	}
	add(i.Spec.DefaultBackend)
	for _, rule := range i.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for p := range rule.HTTP.Paths {
			add(&rule.HTTP.Paths[p].Backend)
		}
	}
	return out
}

// backend looks for a service and one of its ports.
func (c *checker) backend(service string, is func(corev1.ServicePort) bool) {
	at := slices.IndexFunc(c.services, func(s *corev1.Service) bool { return s.Name == service })
	switch {
	case at < 0:
		c.problem("there is no Service %s", service)
	case !slices.ContainsFunc(c.services[at].Spec.Ports, is):
		c.problem("Service %s has no such port", service)
	}
}

func (c *checker) pod(p *corev1.PodSpec, own []corev1.PersistentVolumeClaim) {
	at := c.where
	names := map[string]bool{}
	for i, container := range slices.Concat(p.InitContainers, p.Containers) {
		c.where = at + ", container " + container.Name
		c.name(c.where, container.Name, validation.IsDNS1123Label)
		if names[container.Name] {
			c.problem("is there twice")
		}
		names[container.Name] = true
		c.container(p, &container, i < len(p.InitContainers), own)
	}
	if len(p.Containers) == 0 {
		c.problem("has no containers")
	}
	volumes := map[string]bool{}
	for _, v := range p.Volumes {
		c.where = at + ", volume " + v.Name
		if volumes[v.Name] {
			c.problem("is there twice")
		}
		volumes[v.Name] = true
		c.volume(&v)
	}
	c.where = at
}

func (c *checker) container(p *corev1.PodSpec, k *corev1.Container, init bool, own []corev1.PersistentVolumeClaim) {
	if k.Image == "" {
		c.problem("has no image")
	}
	env := map[string]bool{}
	for _, e := range k.Env {
		if env[e.Name] {
			c.problem("variable %s is there twice", e.Name)
		}
		env[e.Name] = true
		c.env(&e)
	}
	for _, e := range k.EnvFrom {
		if r := e.ConfigMapRef; r != nil && !optional(r.Optional) && c.configMaps[r.Name] == nil {
			c.problem("there is no ConfigMap %s", r.Name)
		}
		if r := e.SecretRef; r != nil && !optional(r.Optional) && !c.hasSecret(r.Name) {
			c.problem("there is no Secret %s", r.Name)
		}
	}
	c.containerPorts(k)
	paths := map[string]bool{}
	for _, m := range k.VolumeMounts {
		if paths[m.MountPath] {
			c.problem("mounts %s twice", m.MountPath)
		}
		paths[m.MountPath] = true
		if !slices.ContainsFunc(p.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) &&
			!slices.ContainsFunc(own, func(v corev1.PersistentVolumeClaim) bool { return v.Name == m.Name }) {
			c.problem("there is no volume %s", m.Name)
		}
	}
	for kind, probe := range map[string]*corev1.Probe{"liveness": k.LivenessProbe, "readiness": k.ReadinessProbe, "startup": k.StartupProbe} {
		if probe != nil {
			sidecar := k.RestartPolicy != nil && *k.RestartPolicy == corev1.ContainerRestartPolicyAlways
			c.probe(k, kind, probe, init && !sidecar)
		}
	}
}

func optional(b *bool) bool { return b != nil && *b }

func (c *checker) containerPorts(k *corev1.Container) {
	seen, names := map[string]bool{}, map[string]bool{}
	for _, p := range k.Ports {
		key := fmt.Sprint(p.ContainerPort, "/", protocol(p.Protocol))
		if seen[key] {
			c.problem("port %s is there twice", key)
		}
		if p.Name != "" && names[p.Name] {
			c.problem("port name %s is there twice", p.Name)
		}
		seen[key], names[p.Name] = true, true
		if p.Name != "" {
			for _, why := range validation.IsValidPortName(p.Name) {
				c.problem("port name %s: %s", p.Name, why)
			}
		}
		for _, why := range validation.IsValidPortNum(int(p.ContainerPort)) {
			c.problem("port %d: %s", p.ContainerPort, why)
		}
	}
}

func protocol(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

func (c *checker) env(e *corev1.EnvVar) {
	if e.ValueFrom == nil {
		return
	}
	if e.Value != "" {
		c.problem("variable %s has a value and a source", e.Name)
	}
	if r := e.ValueFrom.ConfigMapKeyRef; r != nil && !optional(r.Optional) {
		if m := c.configMaps[r.Name]; m == nil {
			c.problem("variable %s: there is no ConfigMap %s", e.Name, r.Name)
		} else if !hasDataKey(m, r.Key) {
			c.problem("variable %s: ConfigMap %s has no key %s", e.Name, r.Name, r.Key)
		}
	}
	if r := e.ValueFrom.SecretKeyRef; r != nil && !optional(r.Optional) && !c.hasKey(r.Name, r.Key) {
		c.problem("variable %s: there is no key %s in Secret %s", e.Name, r.Key, r.Name)
	}
	if r := e.ValueFrom.FieldRef; r != nil && !fieldPath.MatchString(r.FieldPath) {
		c.problem("variable %s: %s is no field of a pod", e.Name, r.FieldPath)
	}
}

var fieldPath = regexp.MustCompile(`^(metadata\.(name|namespace|uid|(labels|annotations)\['[^']+'\])|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$`)

func (c *checker) volume(v *corev1.Volume) {
	sources := 0
	for _, source := range reflect.ValueOf(v.VolumeSource).Fields() {
		if !source.IsNil() {
			sources++
		}
	}
	if sources != 1 {
		c.problem("has %d sources", sources)
	}
	if s := v.ConfigMap; s != nil && !optional(s.Optional) {
		c.configFiles(s.Name, s.Items)
	}
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if s := source.ConfigMap; s != nil && !optional(s.Optional) {
				c.configFiles(s.Name, s.Items)
			}
			if s := source.Secret; s != nil && !optional(s.Optional) && !c.hasSecret(s.Name) {
				c.problem("there is no Secret %s", s.Name)
			}
		}
	}
	if s := v.Secret; s != nil && !optional(s.Optional) {
		if !c.hasSecret(s.SecretName) {
			c.problem("there is no Secret %s", s.SecretName)
		}
		for _, item := range s.Items {
			if !c.hasKey(s.SecretName, item.Key) {
				c.problem("Secret %s has no key %s", s.SecretName, item.Key)
			}
		}
	}
	if s := v.PersistentVolumeClaim; s != nil && c.claims[s.ClaimName] == nil {
		c.problem("there is no claim %s", s.ClaimName)
	}
}

func (c *checker) configFiles(name string, items []corev1.KeyToPath) {
	m := c.configMaps[name]
	if m == nil {
		c.problem("there is no ConfigMap %s", name)
		return
	}
	for _, item := range items {
		if !hasDataKey(m, item.Key) {
			c.problem("ConfigMap %s has no key %s", name, item.Key)
		}
	}
}

func hasDataKey(m *corev1.ConfigMap, key string) bool {
	_, text := m.Data[key]
	_, bytes := m.BinaryData[key]
	return text || bytes
}

func (c *checker) probe(k *corev1.Container, kind string, p *corev1.Probe, init bool) {
	if init {
		c.problem("an init container has a %s probe", kind)
	}
	if kind != "readiness" && p.SuccessThreshold > 1 {
		c.problem("the %s probe has a successThreshold of %d", kind, p.SuccessThreshold)
	}
	handlers := 0
	for _, set := range []bool{p.HTTPGet != nil, p.TCPSocket != nil, p.GRPC != nil, p.Exec != nil} {
		if set {
			handlers++
		}
	}
	if handlers != 1 {
		c.problem("the %s probe has %d handlers", kind, handlers)
	}
	var port intstr.IntOrString
	switch {
	case p.HTTPGet != nil:
		port = p.HTTPGet.Port
	case p.TCPSocket != nil:
		port = p.TCPSocket.Port
	default:
		return
	}
	if port.Type == intstr.String && !slices.ContainsFunc(k.Ports, func(cp corev1.ContainerPort) bool { return cp.Name == port.StrVal }) {
		c.problem("the %s probe asks at port %q, which the container does not have", kind, port.StrVal)
	}
	if port.Type == intstr.Int && validation.IsValidPortNum(port.IntValue()) != nil {
		c.problem("the %s probe asks at port %d", kind, port.IntValue())
	}
}

func (c *checker) service(s *corev1.Service) {
	c.name("Service", s.Name, validation.IsDNS1123Label)
	c.labels(s.Labels)
	var pods []*corev1.PodSpec
	for i := range c.workloads {
		if matches(s.Spec.Selector, c.workloads[i].template.Labels) {
			pods = append(pods, &c.workloads[i].template.Spec)
		}
	}
	if len(pods) == 0 && len(s.Spec.Selector) > 0 {
		c.problem("selects no pods")
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName && (s.Spec.ExternalName == "" || len(s.Spec.Selector) > 0) {
		c.problem("is another name for %q and selects %v", s.Spec.ExternalName, s.Spec.Selector)
	}
	if s.Spec.ClusterIP == corev1.ClusterIPNone && s.Spec.Type != "" && s.Spec.Type != corev1.ServiceTypeClusterIP {
		c.problem("is headless and a %s", s.Spec.Type)
	}
	if len(s.Spec.Ports) == 0 && s.Spec.ClusterIP != corev1.ClusterIPNone && s.Spec.Type != corev1.ServiceTypeExternalName {
		c.problem("has no ports")
	}
	names, numbers := map[string]bool{}, map[string]bool{}
	for _, p := range s.Spec.Ports {
		key := fmt.Sprint(p.Port, "/", protocol(p.Protocol))
		switch {
		case len(s.Spec.Ports) > 1 && p.Name == "":
			c.problem("port %s needs a name beside the others", key)
		case names[p.Name], numbers[key]:
			c.problem("port %s %s is there twice", p.Name, key)
		}
		names[p.Name], numbers[key] = true, true
		c.servicePort(s, &p, pods)
	}
}

func (c *checker) servicePort(s *corev1.Service, p *corev1.ServicePort, pods []*corev1.PodSpec) {
	if p.Name != "" {
		for _, why := range validation.IsDNS1123Label(p.Name) {
			c.problem("port name %s: %s", p.Name, why)
		}
	}
	if validation.IsValidPortNum(int(p.Port)) != nil {
		c.problem("port %d is out of range", p.Port)
	}
	if p.NodePort != 0 && (p.NodePort < 30000 || p.NodePort > 32767) {
		c.problem("nodePort %d is not in 30000-32767", p.NodePort)
	}
	if p.NodePort != 0 && s.Spec.Type != corev1.ServiceTypeNodePort && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		c.problem("nodePort %d needs type NodePort or LoadBalancer", p.NodePort)
	}
	if p.TargetPort.Type != intstr.String {
		return // a number needs no declaration
	}
	for _, pod := range pods {
		if !slices.ContainsFunc(pod.Containers, func(k corev1.Container) bool {
			return slices.ContainsFunc(k.Ports, func(cp corev1.ContainerPort) bool {
				return cp.Name == p.TargetPort.StrVal && protocol(cp.Protocol) == protocol(p.Protocol)
			})
		}) {
			c.problem("port %s: no pod has a %s port %q", p.Name, protocol(p.Protocol), p.TargetPort.StrVal)
		}
	}
}
