package targets

import (
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// ContradictionError is what Render returns when an escape hatch or an object
// says something else than the rest of the definition.
type ContradictionError struct {
	Lines []string // one for each place, which begins with the user's position
}

// Error joins the lines.
func (e *ContradictionError) Error() string { return strings.Join(e.Lines, "\n") }

// ReportRaw reports all that an app says to Kubernetes alone, for a target that
// is not Kubernetes: its rules kubernetes, kubernetes-volume and object.
func ReportRaw(f *Findings, target string, a *app.App) {
	var volumes []string // that only Kubernetes has: told as a whole
	for i := range a.Pods {
		p := &a.Pods[i]
		for _, v := range p.Volumes {
			if !v.HasSource() && v.Kubernetes != nil {
				path := "pods." + p.Name + ".volumes." + v.Name
				volumes = append(volumes, path+".kubernetes.")
				f.Add(target+"/kubernetes-volume", path, v.Pos, "only Kubernetes has such a volume: an empty directory is in its place", "")
			}
		}
	}
	for _, h := range a.HatchFields() {
		told := slices.ContainsFunc(volumes, func(path string) bool { return strings.HasPrefix(h.Path, path) })
		if h.Target == "kubernetes" && !told {
			f.Add(target+"/kubernetes", h.Path, h.Pos, "the field is for Kubernetes and has no effect here", "")
		}
	}
	for _, o := range a.Objects {
		f.Add(target+"/object", "objects."+o.Name, o.Pos, "the "+o.Body.String("kind")+" is for Kubernetes and has no effect here", "")
	}
}
