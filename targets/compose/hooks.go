package compose

import (
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// addHooks has docker compose run the commands that belong to a container's
// start and stop.
func (p *replica) addHooks(service *yaml.Map, c *app.Container, path string) {
	if c.Lifecycle == nil {
		return
	}
	path += ".lifecycle"
	service.
		Opt("post_start", p.hook(c.Lifecycle.PostStart, path+".postStart", c.Lifecycle.Pos)).
		Opt("pre_stop", p.hook(c.Lifecycle.PreStop, path+".preStop", c.Lifecycle.Pos)).
		Opt("stop_signal", c.Lifecycle.StopSignal)
}

// hook is a list of the one command; Kubernetes expands no variables in it.
func (p *replica) hook(h *app.LifecycleHandler, path string, pos app.Pos) yaml.List {
	switch {
	case h == nil:
		return nil
	case h.Exec != nil:
		p.find("compose/hook", path, at(h.Pos, pos), "docker compose runs the command: not when the engine starts or stops the container by itself", "")
		return yaml.List{yaml.New().Set("command", oneLine(escapeAll(h.Exec.Command)))}
	case h.Sleep != nil:
		p.find("compose/hook-kind", path+".sleep", at(h.Pos, pos), "the wait is left out: Compose can only run a command", "run the image's own sleep by exec")
	default:
		p.find("compose/hook-kind", path, at(h.Pos, pos), "the request is left out: Compose can only run a command", "use exec")
	}
	return nil
}
