package reconcile

import (
	"fmt"

	"github.com/cuepod/cuepod/targets/docker"
)

// A container of a Go program need not wait for the image of its own. Where
// another image is there that differs in nothing but the program, it is made of
// that one, and has its program from a copy that the pod's agent puts over the
// other:
//
//	compile program                        whoever supervises has it then
//	create, of the other image             beside the compiler
//	put program                            before anything stops
//	stop, start                            as for every change
//	build image                            when all run: the next start needs no copy
//
// The container is labelled with what it was made for, as with an image of its
// own, and with the slot that its program is in. Each container has two: what
// runs is not exchanged, so that one that is started anew is what it was.

// base is the image that a container is made of in place of its own, or "" where
// its own is there, or no other would do. One that a container of its pod was made
// of is the best: it is not about to go.
func (b *builder) base(c *docker.Container, pod string) string {
	if c.Build == nil || c.Build.Base == "" || b.observed.Images[c.Image] != "" {
		return ""
	}
	used := ""
	if o := b.observed.Pods[pod]; o != nil {
		if m := o.Living(c.Name); m != nil {
			used = m.ImageID
		}
	}
	found := ""
	for _, img := range b.observed.Built {
		if img.Base == c.Build.Base && (found == "" || img.ID == used) {
			found = img.Ref
		}
	}
	if found != "" {
		b.bases[found] = true
	}
	return found
}

// slotBeside is the slot of the next instance of a container; m may be nil.
func slotBeside(m *Container) string {
	if m != nil && m.Program == firstSlot {
		return secondSlot
	}
	return firstSlot
}

const (
	firstSlot  = "a"
	secondSlot = "b"
)

// ofProgram notes in the step that makes a container what it is made of, where
// that is not the container's own image.
func (b *builder) ofProgram(s *Step, c *docker.Container, m *Container) {
	if s.Base = b.base(c, s.Pod); s.Base != "" {
		s.Slot = slotBeside(m)
	}
}

// put brings the program of a container that is made of another image, and returns
// none for one that has its own.
func (b *builder) put(step Step, c *docker.Container, slot string, after ...int) int {
	if b.base(c, step.Pod) == "" {
		return none
	}
	step.Op, step.Cause, step.Behind, step.Slot = PutProgram, "", nil, slot
	return b.add(step, after...)
}

// completeImages builds what containers run without: when all that an image is
// for run by a copy of their program, nobody waits for it, and the next start is
// one like any other.
func (b *builder) completeImages() {
	missing, runs := map[string]*docker.Container{}, map[string]bool{}
	pods := map[string]string{}
	for i := range b.desired.State.Pods {
		p := &b.desired.State.Pods[i]
		for _, c := range p.Lasting() {
			if c.Build == nil || c.Build.Base == "" || b.observed.Images[c.Image] != "" {
				continue
			}
			o := b.observed.Pods[p.Name]
			var m *Container
			if o != nil {
				m = o.Living(c.Name)
			}
			at := m.running() && m.Hash == c.Hash && m.Program != ""
			if _, known := missing[c.Image]; !known {
				missing[c.Image], runs[c.Image], pods[c.Image] = c, true, p.Name
			}
			runs[c.Image] = runs[c.Image] && at
		}
	}
	for _, ref := range sortedNames(missing) {
		if _, planned := b.pulls[ref]; planned || !runs[ref] {
			continue
		}
		c, f := missing[ref], b.observed.Fetches[ref]
		if h := b.held(c, f); h != nil {
			b.later("image "+ref, h.words(b.now), h.until)
			continue
		}
		step := b.fetch(BuildImage, c, Step{Pod: pods[ref]}, fmt.Sprintf("%s/%s runs by a copy of its program", pods[ref], c.Name))
		b.steps[step].Aside = true
	}
}
