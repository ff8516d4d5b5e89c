package docker

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// setSecurity takes what the container says, and where it says nothing what
// its pod says.
func setSecurity(out *Container, s *app.SecurityContext, pod *app.PodSecurityContext) {
	out.CapAdd, out.CapDrop = s.Capabilities.Add, s.Capabilities.Drop
	out.ReadOnlyRoot = isTrue(s.ReadOnlyRootFilesystem)
	out.Privileged = isTrue(s.Privileged)
	// As in Kubernetes, a privileged process may gain what it has already.
	out.NewPrivileges = isTrue(s.AllowPrivilegeEscalation) || out.Privileged
	out.NonRoot = isTrue(cmp.Or(s.RunAsNonRoot, pod.RunAsNonRoot))
	out.User = userOf(cmp.Or(s.RunAsUser, pod.RunAsUser), cmp.Or(s.RunAsGroup, pod.RunAsGroup))
	groups := slices.Clone(pod.SupplementalGroups)
	if pod.FSGroup != nil {
		groups = append(groups, *pod.FSGroup)
	}
	for _, g := range groups {
		if id := strconv.FormatInt(g, 10); !slices.Contains(out.GroupAdd, id) {
			out.GroupAdd = append(out.GroupAdd, id)
		}
	}
	if profile := cmp.Or(s.SeccompProfile, pod.SeccompProfile); profile != nil {
		out.Unconfined = profile.Type == "Unconfined"
	}
	if profile := cmp.Or(s.AppArmorProfile, pod.AppArmorProfile); profile != nil {
		switch profile.Type {
		case "Unconfined":
			out.AppArmor = "unconfined"
		case "Localhost":
			out.AppArmor = profile.LocalhostProfile
		}
	}
	out.UnmaskedProc = s.ProcMount == "Unmasked"
}

func userOf(user, group *int64) string {
	switch {
	case user != nil && group != nil:
		return fmt.Sprintf("%d:%d", *user, *group)
	case user != nil:
		return strconv.FormatInt(*user, 10)
	case group != nil:
		return ":" + strconv.FormatInt(*group, 10)
	}
	return ""
}

// setSysctls has the infra container set kernel settings of what the pod's
// containers share: network and IPC. An engine refuses all others, which are the
// machine's.
func (r *renderer) setSysctls(d *Pod, p *app.Pod) {
	for _, s := range p.SecurityContext.Sysctls {
		name := strings.ReplaceAll(s.Name, "/", ".")
		if !ofNamespace(name) {
			r.refuse(posOr(s.Pos, p.Pos), "pods.%s.securityContext.sysctls: %s is a setting of the whole machine; a pod can set those of its network (net.*) and its IPC (kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*)", p.Name, s.Name)
			continue
		}
		if d.Sysctls == nil {
			d.Sysctls = map[string]string{}
		}
		d.Sysctls[name] = s.Value
	}
}

// ofNamespace reports whether a setting is of a namespace that pods have. Source:
// Kubernetes' component-helpers/node/util/sysctl.
func ofNamespace(name string) bool {
	return name == "kernel.sem" || slices.ContainsFunc([]string{"kernel.shm", "kernel.msg", "fs.mqueue.", "net."}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
