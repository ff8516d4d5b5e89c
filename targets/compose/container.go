package compose

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// member is a container of a pod as a Compose service.
type member struct {
	container string
	service   *yaml.Map
}

// members makes the services of the pod's containers: init containers one
// after the other, then the containers, each started after the one before.
func (p *replica) members() ([]member, error) {
	var out []member
	wait := map[string]string{}
	if p.volumes.any() {
		wait[p.volumesName()] = "service_completed_successfully"
	}
	for i := range p.pod.InitContainers {
		c := &p.pod.InitContainers[i]
		service, err := p.member(c, "pods."+p.pod.Name+".initContainers."+c.Name, wait, true)
		if err != nil {
			return nil, fmt.Errorf("init container %s: %w", c.Name, err)
		}
		out = append(out, member{c.Name, service})
		wait = map[string]string{p.memberName(c.Name): "service_completed_successfully"}
	}
	for i := range p.pod.Containers {
		c := &p.pod.Containers[i]
		service, err := p.member(c, "pods."+p.pod.Name+".containers."+c.Name, wait, false)
		if err != nil {
			return nil, fmt.Errorf("container %s: %w", c.Name, err)
		}
		out = append(out, member{c.Name, service})
		wait = maps.Clone(wait)
		maps.DeleteFunc(wait, func(_, condition string) bool { return condition == "service_started" })
		wait[p.memberName(c.Name)] = "service_started"
	}
	return out, nil
}

// member is one container; path is its place in the definition.
func (p *replica) member(c *app.Container, path string, wait map[string]string, init bool) (*yaml.Map, error) {
	env, err := p.environment(c, path)
	if err != nil {
		return nil, err
	}
	service := yaml.New().
		Set("image", escape(c.Image)).
		Opt("pull_policy", pullPolicy(c.ImagePullPolicy)).
		Opt("entrypoint", oneLine(texts(expandAll(c.Command, env.lookup)))).
		Opt("command", oneLine(texts(expandAll(c.Args, env.lookup)))).
		Opt("working_dir", escape(c.WorkingDir)).
		Set("network_mode", "service:"+p.name).
		Set("ipc", "service:"+p.name).
		Opt("environment", env.yaml())
	if err := p.addMounts(service, c, path); err != nil {
		return nil, err
	}
	service.Opt("depends_on", conditions(wait))
	if init {
		service.Set("restart", "on-failure")
	} else {
		check, err := p.probes(c, path)
		if err != nil {
			return nil, err
		}
		service.Opt("healthcheck", check.yaml()).Set("restart", "unless-stopped")
	}
	service.Set("stop_grace_period", strconv.FormatInt(p.pod.TerminationGracePeriodSeconds, 10)+"s")
	if err := p.addResources(service, &c.Resources, path, c.Pos); err != nil {
		return nil, err
	}
	p.addSecurity(service, &c.SecurityContext, path)
	p.addMetadata(service)
	p.unify(service, c, path)
	return service, nil
}

func texts(list []text) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = t.String()
	}
	return out
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

// addResources sets limits as Kubernetes does on a node: memory without swap
// beside it, and CPU shares from the request, or from the limit without one.
func (p *replica) addResources(service *yaml.Map, res *app.Resources, path string, pos app.Pos) error {
	for _, list := range []map[string]app.Quantity{res.Requests, res.Limits} {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			if name != "cpu" && name != "memory" {
				p.find("compose/resource", path+".resources."+name, pos, "the resource "+name+" is left out: Docker has no such limit", "")
			}
		}
	}
	if err := addCPU(service, res); err != nil {
		return fmt.Errorf("cpu: %w", err)
	}
	if err := addMemory(service, res); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	return nil
}

func addCPU(service *yaml.Map, res *app.Resources) error {
	share := res.Requests["cpu"]
	if limit := res.Limits["cpu"]; limit != "" {
		milli, err := limit.Milli()
		if err != nil {
			return err
		}
		service.Set("cpus", strconv.FormatFloat(float64(max(milli, minMilli))/1000, 'f', -1, 64))
		if share == "" {
			share = limit
		}
	}
	if share != "" {
		milli, err := share.Milli()
		if err != nil {
			return err
		}
		service.Set("cpu_shares", min(max(milli*1024/1000, minShares), maxShares))
	}
	return nil
}

const (
	minMilli  = 10     // of a CPU: the kernel's shortest quota is 1 ms of 100
	minShares = 2      // the kernel's least weight
	maxShares = 262144 // and its greatest
)

func addMemory(service *yaml.Map, res *app.Resources) error {
	if limit := res.Limits["memory"]; limit != "" {
		size, err := limit.Value()
		if err != nil {
			return err
		}
		service.Set("mem_limit", bytes(size)).Set("memswap_limit", bytes(size))
	}
	if request := res.Requests["memory"]; request != "" {
		size, err := request.Value()
		if err != nil {
			return err
		}
		service.Set("mem_reservation", bytes(size))
	}
	return nil
}

// bytes writes a size in Compose's binary units.
func bytes(size int64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "g"}, {20, "m"}, {10, "k"}} {
		if size > 0 && size%(1<<unit.shift) == 0 {
			return strconv.FormatInt(size>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatInt(size, 10) + "b"
}

// addSecurity narrows the container. Privileges cannot be gained unless the
// definition says that they may.
func (p *replica) addSecurity(service *yaml.Map, s *app.SecurityContext, path string) {
	path += ".securityContext"
	switch {
	case s.RunAsUser != nil && s.RunAsGroup != nil:
		service.Set("user", fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup))
	case s.RunAsUser != nil:
		service.Set("user", strconv.FormatInt(*s.RunAsUser, 10))
	case s.RunAsGroup != nil:
		p.find("compose/run-as-group", path+".runAsGroup", s.Pos, "the group is left out: Compose sets a group only together with a user", "set runAsUser as well")
	}
	if s.RunAsUser == nil && s.RunAsNonRoot != nil && *s.RunAsNonRoot {
		p.find("compose/run-as-non-root", path+".runAsNonRoot", s.Pos, "nothing refuses an image that runs as root", "set runAsUser as well")
	}
	service.Opt("read_only", s.ReadOnlyRootFilesystem != nil && *s.ReadOnlyRootFilesystem).
		Opt("cap_add", yaml.Flow(s.Capabilities.Add)).
		Opt("cap_drop", yaml.Flow(s.Capabilities.Drop))
	if s.AllowPrivilegeEscalation == nil || !*s.AllowPrivilegeEscalation {
		service.Set("security_opt", yaml.Flow{noNewPrivileges})
	}
}
