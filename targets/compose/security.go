package compose

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// security is the container's own security context over the pod's.
func security(pod *app.Pod, c *app.Container) app.SecurityContext {
	s, under := c.SecurityContext, &pod.SecurityContext
	s.RunAsUser = or(s.RunAsUser, under.RunAsUser)
	s.RunAsGroup = or(s.RunAsGroup, under.RunAsGroup)
	s.RunAsNonRoot = or(s.RunAsNonRoot, under.RunAsNonRoot)
	s.SELinuxOptions = or(s.SELinuxOptions, under.SELinuxOptions)
	s.SeccompProfile = or(s.SeccompProfile, under.SeccompProfile)
	s.AppArmorProfile = or(s.AppArmorProfile, under.AppArmorProfile)
	s.Pos = at(at(s.Pos, under.Pos), c.Pos)
	return s
}

func or[T any](own, under *T) *T {
	if own != nil {
		return own
	}
	return under
}

// at is the first of two positions that is known.
func at(pos, otherwise app.Pos) app.Pos {
	if pos.IsValid() {
		return pos
	}
	return otherwise
}

func isTrue(b *bool) bool { return b != nil && *b }

// addSecurity narrows the container. Privileges cannot be gained unless the
// definition says that they may.
func (p *replica) addSecurity(service *yaml.Map, c *app.Container, path string) {
	s := security(p.pod, c)
	path += ".securityContext"
	switch {
	case s.RunAsUser != nil && s.RunAsGroup != nil:
		service.Set("user", fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup))
	case s.RunAsUser != nil:
		service.Set("user", strconv.FormatInt(*s.RunAsUser, 10))
	case s.RunAsGroup != nil:
		p.find("compose/run-as-group", path+".runAsGroup", s.Pos, "the group is left out: Compose sets a group only together with a user", "set runAsUser as well")
	}
	if s.RunAsUser == nil && isTrue(s.RunAsNonRoot) {
		p.find("compose/run-as-non-root", path+".runAsNonRoot", s.Pos, "nothing refuses an image that runs as root", "set runAsUser as well")
	}
	service.Opt("group_add", groups(&p.pod.SecurityContext)).
		Opt("privileged", isTrue(s.Privileged)).
		Opt("read_only", isTrue(s.ReadOnlyRootFilesystem)).
		Opt("cap_add", yaml.Flow(s.Capabilities.Add)).
		Opt("cap_drop", yaml.Flow(s.Capabilities.Drop)).
		Opt("security_opt", p.securityOptions(&s, path))
}

// groups are the numbers of the groups that a pod's processes are in besides
// their own.
func groups(s *app.PodSecurityContext) yaml.Flow {
	var out yaml.Flow
	add := func(group int64) {
		if text := strconv.FormatInt(group, 10); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	if s.FSGroup != nil {
		add(*s.FSGroup)
	}
	for _, g := range s.SupplementalGroups {
		add(g)
	}
	return out
}

// mayGain reports whether a process may gain privileges. One that has them all
// anyway may, as in Kubernetes.
func mayGain(s *app.SecurityContext) bool {
	return isTrue(s.AllowPrivilegeEscalation) || isTrue(s.Privileged) || slices.Contains(s.Capabilities.Add, "SYS_ADMIN") || slices.Contains(s.Capabilities.Add, "CAP_SYS_ADMIN")
}

func (p *replica) securityOptions(s *app.SecurityContext, path string) yaml.Flow {
	var out yaml.Flow
	if !mayGain(s) {
		out = append(out, noNewPrivileges)
	}
	if profile := s.SeccompProfile; profile != nil {
		switch profile.Type {
		case "Unconfined":
			out = append(out, "seccomp=unconfined")
		case "Localhost":
			if profile == p.pod.SecurityContext.SeccompProfile { // told once
				path = "pods." + p.pod.Name + ".securityContext"
			}
			p.find("compose/profile", path+".seccompProfile", at(profile.Pos, s.Pos), "the engine's own seccomp profile is in the place of "+profile.LocalhostProfile+", which is a file of a node", "")
		}
	}
	if profile := s.AppArmorProfile; profile != nil {
		switch profile.Type {
		case "Unconfined":
			out = append(out, "apparmor=unconfined")
		case "Localhost":
			out = append(out, escape("apparmor="+profile.LocalhostProfile))
		}
	}
	if label := s.SELinuxOptions; label != nil {
		for _, part := range [][2]string{{"user", label.User}, {"role", label.Role}, {"type", label.Type}, {"level", label.Level}} {
			if part[1] != "" {
				out = append(out, escape("label="+part[0]+":"+part[1]))
			}
		}
	}
	if s.ProcMount == "Unmasked" {
		out = append(out, "systempaths=unconfined")
	}
	return out
}
