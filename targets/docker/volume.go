package docker

import (
	"path"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// volumesDir is where the infra container mounts what the agent fills.
const volumesDir = "/volumes"

// volume adds what the infra container has to mount and fill, and returns the
// engine volume that lives with the pod. A claim's volume lives with the app,
// and a path of the host is no volume.
func (r *renderer) volume(v *app.Volume, p *app.Pod, d *Pod) (Volume, bool) {
	if v.Claim != nil && !v.Claim.ReadOnly {
		r.shareClaim(v.Name, v.Claim.ClaimName, p, d)
	}
	if v.Claim != nil || v.HostPath != nil {
		return Volume{}, false
	}
	vol := Volume{Name: VolumeName(r.project, d.Name, v.Name), Pod: d.Name}
	dir := volumesDir + "/" + v.Name
	fill := func(kind VolumeKind, files []File) {
		vol.Kind = kind
		d.Files = append(d.Files, FileVolume{Dir: dir, Files: files})
	}
	switch {
	case v.ConfigMap != nil:
		fill(ConfigMap, r.configFiles(v.ConfigMap.Files()))
	case v.Secret != nil:
		fill(SecretVol, r.secretFiles(v.Secret.Files()))
	case v.DownwardAPI != nil:
		fill(ConfigMap, r.downwardFiles(v.DownwardAPI.Items, modeOr(v.DownwardAPI.DefaultMode, defaultFileMode), p, d))
	case v.Projected != nil:
		kind := ConfigMap
		files, secret := r.projectedFiles(v.Projected, p, d)
		if secret {
			kind = SecretVol
		}
		fill(kind, files)
	case v.EmptyDir != nil && v.EmptyDir.Medium == "Memory":
		vol.Kind = Memory
		vol.Size, _ = v.EmptyDir.SizeLimit.Value() // checked by the compiler; "" gives 0, no limit
	default:
		vol.Kind = EmptyDir
	}
	d.Mounts = append(d.Mounts, Mount{Volume: vol.Name, Path: dir})
	return vol, true
}

// shareClaim lets the agent make a claim's volume one that the pod's group may
// write to. A new volume of the engine belongs to root.
func (r *renderer) shareClaim(volume, claim string, p *app.Pod, d *Pod) {
	if p.SecurityContext.FSGroup != nil {
		d.Mounts = append(d.Mounts, Mount{Volume: ClaimName(r.project, claim), Path: volumesDir + "/" + volume})
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
	default:
		out.Volume = VolumeName(r.project, d.Name, v.Name)
		out.ReadOnly = out.ReadOnly || readOnlyKind(v)
	}
	return out
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
	if !r.mayMount(out.HostPath) {
		r.refuse(v.HostPath.Pos, "pods.%s.volumes.%s.hostPath: %s is not in the module's directory; a local run mounts nothing else of the host unless --allow-host-path names it", p.Name, v.Name, out.HostPath)
	}
}

func (r *renderer) mayMount(hostPath string) bool {
	for _, dir := range append([]string{r.opts.Root}, r.opts.HostPaths...) {
		if dir != "" && (hostPath == dir || strings.HasPrefix(hostPath, strings.TrimSuffix(dir, "/")+"/")) {
			return true
		}
	}
	return false
}
