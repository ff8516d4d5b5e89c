package check

import (
	"path"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// build checks how a container's image is built, and what changes while
// developing.
func (c *checker) build(ctr *app.Container, at place) {
	if b := ctr.Build; b != nil {
		build := at.field("build").at(b.Pos)
		build.field("context").inModule(b.Context)
		build.field("dockerfile").inModule(b.Dockerfile)
	}
	d := ctr.Dev
	if d == nil {
		return
	}
	dev := at.field("dev").at(d.Pos)
	if d.OnChange == "rebuild" && ctr.Build == nil {
		dev.field("onChange").refuse("nothing says how to build the image").hint("add build: context: DIRECTORY to the container")
	}
	targets := map[string]string{}
	for _, from := range sortedKeys(d.Sync) {
		sync := dev.field("sync").key(from)
		sync.inModule(from)
		to := d.Sync[from]
		sync.absolute(to)
		if other, ok := targets[path.Clean(to)]; ok {
			sync.refuse("%q already gets what is in %q", to, other).hint("copy each to a place of its own")
		}
		targets[path.Clean(to)] = from
	}
	c.noNUL(dev.pos, dev.path+".command", d.Command...)
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
