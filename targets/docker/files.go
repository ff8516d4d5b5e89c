package docker

import (
	"cmp"
	"maps"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
)

// Defaults of Kubernetes for files of volumes.
const defaultFileMode = 0o644

// configFiles shows a ConfigMap as files.
func (r *renderer) configFiles(src *app.Files) []File {
	files := []File{}
	cm := r.app.ConfigMap(src.Name)
	if cm == nil {
		return files // optional: the compiler refused a missing one that is not
	}
	data := contents(cm)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if f, ok := item(src, key); ok {
			f.Data = data[key]
			files = append(files, f)
		}
	}
	return files
}

// contents are all keys of a ConfigMap, text or not.
func contents(cm *app.ConfigMap) map[string]Bytes {
	data := map[string]Bytes{}
	for key, value := range cm.Data {
		data[key] = Bytes(value)
	}
	for key, value := range cm.BinaryData {
		data[key] = Bytes(value)
	}
	return data
}

func (r *renderer) secretFiles(src *app.Files) []File {
	files := []File{}
	secret := r.app.Secret(src.Name)
	if secret == nil {
		return files
	}
	for _, key := range secret.Keys {
		if f, ok := item(src, key.Name); ok {
			f.Secret = &KeyRef{Name: src.Name, Key: key.Name, Optional: src.Optional}
			files = append(files, f)
		}
	}
	return files
}

// item gives the file that shows a key, without its content; false when the
// source leaves it out.
func item(src *app.Files, key string) (File, bool) {
	if len(src.Items) == 0 {
		return File{Path: key, Mode: src.DefaultMode, User: src.DefaultUser}, true
	}
	for _, i := range src.Items {
		if i.Key == key {
			return File{Path: i.Path, Mode: modeOr(i.Mode, src.DefaultMode), User: cmp.Or(i.User, src.DefaultUser)}, true
		}
	}
	return File{}, false
}

func modeOr(mode *int, otherwise int) int {
	if mode != nil {
		return *mode
	}
	return otherwise
}

// downwardFiles shows fields of the pod as files.
func (r *renderer) downwardFiles(items []app.DownwardAPIVolumeFile, defaultMode int, defaultUser *int64, p *app.Pod, d *Pod) []File {
	files := []File{}
	for _, i := range items {
		f := File{Path: i.Path, Mode: modeOr(i.Mode, defaultMode), User: cmp.Or(i.User, defaultUser)}
		switch {
		case i.FieldRef != nil:
			value, source := r.field(i.FieldRef.FieldPath, p, d)
			switch own := instanceSource(i.FieldRef.FieldPath, p); {
			case own != "":
				f.Source = own
			case source == FromUID:
				f.Source = source
			default:
				f.Data = Bytes(value)
			}
		case i.ResourceFieldRef != nil:
			value, machine, ok := resourceOf(i.ResourceFieldRef, p)
			if !ok {
				continue // checkVolumes tells
			}
			f.Data = Bytes(value)
			if machine != nil {
				f.Source, f.Resource = FromMachine, machine
			}
		}
		files = append(files, f)
	}
	return files
}

// Where Kubernetes keeps the completion index of an indexed job's pod.
const (
	indexLabel      = "metadata.labels['batch.kubernetes.io/job-completion-index']"
	indexAnnotation = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
)

// instanceSource marks what tells a job's pods apart, and is not known yet.
func instanceSource(path string, p *app.Pod) Source {
	switch {
	case !runsToEnd(p):
		return ""
	case path == "metadata.name":
		return FromPodName
	case (path == indexLabel || path == indexAnnotation) && p.CompletionMode == "Indexed":
		return FromJobIndex
	}
	return ""
}

func resourceOf(ref *app.ResourceFieldSelector, p *app.Pod) (value string, machine *ResourceRef, ok bool) {
	for _, list := range [][]app.Container{p.Containers, p.InitContainers} {
		for i := range list {
			if list[i].Name == ref.ContainerName {
				return resource(ref, &list[i])
			}
		}
	}
	return "", nil, false
}

// projectedFiles puts the files of several sources into one volume. Of two at
// one path the later one counts, as in Kubernetes.
func (r *renderer) projectedFiles(v *app.ProjectedVolumeSource, p *app.Pod, d *Pod) (files []File, secret bool) {
	mode := modeOr(v.DefaultMode, defaultFileMode)
	var all []File
	for _, s := range v.Sources {
		switch {
		case s.ConfigMap != nil:
			all = append(all, r.configFiles(&app.Files{Name: s.ConfigMap.Name, Items: s.ConfigMap.Items, DefaultMode: mode, Optional: s.ConfigMap.Optional, DefaultUser: v.DefaultUser})...)
		case s.Secret != nil:
			secret = true
			all = append(all, r.secretFiles(&app.Files{Name: s.Secret.Name, Items: s.Secret.Items, DefaultMode: mode, Optional: s.Secret.Optional, DefaultUser: v.DefaultUser})...)
		case s.DownwardAPI != nil:
			all = append(all, r.downwardFiles(s.DownwardAPI.Items, mode, v.DefaultUser, p, d)...)
		}
	}
	files = []File{}
	for i, f := range all {
		if !slices.ContainsFunc(all[i+1:], func(o File) bool { return o.Path == f.Path }) {
			files = append(files, f)
		}
	}
	return files, secret
}
