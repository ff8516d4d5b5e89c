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
// live is Options.Live.
func BuiltImages(a *app.App, live bool) []BuiltImage {
	var out []BuiltImage
	for i := range a.Pods {
		p := &a.Pods[i]
		add := func(kind string, list []app.Container) {
			for n := range list {
				c := &list[n]
				if c.Build != nil {
					out = append(out, BuiltImage{p.Name + "/" + c.Name, "pods." + p.Name + "." + kind + "." + c.Name + ".build", *buildOf(c, live)})
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

func buildOf(c *app.Container, live bool) *Build {
	b := c.Build
	if b == nil {
		return nil
	}
	out := &Build{Platform: b.Platform, Name: c.Image, Line: posOr(b.Pos, c.Pos).String()}
	if b.Go != "" {
		out.Go, out.Tags, out.LDFlags = b.Go, b.Tags, b.Ldflags
		return out
	}
	out.Context, out.Dockerfile, out.Target, out.Args = b.Context, b.Dockerfile, b.Target, b.Args
	if live && c.Dev != nil {
		dev := devOf(c)
		out.Synced, out.Ignored = dev.Sync, dev.Ignore
	}
	out.CacheFrom, out.Buildx = b.CacheFrom, b.Builder == "buildx"
	for _, s := range b.Secrets {
		out.Secrets = append(out.Secrets, BuildSecret{ID: s.Name, File: s.File, Env: s.Env})
	}
	return out
}

// checkBuild refuses what the engine's builder cannot be given: it is asked in
// one call, without the session in which secrets are handed over.
func (r *renderer) checkBuild(c *app.Container, p *app.Pod) {
	if b := c.Build; b != nil && b.Builder != "buildx" && len(b.Secrets) > 0 {
		r.refuse(posOr(b.Secrets[0].Pos, b.Pos), "pods.%s: container %s: build.secrets: the engine's builder is handed no secrets; say builder: \"buildx\"", p.Name, c.Name)
	}
}

// image is the image of a container: as it is named, or as it is built.
func (r *renderer) image(c *app.Container, p *app.Pod) string {
	if c.Build == nil {
		return c.Image
	}
	return cmp.Or(r.opts.Built[p.Name+"/"+c.Name], c.Image)
}
