package compose

import (
	"maps"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// watch is what docker compose watch does when files change; nil for nothing.
func (p *replica) watch(c *app.Container, path string) *yaml.Map {
	if c.Dev == nil {
		return nil
	}
	d, path := c.Dev, path+".dev"
	say := func(code, field, says, hint string) { p.find(code, path+field, at(d.Pos, c.Pos), says, hint) }
	if len(d.Command) > 0 {
		say("compose/dev-command", ".command", "the command is left out: a Compose file has one, the container's own", "")
	}
	if d.Trigger == "paused" {
		return nil // nothing follows a change
	}
	triggers := p.triggers(c, say)
	if len(triggers) == 0 {
		return nil
	}
	if d.Trigger == "manual" {
		say("compose/dev-trigger", ".trigger", "docker compose watch follows each change at once", "")
	}
	if len(d.Sync) > 0 {
		say("compose/dev", ".sync", "docker compose watch copies the files, docker compose up does not", "")
	}
	return yaml.New().Set("watch", triggers)
}

// triggers are the watched paths, each with its action.
func (p *replica) triggers(c *app.Container, say func(code, field, says, hint string)) yaml.List {
	d := c.Dev
	copied, watched := "sync", ""
	switch d.OnChange {
	case "restart":
		copied, watched = "sync+restart", "restart"
	case "exec":
		copied = "sync+exec"
	case "signal":
		say("compose/dev-action", ".signal", "the files are copied and no signal is sent", "use onChange: \"exec\" with a command that sends it")
	case "rebuild":
		if c.Build == nil {
			say("compose/dev-rebuild", ".onChange", "the files are copied and nothing is rebuilt: the container has no build", "say how to build its image")
		} else {
			copied, watched = "rebuild", "rebuild"
		}
	}
	var out yaml.List
	trigger := func(from, action string) {
		t := yaml.New().Set("path", escape(relative(from)))
		if action != "rebuild" && action == copied {
			t.Set("target", escape(d.Sync[from])).Set("initial_sync", true)
		}
		t.Set("action", action)
		if len(d.Ignore) > 0 {
			t.Set("ignore", oneLine(escapeAll(d.Ignore)))
		}
		if action == "sync+exec" {
			t.Set("exec", yaml.New().Set("command", oneLine(escapeAll(d.Exec))))
		}
		out = append(out, t)
	}
	for _, from := range slices.Sorted(maps.Keys(d.Sync)) {
		trigger(from, copied)
	}
	for _, from := range d.Watch {
		if watched == "" {
			say("compose/dev-action", ".watch", "nothing follows a change in "+from+": docker compose watch runs a command only where it copies files", "copy it with sync")
			continue
		}
		trigger(from, watched)
	}
	return out
}
