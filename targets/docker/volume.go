package docker

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// volumesDir is where the infra container mounts what the agent fills.
const volumesDir = "/volumes"

// emptyDirMode is that of an empty directory that says nothing else.
const emptyDirMode = 0o777

// volume adds what the infra container has to mount and fill, and returns the
// engine volume that lives with the pod. A claim's volume lives with the app,
// and a path of the host is no volume.
func (r *renderer) volume(v *app.Volume, p *app.Pod, d *Pod) (Volume, bool) {
	if v.Claim != nil && !v.Claim.ReadOnly {
		r.shareClaim(v.Name, v.Claim.ClaimName, p, d)
	}
	if v.Claim != nil || v.HostPath != nil || v.Image != nil {
		return Volume{}, false
	}
	vol := Volume{Name: VolumeName(r.project, d.Name, v.Name), Pod: d.Name}
	dir := volumesDir + "/" + v.Name
	fill := func(kind VolumeKind, files []File) {
		vol.Kind = kind
		d.Files = append(d.Files, FileVolume{Dir: dir, Files: files, Group: p.SecurityContext.FSGroup})
	}
	switch {
	case v.ConfigMap != nil:
		fill(ConfigMap, r.configFiles(v.ConfigMap.Files()))
	case v.Secret != nil:
		fill(SecretVol, r.secretFiles(v.Secret.Files()))
	case v.DownwardAPI != nil:
		fill(ConfigMap, r.downwardFiles(v.DownwardAPI.Items, modeOr(v.DownwardAPI.DefaultMode, defaultFileMode), v.DownwardAPI.DefaultUser, p, d))
	case v.Projected != nil:
		kind := ConfigMap
		files, secret := r.projectedFiles(v.Projected, p, d)
		if secret {
			kind = SecretVol
		}
		fill(kind, files)
	default:
		vol.Kind, vol.Size = emptyDir(v.EmptyDir, p)
		mode := emptyDirMode
		if v.EmptyDir != nil {
			mode = modeOr(v.EmptyDir.Mode, mode)
		}
		d.Dirs = append(d.Dirs, Dir{Path: dir, Mode: &mode, Group: p.SecurityContext.FSGroup})
	}
	d.Mounts = append(d.Mounts, Mount{Volume: vol.Name, Path: dir})
	return vol, true
}

// emptyDir gives the kind of a volume that is empty at first, and its size: the
// least of its own limit and the pod's, 0 where there is none.
func emptyDir(e *app.EmptyDir, p *app.Pod) (VolumeKind, int64) {
	if e == nil || e.Medium != "Memory" {
		return EmptyDir, 0
	}
	size, _ := e.SizeLimit.Value() // checked by the compiler; "" gives 0
	if limit := podMemoryLimit(p); limit > 0 && (size == 0 || limit < size) {
		size = limit
	}
	return Memory, size
}

// shareClaim lets the agent give a claim's volume to the pod's group. A new
// volume of the engine belongs to root.
func (r *renderer) shareClaim(volume, claim string, p *app.Pod, d *Pod) {
	s := &p.SecurityContext
	if s.FSGroup == nil {
		return
	}
	path := volumesDir + "/" + volume
	d.Mounts = append(d.Mounts, Mount{Volume: ClaimName(r.project, claim), Path: path})
	d.Dirs = append(d.Dirs, Dir{Path: path, Group: s.FSGroup, OnRootMismatch: s.FSGroupChangePolicy == "OnRootMismatch"})
	d.Agent.need(capChown, capFowner, capSearch)
}

// Capabilities that the agent needs for what is not its own: to give it away,
// to change its mode, to look into directories that are closed to others, and to
// make some there.
const (
	capChown  = "CHOWN"
	capFowner = "FOWNER"
	capSearch = "DAC_READ_SEARCH"
	capWrite  = "DAC_OVERRIDE"
)

// need adds capabilities.
func (a *AgentRights) need(caps ...string) {
	for _, c := range caps {
		if !slices.Contains(a.Caps, c) {
			a.Caps = append(a.Caps, c)
		}
	}
	slices.Sort(a.Caps)
}

// setAgentRights lets the agent do what the pod's volumes ask for, and no more.
// In the group it may give the group its own files without a capability.
func setAgentRights(d *Pod, p *app.Pod) {
	if group := p.SecurityContext.FSGroup; group != nil && len(d.Files)+len(d.Dirs) > 0 {
		d.Agent.Groups = []string{strconv.FormatInt(*group, 10)}
	}
	for _, v := range d.Files {
		if slices.ContainsFunc(v.Files, func(f File) bool { return f.User != nil }) {
			d.Agent.need(capChown)
		}
	}
}

// readOnlyKind reports whether Kubernetes mounts a volume read-only whatever
// the mount says.
func readOnlyKind(v *app.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}

func (r *renderer) mount(m *app.VolumeMount, p *app.Pod, d *Pod) Mount {
	out := Mount{Path: m.MountPath, SubPath: m.SubPath, SubPathExpr: m.SubPathExpr, ReadOnly: m.ReadOnly}
	v := p.Volume(m.Name)
	switch {
	case v == nil: // a claim template: each replica has its own
		out.Volume = ClaimName(r.project, m.Name+"-"+d.Name)
	case v.Claim != nil:
		out.Volume = ClaimName(r.project, v.Claim.ClaimName)
		out.ReadOnly = out.ReadOnly || v.Claim.ReadOnly
	case v.HostPath != nil:
		r.hostMount(&out, v, p, m)
	case v.Image != nil:
		out.Image, out.PullPolicy, out.ReadOnly = v.Image.Reference, cmp.Or(v.Image.PullPolicy, app.DefaultPullPolicy(v.Image.Reference)), true
	default:
		out.Volume = VolumeName(r.project, d.Name, v.Name)
		out.ReadOnly = out.ReadOnly || readOnlyKind(v)
		out.Fixed = readOnlyKind(v) && out.hasSubPath()
	}
	return out
}

func (m *Mount) hasSubPath() bool { return m.SubPath != "" || m.SubPathExpr != "" }

// HasSubPaths reports whether a container mounts parts of volumes. They have to
// be there before it is made.
func (c *Container) HasSubPaths() bool {
	return slices.ContainsFunc(c.Mounts, func(m Mount) bool { return m.hasSubPath() })
}

// reachSubPaths lets the agent reach the volumes of which containers mount
// parts: it makes those that are missing, wherever in the volume that is.
func (r *renderer) reachSubPaths(d *Pod) {
	for _, list := range [][]Container{d.Init, d.Containers} {
		for i := range list {
			for _, m := range list[i].Mounts {
				if !m.hasSubPath() || m.Fixed || m.Image != "" {
					continue
				}
				d.Agent.need(capWrite)
				same := func(o Mount) bool { return o.Volume == m.Volume && o.HostPath == m.HostPath }
				if !slices.ContainsFunc(d.Mounts, same) {
					path := fmt.Sprintf("%s/.%d", volumesDir, len(d.Mounts)) // no volume has such a name
					d.Mounts = append(d.Mounts, Mount{Volume: m.Volume, HostPath: m.HostPath, Create: m.Create, HostType: m.HostType, Within: m.Within, Path: path})
				}
			}
		}
	}
}

// hostMount mounts a path of the host. One that the module has not brought
// with it is refused: a definition from elsewhere must not reach what is
// beside it by mistake. It is no wall against a hostile one, which may ask for
// a privileged container as well.
func (r *renderer) hostMount(out *Mount, v *app.Volume, p *app.Pod, m *app.VolumeMount) {
	out.HostPath = path.Clean(v.HostPath.Path)
	out.Create = v.HostPath.Type == "DirectoryOrCreate"
	switch m.MountPropagation {
	case "HostToContainer":
		out.Propagation = "rslave"
	case "Bidirectional":
		out.Propagation = "rshared"
	}
	out.HostType, out.Within = v.HostPath.Type, r.allowedDir(out.HostPath)
	at := fmt.Sprintf("pods.%s.volumes.%s.hostPath", p.Name, v.Name)
	switch socket := engineSocket(out.HostPath); {
	case out.Within == "":
		r.refuse(v.HostPath.Pos, "%s: %s is not in the module's directory; a local run mounts nothing else of the host unless --allow-host-path names it", at, out.HostPath)
	case socket != "" && !slices.Contains(r.opts.HostPaths, out.HostPath):
		r.refuse(v.HostPath.Pos, "%s: %s gives the container an engine's socket (%s), and with it the whole machine; if you want that, name this very path with --allow-host-path", at, out.HostPath, socket)
	}
}

// allowedDir is the directory that allows a path of the host, or "".
func (r *renderer) allowedDir(hostPath string) string {
	for _, dir := range append([]string{r.opts.Root}, r.opts.HostPaths...) {
		if dir != "" && (hostPath == path.Clean(dir) || strings.HasPrefix(hostPath, strings.TrimSuffix(dir, "/")+"/")) {
			return path.Clean(dir)
		}
	}
	return ""
}

// engineSocket is the socket of a container engine that a path of the host is,
// or that is usually below it, or "".
func engineSocket(hostPath string) string {
	switch path.Base(hostPath) {
	case "docker.sock", "podman.sock", "containerd.sock", "crio.sock", "buildkitd.sock":
		return hostPath
	}
	for _, socket := range []string{"/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock", "/var/run/crio/crio.sock"} {
		if strings.HasPrefix(socket, strings.TrimSuffix(hostPath, "/")+"/") {
			return socket
		}
	}
	return ""
}
