package check

import (
	"path"
	"regexp"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// build checks how a container's image is built.
func (c *checker) build(ctr *app.Container, at place) {
	if ctr.Build != nil {
		c.source(ctr.Build, at.field("build").at(ctr.Build.Pos))
	}
}

// source checks what an image is built from.
func (c *checker) source(b *app.Build, at place) {
	if !at.one("source", choice{"context", b.Context != ""}, choice{"go", b.Go != ""}) {
		return
	}
	at.field("context").inModule(b.Context)
	at.field("dockerfile").inModule(b.Dockerfile)
	for _, s := range b.Secrets {
		secret := at.field("secrets").key(s.Name).at(s.Pos)
		if secret.one("source", choice{"file", s.File != ""}, choice{"env", s.Env != ""}) {
			secret.field("file").inModule(s.File)
		}
		if !regexp.MustCompile(`^[-_.a-zA-Z0-9]+$`).MatchString(s.Name) {
			secret.refuse("%q is no id of a secret", s.Name).hint("an id has letters, digits, dashes, underscores and dots")
		}
	}
	if b.Platform != "" && !regexp.MustCompile(`^linux/[a-z0-9]+(/[a-z0-9]+)?$`).MatchString(b.Platform) {
		at.field("platform").refuse("%q is no platform of containers", b.Platform).hint(`write "linux/amd64" or "linux/arm64"`)
	}
	foreign := []choice{{"tags", len(b.Tags) > 0}, {"ldflags", len(b.Ldflags) > 0}}
	of, other := "go", "context"
	if b.Go != "" {
		c.program(b, at)
		of, other = "context", "go"
		foreign = []choice{
			{"dockerfile", b.Dockerfile != "Dockerfile"}, {"target", b.Target != ""}, {"args", len(b.Args) > 0},
			{"cacheFrom", len(b.CacheFrom) > 0}, {"secrets", len(b.Secrets) > 0}, {"builder", b.Builder != "engine"},
		}
	}
	wrong, _ := chosen(foreign...)
	for _, name := range wrong {
		at.field(name).refuse("it belongs to build.%s, and this is a build.%s", of, other).hint("remove it")
	}
}

// program checks a Go program. Its linker's flags are a list of what is allowed:
// others run programs on the machine that builds.
func (c *checker) program(b *app.Build, at place) {
	pkg := at.field("go")
	switch {
	case b.Go != "." && !strings.HasPrefix(b.Go, "./"):
		pkg.refuse("%q is not the path of a package in the module", b.Go).hint("write \"./\" before it: \"./%s\"", strings.TrimLeft(b.Go, "./"))
	default:
		pkg.inModule(b.Go)
	}
	for i, tag := range b.Tags {
		if !regexp.MustCompile(`^[\pL\pN_.]+$`).MatchString(tag) {
			at.field("tags").item(i).refuse("%q is no build tag", tag).hint("a tag has letters, digits, underscores and dots")
		}
	}
	for i, flag := range b.Ldflags {
		if !regexp.MustCompile(`^(-s|-w|-X[ =][^ ='"]+=[^'"\x00\n]*)$`).MatchString(flag) {
			at.field("ldflags").item(i).refuse("%q is none of -s, -w and -X NAME=VALUE", flag).hint("each item is one flag; a build that needs others has a Dockerfile")
		}
	}
}

// inModule wants a path below the module's root, which "." is.
func (p place) inModule(text string) {
	if text == "" {
		return
	}
	if path.IsAbs(text) || strings.ContainsRune(text, 0) || !noBacksteps(text) {
		p.refuse("%q must be a path in the module, without \"..\"", text).hint("paths are relative to the module's root")
	}
}
