package runner

import (
	"context"
	"fmt"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// What is copied into a container gets there like this:
//
//  1. Before it is made, its pod's agent makes a directory for the copy: one for
//     each place and each image, so that another image begins with its own files,
//     while a container of the earlier one may still run.
//  2. It is made with a volume that shows the directory, into which the engine
//     copies what the image has there.
//  3. Before it starts, the module's files are copied. So every instance has what
//     is there when it starts, whoever looked away meanwhile.
//  4. What changes later is copied as it changes, see follow.go.

// mountCopies has a container that is about to be made mount its copies.
func (e *executor) mountCopies(ctx context.Context, s reconcile.Step, spec *engine.ContainerSpec) error {
	pod := e.state.Pod(s.Pod)
	c := pod.Container(s.Container)
	if len(c.Synced()) == 0 {
		return nil
	}
	image, err := e.eng().InspectImage(ctx, imageOf(s, c))
	if err != nil {
		return err
	}
	infra, err := e.eng().InspectContainer(ctx, pod.EngineName)
	if err != nil {
		return err
	}
	t := copied{c: c, infra: infra.ID, image: image.ID}
	if err := e.copies.prepare(ctx, t); err != nil {
		return fmt.Errorf("copies: %w", err)
	}
	for _, sync := range c.Synced() {
		v := e.copyVolume(pod, &t, sync.To)
		if err := e.eng().CreateVolume(ctx, v); err != nil {
			return err
		}
		spec.Mounts = append(spec.Mounts, engine.Mount{Volume: v.Name, Path: sync.To})
	}
	return nil
}

// copyVolume is the volume that shows a container a copy. Nobody but the agent can
// put anything on the way to it.
func (e *executor) copyVolume(pod *docker.Pod, t *copied, to string) engine.VolumeSpec {
	dir, _ := t.copyDir(to)
	return engine.VolumeSpec{
		Name:   docker.VolumeName(e.state.Prefix(), pod.Name, t.c.Name) + ".sync-" + shortHash(to) + "-" + imageHash(t.image),
		Labels: e.hands.id.with(map[string]string{labelPod: pod.Name}),
		Shows:  &engine.Part{Volume: pod.SyncVolume(), SubPath: dir[len(docker.SyncDir)+1:] + "/" + api.MirrorData},
	}
}

// bringCopies copies the module's files to a container that is about to start.
func (e *executor) bringCopies(ctx context.Context, s reconcile.Step) error {
	c := e.state.Pod(s.Pod).Container(s.Container)
	if c == nil || c.Dev == nil {
		return nil
	}
	made, err := e.eng().InspectContainer(ctx, s.Name)
	if err != nil {
		return err
	}
	t := copied{c: c, infra: made.Labels[labelInfra], container: made.ID, image: made.ImageID}
	got, err := e.copies.bring(ctx, t, bringHow{starts: true, recent: true})
	if err != nil {
		return fmt.Errorf("%s: files cannot be copied: %w", c.Dev.Line, err)
	}
	return e.call(ctx, func() { e.copiesMade(s, c, made.ID, got) })
}
