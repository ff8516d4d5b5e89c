package compose_test

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// shape is what a service is apart from its texts: what it joins, may do and
// mounts.
type shape struct {
	NetworkMode string            `yaml:"network_mode"`
	Ipc         string            `yaml:"ipc"`
	Pid         string            `yaml:"pid"`
	Hostname    string            `yaml:"hostname"`
	Restart     string            `yaml:"restart"`
	User        string            `yaml:"user"`
	StopSignal  string            `yaml:"stop_signal"`
	Tty         bool              `yaml:"tty"`
	StdinOpen   bool              `yaml:"stdin_open"`
	Privileged  bool              `yaml:"privileged"`
	ReadOnly    bool              `yaml:"read_only"`
	GroupAdd    []string          `yaml:"group_add"`
	SecurityOpt []string          `yaml:"security_opt"`
	CapAdd      []string          `yaml:"cap_add"`
	CapDrop     []string          `yaml:"cap_drop"`
	DNS         []string          `yaml:"dns"`
	DNSSearch   []string          `yaml:"dns_search"`
	DNSOpts     []string          `yaml:"dns_opt"`
	ExtraHosts  []string          `yaml:"extra_hosts"`
	Profiles    []string          `yaml:"profiles"`
	Sysctls     map[string]string `yaml:"sysctls"`
	PostStart   []hook            `yaml:"post_start"`
	PreStop     []hook            `yaml:"pre_stop"`
	Volumes     []mounted         `yaml:"volumes"`
	Build       *built            `yaml:"build"`
	Develop     struct {
		Watch []trigger `yaml:"watch"`
	} `yaml:"develop"`
}

type hook struct {
	Command []string `yaml:"command"`
}

type mounted struct {
	Type     string `yaml:"type"`
	Source   string `yaml:"source"`
	Target   string `yaml:"target"`
	ReadOnly bool   `yaml:"read_only"`
	Bind     struct {
		Propagation string `yaml:"propagation"`
		Create      bool   `yaml:"create_host_path"`
	} `yaml:"bind"`
	Volume struct {
		Nocopy  bool   `yaml:"nocopy"`
		Subpath string `yaml:"subpath"`
	} `yaml:"volume"`
}

type built struct {
	Context    string            `yaml:"context"`
	Dockerfile string            `yaml:"dockerfile"`
	Target     string            `yaml:"target"`
	Args       map[string]string `yaml:"args"`
	Inline     string            `yaml:"dockerfile_inline"`
	CacheFrom  []string          `yaml:"cache_from"`
	Platforms  []string          `yaml:"platforms"`
	Secrets    []buildSecret     `yaml:"secrets"`
}

type buildSecret struct {
	Source string `yaml:"source"`
	Target string `yaml:"target"`
}

type trigger struct {
	Path   string `yaml:"path"`
	Target string `yaml:"target"`
	Action string `yaml:"action"`
}

// unescaped is the written shape with single dollar signs, in the order and with
// the defaults in which compose-go has it.
func (s shape) unescaped(env map[string]string) shape {
	for _, list := range []*[]string{&s.SecurityOpt, &s.ExtraHosts, &s.DNSSearch, &s.DNSOpts} {
		*list = unescapeAll(*list, env)
	}
	slices.Sort(s.ExtraHosts)
	s.Sysctls = unescapeMap(s.Sysctls, env)
	for _, hooks := range [][]hook{s.PostStart, s.PreStop} {
		for i := range hooks {
			hooks[i].Command = unescapeAll(hooks[i].Command, env)
		}
	}
	for i := range s.Volumes {
		v := &s.Volumes[i]
		v.Source, v.Target, v.Volume.Subpath = unescape(v.Source, env), unescape(v.Target, env), unescape(v.Volume.Subpath, env)
	}
	if s.Build != nil {
		s.Build.Args = unescapeMap(s.Build.Args, env)
		if s.Build.Inline = unescape(s.Build.Inline, env); s.Build.Inline == "" {
			s.Build.Dockerfile = cmp.Or(s.Build.Dockerfile, "Dockerfile")
		}
		s.Build.Context = filepath.Clean(s.Build.Context)
	}
	for i := range s.Develop.Watch {
		s.Develop.Watch[i].Path = filepath.Clean(s.Develop.Watch[i].Path)
	}
	return s
}

// shapeOf is what compose-go has read, paths below dir relative to it again.
func shapeOf(s *types.ServiceConfig, dir string) shape {
	relative := func(path string) string {
		if rest, err := filepath.Rel(dir, path); err == nil {
			return rest
		}
		return path
	}
	out := shape{
		NetworkMode: s.NetworkMode, Ipc: s.Ipc, Pid: s.Pid, Hostname: s.Hostname, Restart: s.Restart, User: s.User, StopSignal: s.StopSignal,
		Tty: s.Tty, StdinOpen: s.StdinOpen, Privileged: s.Privileged, ReadOnly: s.ReadOnly,
		GroupAdd: s.GroupAdd, SecurityOpt: s.SecurityOpt, CapAdd: s.CapAdd, CapDrop: s.CapDrop,
		DNS: s.DNS, DNSSearch: s.DNSSearch, DNSOpts: s.DNSOpts, Profiles: s.Profiles, Sysctls: s.Sysctls,
		PostStart: hooks(s.PostStart), PreStop: hooks(s.PreStop),
	}
	for host, addresses := range s.ExtraHosts {
		for _, address := range addresses {
			out.ExtraHosts = append(out.ExtraHosts, host+"="+strings.Trim(address, "[]"))
		}
	}
	slices.Sort(out.ExtraHosts)
	for _, v := range s.Volumes {
		m := mounted{Type: v.Type, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly}
		if v.Bind != nil {
			m.Bind.Propagation, m.Bind.Create = v.Bind.Propagation, bool(v.Bind.CreateHostPath)
		}
		if v.Volume != nil {
			m.Volume.Nocopy, m.Volume.Subpath = v.Volume.NoCopy, v.Volume.Subpath
		}
		out.Volumes = append(out.Volumes, m)
	}
	if b := s.Build; b != nil {
		out.Build = &built{Context: relative(b.Context), Dockerfile: b.Dockerfile, Target: b.Target, Args: map[string]string{},
			Inline: b.DockerfileInline, CacheFrom: b.CacheFrom, Platforms: b.Platforms}
		for _, secret := range b.Secrets {
			out.Build.Secrets = append(out.Build.Secrets, buildSecret{secret.Source, secret.Target})
		}
		for name, value := range b.Args {
			out.Build.Args[name] = *value
		}
	}
	if s.Develop != nil {
		for _, w := range s.Develop.Watch {
			out.Develop.Watch = append(out.Develop.Watch, trigger{Path: relative(w.Path), Target: w.Target, Action: string(w.Action)})
		}
	}
	return out
}

func hooks(list []types.ServiceHook) []hook {
	var out []hook
	for _, h := range list {
		out = append(out, hook{Command: h.Command})
	}
	return out
}
