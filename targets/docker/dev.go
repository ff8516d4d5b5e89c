package docker

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// What is copied into a container while developing gets there through a volume:
// so it does in an image from scratch, with read-only files, as any user and
// while the container is down. Each pod has one, with a directory for each place
// that files are copied to and for each image, which begins as the image is
// there. The agent writes, and each container sees its own directories alone.
const (
	// SyncDir is where the infra container mounts the volume.
	SyncDir = "/sync"
	// syncVolume is no name that a definition could give a volume.
	syncVolume = ".sync"
)

// OnChange is what follows when files have changed.
type OnChange string

const (
	NoAction OnChange = ""
	Restart  OnChange = "restart"
	ExecIn   OnChange = "exec"
	Signal   OnChange = "signal"
	Rebuild  OnChange = "rebuild" // of the image, as for every change of what it is built from
)

// Trigger is when a change is followed.
type Trigger string

const (
	Auto   Trigger = ""
	Manual Trigger = "manual" // when somebody asks for it
	Paused Trigger = "paused"
)

// Dev is what follows changes of files while a container runs. It is live: but
// for the places that files are copied to, nothing of it needs another container.
type Dev struct {
	Sync     []Sync   `json:"sync,omitempty"`   // by target
	Ignore   []string `json:"ignore,omitempty"` // patterns of .dockerignore, relative to each directory
	Watch    []string `json:"watch,omitempty"`  // relative to the module's root
	OnChange OnChange `json:"onChange,omitempty"`
	Exec     []string `json:"exec,omitempty"`
	Signal   string   `json:"signal,omitempty"`
	Trigger  Trigger  `json:"trigger,omitempty"`
	Line     string   `json:"-"` // file:line:col of the definition
}

// Sync is a directory and where it is copied to.
type Sync struct {
	From string `json:"from"` // relative to the module's root
	To   string `json:"to"`   // absolute and clean, in the container
}

// setDev says what is different while developing. A container whose image is
// built anew on every change has what is new in the image: nothing is copied.
func (r *renderer) setDev(out *Container, c *app.Container, p *app.Pod) {
	d := c.Dev
	if d == nil {
		return
	}
	if d.OnChange == "rebuild" {
		r.checkRebuild(c, "pods."+p.Name+".containers."+c.Name+".dev")
	}
	if len(d.Command) > 0 {
		out.Entrypoint, out.Cmd = d.Command, nil
	}
	dev := devOf(c)
	if len(dev.Sync)+len(dev.Watch) > 0 {
		out.Dev = dev
	}
}

// checkRebuild tells what a build takes no notice of. Which image a container has
// follows from what it is built from: a file that is not of that changes nothing,
// and nothing can wait, as whoever supervises next would not know.
func (r *renderer) checkRebuild(c *app.Container, at string) {
	d, pos := c.Dev, posOr(c.Dev.Pos, c.Pos)
	if d.Trigger == "manual" || d.Trigger == "paused" {
		r.findings.Add(codeDevTrigger, at+".trigger", pos,
			"the image is built anew as soon as what it is built from changes: a trigger is for what is copied",
			"leave it out; the key p has changes wait while `cuepod up` runs")
	}
	outside := func(field, from string) {
		switch b := c.Build; {
		case b == nil: // the compiler refuses it
		case b.Go != "":
			r.findings.Add(codeDevRebuild, at+field, pos, fmt.Sprintf("a change of %s builds nothing, unless the Go program is made of it", from),
				"leave it out, as what `go list` names is followed by itself; or embed it (//go:embed)")
		case !isWithin(from, b.Context):
			r.findings.Add(codeDevRebuild, at+field, pos, fmt.Sprintf("a change of %s builds nothing: it is not in the context %s", from, path.Clean(b.Context)),
				"put it into the context, or say onChange: \"restart\"")
		}
	}
	for i, from := range d.Watch {
		outside(fmt.Sprintf(".watch[%d]", i), from)
	}
	for _, from := range slices.Sorted(maps.Keys(d.Sync)) {
		outside(fmt.Sprintf(".sync[%q]", from), from)
	}
}

// isWithin reports whether a path is dir, or in it; both are of the module.
func isWithin(name, dir string) bool {
	name, dir = path.Clean(name), path.Clean(dir)
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}

func devOf(c *app.Container) *Dev {
	d := c.Dev
	dev := &Dev{
		Ignore: d.Ignore, Exec: d.Exec, Signal: d.Signal, OnChange: OnChange(d.OnChange), Trigger: Trigger(d.Trigger),
		Line: posOr(d.Pos, c.Pos).String(),
	}
	if d.OnChange == "none" {
		dev.OnChange = NoAction
	}
	if d.Trigger == "auto" {
		dev.Trigger = Auto
	}
	if dev.OnChange == Rebuild {
		return dev
	}
	for _, from := range d.Watch {
		dev.Watch = append(dev.Watch, path.Clean(from))
	}
	for _, from := range slices.Sorted(maps.Keys(d.Sync)) {
		dev.Sync = append(dev.Sync, Sync{From: path.Clean(from), To: path.Clean(d.Sync[from])})
	}
	slices.SortFunc(dev.Sync, func(a, b Sync) int { return cmp.Compare(a.To, b.To) })
	return dev
}

// Synced are the places that files are copied to, with where from.
func (c *Container) Synced() []Sync {
	if c.Dev == nil {
		return nil
	}
	return c.Dev.Sync
}

// syncTargets are the places alone: another one needs another container.
func (c *Container) syncTargets() *Dev {
	var out *Dev
	for _, s := range c.Synced() {
		if out == nil {
			out = &Dev{}
		}
		out.Sync = append(out.Sync, Sync{To: s.To})
	}
	return out
}

// setSync gives a pod its volume for what is copied into its containers, where
// there is any, and its agent the rights to write files there as any user.
func (r *renderer) setSync(d *Pod) (Volume, bool) {
	copied := func(c Container) bool { return len(c.Synced()) > 0 }
	files := slices.ContainsFunc(d.Init, copied) || slices.ContainsFunc(d.Containers, copied)
	if !files && !slices.ContainsFunc(d.Lasting(), (*Container).exchangesProgram) {
		return Volume{}, false
	}
	v := Volume{Name: VolumeName(r.project, d.Name, syncVolume), Kind: SyncVol, Pod: d.Name}
	d.Mounts = append(d.Mounts, Mount{Volume: v.Name, Path: SyncDir})
	if files { // programs are root's, as in their images
		d.Agent.need(capChown, capFowner, capWrite)
	}
	return v, true
}

// SyncVolume is the volume with what is copied into the pod's containers, or "".
func (p *Pod) SyncVolume() string {
	for _, m := range p.Mounts {
		if m.Path == SyncDir {
			return m.Volume
		}
	}
	return ""
}

// plain is all of it but its position.
func (d *Dev) plain() Dev {
	if d == nil {
		return Dev{}
	}
	out := *d
	out.Line = ""
	return out
}

// writeDev writes what of a container's dev only another pod can follow.
func writeDev(w io.Writer, c *app.Container) {
	if c.Dev == nil {
		return
	}
	var places []string
	for _, s := range devOf(c).Sync {
		places = append(places, s.To)
	}
	if len(c.Dev.Command)+len(places) > 0 {
		fmt.Fprintf(w, "%q dev %q %q", c.Name, c.Dev.Command, places)
	}
}
