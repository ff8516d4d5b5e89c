package compose

import (
	"fmt"
	"path"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

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

// bind mounts a path of the host.
func bind(from place, subPath string, m *app.VolumeMount) *yaml.Map {
	options := yaml.New().Set("create_host_path", from.create || subPath != "")
	switch m.MountPropagation {
	case "HostToContainer":
		options.Set("propagation", "rslave")
	case "Bidirectional":
		options.Set("propagation", "rshared")
	}
	if m.RecursiveReadOnly == "Enabled" {
		options.Set("recursive", "readonly")
	}
	return yaml.New().
		Set("type", "bind").
		Set("source", escape(path.Join(from.bind, subPath))).
		Set("target", escape(m.MountPath)).
		Opt("read_only", from.readOnly || m.ReadOnly).
		Set("bind", options)
}

// imageMount mounts an image's files.
func imageMount(from place, subPath string, m *app.VolumeMount) *yaml.Map {
	return yaml.New().
		Set("type", "image").
		Set("source", escape(from.image)).
		Set("target", escape(m.MountPath)).
		Opt("image", yaml.New().Opt("subpath", escape(subPath)))
}

// addMounts mounts the container's volumes.
func (p *replica) addMounts(service *yaml.Map, c *app.Container, env *environment, where string) error {
	mounts, configs, secrets := yaml.List{}, yaml.List{}, yaml.List{}
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		from, ok := p.volumes.places[m.Name]
		if !ok {
			return fmt.Errorf("there is no volume %s for %s", m.Name, m.MountPath)
		}
		subPath, err := p.subPath(m, env, where)
		if err != nil {
			return err
		}
		p.mountFindings(c, m, from, subPath, where)
		file := singleFile(from, subPath)
		switch {
		case file != nil:
			entry := yaml.New().Set("source", file.source).Set("target", escape(m.MountPath)).Set("mode", fmt.Sprintf("%04o", fileMode(from, file)))
			if file.secret {
				secrets = append(secrets, entry)
			} else {
				configs = append(configs, entry)
			}
		case from.bind != "":
			mounts = append(mounts, bind(from, subPath, m))
		case from.image != "":
			mounts = append(mounts, imageMount(from, subPath, m))
		default:
			if subPath != "" && from.files == nil {
				p.volumes.fillDir(from.volume, volumesDir+m.Name, path.Join(volumesDir+m.Name, subPath))
			}
			mounts = append(mounts, mount(from.volume, m.MountPath, m.ReadOnly || from.readOnly, subPath))
		}
	}
	service.Opt("volumes", mounts).Opt("configs", configs).Opt("secrets", secrets)
	return nil
}

// subPath is the part of the volume that is mounted; "" means all of it.
func (p *replica) subPath(m *app.VolumeMount, env *environment, where string) (string, error) {
	if m.SubPathExpr == "" {
		return m.SubPath, nil
	}
	out := ""
	expanded := expand(m.SubPathExpr, func(name string) (text, bool) {
		value, ok := env.lookup(name)
		if !ok {
			p.find("compose/field-ref", where+".volumeMounts."+m.MountPath+".subPathExpr", m.Pos,
				fmt.Sprintf("the directory's name has $(%s) in it: the variable is not known before the pod runs", name), "")
		}
		return value, ok
	})
	for _, part := range expanded {
		if part.variable != "" {
			return "", fmt.Errorf("the subPathExpr of %s has the value of a secret in it: Compose cannot make that directory", m.MountPath)
		}
		out += part.literal
	}
	return out, nil
}

func (p *replica) mountFindings(c *app.Container, m *app.VolumeMount, from place, subPath, where string) {
	where += ".volumeMounts." + m.MountPath
	if subPath != "" && from.bind == "" && from.image == "" {
		p.subPathFinding(c, m, singleFile(from, subPath) != nil, where)
	}
	if from.bind == "" && m.MountPropagation != "" && m.MountPropagation != "None" {
		p.find("compose/mount-options", where+".mountPropagation", m.Pos, "mounts below the volume stay in their container: only those of a hostPath can spread", "")
	}
	if len(m.BindMountOptions) > 0 {
		p.find("compose/mount-options", where+".bindMountOptions", m.Pos, "the options are left out: Compose has none for a mount", "")
	}
}

func (p *replica) subPathFinding(c *app.Container, m *app.VolumeMount, single bool, where string) {
	if !single {
		p.find("compose/sub-path", where, m.Pos, "a part of a volume needs Docker Engine 26 or later", "")
		return
	}
	if isTrue(c.SecurityContext.ReadOnlyRootFilesystem) {
		p.find("compose/sub-path-read-only", where, m.Pos, "Compose refuses to copy the file into a container with a read-only root filesystem", "mount the whole volume instead")
		return
	}
	p.find("compose/sub-path", where, m.Pos, "the file is copied in when the container is created", "")
}

// singleFile finds the one file that a subPath into a volume of files means, or
// nil. Such a file never changes while the container lives, in Kubernetes
// either. Bytes cannot be copied in.
func singleFile(from place, subPath string) *volumeFile {
	i := slices.IndexFunc(from.files, func(f volumeFile) bool { return f.path == subPath && !f.coded })
	if subPath == "" || i < 0 {
		return nil
	}
	return &from.files[i]
}

func fileMode(from place, f *volumeFile) int {
	if f.mode != nil {
		return *f.mode
	}
	return from.mode
}
