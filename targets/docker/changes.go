package docker

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/targets/route"
)

// Changes says in words how one container's definition differs from another's,
// as far as only a new container can follow: "image a -> b", "env LEVEL info
// -> debug".
func (c *Container) Changes(from *Container) []string {
	var out []string
	change := func(what string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			out = append(out, what)
		}
	}
	if from.Image != c.Image && from.Build != nil && c.Build != nil {
		out = append(out, fmt.Sprintf("image built anew: %s -> %s", tagOf(from.Image), tagOf(c.Image)))
	} else if from.Image != c.Image {
		out = append(out, fmt.Sprintf("image %s -> %s", from.Image, c.Image))
	}
	change("command changed", from.Entrypoint, c.Entrypoint)
	change("args changed", from.Cmd, c.Cmd)
	change("workingDir changed", from.WorkingDir, c.WorkingDir)
	out = append(out, envChanges(from.Env, c.Env)...)
	change("enableServiceLinks changed", from.NoServiceLinks, c.NoServiceLinks)
	change("volumeMounts changed", from.Mounts, c.Mounts)
	change("resources changed", []int64{from.CPUShares, from.CPUQuota, from.Memory, from.MemoryRequest}, []int64{c.CPUShares, c.CPUQuota, c.Memory, c.MemoryRequest})
	change("securityContext changed",
		from.rights(), c.rights())
	change("stdin or tty changed", []bool{from.Stdin, from.StdinOnce, from.TTY}, []bool{c.Stdin, c.StdinOnce, c.TTY})
	change("terminationMessagePath changed", from.MessagePath, c.MessagePath)
	change("stopSignal changed", from.StopSignal, c.StopSignal)
	change("postStart hook changed", from.PostStart, c.PostStart)
	change("places that files are copied to changed", from.syncTargets(), c.syncTargets())
	if from.Sidecar != c.Sidecar {
		out = append(out, fmt.Sprintf("sidecar %t -> %t", from.Sidecar, c.Sidecar))
	}
	return out
}

// tagOf is the part of an image's name that follows its content.
func tagOf(image string) string { return image[strings.LastIndexByte(image, ':')+1:] }

// rights is what the security contexts come to.
func (c *Container) rights() []any {
	return []any{
		c.User, c.GroupAdd, c.NonRoot, c.CapAdd, c.CapDrop, c.NewPrivileges, c.ReadOnlyRoot,
		c.Privileged, c.Unconfined, c.AppArmor, c.UnmaskedProc,
	}
}

func envChanges(from, to []EnvVar) []string {
	index := func(vars []EnvVar) map[string]EnvVar {
		m := make(map[string]EnvVar, len(vars))
		for _, v := range vars {
			m[v.Name] = v
		}
		return m
	}
	a, b := index(from), index(to)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(b)) {
		old, had := a[name]
		switch now := b[name]; {
		case !had:
			out = append(out, "env "+name+" added")
		case reflect.DeepEqual(old, now):
		case now.Secret == nil && old.Secret == nil:
			out = append(out, fmt.Sprintf("env %s %s -> %s", name, short(old.Value), short(now.Value)))
		default:
			out = append(out, "env "+name+" has another source")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if _, has := b[name]; !has {
			out = append(out, "env "+name+" removed")
		}
	}
	if len(out) == 0 && !reflect.DeepEqual(from, to) {
		out = append(out, "env order changed")
	}
	return out
}

// short keeps a message on one line.
func short(s string) string {
	const limit = 40
	s = strings.ReplaceAll(s, "\n", " ")
	if s == "" {
		return `""`
	}
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "..."
	}
	return s
}

// Changes says in words why a pod has to be made anew.
func (p *Pod) Changes(from *Pod) []string {
	var out []string
	if from.Hostname != p.Hostname {
		out = append(out, fmt.Sprintf("hostname %s -> %s", from.Hostname, p.Hostname))
	}
	if !reflect.DeepEqual(from.Mounts, p.Mounts) || !reflect.DeepEqual(from.Dirs, p.Dirs) {
		out = append(out, "volumes changed")
	}
	for _, f := range []struct {
		what     string
		was, now any
	}{
		{"subdomain changed", from.Domain, p.Domain},
		{"hostAliases changed", from.HostAliases, p.HostAliases},
		{"dnsPolicy or dnsConfig changed", from.DNS, p.DNS},
		{"hostNetwork changed", from.HostNetwork, p.HostNetwork},
		{"sysctls changed", from.Sysctls, p.Sysctls},
		{"host ports changed", withoutLines(from.HostPorts), withoutLines(p.HostPorts)},
		{"hostIPC changed", from.HostIPC, p.HostIPC},
		{"shared processes changed", from.PID, p.PID},
		{"fsGroup or owners of files changed", from.Agent, p.Agent},
	} {
		if !reflect.DeepEqual(f.was, f.now) {
			out = append(out, f.what)
		}
	}
	if from.RestartPolicy != p.RestartPolicy {
		out = append(out, fmt.Sprintf("restartPolicy %s -> %s", from.RestartPolicy.word(), p.RestartPolicy.word()))
	}
	hashes := func(list []Container) (out []string) {
		for i := range list {
			if !list[i].Sidecar {
				out = append(out, list[i].Name+"="+list[i].Hash)
			}
		}
		return out
	}
	if !slices.Equal(hashes(from.Init), hashes(p.Init)) {
		out = append(out, "init containers changed")
	}
	return out
}

func (r RestartPolicy) word() string {
	if r == "" {
		return string(RestartAlways)
	}
	return string(r)
}

// Change is a difference that needs no new container: the gateway and the
// agents follow it.
type Change struct {
	Object string // "service frontend", "pod web-0"
	What   string
}

// LiveChanges lists what changed between two states that is followed live.
func LiveChanges(from, to *State) []Change {
	var out []Change
	add := func(object, format string, args ...any) {
		out = append(out, Change{object, fmt.Sprintf(format, args...)})
	}
	old := map[string]*Service{}
	for i := range from.Services {
		old[from.Services[i].Name] = &from.Services[i]
	}
	for i := range to.Services {
		now := &to.Services[i]
		was := old[now.Name]
		delete(old, now.Name)
		if was == nil {
			add("service "+now.Name, "added")
			continue
		}
		for _, what := range serviceChanges(was, now) {
			add("service "+now.Name, "%s", what)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		add("service "+name, "removed")
	}
	for _, c := range routeChanges(from.Routes, to.Routes) {
		add(c.Object, "%s", c.What)
	}
	pods := map[string]*Pod{}
	for i := range from.Pods {
		pods[from.Pods[i].Name] = &from.Pods[i]
	}
	for i := range to.Pods {
		if was := pods[to.Pods[i].Name]; was != nil {
			for _, what := range podLiveChanges(was, &to.Pods[i]) {
				add("pod "+to.Pods[i].Name, "%s", what)
			}
		}
	}
	return out
}

// routeChanges are those of whole Ingresses and HTTPRoutes.
func routeChanges(from, to []route.Rule) []Change {
	group := func(rules []route.Rule) map[string][]route.Rule {
		out := map[string][]route.Rule{}
		for _, r := range rules {
			out[r.Of] = append(out[r.Of], r)
		}
		return out
	}
	var out []Change
	was, now := group(from), group(to)
	for _, of := range slices.Sorted(maps.Keys(now)) {
		switch {
		case was[of] == nil:
			out = append(out, Change{of, "added"})
		case !reflect.DeepEqual(was[of], now[of]):
			out = append(out, Change{of, "changed"})
		}
	}
	for _, of := range slices.Sorted(maps.Keys(was)) {
		if now[of] == nil {
			out = append(out, Change{of, "removed"})
		}
	}
	return out
}

func serviceChanges(was, now *Service) []string {
	var out []string
	ports := map[string]ServicePort{}
	for _, p := range was.Ports {
		ports[p.Name] = p
	}
	for _, p := range now.Ports {
		o, had := ports[p.Name]
		delete(ports, p.Name)
		switch {
		case !had:
			out = append(out, fmt.Sprintf("port %s %d added", p.Name, p.Port))
		case o.Port != p.Port:
			out = append(out, fmt.Sprintf("port %s %d -> %d", p.Name, o.Port, p.Port))
		case o.Protocol != p.Protocol:
			out = append(out, fmt.Sprintf("port %s %s -> %s", p.Name, o.Protocol, p.Protocol))
		case o.HTTP2 != p.HTTP2:
			out = append(out, fmt.Sprintf("port %s speaks another protocol", p.Name))
		case retargeted(o.Targets, p.Targets):
			out = append(out, fmt.Sprintf("port %s has another target", p.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ports)) {
		out = append(out, "port "+name+" removed")
	}
	if was.Headless != now.Headless {
		out = append(out, fmt.Sprintf("headless %t -> %t", was.Headless, now.Headless))
	}
	if was.ExternalName != now.ExternalName {
		out = append(out, fmt.Sprintf("externalName %q -> %q", was.ExternalName, now.ExternalName))
	}
	if was.NotReady != now.NotReady {
		out = append(out, fmt.Sprintf("publishNotReadyAddresses %t -> %t", was.NotReady, now.NotReady))
	}
	if was.Affinity != now.Affinity || was.AffinityTimeout != now.AffinityTimeout {
		out = append(out, "sessionAffinity changed")
	}
	if !slices.Equal(was.Pods, now.Pods) {
		out = append(out, fmt.Sprintf("endpoints %d -> %d", len(was.Pods), len(now.Pods)))
	}
	if !slices.EqualFunc(was.Given, now.Given, func(a, b GivenEndpoint) bool { return a.IP == b.IP && maps.Equal(a.Ports, b.Ports) }) {
		out = append(out, "endpoints changed")
	}
	return out
}

// retargeted reports whether a pod that is in both has another port; pods that
// come or go are told as endpoints.
func retargeted(was, now map[string]int) bool {
	for pod, port := range now {
		if o, had := was[pod]; had && o != port {
			return true
		}
	}
	return false
}

func podLiveChanges(was, now *Pod) []string {
	var out []string
	if was.GracePeriod != now.GracePeriod {
		out = append(out, fmt.Sprintf("terminationGracePeriodSeconds %d -> %d", was.GracePeriod, now.GracePeriod))
	}
	files := map[string]File{}
	for _, v := range was.Files {
		for _, f := range v.Files {
			files[v.Dir+"/"+f.Path] = f
		}
	}
	for _, v := range now.Files {
		name := strings.TrimPrefix(v.Dir, volumesDir+"/")
		for _, f := range v.Files {
			if o, had := files[v.Dir+"/"+f.Path]; !had || !reflect.DeepEqual(o, f) {
				out = append(out, fmt.Sprintf("file %s of volume %s changed", f.Path, name))
			}
			delete(files, v.Dir+"/"+f.Path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		out = append(out, "file "+strings.TrimPrefix(path, volumesDir+"/")+" removed")
	}
	if was.ActiveDeadline != now.ActiveDeadline {
		out = append(out, fmt.Sprintf("activeDeadlineSeconds %d -> %d", was.ActiveDeadline, now.ActiveDeadline))
	}
	for _, c := range slices.Concat(now.Init, now.Containers) {
		if old := was.Container(c.Name); old != nil {
			out = append(out, containerLiveChanges(old, &c)...)
		}
	}
	return out
}

func containerLiveChanges(was, now *Container) []string {
	var out []string
	if !reflect.DeepEqual(was.Probes, now.Probes) {
		out = append(out, "probes of container "+now.Name+" changed")
	}
	if !reflect.DeepEqual(was.PreStop, now.PreStop) {
		out = append(out, "preStop hook of container "+now.Name+" changed")
	}
	if !reflect.DeepEqual(was.Dev.plain(), now.Dev.plain()) {
		out = append(out, "dev of container "+now.Name+" changed")
	}
	if was.Restart != now.Restart || !reflect.DeepEqual(was.RestartRules, now.RestartRules) {
		out = append(out, "restart rules of container "+now.Name+" changed")
	}
	return out
}
