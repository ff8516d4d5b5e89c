package compose

import (
	"fmt"
	"maps"
	"strconv"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// member is a service of a pod beside its holder: a container, or what tells
// that one has started.
type member struct {
	name    string // in the pod
	what    string
	service *yaml.Map
}

// members makes the services of the pod's containers: init containers one
// after the other, each sidecar as soon as it has started, then the containers,
// each started after the one before.
func (p *replica) members() ([]member, error) {
	var out []member
	wait := map[string]string{}
	if p.volumes.any() {
		wait[p.volumesName()] = "service_completed_successfully"
	}
	for i := range p.pod.InitContainers {
		c := &p.pod.InitContainers[i]
		as := initRole(c)
		service, err := p.member(c, "pods."+p.pod.Name+".initContainers."+c.Name, wait, as)
		if err != nil {
			return nil, fmt.Errorf("init container %s: %w", c.Name, err)
		}
		out = append(out, member{c.Name, "container " + c.Name, service})
		name, condition := p.memberName(c.Name), "service_completed_successfully"
		if as == sidecar {
			started, err := p.started(c)
			if err != nil {
				return nil, fmt.Errorf("init container %s: %w", c.Name, err)
			}
			if started != nil {
				out = append(out, member{c.Name + startedSuffix, "the start of container " + c.Name, started})
				name += startedSuffix
			} else {
				condition = sidecarCondition(c)
			}
		}
		wait = map[string]string{name: condition}
	}
	for i := range p.pod.Containers {
		c := &p.pod.Containers[i]
		service, err := p.member(c, "pods."+p.pod.Name+".containers."+c.Name, wait, mainContainer)
		if err != nil {
			return nil, fmt.Errorf("container %s: %w", c.Name, err)
		}
		out = append(out, member{c.Name, "container " + c.Name, service})
		wait = maps.Clone(wait)
		maps.DeleteFunc(wait, func(_, condition string) bool { return condition == "service_started" })
		wait[p.memberName(c.Name)] = "service_started"
	}
	return out, nil
}

// member is one container; path is its place in the definition.
func (p *replica) member(c *app.Container, path string, wait map[string]string, as role) (*yaml.Map, error) {
	env, err := p.environment(c, path)
	if err != nil {
		return nil, err
	}
	service := yaml.New().Set("image", escape(c.Image))
	p.addBuild(service, c, path)
	service.
		Opt("entrypoint", oneLine(texts(expandAll(c.Command, env.lookup)))).
		Opt("command", oneLine(texts(expandAll(c.Args, env.lookup)))).
		Opt("working_dir", escape(c.WorkingDir)).
		Set("network_mode", "service:"+p.name)
	p.addNamespaces(service)
	service.Opt("environment", env.yaml())
	if err := p.addMounts(service, c, env, path); err != nil {
		return nil, err
	}
	service.Opt("depends_on", conditions(wait))
	if as != initContainer {
		check, err := p.probes(c, path, as)
		if err != nil {
			return nil, err
		}
		service.Opt("healthcheck", check.yaml())
	}
	service.Set("restart", restart(p.pod, c, as))
	service.Opt("tty", c.TTY).Opt("stdin_open", c.Stdin)
	p.addHooks(service, c, path)
	service.Set("stop_grace_period", strconv.FormatInt(p.pod.TerminationGracePeriodSeconds, 10)+"s")
	if err := p.addResources(service, &c.Resources, path, c.Pos); err != nil {
		return nil, err
	}
	p.addSecurity(service, c, path)
	service.Opt("develop", p.watch(c, path))
	p.addMetadata(service)
	p.unify(service, c, path)
	return service, nil
}

// addNamespaces has the container share the pod's namespaces.
func (p *replica) addNamespaces(service *yaml.Map) {
	if p.pod.HostIPC {
		service.Set("ipc", "host")
	} else {
		service.Set("ipc", "service:"+p.name)
	}
	switch {
	case p.pod.HostPID:
		service.Set("pid", "host")
	case p.pod.ShareProcessNamespace != nil && *p.pod.ShareProcessNamespace:
		service.Set("pid", "service:"+p.name)
	}
	if p.pod.HostUsers != nil && *p.pod.HostUsers {
		service.Set("userns_mode", "host")
	}
}

func texts(list []text) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = t.String()
	}
	return out
}
