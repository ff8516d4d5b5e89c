package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

func (c *checker) pod(p *app.Pod) {
	at := "pods." + p.Name
	c.meta(at+".", p.Pos, p.Labels, p.Annotations)
	if len(p.Containers) == 0 {
		c.report(p.Pos, "%s: a pod needs at least one container", at)
		c.hint("add containers: NAME: image: \"...\"")
	}
	for i := range p.InitContainers {
		init := &p.InitContainers[i]
		where := at + ".initContainers." + init.Name
		c.container(p, init, where)
		c.initContainer(p, init, where)
	}
	for i := range p.Containers {
		c.container(p, &p.Containers[i], at+".containers."+p.Containers[i].Name)
	}
	c.containerPorts(p, at)
	for i := range p.Volumes {
		c.volume(&p.Volumes[i], at+".volumes."+p.Volumes[i].Name)
	}
	for _, d := range p.DependsOn {
		if c.app.Service(d.Service) == nil {
			c.missing(d.Pos, at+".dependsOn", "service", d.Service, "the app", c.serviceNames())
		}
	}
}

// initContainer checks what a container that runs to its end cannot have.
func (c *checker) initContainer(p *app.Pod, init *app.Container, at string) {
	for _, probe := range []struct {
		name  string
		probe *app.Probe
	}{{"livenessProbe", init.LivenessProbe}, {"readinessProbe", init.ReadinessProbe}, {"startupProbe", init.StartupProbe}} {
		if probe.probe != nil {
			c.report(probe.probe.Pos, "%s: an init container cannot have a %s", at, probe.name)
			c.hint("an init container runs to its end before the others start")
		}
	}
	for _, other := range p.Containers {
		if other.Name == init.Name {
			c.report(init.Pos, "%s: the pod also has a container of this name, at %s", at, other.Pos)
			c.hint("names are unique among all containers of a pod")
		}
	}
}

// containerPorts checks that no two containers of a pod listen on one port:
// they share an address.
func (c *checker) containerPorts(p *app.Pod, at string) {
	type key struct {
		port     int
		protocol string
	}
	taken := map[key]app.ContainerPort{}
	for _, ctr := range p.Containers {
		for _, port := range ctr.Ports {
			k := key{port.ContainerPort, port.Protocol}
			if first, ok := taken[k]; ok {
				c.report(port.Pos, "%s.containers.%s.ports.%s: %s port %d is already taken in this pod, at %s", at, ctr.Name, port.Name, port.Protocol, port.ContainerPort, first.Pos)
				c.hint("the containers of a pod share one address: choose another port")
				continue
			}
			taken[k] = port
		}
	}
}

func (c *checker) container(p *app.Pod, ctr *app.Container, at string) {
	c.noNUL(ctr.Pos, at+".command", ctr.Command...)
	c.noNUL(ctr.Pos, at+".args", ctr.Args...)
	if ctr.WorkingDir != "" && !path.IsAbs(ctr.WorkingDir) {
		c.report(ctr.Pos, "%s.workingDir: %q is not an absolute path", at, ctr.WorkingDir)
	}
	for i := range ctr.Env {
		c.envVar(&ctr.Env[i], at+".env."+ctr.Env[i].Name)
	}
	for i, e := range ctr.EnvFrom {
		c.envFrom(e, fmt.Sprintf("%s.envFrom[%d]", at, i))
	}
	for _, port := range ctr.Ports {
		if !strings.ContainsAny(port.Name, "abcdefghijklmnopqrstuvwxyz") || strings.Contains(port.Name, "--") {
			c.report(port.Pos, "%s.ports: the name %q is not valid; it must have a letter, and no two \"-\" in a row", at, port.Name)
		}
	}
	for _, m := range ctr.VolumeMounts {
		c.volumeMount(p, m, at+".volumeMounts."+quoted(m.MountPath))
	}
	c.resources(ctr, at+".resources")
	c.probe(ctr, ctr.LivenessProbe, at+".livenessProbe", false)
	c.probe(ctr, ctr.ReadinessProbe, at+".readinessProbe", true)
	c.probe(ctr, ctr.StartupProbe, at+".startupProbe", false)
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }

// noNUL refuses the byte that ends a string in C: the engine would start the
// container and the kernel would then cut or refuse the argument.
func (c *checker) noNUL(pos app.Pos, at string, values ...string) {
	for _, v := range values {
		if strings.ContainsRune(v, 0) {
			c.report(pos, "%s: the value has a NUL byte, which no program can be given", at)
		}
	}
}

func (c *checker) envVar(e *app.EnvVar, at string) {
	c.noNUL(e.Pos, at, e.Value)
	if ref := e.ConfigMapKeyRef; ref != nil && !ref.Optional {
		c.configMapKey(e.Pos, at, ref.Name, ref.Key)
	}
	if ref := e.SecretKeyRef; ref != nil && !ref.Optional {
		c.secretKey(e.Pos, at, ref.Name, ref.Key)
	}
	if e.FieldRef != "" && !FieldPath(e.FieldRef) {
		c.report(e.Pos, "%s: there is no field %q", at, e.FieldRef)
		c.hint("fields are: %s, metadata.labels['KEY'], metadata.annotations['KEY']", strings.Join(fieldPaths(), ", "))
	}
}

// fieldPaths are the plain fields that a fieldRef can name.
func fieldPaths() []string {
	return []string{"metadata.name", "metadata.namespace", "spec.nodeName", "status.hostIP", "status.podIP"}
}

// FieldPath reports whether a fieldRef can name this field: a plain one, or
// one label or annotation as in metadata.labels['key'].
func FieldPath(p string) bool {
	if slices.Contains(fieldPaths(), p) {
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

func (c *checker) envFrom(e app.EnvFrom, at string) {
	set, all := chosen(choice{"configMapRef", e.ConfigMap != ""}, choice{"secretRef", e.Secret != ""})
	c.exactlyOne(e.Pos, at, "source", set, all)
	if e.Optional {
		return
	}
	if e.ConfigMap != "" {
		c.configMapKey(e.Pos, at, e.ConfigMap, "")
	}
	if e.Secret != "" {
		c.secretKey(e.Pos, at, e.Secret, "")
	}
}

func (c *checker) volumeMount(p *app.Pod, m app.VolumeMount, at string) {
	if !path.IsAbs(m.MountPath) || strings.ContainsAny(m.MountPath, ":\x00") {
		c.report(m.Pos, "%s: the path must be absolute and without \":\"", at)
	}
	if m.SubPath != "" && !relativePath(m.SubPath) {
		c.report(m.Pos, "%s.subPath: %q must be a relative path without \"..\"", at, m.SubPath)
	}
	if p.Volume(m.Name) == nil {
		have := names(p.Volumes, func(v app.Volume) string { return v.Name })
		c.missing(m.Pos, at, "volume", m.Name, "pod "+p.Name, have)
	}
}

// relativePath reports whether p stays below the directory it starts in.
func relativePath(p string) bool {
	return p != "" && !path.IsAbs(p) && !slices.Contains(strings.Split(p, "/"), "..") && !strings.ContainsRune(p, 0)
}

func (c *checker) resources(ctr *app.Container, at string) {
	for _, name := range []string{"cpu", "memory"} {
		request, hasRequest := ctr.Resources.Requests[name]
		limit, hasLimit := ctr.Resources.Limits[name]
		ok := (!hasRequest || c.quantity(ctr.Pos, at+".requests."+name, request)) &&
			(!hasLimit || c.quantity(ctr.Pos, at+".limits."+name, limit))
		if ok && hasRequest && hasLimit && request.Compare(limit) > 0 {
			c.report(ctr.Pos, "%s: the %s request %s is above the limit %s", at, name, request, limit)
		}
	}
}

// quantity reports whether q can be read.
func (c *checker) quantity(pos app.Pos, at string, q app.Quantity) bool {
	if _, err := q.Value(); err != nil {
		c.report(pos, "%s: %v", at, err)
		return false
	}
	return true
}

func (c *checker) probe(ctr *app.Container, p *app.Probe, at string, readiness bool) {
	if p == nil {
		return
	}
	set, all := chosen(
		choice{"httpGet", p.HTTPGet != nil}, choice{"tcpSocket", p.TCPSocket != nil},
		choice{"grpc", p.GRPC != nil}, choice{"exec", p.Exec != nil})
	c.exactlyOne(p.Pos, at, "handler", set, all)
	if p.HTTPGet != nil {
		c.probePort(ctr, p, at+".httpGet.port", p.HTTPGet.Port)
	}
	if p.TCPSocket != nil {
		c.probePort(ctr, p, at+".tcpSocket.port", p.TCPSocket.Port)
	}
	if p.Exec != nil {
		c.noNUL(p.Pos, at+".exec.command", p.Exec.Command...)
		if len(p.Exec.Command) == 0 {
			c.report(p.Pos, "%s.exec.command: there is no command", at)
		}
	}
	if !readiness && p.SuccessThreshold != 1 {
		c.report(p.Pos, "%s.successThreshold: it must be 1, not %d", at, p.SuccessThreshold)
		c.hint("only a readiness probe may need several successes")
	}
}

// probePort checks a port by name: it has to be a TCP port of the container.
func (c *checker) probePort(ctr *app.Container, p *app.Probe, at string, ref app.PortRef) {
	if ref.Name == "" {
		return
	}
	var have []string
	for _, port := range ctr.Ports {
		if port.Protocol == "TCP" {
			have = append(have, port.Name)
		}
	}
	if !slices.Contains(have, ref.Name) {
		c.missing(p.Pos, at, "TCP port", ref.Name, "container "+ctr.Name, have)
	}
}

func (c *checker) volume(v *app.Volume, at string) {
	set, all := chosen(
		choice{"emptyDir", v.EmptyDir != nil}, choice{"configMap", v.ConfigMap != nil},
		choice{"secret", v.Secret != nil}, choice{"persistentVolumeClaim", v.Claim != nil})
	c.exactlyOne(v.Pos, at, "source", set, all)
	if v.EmptyDir != nil && v.EmptyDir.SizeLimit != "" {
		c.quantity(v.Pos, at+".emptyDir.sizeLimit", v.EmptyDir.SizeLimit)
	}
	if v.ConfigMap != nil {
		c.files(v, v.ConfigMap, at+".configMap", c.configMapKey)
	}
	if v.Secret != nil {
		c.files(v, v.Secret, at+".secret", c.secretKey)
	}
	if v.Claim != nil && c.app.Claim(v.Claim.ClaimName) == nil {
		c.missing(v.Pos, at, "persistentVolumeClaim", v.Claim.ClaimName, "the app", c.claimNames())
	}
}

// files checks a volume of files: what it names, and where it puts them.
func (c *checker) files(v *app.Volume, f *app.FilesSource, at string, exists func(pos app.Pos, path, name, key string)) {
	if !f.Optional {
		before := len(c.problems)
		exists(v.Pos, at, f.Name, "")
		if len(c.problems) == before {
			for _, key := range sortedKeys(f.Items) {
				exists(v.Pos, at+".items", f.Name, key)
			}
		}
	}
	keyOf := map[string]string{}
	for _, key := range sortedKeys(f.Items) {
		p := f.Items[key]
		if !relativePath(p) {
			c.report(v.Pos, "%s.items: the path %q must be relative and without \"..\"", at, p)
		}
		if other, ok := keyOf[path.Clean(p)]; ok {
			c.report(v.Pos, "%s.items: the keys %s and %s have the same path %q", at, other, key, p)
		}
		keyOf[path.Clean(p)] = key
	}
}
