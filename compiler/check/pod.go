package check

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"

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
			c.missing(d.Pos, at+".dependsOn."+d.Service, "service", d.Service, "the app", c.serviceNames())
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
			c.report(probe.probe.Pos, "%s.%s: an init container cannot have a probe", at, probe.name)
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

// containerPorts checks that no two containers of a pod listen on one port, as
// they share an address, and that no two ports have one name, by which services
// find them.
func (c *checker) containerPorts(p *app.Pod, at string) {
	type key struct {
		port     int
		protocol string
	}
	taken, named := map[key]app.ContainerPort{}, map[string]app.ContainerPort{}
	ports := func(list []app.Container, at, hint string) {
		for _, ctr := range list {
			for _, port := range ctr.Ports {
				where, k := at+ctr.Name+".ports."+port.Name, key{port.ContainerPort, port.Protocol}
				if first, ok := taken[k]; ok {
					c.report(port.Pos, "%s: %s port %d is already taken in this pod, at %s", where, port.Protocol, port.ContainerPort, first.Pos)
					c.hint("%s", hint)
				} else if first, ok := named[port.Name]; ok {
					c.report(port.Pos, "%s: the pod already has a port of this name, at %s", where, first.Pos)
					c.hint("services find a pod's port by its name: choose another name")
				}
				taken[k], named[port.Name] = port, port
			}
		}
	}
	ports(p.Containers, at+".containers.", "the containers of a pod share one address: choose another port")
	ports(p.InitContainers, at+".initContainers.", "an init container ends before the others start: leave its port out")
}

func (c *checker) container(p *app.Pod, ctr *app.Container, at string) {
	c.image(ctr, at+".image")
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
			c.report(port.Pos, "%s.ports.%s: the name is not valid; it must have a letter, and no two \"-\" in a row", at, port.Name)
		}
	}
	c.volumeMounts(p, ctr, at+".volumeMounts.")
	c.resources(ctr, at+".resources")
	c.capabilities(&ctr.SecurityContext, at+".securityContext.capabilities")
	c.probe(ctr, ctr.LivenessProbe, at+".livenessProbe", false)
	c.probe(ctr, ctr.ReadinessProbe, at+".readinessProbe", true)
	c.probe(ctr, ctr.StartupProbe, at+".startupProbe", false)
}

// image checks an image's name by the rules of those who pull it.
func (c *checker) image(ctr *app.Container, at string) {
	if _, err := reference.ParseNormalizedNamed(ctr.Image); err == nil {
		return
	}
	name, _, _ := strings.Cut(ctr.Image, ":")
	if lower := strings.Replace(ctr.Image, name, strings.ToLower(name), 1); lower != ctr.Image {
		if _, err := reference.ParseNormalizedNamed(lower); err == nil {
			c.report(ctr.Pos, "%s: %q is not valid; an image's name has no capital letters", at, ctr.Image)
			c.hint("did you mean %q?", lower)
			return
		}
	}
	c.report(ctr.Pos, "%s: %q is not the name of an image", at, ctr.Image)
	c.hint("a name is NAME:TAG or REGISTRY/NAME:TAG, such as \"registry.example/web:1.2\", or has @DIGEST for the tag")
}

// capabilities refuses the kernel's own spelling: a server knows it for some
// rules only, an engine for others.
func (c *checker) capabilities(s *app.SecurityContext, at string) {
	for _, name := range slices.Concat(s.Capabilities.Add, s.Capabilities.Drop) {
		if short, ok := strings.CutPrefix(name, "CAP_"); ok {
			c.report(s.Pos, "%s: %q is not valid; names are without CAP_", at, name)
			c.hint("write it as %q", short)
		}
	}
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }

// noNUL refuses the byte that ends a string in C: the engine would start the
// container and the kernel would then cut or refuse the argument.
func (c *checker) noNUL(pos app.Pos, at string, values ...string) {
	for _, v := range values {
		if strings.ContainsRune(v, 0) {
			c.report(pos, "%s: there is a NUL byte, which no program can be given", at)
		}
	}
}

func (c *checker) envVar(e *app.EnvVar, at string) {
	c.noNUL(e.Pos, at, e.Value)
	source := e.Source()
	if ref := source.ConfigMapKeyRef; ref != nil {
		c.keyRef(e, at, ref.Name, ref.Key, ref.Optional, c.configMapKey)
	}
	if ref := source.SecretKeyRef; ref != nil {
		c.keyRef(e, at, ref.Name, ref.Key, ref.Optional, c.secretKey)
	}
	if ref := source.FieldRef; ref != nil && !FieldPath(ref.FieldPath) {
		c.report(e.Pos, "%s: there is no field %q", at, ref.FieldPath)
		c.hint("fields are: %s, metadata.labels['KEY'], metadata.annotations['KEY']", strings.Join(fieldPaths(), ", "))
	}
}

// keyRef checks that the key exists, or that it could.
func (c *checker) keyRef(e *app.EnvVar, at, name, key string, optional bool, exists func(pos app.Pos, path, name, key string)) {
	if optional {
		c.key(e.Pos, at, key)
		return
	}
	exists(e.Pos, at, name, key)
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

func (c *checker) envFrom(e app.EnvFromSource, at string) {
	set, all := chosen(choice{"configMapRef", e.ConfigMapRef != nil}, choice{"secretRef", e.SecretRef != nil})
	c.exactlyOne(e.Pos, at, "source", set, all)
	if e.ConfigMapRef != nil && !e.ConfigMapRef.Optional {
		c.configMapKey(e.Pos, at, e.ConfigMapRef.Name, "")
	}
	if e.SecretRef != nil && !e.SecretRef.Optional {
		c.secretKey(e.Pos, at, e.SecretRef.Name, "")
	}
}

// volumeMounts checks each mount, and that no two have one path, however
// written.
func (c *checker) volumeMounts(p *app.Pod, ctr *app.Container, at string) {
	taken := map[string]app.VolumeMount{}
	for _, m := range ctr.VolumeMounts {
		c.volumeMount(p, m, at+quoted(m.MountPath))
		if first, ok := taken[path.Clean(m.MountPath)]; ok {
			c.report(m.Pos, "%s: it is the same path as %q, at %s", at+quoted(m.MountPath), first.MountPath, first.Pos)
			c.hint("mount one volume at a path")
		}
		taken[path.Clean(m.MountPath)] = m
	}
}

func (c *checker) volumeMount(p *app.Pod, m app.VolumeMount, at string) {
	c.noNUL(m.Pos, at, m.MountPath)
	if !path.IsAbs(m.MountPath) || strings.Contains(m.MountPath, ":") {
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
		if ok && name == "memory" {
			c.wholeBytes(ctr.Pos, at+".requests."+name, request)
			c.wholeBytes(ctr.Pos, at+".limits."+name, limit)
		}
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

// wholeBytes refuses an amount of bytes with a fraction: most often an "m" that
// should be an "M". Kubernetes looks for one by thousandths, and so has less
// room here than in other quantities.
func (c *checker) wholeBytes(pos app.Pos, at string, q app.Quantity) {
	whole, err := q.Value()
	if err != nil {
		return // reported as no quantity, or absent
	}
	if _, err := q.Milli(); err != nil {
		c.report(pos, "%s: %s is larger than Kubernetes allows (2^63-1 thousandths of a byte)", at, q)
		return
	}
	if q.Compare(app.Quantity(strconv.FormatInt(whole, 10))) == 0 {
		return
	}
	c.report(pos, "%s: %s is not a whole number of bytes", at, q)
	if n, ok := strings.CutSuffix(string(q), "m"); ok {
		c.hint("m means thousandths; did you mean %sM or %sMi?", n, n)
	}
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
		for i, h := range p.HTTPGet.HTTPHeaders {
			if strings.Trim(h.Name, headerLetters) != "" {
				c.report(p.Pos, "%s.httpGet.httpHeaders[%d].name: %q is not valid; a header's name has letters, digits and \"-\"", at, i, h.Name)
			}
		}
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

// headerLetters are what Kubernetes allows in the name of a header.
const headerLetters = "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

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
	if v.Kubernetes != nil {
		all = append(all, "kubernetes")
		for _, f := range v.Kubernetes.Raw.Items {
			if !slices.Contains(set, f.Name) && f.Name != "name" {
				set = append(set, f.Name)
			}
		}
	}
	c.exactlyOne(v.Pos, at, "source", set, all)
	if v.EmptyDir != nil && v.EmptyDir.SizeLimit != "" {
		c.quantity(v.Pos, at+".emptyDir.sizeLimit", v.EmptyDir.SizeLimit)
	}
	if v.ConfigMap != nil {
		c.files(v, v.ConfigMap.Files(), at+".configMap", c.configMapKey)
	}
	if v.Secret != nil {
		c.files(v, v.Secret.Files(), at+".secret", c.secretKey)
	}
	if v.Claim != nil && c.app.Claim(v.Claim.ClaimName) == nil {
		c.missing(v.Pos, at, "persistentVolumeClaim", v.Claim.ClaimName, "the app", c.claimNames())
	}
}

// files checks a volume of files: what it names, and where it puts them.
func (c *checker) files(v *app.Volume, f *app.Files, at string, exists func(pos app.Pos, path, name, key string)) {
	if !f.Optional {
		before := len(c.problems)
		exists(v.Pos, at, f.Name, "")
		if len(c.problems) == before {
			for _, item := range f.Items {
				exists(v.Pos, at+".items", f.Name, item.Key)
			}
		}
	}
	c.filePaths(v, f, at+".items")
}

// filePaths checks where a volume of files puts them: below its directory, and
// none where another or a directory for another is. What starts with ".." is
// for the kubelet.
func (c *checker) filePaths(v *app.Volume, f *app.Files, at string) {
	keyOf := map[string]string{}
	for _, item := range f.Items {
		key, p := item.Key, item.Path
		if strings.ContainsRune(p, 0) {
			c.noNUL(v.Pos, at, p)
			continue
		}
		if !relativePath(p) || strings.HasPrefix(p, "..") {
			c.report(v.Pos, "%s: the path %q must be relative, without \"..\" in it or at its start", at, p)
			continue
		}
		if other, ok := keyOf[path.Clean(p)]; ok {
			c.report(v.Pos, "%s: the keys %s and %s have the same path %q", at, other, key, p)
		}
		keyOf[path.Clean(p)] = key
	}
	for _, file := range sortedKeys(keyOf) {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			if other, ok := keyOf[dir]; ok {
				c.report(v.Pos, "%s: %q, for the key %s, is a file for the key %s and cannot hold %q", at, dir, keyOf[file], other, file)
			}
		}
	}
}
