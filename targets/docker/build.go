package docker

import (
	"cmp"

	"github.com/cuepod/cuepod/compiler/app"
)

// BuiltImage is an image that the definition wants built.
type BuiltImage struct {
	Container string // "web/app": its key in Options.Built
	Path      string // of the field, for messages
	Build     Build
}

// BuiltImages lists the images that an app wants built, in the order of its
// definition. What is in them is for somebody else to read.
func BuiltImages(a *app.App) []BuiltImage {
	var out []BuiltImage
	for i := range a.Pods {
		p := &a.Pods[i]
		add := func(kind string, list []app.Container) {
			for n := range list {
				c := &list[n]
				if c.Build != nil {
					out = append(out, BuiltImage{p.Name + "/" + c.Name, "pods." + p.Name + "." + kind + "." + c.Name + ".build", *buildOf(c)})
				}
			}
		}
		add("initContainers", p.InitContainers)
		add("containers", p.Containers)
	}
	return out
}

// ImageName is what an image that is built is called on the engine: after the
// container that it is for, and after its content.
func ImageName(project, container, hash string) string {
	return "cuepod/" + project + "/" + container + ":" + hash
}

func buildOf(c *app.Container) *Build {
	if c.Build == nil {
		return nil
	}
	return &Build{
		Context: c.Build.Context, Dockerfile: c.Build.Dockerfile, Target: c.Build.Target, Args: c.Build.Args,
		Name: c.Image, Line: posOr(c.Build.Pos, c.Pos).String(),
	}
}

// image is the image of a container: as it is named, or as it is built.
func (r *renderer) image(c *app.Container, p *app.Pod) string {
	if c.Build == nil {
		return c.Image
	}
	return cmp.Or(r.opts.Built[p.Name+"/"+c.Name], c.Image)
}
