package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// Member is the observed container of that name, or nil.
func (p *Pod) Member(name string) *Container {
	for i := range p.Members {
		if p.Members[i].Key == name {
			return &p.Members[i]
		}
	}
	return nil
}

// replaceCause is why a container has to be made anew though nothing is wrong
// with it, or "".
func (b *builder) replaceCause(c *docker.Container, m *Container, pod string) string {
	if m.Again != "" {
		return m.Again
	}
	if b.desired.Strict {
		return "" // the pod is replaced as a whole, when its turn comes
	}
	if m.Hash != c.Hash {
		return b.containerChange(c, pod)
	}
	if m.Program != "" {
		if m.waiting() && b.base(c, pod) == "" {
			return "it was made for a copy of its program"
		}
		return ""
	}
	if id := b.observed.Images[c.Image]; id != "" && m.Waiting == "" && m.ImageID != "" && id != m.ImageID {
		return "image " + c.Image + " was rebuilt"
	}
	return ""
}

func (b *builder) containerChange(c *docker.Container, pod string) string {
	if p := b.before[pod]; p != nil {
		if old := p.Container(c.Name); old != nil {
			if changes := c.Changes(old); len(changes) > 0 {
				return strings.Join(changes, ", ")
			}
		}
	}
	return "its definition changed"
}

func (b *builder) restart(p *docker.Pod, step Step, m *Container, prev int, gates []int, c *docker.Container) int {
	at, next := b.desired.Backoff.Due(m)
	cause := endCause(m)
	if !b.mayStart(p, step.Object, cause, at) {
		return none
	}
	image, ok := b.brought(step, c)
	if !ok {
		return none
	}
	gates = slices.Concat(gates, []int{image})
	step.Restarts, step.Backoff, step.Cause = m.Restarts+1, next, cause
	room := b.makeRoom(step, m, gates...)
	start := slices.Concat(gates, []int{prev})
	return b.create(step, m, slices.Concat(start, []int{room}), start, c)
}

// mayStart reports whether it is time for the next start of what ended, and notes
// what is waited for where it is not.
func (b *builder) mayStart(p *docker.Pod, object, cause string, at time.Time) bool {
	if at.After(b.now) {
		b.wait(p, object, fmt.Sprintf("%s; next start in %s", cause, at.Sub(b.now).Round(100*time.Millisecond)), at)
		return false
	}
	return true
}

// makeRoom frees the name of a container that has ended. One that ran stays
// under another name, for its logs and how it ended, in the place of the one
// before it. A run that is killed in between leaves it there alone: then it is
// the one that ended, see Pair.
func (b *builder) makeRoom(step Step, m *Container, after ...int) int {
	if docker.IsPreviousName(m.Name) {
		return none
	}
	if m.State != Exited {
		return b.removeOne(step, m, after...)
	}
	if m.Previous != nil {
		after = []int{b.removeOne(step, m.Previous, after...)}
	}
	step.Op, step.Behind, step.Name, step.ID = RenameContainer, nil, docker.PreviousName(m.Name), m.ID
	return b.add(step, after...)
}

// retry makes a container again that could not be made, when its time has come.
// It is false while it has to wait.
func (b *builder) retry(p *docker.Pod, step Step, m *Container) bool {
	at, _ := b.desired.Backoff.Due(m)
	if at.After(b.now) {
		b.wait(p, step.Object, fmt.Sprintf("%s: %s; next try in %s", m.Waiting, m.Message, at.Sub(b.now).Round(100_000_000)), at)
		return false
	}
	return true
}

// endCause says how a container ended.
func endCause(m *Container) string {
	switch {
	case m.Error != "":
		return "it did not start: " + m.Error
	case m.OOMKilled:
		return "it ran out of memory"
	}
	return fmt.Sprintf("it exited with code %d", m.ExitCode)
}

// wait notes what a pod waits for.
func (b *builder) wait(p *docker.Pod, object, reason string, until time.Time) {
	b.waits = append(b.waits, Wait{Object: object, Reason: reason, Until: until, Job: p.Job != ""})
}

// replace has another instance of a container take the place of the one that is
// there: a running one stops when the next is made, and goes when that has
// started. It returns none when the next one's image is not to be had yet, or when
// it cannot be made.
func (b *builder) replace(l *launch, step Step, m *Container, c *docker.Container) int {
	image, ok := b.brought(step, c)
	made, isAhead := l.ahead[c.Name]
	if !ok || isAhead && made == none {
		return none // what is there stays until then
	}
	step.Cause = b.replaceCause(c, m, l.p.Name)
	gates := slices.Concat(l.gates, []int{image})
	if isAhead {
		gates = append(gates, b.put(step, c, slotBeside(m), image))
	}
	start := slices.Concat(gates, []int{l.last})
	old := step
	old.Swap = b.desired.Hold && m.running()
	if !isAhead {
		gone := b.removeAlone(old, m, gates...)
		return b.create(step, m, slices.Concat(start, []int{gone}), start, c)
	}
	stopped := b.stopAlone(old, m, b.ending(l.o, m), gates...)
	next := step
	next.Cause = ""
	started := len(b.steps)
	last := b.start(next, slices.Concat(start, []int{stopped}), c)
	b.removeOne(step, m, started)
	return last
}

// startAgain starts a container that has ended as it is, when the one that should
// take its place is not to be had: the last that was good goes on. It counts no
// restart, so that the pause before it stays the same.
func (b *builder) startAgain(l *launch, step Step, m *Container, c *docker.Container) int {
	at := m.Finished.Add(b.desired.Backoff.Delay(m.Backoff + 1))
	if !b.mayStart(l.p, step.Object, endCause(m), at) {
		return none
	}
	step.Name, step.Cause = m.Name, endCause(m)+", and what replaces it is not there yet"
	return b.start(step, slices.Concat(l.gates, []int{l.last}), c)
}

// createAndStart makes a container anew, removing what is left of an earlier
// try, and starts it, or returns none when its image is not to be had yet. It is
// created as soon as there is an infra container to join, while the agent still gets
// ready.
func (b *builder) createAndStart(step Step, m *Container, cause string, prev, joined int, gates []int, c *docker.Container) int {
	image, ok := b.brought(step, c)
	if !ok {
		return none
	}
	gone := none
	step.Cause = cause
	if m != nil {
		step.Restarts, step.Backoff, step.Tries = m.Restarts, m.Backoff, m.Tries
		if m.ended() { // one that could not be started counts as one that ran and failed
			_, step.Backoff = b.desired.Backoff.Due(m)
			step.Restarts++
		}
		gone = b.makeRoom(step, m)
	}
	return b.create(step, m, []int{joined, gone, image}, slices.Concat(gates, []int{prev}), c)
}

func (b *builder) create(step Step, m *Container, createAfter, startAfter []int, c *docker.Container) int {
	copies := len(c.Synced()) > 0 || b.base(c, step.Pod) != ""
	if c.ReadsFiles() || c.HasSubPaths() || copies {
		createAfter = slices.Concat(createAfter, startAfter) // it gets what is there by then, and the agent makes the places of copies
	}
	made := step
	made.Op, made.Behind = CreateContainer, nil
	b.ofProgram(&made, c, m)
	created := b.add(made, slices.Concat(createAfter, []int{b.recordStep}, b.claimSteps(c.Mounts))...)
	step.Cause = ""
	return b.start(step, slices.Concat(startAfter, []int{created, b.put(step, c, made.Slot, createAfter...)}), c)
}

// start starts a container that is made, and runs its hook.
func (b *builder) start(step Step, after []int, c *docker.Container) int {
	step.Op = StartContainer
	started := b.add(step, after...)
	if c.PostStart == nil {
		return started
	}
	step.Op, step.Cause, step.Behind = PostStart, "", nil
	return b.add(step, started)
}

// claimSteps are the steps that create the claims' volumes that are mounted. The
// engine would make them itself, without our labels.
func (b *builder) claimSteps(mounts []docker.Mount) []int {
	var out []int
	for _, m := range mounts {
		if s, ok := b.volumes[m.Volume]; ok && b.steps[s].Op == CreateVolume {
			out = append(out, s)
		}
	}
	return out
}
