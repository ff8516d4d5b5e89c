package runner

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cuepod/cuepod/runner/build"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// builtPrefix begins the names of images that we build. What else an image of
// ours is called, its owner has called it.
const builtPrefix = "cuepod/"

// builtImages lists what was built for an app.
func builtImages(ctx context.Context, eng engine.Engine, id Identity) ([]reconcile.Image, error) {
	list, err := eng.ListImages(ctx, id.selector())
	if err != nil {
		return nil, err
	}
	var out []reconcile.Image
	for _, img := range list {
		for _, ref := range img.Refs {
			if strings.HasPrefix(ref, builtPrefix) {
				out = append(out, reconcile.Image{Ref: ref, ID: img.ID, Base: img.Labels[labelBase]})
			}
		}
	}
	return out, nil
}

// builder makes images of what an app's definition says they are made of.
type builder struct {
	eng   engine.Engine
	id    Identity
	arch  string // the engine's
	env   func(name string) (string, bool)
	cache *build.Cache // may be nil
	// compiled has programs that were compiled before; it may be nil.
	compiled *programs
}

// image makes the image of a container. It has the app's labels, by which it is
// found and removed.
func (b *builder) image(ctx context.Context, c *docker.Container, progress func(engine.Progress)) error {
	src, err := b.read(ctx, c)
	switch {
	case err != nil:
		return buildError(c, err)
	case src.IsProgram():
		return b.program(ctx, c, src, progress)
	case c.Build.Buildx:
		err = src.Buildx(ctx, c.Build, buildSpec(b.id, c, src), b.env, progress)
		if err == nil {
			return nil
		}
		return buildError(c, located(c, src, err))
	}
	r, w := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		w.CloseWithError(src.Tar(w))
	}()
	err = b.eng.BuildImage(ctx, buildSpec(b.id, c, src), r, progress)
	r.CloseWithError(io.ErrClosedPipe) // an engine that failed need not have read all
	<-sent
	if at := located(c, src, err); at != err {
		return buildError(c, at)
	}
	return err
}

// located adds the Dockerfile's line to an error of a builder.
func located(c *docker.Container, src *build.Source, err error) error {
	var fault *engine.BuildError
	if !errors.As(err, &fault) {
		return err
	}
	line := src.Line(fault.Step, fault.Message)
	if line == 0 {
		return err
	}
	at := *fault
	at.Where = fmt.Sprintf("%s:%d", path.Join(c.Build.Context, src.Dockerfile), line)
	return &at
}

// read reads what a container's image is made of, which still has to be what the
// image is named after.
func (b *builder) read(ctx context.Context, c *docker.Container) (*build.Source, error) {
	src, err := build.Read(ctx, b.id.Root, c.Build, build.Options{Arch: b.arch, Cache: b.cache})
	if err == nil && !strings.HasSuffix(c.Image, ":"+src.Hash) {
		err = build.ErrChanged
	}
	return src, err
}

// program compiles a Go program, unless it is compiled, and loads its image.
func (b *builder) program(ctx context.Context, c *docker.Container, src *build.Source, progress func(engine.Progress)) error {
	binary, err := b.compile(ctx, c, src, progress)
	if err != nil {
		return err
	}
	labels := b.id.with(map[string]string{labelBase: src.Base()})
	img := src.Image(binary, labels, tagged(buildSpec(b.id, c, src).Tags)...)
	return b.eng.LoadImage(ctx, bytes.NewReader(img.Bytes()))
}

// compile compiles a Go program, or gives what was compiled before. Go reads the
// files on its own: what it has read is what the image is named after if nothing
// changed meanwhile.
func (b *builder) compile(ctx context.Context, c *docker.Container, src *build.Source, progress func(engine.Progress)) ([]byte, error) {
	if p := b.compiled.get(c.Image); p != nil {
		return p.binary, nil
	}
	if progress != nil {
		progress(engine.Progress{ID: "go", Status: "go build " + c.Build.Go, Begins: true})
	}
	binary, err := src.Compile(ctx)
	if err == nil {
		_, err = b.read(ctx, c)
	}
	if err != nil {
		return nil, buildError(c, err)
	}
	b.compiled.put(c.Image, &program{path.Base(src.Path()), binary})
	return binary, nil
}

// onlyProgram compiles the program of a container that is made of another image.
func (b *builder) onlyProgram(ctx context.Context, c *docker.Container, progress func(engine.Progress)) error {
	src, err := b.read(ctx, c)
	if err == nil {
		_, err = b.compile(ctx, c, src, progress)
		return err
	}
	return buildError(c, err)
}

// tagged gives names without a tag the usual one: an archive has whole names.
func tagged(refs []string) []string {
	out := make([]string, len(refs))
	for i, ref := range refs {
		if !strings.Contains(ref[strings.LastIndexByte(ref, '/')+1:], ":") {
			ref += ":latest"
		}
		out[i] = ref
	}
	return out
}

func buildError(c *docker.Container, err error) error {
	e := &engine.Error{Op: "build image", Object: c.Image, Err: err}
	if fault := (*engine.BuildError)(nil); errors.As(err, &fault) {
		e.Kind = engine.BuildFailed
	}
	return e
}

func buildSpec(id Identity, c *docker.Container, src *build.Source) engine.BuildSpec {
	spec := engine.BuildSpec{
		Tags: []string{c.Image}, Dockerfile: src.Dockerfile, Target: c.Build.Target, Args: c.Build.Args, Bases: src.Bases,
		CacheFrom: c.Build.CacheFrom, Platform: c.Build.Platform,
		Labels: id.labels(),
	}
	if name := c.Build.Name; name != "" && !strings.Contains(name, "@") { // a digest names what is, not what is made
		spec.Tags = append(spec.Tags, name)
	}
	return spec
}

// Built is an image that Build made, or found made.
type Built struct {
	Container string // "web/app"
	Image     string // by its content
	Name      string // as the definition calls it
	Made      bool   // now
}

// Build builds all images of an app that are not there, a few beside each other,
// and then calls done for each image that is there, in the definition's order.
// cfg is what the state was compiled with.
func Build(ctx context.Context, cfg Config, id Identity, state *docker.State, report func(Event), done func(Built)) error {
	info, err := cfg.Engine.Info(ctx)
	if err != nil {
		return err
	}
	b := &builder{eng: cfg.Engine, id: id, arch: info.Arch, env: cfg.Secrets.LookupEnv, cache: cfg.Sources}
	var mu sync.Mutex // over report: builds beside each other have one voice
	say := func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		report(e)
	}
	steps := buildSteps(state)
	made, failed := make([]bool, len(steps)), make([]error, len(steps))
	var work errgroup.Group
	work.SetLimit(buildsAtOnce)
	for i, s := range steps {
		work.Go(func() error {
			made[i], failed[i] = b.one(ctx, s, containerOf(s, state), say)
			return nil
		})
	}
	_ = work.Wait()
	for i, s := range steps {
		if failed[i] != nil {
			failed[i] = explain(s, state, failed[i])
			continue
		}
		c := containerOf(s, state)
		for user := range strings.SplitSeq(usersOf(c.Image, state), ", ") {
			done(Built{Container: user, Image: c.Image, Name: c.Build.Name, Made: made[i]})
		}
	}
	return errors.Join(failed...)
}

// buildsAtOnce is how many images are built beside each other: they share one
// machine's cores, and the fourth seldom makes the first three later by much.
const buildsAtOnce = 4

func (b *builder) one(ctx context.Context, s reconcile.Step, c *docker.Container, report func(Event)) (made bool, err error) {
	_, err = b.eng.InspectImage(ctx, c.Image)
	if kind := engine.KindOf(err); kind != engine.NotFound && kind != engine.ImageMissing {
		return false, err
	}
	m := newMeter(s.Op)
	report(Event{Kind: EventPlan, Object: s.Object, Message: "building it for " + cmp.Or(s.Pod, s.Workload) + "/" + c.Name})
	err = b.image(ctx, c, func(p engine.Progress) {
		if step := m.begins(p); step != "" {
			report(Event{Kind: EventBuild, Object: s.Object, Message: step})
		}
		if text, due := m.add(p); due {
			report(Event{Kind: EventProgress, Object: s.Object, Message: text})
		}
	})
	if err == nil {
		report(Event{Kind: EventStep, Object: s.Object, Message: "built in " + m.took()})
	}
	return err == nil, err
}

// buildSteps has one step for each image that is built, in the order of the
// definition.
func buildSteps(state *docker.State) []reconcile.Step {
	var out []reconcile.Step
	seen := map[string]bool{}
	add := func(p *docker.Pod, pod, job string) {
		for _, list := range [][]docker.Container{p.Init, p.Containers} {
			for i := range list {
				if c := &list[i]; c.Build != nil && !seen[c.Image] {
					seen[c.Image] = true
					out = append(out, reconcile.Step{Op: reconcile.BuildImage, Object: "image " + c.Image, Name: c.Image, Pod: pod, Workload: job, Container: c.Name})
				}
			}
		}
	}
	for i := range state.Pods {
		add(&state.Pods[i], state.Pods[i].Name, "")
	}
	for i := range state.Jobs {
		add(&state.Jobs[i].Template, "", state.Jobs[i].Name)
	}
	return out
}
