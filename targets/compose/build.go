package compose

import (
	"maps"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// addBuild says where the image comes from. One that is built is not pulled.
func addBuild(service *yaml.Map, c *app.Container) {
	if c.Build == nil {
		service.Opt("pull_policy", pullPolicy(c.ImagePullPolicy))
		return
	}
	service.Set("build", yaml.New().
		Set("context", escape(relative(c.Build.Context))).
		Opt("dockerfile", escape(dockerfile(c.Build.Dockerfile))).
		Opt("target", escape(c.Build.Target)).
		Opt("args", escapeMap(c.Build.Args)))
}

// dockerfile leaves out what is Compose's default.
func dockerfile(name string) string {
	if name == "Dockerfile" {
		return ""
	}
	return name
}

// pullPolicy leaves out what is Compose's default.
func pullPolicy(policy string) string {
	switch policy {
	case "Always":
		return "always"
	case "Never":
		return "never"
	}
	return ""
}

// watch is what docker compose watch does when files change; nil for nothing.
func (p *replica) watch(c *app.Container, path string) *yaml.Map {
	if c.Dev == nil {
		return nil
	}
	path += ".dev"
	if len(c.Dev.Command) > 0 {
		p.find("compose/dev-command", path+".command", at(c.Dev.Pos, c.Pos), "the command is left out: a Compose file has one, the container's own", "")
	}
	action := "sync"
	switch c.Dev.OnChange {
	case "restart":
		action = "sync+restart"
	case "rebuild":
		if c.Build == nil {
			p.find("compose/dev-rebuild", path+".onChange", at(c.Dev.Pos, c.Pos), "the files are copied and nothing is rebuilt: the container has no build", "say how to build its image")
		} else {
			action = "rebuild"
		}
	}
	triggers := yaml.List{}
	for _, from := range slices.Sorted(maps.Keys(c.Dev.Sync)) {
		triggers = append(triggers, yaml.New().
			Set("path", escape(relative(from))).
			Set("target", escape(c.Dev.Sync[from])).
			Set("action", action))
	}
	if len(triggers) == 0 {
		return nil
	}
	p.find("compose/dev", path+".sync", at(c.Dev.Pos, c.Pos), "docker compose watch copies the files, docker compose up does not", "")
	return yaml.New().Set("watch", triggers)
}
