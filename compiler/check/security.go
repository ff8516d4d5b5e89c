package check

import (
	"regexp"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// podSecurity checks what a pod shares with its node and as whom it runs.
func (c *checker) podSecurity(p *app.Pod, at place) {
	if isTrue(p.ShareProcessNamespace) && p.HostPID {
		at.field("shareProcessNamespace").refuse("the pod already shares the processes of its node").hint("leave hostPID or shareProcessNamespace out")
	}
	c.hostUsers(p, at)
	if p.OS != nil {
		at.field("os", "name").at(p.OS.Pos).oneOf(p.OS.Name, "linux", "windows")
	}
	s := &p.SecurityContext
	security := at.field("securityContext").at(s.Pos)
	security.field("runAsUser").id(s.RunAsUser)
	security.field("runAsGroup").id(s.RunAsGroup)
	security.field("fsGroup").id(s.FSGroup)
	for i := range s.SupplementalGroups {
		security.field("supplementalGroups").item(i).id(&s.SupplementalGroups[i])
	}
	c.sysctls(p, security.field("sysctls"))
	c.profiles(s.SeccompProfile, s.AppArmorProfile, security)
	c.windowsOptions(s.WindowsOptions, security.field("windowsOptions"))
	if s.SELinuxChangePolicy == "MountOption" {
		security.field("seLinuxChangePolicy").refuse("clusters do not know MountOption unless told to").hint("set it to \"Recursive\", or leave it out")
	} else {
		security.field("seLinuxChangePolicy").oneOf(s.SELinuxChangePolicy, "Recursive")
	}
	c.system(p, at)
}

// hostUsers refuses what a pod with users of its own cannot share.
func (c *checker) hostUsers(p *app.Pod, at place) {
	if p.HostUsers == nil || *p.HostUsers {
		return
	}
	for _, f := range []choice{{"hostNetwork", p.HostNetwork}, {"hostPID", p.HostPID}, {"hostIPC", p.HostIPC}} {
		if f.set {
			at.field(f.name).refuse("a pod with users of its own cannot share this with its node").hint("leave %s out, or hostUsers: false", f.name)
		}
	}
}

// sysctls checks kernel settings. One of a namespace that the pod shares with
// the node would be the node's.
func (c *checker) sysctls(p *app.Pod, at place) {
	seen := map[string]bool{}
	for i, s := range p.SecurityContext.Sysctls {
		at := at.item(i).at(s.Pos).field("name")
		name := strings.ReplaceAll(s.Name, "/", ".")
		if len(s.Name) > maxName || !sysctlName.MatchString(s.Name) {
			at.refuse("%q is not the name of a kernel setting", s.Name).hint("write it as \"net.core.somaxconn\"")
		}
		if seen[name] {
			at.refuse("%s is there twice", s.Name)
		}
		seen[name] = true
		ipc := slices.Contains([]string{"kernel.sem"}, name) || strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") || strings.HasPrefix(name, "fs.mqueue.")
		switch {
		case p.HostNetwork && strings.HasPrefix(name, "net."):
			at.refuse("with hostNetwork it would change the node's").hint("leave it out")
		case p.HostIPC && ipc:
			at.refuse("with hostIPC it would change the node's").hint("leave it out")
		}
	}
}

// profiles checks which system calls and files are allowed.
func (c *checker) profiles(seccomp *app.SeccompProfile, appArmor *app.AppArmorProfile, at place) {
	if seccomp != nil {
		at := at.field("seccompProfile").at(seccomp.Pos)
		c.localhostProfile(seccomp.Type, seccomp.LocalhostProfile, at)
		at.field("localhostProfile").below(seccomp.LocalhostProfile)
	}
	if appArmor != nil {
		at := at.field("appArmorProfile").at(appArmor.Pos)
		c.localhostProfile(appArmor.Type, appArmor.LocalhostProfile, at)
		if name := appArmor.LocalhostProfile; strings.TrimSpace(name) != name || len(name) > maxProfile {
			at.field("localhostProfile").refuse("%q is not the name of a profile", name).hint("it is without space around it, and has at most %d characters", maxProfile)
		}
	}
}

// maxProfile is how long the name of a profile can be: a path.
const maxProfile = 4095

func (c *checker) localhostProfile(kind, name string, at place) {
	switch {
	case kind == "Localhost" && strings.TrimSpace(name) == "":
		at.refuse("the type Localhost needs a profile").hint("add localhostProfile: NAME")
	case kind != "Localhost" && name != "":
		at.field("localhostProfile").refuse("the type %s has no localhostProfile", kind).hint("leave it out, or set type: \"Localhost\"")
	}
}

// security checks what a container may do.
func (c *checker) security(p *app.Pod, s *app.SecurityContext, at place) {
	at = at.at(s.Pos)
	at.field("runAsUser").id(s.RunAsUser)
	at.field("runAsGroup").id(s.RunAsGroup)
	if isTrue(s.Privileged) && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation {
		at.field("allowPrivilegeEscalation").refuse("a privileged container has all rights already").hint("leave privileged or allowPrivilegeEscalation out")
	}
	if s.ProcMount == "Unmasked" && (p.HostUsers == nil || *p.HostUsers) {
		at.field("procMount").refuse("Unmasked needs users of the pod's own").hint("add hostUsers: false to the pod")
	}
	c.capabilities(s, at.field("capabilities"))
	c.profiles(s.SeccompProfile, s.AppArmorProfile, at)
	c.windowsOptions(s.WindowsOptions, at.field("windowsOptions"))
}

// capabilities refuses the kernel's own spelling: a server knows it for some
// rules only, an engine for others.
func (c *checker) capabilities(s *app.SecurityContext, at place) {
	for _, name := range slices.Concat(s.Capabilities.Add, s.Capabilities.Drop) {
		if short, ok := strings.CutPrefix(name, "CAP_"); ok {
			at.refuse("%q is not valid; names are without CAP_", name).hint("write it as %q", short)
		}
	}
}

// Limits of Windows' user names and credentials, from Kubernetes'
// core/validation.
const (
	maxCredentialSpec = 64 << 10
	maxDomain         = 255
	maxUser           = 104
)

var (
	netBIOSDomain = regexp.MustCompile(`^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$`)
	windowsDomain = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)
)

func (c *checker) windowsOptions(w *app.WindowsSecurityContextOptions, at place) {
	if w == nil {
		return
	}
	at = at.at(w.Pos)
	at.field("gmsaCredentialSpecName").dnsName(w.GMSACredentialSpecName)
	if n := len(w.GMSACredentialSpec); n > maxCredentialSpec {
		at.field("gmsaCredentialSpec").refuse("it has %d bytes; Kubernetes allows %d", n, maxCredentialSpec)
	}
	if w.RunAsUserName != "" && !windowsUser(w.RunAsUserName) {
		at.field("runAsUserName").refuse("%q is not the name of a user", w.RunAsUserName).hint("it is USER or DOMAIN\\USER")
	}
}

func windowsUser(name string) bool {
	user := name
	if domain, rest, ok := strings.Cut(name, `\`); ok {
		if len(domain) > maxDomain || !netBIOSDomain.MatchString(domain) && !windowsDomain.MatchString(domain) {
			return false
		}
		user = rest
	}
	control := strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
	return !control && strings.Trim(user, ". ") != "" && len(user) <= maxUser && !strings.ContainsAny(user, `"/\:;|=,+*?<>@[]`)
}

// system refuses what the pod's operating system does not have.
func (c *checker) system(p *app.Pod, at place) {
	c.hostProcess(p, at)
	switch {
	case p.OS == nil:
	case p.OS.Name == "linux":
		c.eachSecurity(p, at, func(s *app.SecurityContext, at place) {
			c.notOn("Linux", at, choice{"windowsOptions", s.WindowsOptions != nil})
		})
		c.notOn("Linux", at.field("securityContext").at(p.SecurityContext.Pos), choice{"windowsOptions", p.SecurityContext.WindowsOptions != nil})
	case p.OS.Name == "windows":
		c.windowsPod(p, at)
		c.eachSecurity(p, at, c.windowsContainer)
	}
}

func (c *checker) eachSecurity(p *app.Pod, at place, check func(s *app.SecurityContext, at place)) {
	for i := range p.InitContainers {
		s := &p.InitContainers[i].SecurityContext
		check(s, at.field("initContainers", p.InitContainers[i].Name, "securityContext").at(p.InitContainers[i].Pos).at(s.Pos))
	}
	for i := range p.Containers {
		s := &p.Containers[i].SecurityContext
		check(s, at.field("containers", p.Containers[i].Name, "securityContext").at(p.Containers[i].Pos).at(s.Pos))
	}
}

func (c *checker) notOn(system string, at place, fields ...choice) {
	for _, f := range fields {
		if f.set {
			at.field(f.name).refuse("a pod for %s has none", system).hint("leave it out, or change the pod's os")
		}
	}
}

func (c *checker) windowsPod(p *app.Pod, at place) {
	c.notOn("Windows", at,
		choice{"hostUsers", p.HostUsers != nil}, choice{"hostPID", p.HostPID}, choice{"hostIPC", p.HostIPC},
		choice{"shareProcessNamespace", p.ShareProcessNamespace != nil})
	s := &p.SecurityContext
	c.notOn("Windows", at.field("securityContext").at(s.Pos),
		choice{"appArmorProfile", s.AppArmorProfile != nil}, choice{"seLinuxOptions", s.SELinuxOptions != nil},
		choice{"seccompProfile", s.SeccompProfile != nil}, choice{"fsGroup", s.FSGroup != nil},
		choice{"fsGroupChangePolicy", s.FSGroupChangePolicy != ""}, choice{"sysctls", len(s.Sysctls) > 0},
		choice{"runAsUser", s.RunAsUser != nil}, choice{"runAsGroup", s.RunAsGroup != nil},
		choice{"supplementalGroups", len(s.SupplementalGroups) > 0}, choice{"supplementalGroupsPolicy", s.SupplementalGroupsPolicy != ""},
		choice{"seLinuxChangePolicy", s.SELinuxChangePolicy != ""})
}

func (c *checker) windowsContainer(s *app.SecurityContext, at place) {
	c.notOn("Windows", at,
		choice{"appArmorProfile", s.AppArmorProfile != nil}, choice{"seLinuxOptions", s.SELinuxOptions != nil},
		choice{"seccompProfile", s.SeccompProfile != nil}, choice{"capabilities", len(s.Capabilities.Add)+len(s.Capabilities.Drop) > 0},
		choice{"readOnlyRootFilesystem", s.ReadOnlyRootFilesystem != nil}, choice{"privileged", s.Privileged != nil},
		choice{"allowPrivilegeEscalation", s.AllowPrivilegeEscalation != nil}, choice{"procMount", s.ProcMount != ""},
		choice{"runAsUser", s.RunAsUser != nil}, choice{"runAsGroup", s.RunAsGroup != nil})
}

// hostProcess checks containers that run as processes of a Windows node: all of
// a pod's, in the node's network.
func (c *checker) hostProcess(p *app.Pod, at place) {
	whole := p.SecurityContext.WindowsOptions != nil && isTrue(p.SecurityContext.WindowsOptions.HostProcess)
	count, all := 0, 0
	c.eachSecurity(p, at, func(s *app.SecurityContext, at place) {
		all++
		own := whole
		if w := s.WindowsOptions; w != nil && w.HostProcess != nil {
			own = *w.HostProcess
		}
		if own {
			count++
		}
	})
	if count == 0 {
		return
	}
	if count != all {
		at.refuse("some of its containers are hostProcess containers, and some are not").hint("set securityContext: windowsOptions: hostProcess: true for the whole pod")
	}
	if !p.HostNetwork {
		at.refuse("hostProcess containers are in the network of their node").hint("add hostNetwork: true")
	}
}
