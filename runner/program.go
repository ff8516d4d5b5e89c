package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/mirror"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// A container whose Go program has changed is made of an image that is there, and
// has the program from a copy that its pod's agent keeps, as it keeps copies of
// files (copymount.go). When that is done is decided in reconcile/program.go.

// program is one that was compiled.
type program struct {
	name   string // of the file
	binary []byte
}

// programs are those that were compiled and are in no image yet, by the reference
// of that image. They are forgotten when it is there, so that there is at most one
// of each container. The zero value is ready; nil keeps nothing. Its methods are
// safe for concurrent use.
type programs struct {
	mu  sync.Mutex
	all map[string]*program // guarded by mu
}

func (l *programs) get(ref string) *program {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[ref]
}

func (l *programs) put(ref string, p *program) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]*program{}
	}
	l.all[ref] = p
}

func (l *programs) forget(ref string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, ref)
}

// keep forgets all but those of some images.
func (l *programs) keep(refs []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ref := range l.all {
		if !slices.Contains(refs, ref) {
			delete(l.all, ref)
		}
	}
}

// imageOf is the image that a container is made of.
func imageOf(s reconcile.Step, c *docker.Container) string { return cmp.Or(s.Base, c.Image) }

// programDir is where the agent has the copy in a slot.
func programDir(container, slot string) string {
	return path.Join(docker.SyncDir, container+"."+shortHash(docker.ProgramDir)+".program-"+slot)
}

// mountProgram has a container that is about to be made look for its program where
// the agent puts it. The image's is hidden.
func (e *executor) mountProgram(ctx context.Context, s reconcile.Step, spec *engine.ContainerSpec) error {
	pod := e.state.Pod(s.Pod)
	infra, err := e.eng().InspectContainer(ctx, pod.EngineName)
	if err != nil {
		return err
	}
	dir := programDir(s.Container, s.Slot)
	if err := e.copies.prepareDir(ctx, infra.ID, dir); err != nil {
		return fmt.Errorf("program: %w", err)
	}
	v := engine.VolumeSpec{
		Name:   docker.VolumeName(e.state.Prefix(), pod.Name, s.Container) + ".program-" + s.Slot,
		Labels: e.hands.id.with(map[string]string{labelPod: pod.Name}),
		Shows:  &engine.Part{Volume: pod.SyncVolume(), SubPath: path.Base(dir) + "/" + api.MirrorData},
	}
	if err := e.eng().CreateVolume(ctx, v); err != nil {
		return err
	}
	spec.Labels[labelProgram] = s.Slot
	spec.Mounts = append(spec.Mounts, engine.Mount{Volume: v.Name, Path: docker.ProgramDir, NoCopy: true})
	return nil
}

// putProgram has the agent of a pod put a program where the next instance of a
// container looks for it.
func (e *executor) putProgram(ctx context.Context, s reconcile.Step) error {
	pod := e.state.Pod(s.Pod)
	p := e.programs.get(pod.Container(s.Container).Image)
	if p == nil {
		return fmt.Errorf("%w: another definition has come", errNotYet)
	}
	infra, err := e.eng().InspectContainer(ctx, pod.EngineName)
	if err != nil {
		return err
	}
	if err := e.copies.putProgram(ctx, infra.ID, programDir(s.Container, s.Slot), p); err != nil {
		return fmt.Errorf("program %s cannot be copied: %w", p.name, err)
	}
	return nil
}

// prepareDir makes the directory of a copy.
func (k *copies) prepareDir(ctx context.Context, infra, dir string) error {
	p, err := k.pod(infra)
	if err != nil {
		return err
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	_, err = k.carry(ctx, p, infra, mirror.Round{Open: api.MirrorOpen{Dir: dir}})
	return err
}

// putProgram makes a program the one file of a copy.
func (k *copies) putProgram(ctx context.Context, infra, dir string, what *program) error {
	from, err := os.MkdirTemp("", "cuepod-program-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(from)
	file := filepath.Join(from, what.name)
	if err := errors.Join(os.WriteFile(file, what.binary, 0o755), os.Chmod(file, 0o755)); err != nil { // whatever the umask
		return err
	}
	m, err := mirror.Scan(from, ".", nil, nil)
	if err != nil {
		return err
	}
	p, err := k.pod(infra)
	if err != nil {
		return err
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	got, err := k.carry(ctx, p, infra, mirror.Round{Open: api.MirrorOpen{Dir: dir}, Root: from, From: ".", Manifest: m})
	if err == nil && len(got.Errors) > 0 {
		err = errors.New(got.Errors[0])
	}
	return err
}
