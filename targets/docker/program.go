package docker

import "slices"

// ProgramDir is where the image of a Go program has it, and where a container has
// the copy that runs in its place.
const ProgramDir = "/app"

// setPrograms says which containers of a pod may have the program of their image
// from a copy. One that has something else where it would be may not, nor one that
// runs to an end: nobody waits for those in the middle of an edit.
func (r *renderer) setPrograms(d *Pod, workload string) {
	if !r.opts.Live {
		return
	}
	for _, c := range d.Lasting() {
		if c.Build != nil && c.Build.Go != "" && !c.hides(ProgramDir) {
			c.Build.Base = r.opts.Bases[workload+"/"+c.Name]
		}
	}
}

// hides reports whether something is mounted at a path, or copied there.
func (c *Container) hides(path string) bool {
	return slices.ContainsFunc(c.Mounts, func(m Mount) bool { return m.Path == path }) ||
		slices.ContainsFunc(c.Synced(), func(s Sync) bool { return s.To == path })
}

// exchangesProgram reports whether the container may have its program from a copy.
func (c *Container) exchangesProgram() bool { return c.Build != nil && c.Build.Base != "" }
