package compose

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// Where the service that prepares a replica's volumes has them, and where
// Compose puts the files that it copies into them.
const (
	volumesDir = "/volumes/"
	filesDir   = "/files/"
)

// volumes is what a replica's volumes need.
type volumes struct {
	args    []string         // of the holder's program "fill"
	mounts  yaml.List        // of the service that fills
	mounted []string         // where, among them
	configs yaml.List        // files that Compose copies into it
	secrets yaml.List        // the same
	pinned  yaml.List        // mounts of the holder: volumes in memory live as long as someone mounts them
	places  map[string]place // volume of the pod to where it is
	parts   bool             // containers mount parts of volumes, for which directories have to be made
	group   *int64           // that may use the volumes
}

// place is where a volume of the pod is: in a volume of the file, on the host, or
// in an image.
type place struct {
	volume   string
	bind     string
	create   bool // whether bind is made when it is missing
	image    string
	readOnly bool
	files    []volumeFile // of a volume of files
	mode     int          // of files
}

// mount has the service that fills see a volume, once.
func (v *volumes) mount(name, at string) {
	if !slices.Contains(v.mounted, at) {
		v.mounted = append(v.mounted, at)
		v.mounts = append(v.mounts, mount(name, at, false, ""))
	}
}

func (v *volumes) any() bool       { return len(v.args) > 0 || v.parts }
func (v *volumes) pins() yaml.List { return v.pinned }

// fillDir has a directory made that everybody may write to, or the pod's group,
// while it is empty, as the kubelet makes an emptyDir.
func (v *volumes) fillDir(name, at, dir string, options ...string) {
	if slices.Contains(v.args, "--dir="+dir) {
		return
	}
	v.args = append(v.args, "--dir="+dir)
	v.args = append(v.args, options...)
	v.args = append(v.args, v.ofGroup()...)
	v.mount(name, at)
}

// ofGroup is the option that gives a volume to the pod's group.
func (v *volumes) ofGroup() []string {
	if v.group == nil {
		return nil
	}
	return []string{fmt.Sprintf("--group=%d", *v.group)}
}

// service is the one that makes the volumes usable, or nil.
func (v *volumes) service(p *replica) *yaml.Map {
	if !v.any() {
		return nil
	}
	s := p.r.holderService(append([]string{"fill"}, v.args...)).
		Set("network_mode", "none").
		Opt("volumes", v.mounts).
		Opt("configs", v.configs).
		Opt("secrets", v.secrets)
	if len(v.pinned) > 0 {
		s.Set("depends_on", conditions(map[string]string{p.name: "service_started"}))
	}
	// Volumes belong to whoever filled them first, and secret files to
	// whoever made them.
	capabilities := []string{"DAC_OVERRIDE", "FOWNER"}
	if v.group != nil {
		capabilities = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"}
	}
	return p.addMetadata(confine(s, capabilities...))
}

func (p *replica) planVolumes() error {
	p.volumes = &volumes{places: map[string]place{}, group: p.pod.SecurityContext.FSGroup}
	for i := range p.pod.Volumes {
		v := &p.pod.Volumes[i]
		if err := p.planVolume(v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	for i := range p.pod.VolumeClaimTemplates {
		c := &p.pod.VolumeClaimTemplates[i]
		if err := p.planTemplate(c); err != nil {
			return fmt.Errorf("volumeClaimTemplate %s: %w", c.Name, err)
		}
	}
	for _, c := range containers(p.pod) {
		for _, m := range c.VolumeMounts {
			at := p.volumes.places[m.Name]
			p.volumes.parts = p.volumes.parts || at.volume != "" && at.files == nil && (m.SubPath != "" || m.SubPathExpr != "")
		}
	}
	return nil
}

func (p *replica) planVolume(v *app.Volume) error {
	where := "pods." + p.pod.Name + ".volumes." + v.Name
	switch {
	case v.Claim != nil:
		return p.planClaim(v)
	case v.HostPath != nil:
		p.planHostPath(v, where)
		return nil
	case v.Image != nil:
		p.find("compose/image-volume", where+".image", v.Pos, "the image's files need Docker Engine 28 and Docker Compose 2.35 or later", "")
		p.volumes.places[v.Name] = place{image: v.Image.Reference, readOnly: true}
		return nil
	}
	name := p.name + "-" + v.Name
	if err := p.r.take("volume "+name, "volume "+v.Name+" of replica "+p.name); err != nil {
		return err
	}
	p.volumes.places[v.Name] = place{volume: name}
	switch {
	case v.EmptyDir != nil:
		return p.planEmptyDir(v, name, where)
	case v.NFS != nil:
		p.planNFS(v, name)
		return nil
	case v.ConfigMap != nil, v.Secret != nil, v.Projected != nil, v.DownwardAPI != nil:
		return p.planFiles(v, name, where)
	case v.Ephemeral != nil:
		p.planEphemeral(v, name, where)
		return nil
	case v.HasSource(), v.Kubernetes != nil: // a volume of a cluster's: the tables say so
		p.r.volumes.Set(name, yaml.New())
		p.fillDir(name, v.Name)
		return nil
	}
	return fmt.Errorf("it has no source")
}

// fillDir has a volume of the file made usable.
func (p *replica) fillDir(name, volume string, options ...string) {
	p.volumes.fillDir(name, volumesDir+volume, volumesDir+volume, options...)
}

// inMemory is a volume of the engine's local driver that is a tmpfs.
func inMemory(options string) *yaml.Map {
	return yaml.New().Set("driver", "local").
		Set("driver_opts", yaml.New().Set("type", "tmpfs").Set("device", "tmpfs").Set("o", options))
}

// pin keeps a volume in memory as long as the replica.
func (p *replica) pin(name, volume string) {
	p.volumes.pinned = append(p.volumes.pinned, mount(name, volumesDir+volume, true, ""))
}

func (p *replica) planEmptyDir(v *app.Volume, name, where string) error {
	mode := 0o777
	if v.EmptyDir.Mode != nil {
		mode = *v.EmptyDir.Mode
	}
	if v.EmptyDir.Medium == "Memory" {
		return p.planMemory(v, name, mode)
	}
	p.r.volumes.Set(name, yaml.New())
	var options []string
	if v.EmptyDir.Mode != nil {
		options = append(options, fmt.Sprintf("--mode=:%04o", mode))
	}
	p.fillDir(name, v.Name, options...)
	p.find("compose/empty-dir", where, v.Pos, "the volume stays until docker compose down --volumes", "")
	if v.EmptyDir.Medium != "" {
		p.find("compose/huge-pages", where+".emptyDir.medium", v.Pos, "the volume is on disk: the engine has none of huge pages", "")
	}
	if v.EmptyDir.SizeLimit != "" {
		p.find("compose/size-limit", where+".emptyDir.sizeLimit", v.Pos, "the volume has no limit", "medium: Memory has one")
	}
	return nil
}

func (p *replica) planMemory(v *app.Volume, name string, mode int) error {
	group := ""
	if p.volumes.group != nil {
		mode |= 0o2770
		group = fmt.Sprintf(",gid=%d", *p.volumes.group)
	}
	options := fmt.Sprintf("mode=%04o", mode) + group
	if v.EmptyDir.SizeLimit != "" {
		size, err := v.EmptyDir.SizeLimit.Value()
		if err != nil {
			return fmt.Errorf("size limit: %w", err)
		}
		options += fmt.Sprintf(",size=%d", size)
	}
	p.r.volumes.Set(name, inMemory(options))
	p.pin(name, v.Name)
	return nil
}

// planHostPath mounts a path of the machine that the engine runs on.
func (p *replica) planHostPath(v *app.Volume, where string) {
	kind := v.HostPath.Type
	if kind == "FileOrCreate" {
		p.find("compose/host-path", where+".hostPath.type", at(v.HostPath.Pos, v.Pos), "the file is not made when it is missing: the start fails", "")
	}
	p.volumes.places[v.Name] = place{bind: v.HostPath.Path, create: kind == "" || kind == "DirectoryOrCreate"}
}

// planNFS has the engine mount the share.
func (p *replica) planNFS(v *app.Volume, name string) {
	options := "addr=" + v.NFS.Server
	if v.NFS.ReadOnly {
		options += ",ro"
	}
	p.r.volumes.Set(name, yaml.New().Set("driver", "local").Set("driver_opts", yaml.New().
		Set("type", "nfs").Set("o", escape(options)).Set("device", escape(":"+v.NFS.Path))))
	p.volumes.places[v.Name] = place{volume: name, readOnly: v.NFS.ReadOnly}
}

// planClaim has the engine keep the claim; all pods that mount it share it.
func (p *replica) planClaim(v *app.Volume) error {
	c := p.r.app.Claim(v.Claim.ClaimName)
	if c == nil {
		return fmt.Errorf("there is no claim %s", v.Claim.ClaimName)
	}
	owner := "claim " + c.Name
	if p.r.taken["volume "+c.Name] != owner {
		if err := p.r.take("volume "+c.Name, owner); err != nil {
			return err
		}
		p.r.volumes.Set(c.Name, p.r.claimed(c.Labels))
		p.r.claimFindings(c, "persistentVolumeClaims."+c.Name)
	}
	p.volumes.places[v.Name] = place{volume: c.Name, readOnly: v.Claim.ReadOnly}
	p.fillDir(c.Name, v.Name)
	return nil
}

// planTemplate gives the replica of a StatefulSet its own claim, under
// Kubernetes' name.
func (p *replica) planTemplate(c *app.Claim) error {
	name := c.Name + "-" + p.name
	if err := p.r.take("volume "+name, "claim "+c.Name+" of replica "+p.name); err != nil {
		return err
	}
	p.r.volumes.Set(name, p.r.claimed(c.Labels))
	if p.first {
		p.r.claimFindings(c, "pods."+p.pod.Name+".volumeClaimTemplates."+c.Name)
	}
	p.volumes.places[c.Name] = place{volume: name}
	p.fillDir(name, c.Name)
	return nil
}

// planEphemeral gives the replica a claim that is meant to go with it.
func (p *replica) planEphemeral(v *app.Volume, name, where string) {
	t := v.Ephemeral.VolumeClaimTemplate
	if t == nil {
		t = &app.PersistentVolumeClaimTemplate{}
	}
	var metadata app.TemplateMetadata
	if t.ObjectMeta != nil {
		metadata = *t.ObjectMeta
	}
	p.r.volumes.Set(name, p.r.claimed(metadata.Labels))
	p.fillDir(name, v.Name)
	p.find("compose/empty-dir", where+".ephemeral", v.Pos, "the volume stays until docker compose down --volumes", "")
	if !p.first {
		return
	}
	c := app.Claim{Annotations: metadata.Annotations, Pos: at(t.Pos, v.Pos)}
	if t.Spec != nil {
		c.VolumeMode = t.Spec.VolumeMode
	}
	p.r.claimFindings(&c, where+".ephemeral")
}

// claimed is a volume of the engine in the place of a claim.
func (r *renderer) claimed(labels map[string]string) *yaml.Map {
	labels = maps.Clone(labels)
	maps.DeleteFunc(labels, func(key, _ string) bool { return reserved(key) })
	return yaml.New().Opt("labels", escapeMap(labels))
}

func (r *renderer) claimFindings(c *app.Claim, path string) {
	r.findings.Add("compose/claim", path, c.Pos, "the claim is a volume of the engine: size, storage class and access modes have no effect", "")
	r.reservedLabels(path+".labels", c.Pos, c.Labels)
	if c.VolumeMode == "Block" {
		r.findings.Add("compose/block-volume", path+".volumeMode", c.Pos, "the volume is a directory, not a block device", "")
	}
}
