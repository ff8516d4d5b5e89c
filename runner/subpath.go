package runner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// A sub-path is a way into a volume that containers may write to, and so may
// put links in the way of. Kubernetes had two serious faults there
// (CVE-2017-1002101, CVE-2021-25741). Here it goes like this:
//
//  1. Before a container is made, its pod's agent, who has the volume mounted
//     and never follows a link out of it, makes what is missing.
//  2. An engine with sub-paths of its own finds the way as safely. For another
//     one, a volume is made that shows what is at the path, see engine.Part.
//  3. Before the container starts, a container of ours does that mounts the
//     volume and the part. So the engine has found something, and shows that
//     from now on, whatever becomes of the path. The agent in it makes sure that
//     it is what a safe way leads to. Only then does the container start, and
//     ours goes.
//
// At no time does a program of the user's see what is outside of the volume.

// part is a sub-path that a volume of its own shows.
type part struct {
	mount  int // index in the container's mounts
	name   string
	source engine.Mount // as the definition has it
}

// parts lists the sub-paths that the engine itself would not find safely.
func parts(project string, p *docker.Pod, c *docker.Container, mounts []engine.Mount, subPaths bool) []part {
	var out []part
	for i, m := range mounts {
		if m.SubPath == "" || m.Image != "" || m.Volume != "" && (m.Fixed || subPaths) {
			continue
		}
		sum := sha256.Sum256([]byte(m.Volume + "\x00" + m.HostPath + "\x00" + m.SubPath))
		// Each container has its own: what another one shows was found earlier.
		name := docker.VolumeName(project, p.Name, c.Name) + "." + hex.EncodeToString(sum[:6])
		out = append(out, part{mount: i, name: name, source: m})
	}
	return out
}

// prepareSubPaths makes what is missing at a container's sub-paths, and the
// volumes that show them.
func (e *executor) prepareSubPaths(ctx, whole context.Context, s reconcile.Step, spec *engine.ContainerSpec) error {
	pod := e.state.Pod(s.Pod)
	c := pod.Container(s.Container)
	if !c.HasSubPaths() {
		return nil
	}
	if err := e.awaitAgent(ctx, s.Pod); err != nil {
		return err // files that are sub-paths have to be there
	}
	kinds := make([]string, len(spec.Mounts))
	for i, m := range spec.Mounts {
		if m.SubPath == "" || m.Image != "" {
			continue
		}
		var err error
		if kinds[i], err = e.makeSubPath(whole, pod, m); err != nil {
			return fmt.Errorf("mount %s: sub-path %s: %w", m.Path, m.SubPath, err)
		}
	}
	for _, p := range parts(e.state.Prefix(), pod, c, spec.Mounts, e.engine.SubPaths) {
		m := &spec.Mounts[p.mount]
		if kinds[p.mount] != api.SubPathDir {
			return fmt.Errorf("mount %s: sub-path %s is a file, and %s %s can show a directory alone; %s", m.Path, m.SubPath, e.engine.Name, e.engine.Version, fileHint(m))
		}
		if err := e.eng().CreateVolume(whole, e.partSpec(pod, p)); err != nil {
			return err
		}
		*m = engine.Mount{Volume: p.name, Path: m.Path, ReadOnly: m.ReadOnly, NoCopy: true}
	}
	return nil
}

func fileHint(m *engine.Mount) string {
	if m.HostPath != "" {
		return "let the volume's hostPath be the file itself"
	}
	return "mount the directory that it is in, or use Docker 26 or newer"
}

func (e *executor) partSpec(pod *docker.Pod, p part) engine.VolumeSpec {
	return engine.VolumeSpec{
		Name:   p.name,
		Labels: e.hands.id.with(map[string]string{labelPod: pod.Name}),
		Shows:  &engine.Part{Volume: p.source.Volume, HostPath: p.source.HostPath, SubPath: p.source.SubPath},
	}
}

// makeSubPath lets the pod's agent make a sub-path, and gives what is there.
func (e *executor) makeSubPath(ctx context.Context, pod *docker.Pod, m engine.Mount) (kind string, err error) {
	dir, err := agentDir(pod, m)
	if err != nil {
		return "", err
	}
	return e.runAgent(ctx, pod.EngineName, api.RoleSubPath, dir, m.SubPath)
}

// agentDir is where a pod's agent has what a container mounts.
func agentDir(pod *docker.Pod, m engine.Mount) (string, error) {
	i := slices.IndexFunc(pod.Mounts, func(o docker.Mount) bool { return o.Volume == m.Volume && o.HostPath == m.HostPath })
	if i < 0 {
		return "", errors.New("the pod's agent does not have the volume")
	}
	return pod.Mounts[i].Path, nil
}

// runAgent runs the agent's program in a container of its image and gives what
// it says, or its complaint as the error.
func (e *executor) runAgent(ctx context.Context, container string, args ...string) (string, error) {
	image, err := e.eng().InspectImage(ctx, e.agent.ref)
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	code, err := e.eng().Exec(ctx, container, engine.ExecSpec{Cmd: slices.Concat(image.Entrypoint, args), Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		return "", err
	}
	if code != 0 {
		_, said, _ := strings.Cut(strings.TrimSpace(stderr.String()), ": ") // behind the program's name
		return "", errors.New(said)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// holdSubPaths makes sure that the engine has found what is at a container's
// sub-paths, and that it shows just that when the container starts. release is
// for when it has.
func (e *executor) holdSubPaths(ctx, whole context.Context, s reconcile.Step) (release func(), err error) {
	nothing := func() {}
	pod := e.state.Pod(s.Pod)
	c := pod.Container(s.Container)
	if !c.HasSubPaths() {
		return nothing, nil
	}
	_, addr, err := e.network(ctx)
	if err != nil {
		return nothing, err
	}
	spec, err := e.memberSpec(ctx, whole, s, addr)
	if err != nil {
		return nothing, err
	}
	list := parts(e.state.Prefix(), pod, c, spec.Mounts, e.engine.SubPaths)
	if len(list) == 0 {
		return nothing, nil
	}
	holder, compare := holderSpec(e.hands.id, pod, c, e.agent.ref, list)
	release = func() { _ = e.eng().RemoveContainer(whole, holder.Name) } // a stranger in the pod otherwise: it goes with the next plan
	if err := e.eng().RemoveContainer(whole, holder.Name); err != nil {
		return nothing, err
	}
	if _, err := e.eng().CreateContainer(whole, holder); err != nil {
		return nothing, err
	}
	if err := e.eng().StartContainer(whole, holder.Name); err != nil {
		release()
		return nothing, err
	}
	if _, err := e.runAgent(whole, holder.Name, compare...); err != nil {
		release()
		return nothing, fmt.Errorf("the sub-paths of its volumes changed while they were looked for: %w", err)
	}
	return release, nil
}

// holderSpec is a container that holds a container's parts, and the command that
// compares them with what is in the volumes.
func holderSpec(id Identity, p *docker.Pod, c *docker.Container, image string, list []part) (spec engine.ContainerSpec, compare []string) {
	spec = agentSpec(c.EngineName+".subpath", image, strangerLabels(id, p, c.Name+".subpath"), api.RoleHold)
	spec.CapAdd = []string{"DAC_READ_SEARCH"} // into directories that a user has closed
	compare = []string{api.RoleSame}
	for i, part := range list {
		volume, shown := fmt.Sprintf("/volumes/%d", i), fmt.Sprintf("/parts/%d", i)
		spec.Mounts = append(spec.Mounts,
			engine.Mount{Volume: part.source.Volume, HostPath: part.source.HostPath, Path: volume, ReadOnly: true, NoCopy: part.source.Volume != ""},
			engine.Mount{Volume: part.name, Path: shown, ReadOnly: true, NoCopy: true})
		compare = append(compare, volume, part.source.SubPath, shown)
	}
	return spec, compare
}
