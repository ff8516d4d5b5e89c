package compose

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// volumeFile is a file of a volume of files.
type volumeFile struct {
	path   string // in the volume
	source string // its name among the file's configs or secrets
	secret bool
	coded  bool // in base64
	mode   *int // nil for the volume's
}

// defaultFileMode is Kubernetes' own.
const defaultFileMode = 0o644

// planFiles has the files of a ConfigMap, of a Secret, about the pod, or of
// several such sources, written into a volume.
func (p *replica) planFiles(v *app.Volume, name, where string) error {
	p.find("compose/files", where, v.Pos, "the files are written by "+p.volumesName()+"; a change arrives with the next docker compose up", "")
	files, mode, err := p.filesOf(v, where)
	if err != nil {
		return err
	}
	slices.SortStableFunc(files, func(a, b volumeFile) int { return strings.Compare(a.path, b.path) })
	if v.Secret != nil || slices.ContainsFunc(files, func(f volumeFile) bool { return f.secret }) {
		p.r.volumes.Set(name, inMemory("mode=0755"))
		p.pin(name, v.Name)
	} else {
		p.r.volumes.Set(name, yaml.New())
	}
	if files == nil {
		files = []volumeFile{}
	}
	p.volumes.places[v.Name] = place{volume: name, readOnly: true, files: files, mode: mode}
	p.volumes.args = append(p.volumes.args, fmt.Sprintf("--files=%s=%s:%04o", filesDir+v.Name, volumesDir+v.Name, mode))
	for _, f := range files {
		entry := yaml.New().Set("source", f.source).Set("target", escape(filesDir+v.Name+"/"+f.path))
		if f.secret {
			p.volumes.secrets = append(p.volumes.secrets, entry)
		} else {
			p.volumes.configs = append(p.volumes.configs, entry)
		}
		if f.mode != nil {
			p.volumes.args = append(p.volumes.args, fmt.Sprintf("--mode=%s:%04o", f.path, *f.mode))
		}
		if f.coded {
			p.volumes.args = append(p.volumes.args, "--decode="+f.path)
		}
	}
	p.volumes.args = append(p.volumes.args, p.volumes.ofGroup()...)
	p.volumes.mount(name, volumesDir+v.Name)
	return nil
}

// filesOf are the volume's files and their mode.
func (p *replica) filesOf(v *app.Volume, where string) (files []volumeFile, mode int, err error) {
	switch {
	case v.ConfigMap != nil:
		p.ownerFinding(v.ConfigMap.DefaultUser, v.ConfigMap.Items, where, v.Pos)
		files, err = p.configFiles(v.ConfigMap.Files())
		return files, orDefault(v.ConfigMap.DefaultMode), err
	case v.Secret != nil:
		p.ownerFinding(v.Secret.DefaultUser, v.Secret.Items, where, v.Pos)
		files, err = p.secretFiles(v.Secret.Files())
		return files, orDefault(v.Secret.DefaultMode), err
	case v.DownwardAPI != nil:
		p.ownerFinding(v.DownwardAPI.DefaultUser, nil, where, v.Pos)
		files, err = p.downwardFiles(v, v.DownwardAPI.Items, 0, where+".downwardAPI")
		return files, orDefault(pointed(v.DownwardAPI.DefaultMode)), err
	}
	p.ownerFinding(v.Projected.DefaultUser, nil, where, v.Pos)
	files, err = p.projectedFiles(v, where+".projected")
	return files, orDefault(pointed(v.Projected.DefaultMode)), err
}

func orDefault(mode int) int {
	if mode == 0 {
		return defaultFileMode
	}
	return mode
}

func pointed(mode *int) int {
	if mode == nil {
		return 0
	}
	return *mode
}

// projectedFiles are the files of all sources; of two at one path the later
// wins, as in Kubernetes.
func (p *replica) projectedFiles(v *app.Volume, where string) ([]volumeFile, error) {
	byPath := map[string]volumeFile{}
	downward := 0
	for i, s := range v.Projected.Sources {
		var files []volumeFile
		var err error
		path := fmt.Sprintf("%s.sources.%d", where, i)
		switch {
		case s.ConfigMap != nil:
			p.ownerFinding(nil, s.ConfigMap.Items, path, v.Pos)
			files, err = p.configFiles(&app.Files{Name: s.ConfigMap.Name, Items: s.ConfigMap.Items, Optional: s.ConfigMap.Optional})
		case s.Secret != nil:
			p.ownerFinding(nil, s.Secret.Items, path, v.Pos)
			files, err = p.secretFiles(&app.Files{Name: s.Secret.Name, Items: s.Secret.Items, Optional: s.Secret.Optional})
		case s.DownwardAPI != nil:
			files, err = p.downwardFiles(v, s.DownwardAPI.Items, downward, path+".downwardAPI")
			downward += len(s.DownwardAPI.Items)
		}
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			byPath[f.path] = f
		}
	}
	return slices.Collect(maps.Values(byPath)), nil
}

// ownerFinding reports files that are to belong to somebody.
func (p *replica) ownerFinding(user *int64, items []app.KeyToPath, where string, pos app.Pos) {
	if user != nil || slices.ContainsFunc(items, func(i app.KeyToPath) bool { return i.User != nil }) {
		p.find("compose/file-owner", where, pos, "the files are root's", "give them to a group by the pod's fsGroup")
	}
}

func (p *replica) configFiles(f *app.Files) ([]volumeFile, error) {
	c := p.r.app.ConfigMap(f.Name)
	if c == nil {
		return nil, missing(f.Optional, "ConfigMap", f.Name)
	}
	files, err := selectFiles(f, slices.AppendSeq(slices.Collect(maps.Keys(c.Data)), maps.Keys(c.BinaryData)))
	for i := range files {
		key := files[i].source
		_, files[i].coded = c.BinaryData[key]
		files[i].source = p.r.configFile(c, key)
	}
	return files, err
}

// configFile is the name of a ConfigMap's key among the file's configs, which
// are text: bytes are in base64.
func (r *renderer) configFile(c *app.ConfigMap, key string) string {
	name := c.Name + "." + key // no ConfigMap of an app has a dot in its name
	if data, ok := c.BinaryData[key]; ok {
		r.configs[name] = yaml.New().Set("content", base64.StdEncoding.EncodeToString(data))
	} else {
		r.configs[name] = yaml.New().Set("content", escape(c.Data[key]))
	}
	return name
}

func (p *replica) secretFiles(f *app.Files) ([]volumeFile, error) {
	s := p.r.app.Secret(f.Name)
	if s == nil {
		return nil, missing(f.Optional, "Secret", f.Name)
	}
	byKey := map[string]app.SecretKey{}
	for _, k := range s.Keys {
		byKey[k.Name] = k
	}
	files, err := selectFiles(f, slices.Collect(maps.Keys(byKey)))
	for i := range files {
		files[i].source, files[i].secret = p.r.secretFile(s, byKey[files[i].source]), true
	}
	return files, err
}

// downwardFiles are the files that tell about the pod, as far as it is known
// before it runs. They are the replica's own configs, from a number on; three
// dots are in no ConfigMap's.
func (p *replica) downwardFiles(v *app.Volume, items []app.DownwardAPIVolumeFile, from int, where string) ([]volumeFile, error) {
	var out []volumeFile
	for i, item := range items {
		p.ownerFinding(item.User, nil, where, v.Pos)
		value, ok, err := p.downwardValue(&item)
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", item.Path, err)
		}
		if !ok {
			p.find("compose/field-ref", where+".items."+item.Path, at(item.Pos, v.Pos), "the file "+item.Path+" is missing: its value is known only while the pod runs", "")
			continue
		}
		name := fmt.Sprintf("%s-%s...%d", p.name, v.Name, from+i)
		p.r.configs[name] = yaml.New().Set("content", escape(value))
		out = append(out, volumeFile{path: item.Path, source: name, mode: item.Mode})
	}
	return out, nil
}

func (p *replica) downwardValue(item *app.DownwardAPIVolumeFile) (string, bool, error) {
	switch {
	case item.FieldRef != nil:
		value, ok := p.field(item.FieldRef.FieldPath)
		return value, ok, nil
	case item.ResourceFieldRef != nil:
		c := p.container(item.ResourceFieldRef.ContainerName)
		if c == nil {
			return "", false, fmt.Errorf("there is no container %q", item.ResourceFieldRef.ContainerName)
		}
		return resourceField(c, item.ResourceFieldRef)
	}
	return "", false, fmt.Errorf("it shows neither a field nor a resource")
}

// selectFiles picks the keys that a volume shows, sorted by path; source is the
// key.
func selectFiles(f *app.Files, keys []string) ([]volumeFile, error) {
	out := []volumeFile{}
	if len(f.Items) == 0 {
		for _, key := range keys {
			out = append(out, volumeFile{path: key, source: key})
		}
	}
	for _, item := range f.Items {
		if slices.Contains(keys, item.Key) {
			out = append(out, volumeFile{path: item.Path, source: item.Key, mode: item.Mode})
		} else if !f.Optional {
			return nil, fmt.Errorf("there is no key %s in %s", item.Key, f.Name)
		}
	}
	slices.SortFunc(out, func(a, b volumeFile) int { return strings.Compare(a.path, b.path) })
	return out, nil
}
