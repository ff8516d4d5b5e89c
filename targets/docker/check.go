package docker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// check makes the findings that depend on a field's value. The table makes
// those of fields whose every value is lost.
func (r *renderer) check() {
	for i := range r.app.Pods {
		r.checkPod(&r.app.Pods[i])
	}
	for i := range r.app.Services {
		r.checkService(&r.app.Services[i])
	}
	for i := range r.app.Claims {
		r.checkClaim("persistentVolumeClaims.", &r.app.Claims[i])
	}
}

// line is where a field is written, or what holds it.
func line(lines map[string]app.Pos, name string, otherwise app.Pos) app.Pos {
	if pos := lines[name]; pos.IsValid() {
		return pos
	}
	return otherwise
}

func posOr(pos, otherwise app.Pos) app.Pos {
	if pos.IsValid() {
		return pos
	}
	return otherwise
}

func (r *renderer) checkClaim(path string, c *app.Claim) {
	if c.VolumeMode == "Block" {
		r.findings.Add(codeBlockDevice, path+c.Name+".volumeMode", c.Pos, "there are no raw block devices: the claim is a directory", "")
	}
}

func (r *renderer) checkPod(p *app.Pod) {
	path := "pods." + p.Name + "."
	add := func(code, field, message, hint string) {
		r.findings.Add(code, path+field, line(p.Lines, field, p.Pos), message, hint)
	}
	for _, dep := range p.DependsOn {
		if !r.answers(dep.Service) {
			r.findings.Add("docker/depends-on", path+"dependsOn."+dep.Service, posOr(dep.Pos, p.Pos), "nobody waits: the service has no pods that stay", "")
		}
	}
	if p.HostUsers != nil && !*p.HostUsers {
		add(codeIsolation, "hostUsers", "root in the containers is what the engine makes it", "")
	}
	if isTrue(p.AutomountServiceAccountToken) {
		add(codeAccount, "automountServiceAccountToken", "there is no token: there is no Kubernetes API here", "")
	}
	r.checkRollout(p, path)
	r.checkVolumes(p, path)
	for i := range p.InitContainers {
		c := &p.InitContainers[i]
		at := path + "initContainers." + c.Name
		r.checkContainer(at, p, c)
	}
	for i := range p.Containers {
		r.checkContainer(path+"containers."+p.Containers[i].Name, p, &p.Containers[i])
	}
	r.checkSeccomp(path+"securityContext", p.SecurityContext.SeccompProfile, p.Pos)
}

// checkRollout tells what a rollout needs --strict for.
func (r *renderer) checkRollout(p *app.Pod, path string) {
	u := p.UpdateStrategy
	if u == nil || u.RollingUpdate == nil || r.opts.Strict {
		return
	}
	if s := u.RollingUpdate; s.MaxSurge != "" {
		r.findings.Add(codeRollout, path+"updateStrategy.rollingUpdate.maxSurge", posOr(s.Pos, posOr(u.Pos, p.Pos)),
			"containers are replaced within their pods, and no pod is added meanwhile", "`cuepod up --strict` rolls out new pods")
	}
}

func (r *renderer) checkVolumes(p *app.Pod, path string) {
	for _, v := range p.Volumes {
		e := v.EmptyDir
		if e == nil {
			continue
		}
		at := path + "volumes." + v.Name + ".emptyDir"
		if strings.HasPrefix(e.Medium, "HugePages") {
			r.findings.Add("docker/emptydir-medium", at+".medium", posOr(e.Pos, v.Pos), "huge pages are not used: the volume is on disk", "")
		}
		if e.SizeLimit != "" && e.Medium != "Memory" {
			r.findings.Add("docker/emptydir-size", at+".sizeLimit", posOr(e.Pos, v.Pos),
				"the size of a volume on disk is not limited", `medium: "Memory" keeps the limit`)
		}
	}
	for _, v := range p.Volumes {
		items := []app.DownwardAPIVolumeFile{}
		if v.DownwardAPI != nil {
			items = append(items, v.DownwardAPI.Items...)
		}
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				if s.DownwardAPI != nil {
					items = append(items, s.DownwardAPI.Items...)
				}
			}
		}
		for _, i := range items {
			if i.ResourceFieldRef != nil {
				if _, _, ok := resourceOf(i.ResourceFieldRef, p); !ok {
					r.allocatable(path+"volumes."+v.Name, posOr(i.Pos, v.Pos), i.ResourceFieldRef.Resource, "the file "+i.Path+" is not there")
				}
			}
		}
	}
	for i := range p.VolumeClaimTemplates {
		r.checkClaim(path+"volumeClaimTemplates.", &p.VolumeClaimTemplates[i])
	}
}

func (r *renderer) allocatable(path string, pos app.Pos, resource, what string) {
	r.findings.Add("docker/allocatable", path, pos, fmt.Sprintf("nothing sets %s, and what the machine has is not known: %s", resource, what), "")
}

func (r *renderer) checkContainer(path string, p *app.Pod, c *app.Container) {
	r.checkResources(path+".resources", c)
	r.checkPorts(path, p, c)
	r.checkSeccomp(path+".securityContext", c.SecurityContext.SeccompProfile, c.Pos)
	r.checkNetAdmin(path+".securityContext", p, c)
	for _, e := range c.Env {
		if ref := e.Source().ResourceFieldRef; ref != nil {
			if _, _, ok := resourceVar(ref, c, p); !ok {
				r.allocatable(path+".env."+e.Name, posOr(e.Pos, c.Pos), ref.Resource, "the variable is not set")
			}
		}
	}
	for _, m := range c.VolumeMounts {
		at := path + ".volumeMounts." + m.MountPath
		v := p.Volume(m.Name)
		if m.MountPropagation != "" && m.MountPropagation != "None" && (v == nil || v.HostPath == nil) {
			r.findings.Add(codeMountOption, at+".mountPropagation", posOr(m.Pos, c.Pos), "mounts in the volume are not passed on", "")
		}
		if m.RecursiveReadOnly == "Enabled" {
			r.findings.Add(codeMountOption, at+".recursiveReadOnly", posOr(m.Pos, c.Pos), "whether mounts in the volume can be written to is the engine's matter", "")
		}
	}
}

// checkNetAdmin tells of what can lead its pod's connections elsewhere: the rules
// are in the pod's own network, where a cluster has them on the node.
func (r *renderer) checkNetAdmin(path string, p *app.Pod, c *app.Container) {
	if p.HostNetwork {
		return // such a pod has no rules
	}
	s := &c.SecurityContext
	asks := func(name string) bool {
		name = strings.TrimPrefix(name, "CAP_")
		return name == "NET_ADMIN" || name == "ALL"
	}
	switch {
	case isTrue(s.Privileged):
		path += ".privileged"
	case slices.ContainsFunc(s.Capabilities.Add, asks):
		path += ".capabilities.add"
	default:
		return
	}
	r.findings.Add(codeNetAdmin, path, posOr(s.Pos, c.Pos), "the container can change the rules that lead its pod's connections to services", "")
}

func (r *renderer) checkSeccomp(path string, s *app.SeccompProfile, otherwise app.Pos) {
	if s != nil && s.Type == "Localhost" {
		r.findings.Add(codeIsolation, path+".seccompProfile", posOr(s.Pos, otherwise), "the engine's own seccomp profile is used: a node has the other", "")
	}
}

func (r *renderer) checkResources(path string, c *app.Container) {
	for kind, list := range map[string]map[string]app.Quantity{"requests": c.Resources.Requests, "limits": c.Resources.Limits} {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			if name != "cpu" && name != "memory" {
				r.findings.Add(codeResource, path+"."+kind+"."+name, c.Pos, "the engine neither sets aside nor limits "+name, "")
			}
		}
	}
}

// checkPorts tells what becomes of host ports.
func (r *renderer) checkPorts(path string, p *app.Pod, c *app.Container) {
	for _, port := range c.Ports {
		at := path + ".ports." + port.Name
		pos := posOr(port.Pos, c.Pos)
		if port.Protocol == "SCTP" {
			r.findings.Add("docker/sctp", at+".protocol", pos, "services carry TCP and UDP", "")
		}
		if port.HostPort == 0 {
			continue
		}
		if port.HostIP == "" && !p.HostNetwork {
			r.findings.Add("docker/loopback", at+".hostPort", pos, fmt.Sprintf("the host's port %d is bound on 127.0.0.1 only", port.HostPort), "hostIP names another address")
		}
		if replicas(p) > 1 && !p.HostNetwork {
			r.findings.Add("docker/host-port", at+".hostPort", pos, "one machine has the port once: the first replica has it", "")
		}
	}
}

func (r *renderer) checkService(s *app.Service) {
	path := "services." + s.Name + "."
	add := func(code, field, message string) {
		r.findings.Add(code, path+field, line(s.Lines, field, s.Pos), message, "")
	}
	for _, port := range s.Ports {
		if port.Protocol == "SCTP" {
			r.findings.Add("docker/sctp", path+"ports."+port.Name+".protocol", posOr(port.Pos, s.Pos), "services carry TCP and UDP: the port is not served", "")
		}
	}
	for i, e := range s.Endpoints {
		if ip, err := netip.ParseAddr(e.Address); err == nil && !ip.Is4() {
			r.findings.Add("docker/endpoint-address", fmt.Sprintf("%sendpoints[%d].address", path, i), posOr(e.Pos, s.Pos), "the app's network has IPv4 alone: nobody is sent to "+e.Address, "name the IPv4 address")
		}
	}
	if s.ClusterIP != "" && s.ClusterIP != "None" {
		add(codeAddress, "clusterIP", "the service has another address, of the app's network")
	}
	if s.ExternalTrafficPolicy == "Local" {
		add(codeAddress, "externalTrafficPolicy", "the address of a client from outside is not kept")
	}
	if slices.Contains(s.IPFamilies, "IPv6") {
		add(codeAddress, "ipFamilies", "the service has an IPv4 address alone")
	}
	if s.IPFamilyPolicy == "PreferDualStack" || s.IPFamilyPolicy == "RequireDualStack" {
		add(codeAddress, "ipFamilyPolicy", "the service has an IPv4 address alone")
	}
}
