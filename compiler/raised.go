package compiler

import (
	"path/filepath"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"

	"github.com/cuepod/cuepod/compiler/app"
	schema "github.com/cuepod/cuepod/cue"
)

// What a file of another module lets a pod do beyond the ordinary is noted with
// its place, so that the app has to grant it. Where the app's own files set the
// field too, they are who raises it.

// raise notes a field of the object at hand that raises what its pod may do.
// path leads to it from the object.
func (d *decoder) raise(o object, right, value string, path ...string) {
	sels := make([]cue.Selector, len(path))
	for i, name := range path {
		sels[i] = cue.Str(name)
		if n, err := strconv.Atoi(name); err == nil {
			sels[i] = cue.Index(n)
		}
	}
	module, pos := d.places.foreign(o.v.LookupPath(cue.MakePath(sels...)))
	if module == "" {
		return
	}
	at := strings.Join(append(d.path[:len(d.path):len(d.path)], path...), ".")
	d.raised = append(d.raised, app.Raised{Right: right, Path: at, Value: value, Module: module, Pos: pos})
}

// foreign is the module whose file alone sets a value, and where; "" when one of
// the app's own files does, when the schema's module does, and when nobody knows.
func (p *places) foreign(v cue.Value) (module string, pos app.Pos) {
	for _, part := range p.written(v) {
		name := p.moduleOf(part.Pos())
		if name == "" {
			return "", app.Pos{}
		}
		if module == "" || module == schemaModule() {
			module, pos = name, p.pos(part.Pos())
		}
	}
	if module == schemaModule() {
		return "", app.Pos{}
	}
	return module, pos
}

// schemaModule is our own, whose components are as trusted as this program.
func schemaModule() string { return modulePath(schema.Module) }

func modulePath(s string) string {
	name, _, _ := strings.Cut(s, "@")
	return name
}

// moduleOf is the module of a file, or "" for the app's own and for a flag.
// Modules are in CUE's cache, or in the directories below cue.mod for those that
// somebody has copied there, whose names tell no more than where they are.
func (p *places) moduleOf(pos token.Pos) string {
	if p.rank(pos) == rankFlag {
		return ""
	}
	file := filepath.ToSlash(pos.Filename())
	if _, rest, ok := strings.Cut(file, "/mod/extract/"); ok {
		return modulePath(rest)
	}
	if rest, ok := strings.CutPrefix(file, filepath.ToSlash(p.root)+"/cue.mod/"); ok {
		if _, rest, ok = strings.Cut(rest, "/"); ok { // pkg, gen or usr
			return rest[:max(strings.LastIndexByte(rest, '/'), 0)]
		}
	}
	if p.rank(pos) == rankOther {
		return filepath.ToSlash(filepath.Dir(pos.Filename()))
	}
	return ""
}

// raisedInContainer looks for what a container may do.
func (d *decoder) raisedInContainer(o object, c *app.Container) {
	s := &c.SecurityContext
	const at = "securityContext"
	yes := func(b *bool) bool { return b != nil && *b }
	if yes(s.Privileged) {
		d.raise(o, "privileged", "true", at, "privileged")
	}
	if yes(s.AllowPrivilegeEscalation) {
		d.raise(o, "allowPrivilegeEscalation", "true", at, "allowPrivilegeEscalation")
	}
	if len(s.Capabilities.Add) > 0 {
		d.raise(o, "capabilities.add", strings.Join(s.Capabilities.Add, ", "), at, "capabilities", "add")
	}
	if s.ProcMount == "Unmasked" {
		d.raise(o, "procMount", s.ProcMount, at, "procMount")
	}
	d.raisedByBoth(o, s.RunAsUser, s.SeccompProfile, s.AppArmorProfile)
	for i := range c.Ports {
		if port := &c.Ports[i]; port.HostPort != 0 && !isLoopback(port.HostIP) {
			d.raise(o, "hostIP", port.HostIP, "ports", port.Name, "hostIP")
		}
	}
}

// isLoopback reports whether nobody beyond the machine reaches an address. A
// local run binds a port without one there.
func isLoopback(ip string) bool {
	return ip == "" || strings.HasPrefix(ip, "127.") || ip == "::1" || ip == "localhost"
}

// raisedByBoth looks at what a pod says for its containers, or one for itself.
func (d *decoder) raisedByBoth(o object, user *int64, seccomp *app.SeccompProfile, appArmor *app.AppArmorProfile) {
	const at, unconfined = "securityContext", "Unconfined"
	if user != nil && *user == 0 {
		d.raise(o, "runAsUser", "0", at, "runAsUser")
	}
	if seccomp != nil && seccomp.Type == unconfined {
		d.raise(o, "seccompProfile", unconfined, at, "seccompProfile", "type")
	}
	if appArmor != nil && appArmor.Type == unconfined {
		d.raise(o, "appArmorProfile", unconfined, at, "appArmorProfile", "type")
	}
}

// raisedInPod looks for what a pod shares with its node.
func (d *decoder) raisedInPod(o object, p *app.Pod) {
	for name, set := range map[string]bool{"hostNetwork": p.HostNetwork, "hostPID": p.HostPID, "hostIPC": p.HostIPC} {
		if set {
			d.raise(o, name, "true", name)
		}
	}
	s := &p.SecurityContext
	d.raisedByBoth(o, s.RunAsUser, s.SeccompProfile, s.AppArmorProfile)
}

// raisedInRaw looks through what is passed on as it is: hatches for Kubernetes and
// for Compose, and whole objects.
func (d *decoder) raisedInRaw(o object, path ...string) {
	sels := make([]cue.Selector, len(path))
	for i, name := range path {
		sels[i] = cue.Str(name)
	}
	if v := o.v.LookupPath(cue.MakePath(sels...)); v.Exists() {
		d.raisedInValue(v, o, path)
	}
}

func (d *decoder) raisedInValue(v cue.Value, o object, path []string) {
	below := func(name string, v cue.Value) {
		d.raisedInValue(v, o, append(path[:len(path):len(path)], name))
	}
	if items, err := v.List(); err == nil {
		for i := 0; items.Next(); i++ {
			below(strconv.Itoa(i), items.Value())
		}
		return
	}
	if fields, err := v.Fields(); err == nil {
		for fields.Next() {
			name := fields.Selector().Unquoted()
			if right, shown := rawRight(name, fields.Value()); right != "" {
				d.raise(o, right, shown, append(path[:len(path):len(path)], name)...)
				continue
			}
			below(name, fields.Value())
		}
	}
}

// rawRight is the right that a field of Kubernetes' API or of a Compose file
// raises with its value, or "".
func rawRight(name string, v cue.Value) (right, shown string) {
	text, _ := v.String()
	set, _ := v.Bool()
	number, err := v.Int64()
	root := err == nil && number == 0
	switch name {
	case "privileged", "allowPrivilegeEscalation", "hostNetwork", "hostPID", "hostIPC":
		if set {
			return name, "true"
		}
	case "hostPath":
		path, _ := v.LookupPath(cue.ParsePath("path")).String()
		return "hostPath", strconv.Quote(path)
	case "runAsUser":
		if root {
			return name, "0"
		}
	case "procMount":
		if text == "Unmasked" {
			return name, text
		}
	case "seccompProfile", "appArmorProfile":
		if kind, _ := v.LookupPath(cue.ParsePath("type")).String(); kind == "Unconfined" {
			return name, kind
		}
	case "capabilities":
		if add := v.LookupPath(cue.ParsePath("add")); add.Exists() {
			return "capabilities.add", show(add)
		}
	case "cap_add":
		return "capabilities.add", show(v)
	case "network_mode", "pid", "ipc":
		if text == "host" {
			return map[string]string{"network_mode": "hostNetwork", "pid": "hostPID", "ipc": "hostIPC"}[name], text
		}
	}
	return "", ""
}

// grantedElsewhere refuses grants that no file of the app's own makes.
func (d *decoder) grantedElsewhere(o object, a *app.App) {
	for i := range a.Grants {
		g := &a.Grants[i]
		module, pos := d.places.foreign(o.v.LookupPath(cue.MakePath(cue.Str("grants"), cue.Str(g.Module), cue.Str("allow"))))
		if module == "" {
			continue
		}
		d.problems = append(d.problems, Diagnostic{
			Pos:     g.Pos,
			Message: "grants." + strconv.Quote(g.Module) + ": module " + module + " grants it, at " + pos.String() + "; only the app's own files can",
			Hint:    "write it in a file of the app's, if you trust the module with that",
		})
	}
}
