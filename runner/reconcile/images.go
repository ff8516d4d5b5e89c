package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// Fetch is what is known of bringing an image to the engine: by pulling it, or
// by building it. The engine does not keep it; whoever supervises remembers,
// and who comes new tries again.
type Fetch struct {
	Running  bool
	Ended    time.Time // of the last try; zero when the first is under way
	Failures int       // tries in a row that failed
	Reason   string    // of the last failure, one of the words below
	// Program says that whoever supervises has the program of the image compiled,
	// which is what a container needs that is made of another one.
	Program bool
	Message string // the registry's or the builder's own words
	// Final means that another try would end the same way: none is made until
	// the definition or what is built changes.
	Final bool
}

// Why a container waits for its image, in Kubernetes' words
// (pkg/kubelet/images/types.go) and one of ours.
const (
	ErrImagePull      = "ErrImagePull"
	ImagePullBackOff  = "ImagePullBackOff"
	ErrImageNeverPull = "ErrImageNeverPull"
	ErrImageBuild     = "ErrImageBuild" // nothing in Kubernetes builds
)

// PolicyAlways is the cause of a pull of an image that is there.
const PolicyAlways = "imagePullPolicy is Always"

// pullFresh is how long a pull counts for containers with imagePullPolicy
// Always. Kubernetes asks the registry at every start; replicas that start
// together need not ask each for itself.
const pullFresh = 10 * time.Second

// Image is an image that was built for the app.
type Image struct {
	Ref string // the tag that we gave it
	ID  string
	// Base tells what it has beside its program, of one of a Go program: see
	// docker.Build.
	Base string
}

// hold is why a container cannot be made yet.
type hold struct {
	reason  string // one of the words above, or "" while its image is on its way
	message string
	until   time.Time // when it is tried again; zero when something else has to change
}

func (h *hold) words(now time.Time) string {
	text := h.message
	if h.reason != "" {
		text = h.reason + ": " + text
	}
	if !h.until.IsZero() {
		text += fmt.Sprintf("; next try in %s", h.until.Sub(now).Round(100*time.Millisecond))
	}
	return text
}

// images brings what is needed. Of an app that is new every image comes first,
// so that one that is nowhere leaves nothing half-made behind; later each
// container waits for its own alone. It is false when a new app has to wait.
func (b *builder) images() bool {
	b.loadStep = none
	if b.observed.Images[b.desired.AgentImage] == "" {
		b.loadStep = b.add(Step{Op: LoadImage, Object: "image " + b.desired.AgentImage, Name: b.desired.AgentImage, Cause: "the engine does not have it"})
	}
	if b.desired.Scope == OnlyJobs || b.observed.Record != nil {
		return true
	}
	complete := true
	need := func(c *docker.Container, s Step) {
		_, h := b.image(c, s)
		if h == nil {
			return
		}
		if h.reason == ErrImageNeverPull { // the step fails, and the run with it
			b.fetch(PullImage, c, s, "the engine does not have it")
			return
		}
		complete = false
		b.waits = append(b.waits, Wait{Object: "image " + c.Image, Reason: h.words(b.now), Code: h.reason, Until: h.until})
	}
	for i := range b.desired.State.Pods {
		p := &b.desired.State.Pods[i]
		for _, c := range slices.Concat(p.Init, p.Containers) {
			need(&c, Step{Pod: p.Name})
		}
	}
	for i := range b.desired.State.Jobs {
		t := &b.desired.State.Jobs[i].Template
		for _, c := range slices.Concat(t.Init, t.Containers) {
			need(&c, Step{Workload: b.desired.State.Jobs[i].Name})
		}
	}
	return complete
}

// image returns the step that brings a container's image, none when it is
// there, or why the container has to wait. s says whose container it is.
func (b *builder) image(c *docker.Container, s Step) (int, *hold) {
	there := b.observed.Images[c.Image] != ""
	f, known := b.observed.Fetches[c.Image]
	op, cause := PullImage, "the engine does not have it"
	switch {
	case c.Build != nil:
		if there {
			return none, nil
		}
		op, cause = BuildImage, b.buildCause(c, s)
		if b.base(c, s.Pod) != "" {
			if f.Program {
				return none, nil
			}
			op = CompileProgram
		}
	case c.PullPolicy == "Never":
		if there {
			return none, nil
		}
		return none, &hold{reason: ErrImageNeverPull, message: NeverPullMessage(c.Image)}
	case c.PullPolicy == "Always":
		fresh := known && f.Failures == 0 && !f.Running && b.now.Sub(f.Ended) < pullFresh
		if there && (b.desired.Offline || fresh) {
			return none, nil
		}
		if there {
			cause = PolicyAlways
		}
	case there:
		return none, nil
	}
	if step, planned := b.pulls[c.Image]; planned {
		return step, nil
	}
	if h := b.held(c, f); h != nil {
		return none, h
	}
	return b.fetch(op, c, s, cause), nil
}

// held is why no try to bring an image is made now, or nil.
func (b *builder) held(c *docker.Container, f Fetch) *hold {
	switch {
	case f.Running && c.Build != nil:
		return &hold{message: fmt.Sprintf("image %s is being built", c.Image)}
	case f.Running:
		return &hold{message: fmt.Sprintf("image %s is being pulled", c.Image)}
	case f.Failures == 0:
		return nil
	case f.Final:
		return &hold{reason: f.Reason, message: f.Message}
	}
	reason, at := f.Why(b.desired.Backoff, b.now)
	if !at.After(b.now) {
		return nil
	}
	return &hold{reason: reason, message: f.Message, until: at}
}

// Why is why an image that could not be had is not there, and when it is asked
// for again; zero when something else has to change first.
func (f Fetch) Why(backoff Backoff, now time.Time) (reason string, retry time.Time) {
	if f.Final {
		return f.Reason, time.Time{}
	}
	retry = f.Ended.Add(backoff.Delay(f.Failures))
	if f.Reason == ErrImagePull && !f.Running && retry.After(now) {
		return ImagePullBackOff, retry
	}
	return f.Reason, retry
}

// NeverPulled are the containers whose image is not there and may not be pulled.
func NeverPulled(s *docker.State, o *Observed) []docker.Container {
	var out []docker.Container
	eachContainer(s, func(c *docker.Container) {
		if c.Build == nil && c.PullPolicy == "Never" && o.Images[c.Image] == "" {
			out = append(out, *c)
		}
	})
	return out
}

// NeverPullMessage says why a container that may not pull its image waits.
func NeverPullMessage(image string) string {
	return fmt.Sprintf("image %s is not on the engine, and imagePullPolicy is Never", image)
}

func (b *builder) fetch(op Op, c *docker.Container, s Step, cause string) int {
	s = Step{Op: op, Object: "image " + c.Image, Name: c.Image, Pod: s.Pod, Workload: s.Workload, Container: c.Name, Cause: cause}
	b.pulls[c.Image] = b.add(s)
	return b.pulls[c.Image]
}

func (b *builder) buildCause(c *docker.Container, s Step) string {
	if p := b.before[s.Pod]; p != nil {
		if old := p.Container(c.Name); old != nil && old.Build != nil && old.Image != c.Image {
			return "what it is built from changed"
		}
	}
	return "it is not built yet"
}

// brought is image for a container that is about to be made. When it has to
// wait, that is noted, and ok is false.
func (b *builder) brought(step Step, c *docker.Container) (after int, ok bool) {
	after, h := b.image(c, step)
	if h == nil {
		return after, true
	}
	w := Wait{Object: step.Object, Reason: h.words(b.now), Code: h.reason, Until: h.until}
	if p := b.observed.Pods[step.Pod]; p != nil {
		w.Job = p.Job != ""
	}
	b.waits = append(b.waits, w)
	return none, false
}

// allBrought is brought for a pod that serves and is made anew: it goes on
// serving until all that the new one needs is there.
func (b *builder) allBrought(p *docker.Pod) (after []int, ok bool) {
	ok = true
	for _, c := range slices.Concat(p.Init, p.Containers) {
		step, there := b.brought(Step{Object: "pod " + p.Name, Pod: p.Name}, &c)
		after, ok = append(after, step), ok && there
	}
	return after, ok
}

// removeImages removes what was built for the app and nobody needs any more: an
// image of its own that is not desired and that no container was made from.
func (b *builder) removeImages() {
	needed := map[string]bool{}
	for _, s := range []*docker.State{b.defined, b.desired.State} { // while a rollout is under way it needs more than the definition, or less
		eachContainer(s, func(c *docker.Container) { needed[c.Image] = true })
	}
	used := map[string]bool{}
	for _, p := range b.observed.Pods {
		for i := range p.Members {
			for c := range p.Members[i].instances() {
				used[c.ImageID] = true
			}
		}
	}
	for _, img := range b.observed.Built {
		if !needed[img.Ref] && !used[img.ID] && !b.bases[img.Ref] {
			b.add(Step{Op: RemoveImage, Object: "image " + img.Ref, Name: img.Ref, Cause: "it was built anew, and nothing uses it"})
		}
	}
}

// eachContainer calls f for every container of a state, those of jobs included.
func eachContainer(s *docker.State, f func(*docker.Container)) {
	pod := func(p *docker.Pod) {
		for i := range p.Init {
			f(&p.Init[i])
		}
		for i := range p.Containers {
			f(&p.Containers[i])
		}
	}
	for i := range s.Pods {
		pod(&s.Pods[i])
	}
	for i := range s.Jobs {
		pod(&s.Jobs[i].Template)
	}
}

// ImagesOf lists the references that the containers of a state need, sorted.
func ImagesOf(s *docker.State) []string {
	refs := map[string]bool{}
	eachContainer(s, func(c *docker.Container) { refs[c.Image] = true })
	return slices.Sorted(maps.Keys(refs))
}
