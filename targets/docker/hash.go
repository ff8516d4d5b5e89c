package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// hashOf is a short digest of a value's JSON: enough to tell two definitions
// apart, short enough for a label.
func hashOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("docker: a State is plain data and always marshals: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// infra is what only another infra container can give.
type infra struct {
	Domain      string            `json:",omitempty"`
	HostAliases []HostAlias       `json:",omitempty"`
	DNS         DNS               `json:",omitzero"`
	Sysctls     map[string]string `json:",omitempty"`
	HostPorts   []HostPort        `json:",omitempty"`
	HostIPC     bool              `json:",omitempty"`
	HostNetwork bool              `json:",omitempty"`
	PID         PIDNamespace      `json:",omitempty"`
	Agent       AgentRights       `json:",omitzero"`
}

func infraOf(p *Pod) *infra {
	return &infra{p.Domain, p.HostAliases, p.DNS, p.Sysctls, p.HostPorts, p.HostIPC, p.HostNetwork, p.PID, p.Agent}
}

// podHash covers what only a new pod can change.
func podHash(p *Pod, volumes []Volume) string {
	var init []string
	for i := range p.Init {
		if !p.Init[i].Sidecar {
			init = append(init, p.Init[i].Name+"="+p.Init[i].Hash)
		}
	}
	return hashOf(struct {
		Hostname string
		Mounts   []Mount
		Volumes  []Volume
		Dirs     []Dir `json:",omitempty"`
		Init     []string
		Restart  RestartPolicy `json:",omitempty"`
		Infra    infra         `json:",omitzero"`
	}{p.Hostname, p.Mounts, volumes, p.Dirs, init, p.RestartPolicy, *infraOf(p)})
}

// containerHash covers what only a new container can change: everything but
// the probes, the ports, the preStop hook, when it is restarted, what follows changes of files, how its image comes to be
// there, and the position.
func containerHash(c *Container) string {
	d := *c
	d.TCP, d.UDP = nil, nil
	d.Probes, d.Build, d.PullPolicy, d.Line, d.Hash = nil, nil, "", "", ""
	d.MessageFromLog = false
	d.PreStop, d.Restart, d.RestartRules = nil, "", nil
	d.Dev = c.syncTargets()
	return hashOf(d)
}

// Equal reports whether two states ask for the same thing; positions in the
// definition do not count.
func (s *State) Equal(o *State) bool {
	if s == nil || o == nil {
		return s == o
	}
	return hashOf(s) == hashOf(o)
}

// Equal reports whether two secret keys have the same source; positions in the
// definition do not count.
func (s Secret) Equal(o Secret) bool {
	s.Line, o.Line = "", ""
	return s == o
}

// Volume returns the volume of that name on the engine, or nil.
func (s *State) Volume(name string) *Volume {
	for i := range s.Volumes {
		if s.Volumes[i].Name == name {
			return &s.Volumes[i]
		}
	}
	return nil
}

// Pod returns the replica of that name, or nil.
func (s *State) Pod(name string) *Pod {
	for i := range s.Pods {
		if s.Pods[i].Name == name {
			return &s.Pods[i]
		}
	}
	return nil
}

// Job returns the job or CronJob of that name, or nil.
func (s *State) Job(name string) *Job {
	for i := range s.Jobs {
		if s.Jobs[i].Name == name {
			return &s.Jobs[i]
		}
	}
	return nil
}

// Lasting are the containers that run to stay: sidecars, then the regular ones.
func (p *Pod) Lasting() []*Container {
	var out []*Container
	for i := range p.Init {
		if p.Init[i].Sidecar {
			out = append(out, &p.Init[i])
		}
	}
	for i := range p.Containers {
		out = append(out, &p.Containers[i])
	}
	return out
}

// Container returns the init or app container of that name, or nil.
func (p *Pod) Container(name string) *Container {
	for i := range p.Init {
		if p.Init[i].Name == name {
			return &p.Init[i]
		}
	}
	for i := range p.Containers {
		if p.Containers[i].Name == name {
			return &p.Containers[i]
		}
	}
	return nil
}
