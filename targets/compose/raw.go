package compose

import (
	"fmt"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/unify"
	"github.com/cuepod/cuepod/targets/yaml"
)

func (r *renderer) reportRaw() { targets.ReportRaw(r.findings, "compose", r.app) }

// unify unifies a container's hatch with its service. A clash is told once for
// all replicas.
func (p *replica) unify(service *yaml.Map, c *app.Container, path string) {
	told := len(p.r.clashes)
	p.r.unify(service, besides(c.Compose), path+".compose", c.Pos)
	if !p.first {
		p.r.clashes = p.r.clashes[:told]
	}
}

// unify unifies a hatch with ours. Clashes are kept for the end, so that all
// are told at once.
func (r *renderer) unify(ours *yaml.Map, h *app.Hatch, path string, pos app.Pos) {
	if h == nil {
		return
	}
	at := unify.Place{Path: path, Beside: h.Beside, Pos: pos}
	r.clashes = append(r.clashes, unify.Into(ours, &h.Raw, unify.Lists{Key: noKey, Append: gathers}, at)...)
}

// checkNames refuses services of the app's hatch that have the name of a service
// of the app: the name would then resolve to both.
func (r *renderer) checkNames() {
	for i := range r.app.Services {
		s := &r.app.Services[i]
		if f := r.app.Compose.Field("services", s.Name); f != nil {
			r.clashes = append(r.clashes, fmt.Sprintf("%s: compose.services.%s: the name is already that of services.%s, at %s: rename one", f.Pos, s.Name, s.Name, s.Pos))
		}
	}
}

func noKey(string, any) string { return "" }

// gathers are the lists that Compose itself gathers from several files, as far
// as we write them.
func gathers(list string) bool {
	return slices.Contains([]string{"volumes", "configs", "secrets", "cap_add", "cap_drop", "group_add", "security_opt", "ports", "aliases"}, list)
}

// topLevel is the app's hatch. Of the app's own fields only the name has the
// same meaning in a Compose file.
func topLevel(h *app.Hatch) *app.Hatch {
	if h == nil {
		return nil
	}
	return &app.Hatch{Raw: h.Raw, Beside: map[string]app.Pos{"name": h.Beside["name"]}}
}

// besides gives the fields beside a container's hatch Compose's names. What
// has none is our own making: a clash with it is at the container's line.
func besides(h *app.Hatch) *app.Hatch {
	if h == nil {
		return nil
	}
	out := &app.Hatch{Raw: h.Raw, Beside: map[string]app.Pos{}}
	for ours, theirs := range map[string]string{
		"image": "image", "command": "entrypoint", "args": "command", "workingDir": "working_dir", "env": "environment",
		"volumeMounts": "volumes", "build": "build", "tty": "tty", "stdin": "stdin_open",
	} {
		if pos, ok := h.Beside[ours]; ok {
			out.Beside[theirs] = pos
		}
	}
	return out
}
