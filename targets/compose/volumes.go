package compose

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

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
	args    []string          // of the holder's program "fill"
	mounts  yaml.List         // of the service that fills
	mounted []string          // where, among them
	configs yaml.List         // files that Compose copies into it
	secrets yaml.List         // the same
	pinned  yaml.List         // mounts of the holder: volumes in memory live as long as someone mounts them
	source  map[string]string // volume of the pod to volume of the file
}

// mount has the service that fills see a volume, once.
func (v *volumes) mount(name, at string) {
	if !slices.Contains(v.mounted, at) {
		v.mounted = append(v.mounted, at)
		v.mounts = append(v.mounts, mount(name, at, false, ""))
	}
}

func (v *volumes) any() bool       { return len(v.args) > 0 }
func (v *volumes) pins() yaml.List { return v.pinned }

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
	return p.addMetadata(confine(s, "DAC_OVERRIDE", "FOWNER"))
}

func (p *replica) planVolumes() error {
	p.volumes = &volumes{source: map[string]string{}}
	for i := range p.pod.Volumes {
		v := &p.pod.Volumes[i]
		if err := p.planVolume(v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	p.planSubPaths()
	return nil
}

func (p *replica) planVolume(v *app.Volume) error {
	name := p.name + "-" + v.Name
	at := volumesDir + v.Name
	where := "pods." + p.pod.Name + ".volumes." + v.Name
	if v.Claim != nil {
		return p.planClaim(v, at)
	}
	if err := p.r.take("volume "+name, "volume "+v.Name+" of replica "+p.name); err != nil {
		return err
	}
	p.volumes.source[v.Name] = name
	switch {
	case v.EmptyDir != nil:
		return p.planEmptyDir(v, name, at, where)
	case !v.HasSource() && v.Kubernetes != nil:
		p.r.volumes.Set(name, yaml.New())
		p.fillDir(name, at)
		return nil // reportRaw says so
	case v.ConfigMap != nil:
		p.r.volumes.Set(name, yaml.New())
		p.find("compose/files", where, v.Pos, "the files are written by "+p.volumesName()+"; a change arrives with the next docker compose up", "")
		return p.planConfigMap(v, name, at)
	case v.Secret != nil:
		p.r.volumes.Set(name, inMemory("mode=0755"))
		p.volumes.pinned = append(p.volumes.pinned, mount(name, at, true, ""))
		p.find("compose/files", where, v.Pos, "the files are written by "+p.volumesName()+"; a change arrives with the next docker compose up", "")
		return p.planSecret(v, name, at)
	}
	return fmt.Errorf("it has no source")
}

// inMemory is a volume of the engine's local driver that is a tmpfs.
func inMemory(options string) *yaml.Map {
	return yaml.New().Set("driver", "local").
		Set("driver_opts", yaml.New().Set("type", "tmpfs").Set("device", "tmpfs").Set("o", options))
}

func (p *replica) planEmptyDir(v *app.Volume, name, at, where string) error {
	if v.EmptyDir.Medium == "Memory" {
		options := "mode=0777"
		if v.EmptyDir.SizeLimit != "" {
			size, err := v.EmptyDir.SizeLimit.Value()
			if err != nil {
				return fmt.Errorf("size limit: %w", err)
			}
			options += fmt.Sprintf(",size=%d", size)
		}
		p.r.volumes.Set(name, inMemory(options))
		p.volumes.pinned = append(p.volumes.pinned, mount(name, at, true, ""))
		return nil
	}
	p.r.volumes.Set(name, yaml.New())
	p.fillDir(name, at)
	p.find("compose/empty-dir", where, v.Pos, "the volume stays until docker compose down --volumes", "")
	if v.EmptyDir.SizeLimit != "" {
		p.find("compose/size-limit", where+".emptyDir.sizeLimit", v.Pos, "the volume has no limit", "medium: Memory has one")
	}
	return nil
}

// planClaim has the engine keep the claim; all pods that mount it share it.
func (p *replica) planClaim(v *app.Volume, at string) error {
	c := p.r.app.Claim(v.Claim.ClaimName)
	if c == nil {
		return fmt.Errorf("there is no claim %s", v.Claim.ClaimName)
	}
	owner := "claim " + c.Name
	if p.r.taken["volume "+c.Name] != owner {
		if err := p.r.take("volume "+c.Name, owner); err != nil {
			return err
		}
		p.r.volumes.Set(c.Name, yaml.New())
		p.r.findings.Add("compose/claim", "persistentVolumeClaims."+c.Name, c.Pos, "the claim is a volume of the engine: size, storage class and access modes have no effect", "")
	}
	p.volumes.source[v.Name] = c.Name
	p.fillDir(c.Name, at)
	return nil
}

// fillDir has a directory made writable for everybody while it is empty, as
// the kubelet makes an emptyDir.
func (p *replica) fillDir(name, at string) {
	p.volumes.args = append(p.volumes.args, "--dir="+at)
	p.volumes.mount(name, at)
}

func (p *replica) planConfigMap(v *app.Volume, name, at string) error {
	c := p.r.app.ConfigMap(v.ConfigMap.Name)
	if c == nil {
		p.fillFiles(v.Name, name, at, v.ConfigMap.Files())
		return missing(v.ConfigMap.Optional, "ConfigMap", v.ConfigMap.Name)
	}
	files, err := selectFiles(v.ConfigMap.Files(), slices.Collect(maps.Keys(c.Data)))
	if err != nil {
		return err
	}
	for _, f := range files {
		p.volumes.configs = append(p.volumes.configs, yaml.New().Set("source", p.r.configFile(c, f.key)).Set("target", escape(filesDir+v.Name+"/"+f.path)))
	}
	p.fillFiles(v.Name, name, at, v.ConfigMap.Files())
	return nil
}

// configFile is the name of a ConfigMap's key among the file's configs.
func (r *renderer) configFile(c *app.ConfigMap, key string) string {
	name := c.Name + "." + key // no ConfigMap of an app has a dot in its name
	r.configs[name] = yaml.New().Set("content", escape(c.Data[key]))
	return name
}

func (p *replica) planSecret(v *app.Volume, name, at string) error {
	s := p.r.app.Secret(v.Secret.SecretName)
	if s == nil {
		p.fillFiles(v.Name, name, at, v.Secret.Files())
		return missing(v.Secret.Optional, "Secret", v.Secret.SecretName)
	}
	byKey := map[string]app.SecretKey{}
	for _, k := range s.Keys {
		byKey[k.Name] = k
	}
	files, err := selectFiles(v.Secret.Files(), slices.Collect(maps.Keys(byKey)))
	if err != nil {
		return err
	}
	for _, f := range files {
		p.volumes.secrets = append(p.volumes.secrets, yaml.New().Set("source", p.r.secretFile(s, byKey[f.key])).Set("target", escape(filesDir+v.Name+"/"+f.path)))
	}
	p.fillFiles(v.Name, name, at, v.Secret.Files())
	return nil
}

func (p *replica) fillFiles(volume, name, at string, f *app.Files) {
	mode := f.DefaultMode
	if mode == 0 {
		mode = 0o644
	}
	p.volumes.args = append(p.volumes.args, fmt.Sprintf("--files=%s=%s:%04o", filesDir+volume, at, mode))
	p.volumes.mount(name, at)
}

type file struct{ key, path string }

// selectFiles picks the keys that a volume shows, sorted by path.
func selectFiles(f *app.Files, keys []string) ([]file, error) {
	var out []file
	if len(f.Items) == 0 {
		for _, key := range keys {
			out = append(out, file{key, key})
		}
	}
	for _, item := range f.Items {
		if slices.Contains(keys, item.Key) {
			out = append(out, file{item.Key, item.Path})
		} else if !f.Optional {
			return nil, fmt.Errorf("there is no key %s in %s", item.Key, f.Name)
		}
	}
	slices.SortFunc(out, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return out, nil
}

// mount is a volume mount that never takes over what the image has in the
// place: in Kubernetes a volume begins empty.
func mount(source, target string, readOnly bool, subPath string) *yaml.Map {
	return yaml.New().
		Set("type", "volume").
		Set("source", source).
		Set("target", escape(target)).
		Opt("read_only", readOnly).
		Set("volume", yaml.New().Set("nocopy", true).Opt("subpath", escape(subPath)))
}

// addMounts mounts the container's volumes.
func (p *replica) addMounts(service *yaml.Map, c *app.Container, where string) error {
	mounts, configs, secrets := yaml.List{}, yaml.List{}, yaml.List{}
	for _, m := range c.VolumeMounts {
		v := p.pod.Volume(m.Name)
		if v == nil {
			return fmt.Errorf("there is no volume %s for %s", m.Name, m.MountPath)
		}
		if m.SubPath != "" {
			p.subPathFinding(c, m, where)
		}
		if source, kind := p.singleFile(v, m.SubPath); kind != noFile {
			file := yaml.New().Set("source", source).Set("target", escape(m.MountPath)).Set("mode", fmt.Sprintf("%04o", fileMode(v)))
			if kind == configFile {
				configs = append(configs, file)
			} else {
				secrets = append(secrets, file)
			}
			continue
		}
		readOnly := m.ReadOnly || v.ConfigMap != nil || v.Secret != nil || v.Claim != nil && v.Claim.ReadOnly
		mounts = append(mounts, mount(p.volumes.source[v.Name], m.MountPath, readOnly, m.SubPath))
	}
	service.Opt("volumes", mounts).Opt("configs", configs).Opt("secrets", secrets)
	return nil
}

func (p *replica) subPathFinding(c *app.Container, m app.VolumeMount, where string) {
	where += ".volumeMounts." + m.MountPath
	if _, kind := p.singleFile(p.pod.Volume(m.Name), m.SubPath); kind == noFile {
		p.find("compose/sub-path", where, m.Pos, "a part of a volume needs Docker Engine 26 or later", "")
		return
	}
	if ro := c.SecurityContext.ReadOnlyRootFilesystem; ro != nil && *ro {
		p.find("compose/sub-path-read-only", where, m.Pos, "Compose refuses to copy the file into a container with a read-only root filesystem", "mount the whole volume instead")
		return
	}
	p.find("compose/sub-path", where, m.Pos, "the file is copied in when the container is created", "")
}

type fileKind int

const (
	noFile fileKind = iota
	configFile
	secretFile
)

// singleFile finds the one file that a subPath into a ConfigMap or Secret
// means. Such a file never changes while the container lives, in Kubernetes
// either.
func (p *replica) singleFile(v *app.Volume, subPath string) (source string, kind fileKind) {
	switch {
	case subPath == "":
	case v.ConfigMap != nil:
		key := keyAt(v.ConfigMap.Files(), subPath)
		if c := p.r.app.ConfigMap(v.ConfigMap.Name); c != nil {
			if _, ok := c.Data[key]; ok {
				return p.r.configFile(c, key), configFile
			}
		}
	case v.Secret != nil:
		key := keyAt(v.Secret.Files(), subPath)
		if s := p.r.app.Secret(v.Secret.SecretName); s != nil {
			if i := slices.IndexFunc(s.Keys, func(k app.SecretKey) bool { return k.Name == key }); i >= 0 {
				return p.r.secretFile(s, s.Keys[i]), secretFile
			}
		}
	}
	return "", noFile
}

// keyAt is the key that a volume shows at a path, or "".
func keyAt(f *app.Files, path string) string {
	if len(f.Items) == 0 {
		return path
	}
	for _, item := range f.Items {
		if item.Path == path {
			return item.Key
		}
	}
	return ""
}

func fileMode(v *app.Volume) int {
	mode := 0
	switch {
	case v.ConfigMap != nil:
		mode = v.ConfigMap.DefaultMode
	case v.Secret != nil:
		mode = v.Secret.DefaultMode
	}
	if mode == 0 {
		return 0o644
	}
	return mode
}

// planSubPaths has the directories made that containers mount a part of.
func (p *replica) planSubPaths() {
	for _, list := range [][]app.Container{p.pod.InitContainers, p.pod.Containers} {
		for i := range list {
			for _, m := range list[i].VolumeMounts {
				v := p.pod.Volume(m.Name)
				if v == nil || m.SubPath == "" || v.ConfigMap != nil || v.Secret != nil {
					continue
				}
				dir := "--dir=" + path.Join(volumesDir+v.Name, m.SubPath)
				if !slices.Contains(p.volumes.args, dir) {
					p.volumes.args = append(p.volumes.args, dir)
				}
				p.volumes.mount(p.volumes.source[v.Name], volumesDir+v.Name)
			}
		}
	}
}
