package fake

import (
	"archive/tar"
	"cmp"
	"context"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
)

const (
	exitKilled       = 137   // 128 + SIGKILL
	exitTerminated   = 143   // 128 + SIGTERM
	exitNotFound     = 127   // a shell's word for an unknown command
	firstDynamicPort = 32768 // of host ports that the engine chooses
)

// box is a container.
type box struct {
	id    string
	spec  engine.ContainerSpec
	image Image
	env   []string
	files tree // its own, outside the mounts
	logs  *logs

	state             engine.State
	exitCode          int
	oom               bool
	lastError         string
	created           time.Time
	started, finished time.Time

	// While it runs:
	proc    *process // nil when it does not
	net     *netw    // nil when it has none or joins another
	ip      netip.Addr
	publish []engine.PortBinding
}

func (b *box) mounts(volume string) bool {
	return slices.ContainsFunc(b.spec.Mounts, func(m engine.Mount) bool { return m.Volume == volume })
}

// find gives a container by ID or name, or nil.
func (e *Engine) find(idOrName string) *box {
	if b := e.boxes[idOrName]; b != nil {
		return b
	}
	for _, b := range e.boxes {
		if b.spec.Name == idOrName {
			return b
		}
	}
	return nil
}

func (e *Engine) need(idOrName string) (*box, error) {
	if b := e.find(idOrName); b != nil {
		return b, nil
	}
	return nil, failf(engine.NotFound, "No such container: %s", idOrName)
}

// CreateContainer implements engine.Engine.
func (e *Engine) CreateContainer(ctx context.Context, spec engine.ContainerSpec) (id string, err error) {
	err = e.call(ctx, "CreateContainer", "create container", spec.Name, func() error {
		if err := spec.Check(); err != nil {
			return err
		}
		if b := e.find(spec.Name); b != nil {
			return failf(engine.NameTaken, "the container name %q is already in use by container %s", spec.Name, b.id)
		}
		img, ok := e.image(spec.Image)
		if !ok {
			return failf(engine.ImageMissing, "No such image: %s", spec.Image)
		}
		for _, join := range []string{spec.JoinContainer, spec.JoinPID} {
			if join != "" && e.find(join) == nil {
				return failf(engine.NotFound, "No such container: %s", join)
			}
		}
		if err := e.makeHostDirs(spec.Mounts); err != nil {
			return err
		}
		if err := e.checkSubPaths(spec.Mounts); err != nil {
			return err
		}
		b := e.newBox(spec, img)
		e.boxes[b.id] = b
		id = b.id
		e.tell(b, "create")
		return nil
	})
	return id, err
}

func (e *Engine) newBox(spec engine.ContainerSpec, img Image) *box {
	spec.Labels = maps.Clone(spec.Labels)
	if spec.Entrypoint == nil {
		spec.Entrypoint = img.Entrypoint
		if spec.Cmd == nil {
			spec.Cmd = img.Cmd
		}
	}
	for _, m := range spec.Mounts {
		if m.Volume != "" && e.volumes[m.Volume] == nil { // engines make what is missing
			e.volumes[m.Volume] = &vol{spec: engine.VolumeSpec{Name: m.Volume}, files: tree{}}
		}
	}
	files := tree{}
	for name, data := range img.Files {
		files.put(strings.TrimPrefix(path.Clean(name), "/"), node{tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}, []byte(data)})
	}
	return &box{
		id: e.newID("container"), spec: spec, image: img, env: mergeEnv(img.Env, spec.Env),
		files: files, logs: newLogs(spec.NoLog), state: engine.Created, created: time.Now(),
	}
}

// makeHostDirs makes the directories of the machine that mounts ask for. One
// that is not there otherwise is an error.
func (e *Engine) makeHostDirs(mounts []engine.Mount) error {
	for _, m := range mounts {
		if m.HostPath == "" || e.hostDirs[m.HostPath] != nil {
			continue
		}
		if !m.Create {
			return failf(engine.Other, "invalid mount config for type \"bind\": bind source path does not exist: %s", m.HostPath)
		}
		e.hostDirs[m.HostPath] = &vol{files: tree{}}
	}
	return nil
}

// checkSubPaths refuses what an engine that is old does not have.
func (e *Engine) checkSubPaths(mounts []engine.Mount) error {
	for _, m := range mounts {
		if _, ok := e.local[m.Image]; m.Image != "" && (e.old || !ok) {
			return failf(engine.Other, "invalid mount config for type \"image\": %s", m.Image)
		}
		if e.old && m.Volume != "" && m.SubPath != "" && !m.Fixed {
			return failf(engine.Other, "mount %s: the sub-path of a volume requires a newer engine", m.Path)
		}
	}
	return nil
}

// checkParts fails where a volume shows a directory that is not there.
func (e *Engine) checkParts(b *box) error {
	for _, m := range b.spec.Mounts {
		if m.Volume == "" || e.volumes[m.Volume].spec.Shows == nil {
			continue
		}
		if at := e.within(m, ""); !at.files.isDir(at.name) {
			return failf(engine.Other, "error while mounting volume %s: no such file or directory", m.Volume)
		}
	}
	return nil
}

// mergeEnv adds variables to an image's; the last of a name wins.
func mergeEnv(image, own []string) []string {
	var out []string
	for _, kv := range slices.Concat(image, own) {
		name, _, _ := strings.Cut(kv, "=")
		same := func(old string) bool { return strings.HasPrefix(old, name+"=") }
		if i := slices.IndexFunc(out, same); i >= 0 {
			out[i] = kv
			continue
		}
		out = append(out, kv)
	}
	return out
}

// StartContainer implements engine.Engine.
func (e *Engine) StartContainer(ctx context.Context, id string) error {
	return e.call(ctx, "StartContainer", "start container", id, func() error {
		b, err := e.need(id)
		if err != nil || b.proc != nil {
			return err // a running container is started already
		}
		err = e.checkParts(b)
		if err == nil {
			err = e.connect(b)
		}
		if err != nil {
			b.lastError = err.Error()
			return err
		}
		if refuse := b.image.Refuse; refuse != nil && refuse(b.spec) != "" {
			b.lastError, b.exitCode = refuse(b.spec), exitNotFound
			if b.net != nil {
				delete(b.net.taken, b.ip)
				b.net, b.publish, b.ip = nil, nil, netip.Addr{}
			}
			return failf(engine.Other, "%s", b.lastError)
		}
		e.launch(b)
		return nil
	})
}

// connect gives a container what it needs of the network, or nothing.
func (e *Engine) connect(b *box) error {
	if join := b.spec.JoinPID; join != "" {
		if other := e.find(join); other == nil || other.proc == nil {
			return failf(engine.Other, "cannot join PID of a non running container: %s", join)
		}
	}
	if join := b.spec.JoinContainer; join != "" {
		if other := e.find(join); other == nil || other.proc == nil {
			return failf(engine.Other, "cannot join network of a non running container: %s", join)
		}
		return nil
	}
	if b.spec.Network == "" {
		return nil
	}
	n := e.network(b.spec.Network)
	if n == nil {
		return failf(engine.NotFound, "network %s not found", b.spec.Network)
	}
	publish, err := e.bind(b.spec.Publish)
	if err != nil {
		return err
	}
	ip, err := n.take(b.spec.IP)
	if err != nil {
		return err
	}
	b.net, b.ip, b.publish = n, ip, publish
	return nil
}

// bind finds a host port for each binding.
func (e *Engine) bind(ports []engine.PortBinding) ([]engine.PortBinding, error) {
	var bound []engine.PortBinding
	for _, p := range ports {
		p.HostIP = cmp.Or(p.HostIP, "127.0.0.1")
		for p.HostPort == 0 {
			e.lastHostPt = max(e.lastHostPt+1, firstDynamicPort)
			candidate := p
			candidate.HostPort = e.lastHostPt
			if !e.portTaken(candidate, bound) {
				p = candidate
			}
		}
		if e.portTaken(p, bound) {
			return nil, failf(engine.PortTaken, "Bind for %s:%d failed: port is already allocated", p.HostIP, p.HostPort)
		}
		bound = append(bound, p)
	}
	return bound, nil
}

func (e *Engine) portTaken(want engine.PortBinding, own []engine.PortBinding) bool {
	if e.hostPorts[want.HostPort] || slices.ContainsFunc(own, func(p engine.PortBinding) bool { return clash(p, want) }) {
		return true
	}
	for _, b := range e.boxes {
		if b.proc != nil && slices.ContainsFunc(b.publish, func(p engine.PortBinding) bool { return clash(p, want) }) {
			return true
		}
	}
	return false
}

func clash(a, b engine.PortBinding) bool {
	const all = "0.0.0.0"
	return a.HostPort == b.HostPort && strings.EqualFold(a.Protocol, b.Protocol) &&
		(a.HostIP == b.HostIP || a.HostIP == all || b.HostIP == all)
}

// StopContainer implements engine.Engine.
func (e *Engine) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	const method, op = "StopContainer", "stop container"
	if err := e.enter(ctx, method, id); err != nil {
		return wrap(op, id, err)
	}
	e.mu.Lock()
	b, err := e.need(id)
	var p *process
	if err == nil {
		p = b.proc
	}
	e.mu.Unlock()
	if p != nil {
		p.terminate()
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
		case <-timer.C:
			e.mu.Lock()
			e.finish(b, p, exitKilled, false)
			e.mu.Unlock()
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return e.leave(ctx, method, op, id, err)
}

// RemoveContainer implements engine.Engine.
func (e *Engine) RemoveContainer(ctx context.Context, id string) error {
	return e.call(ctx, "RemoveContainer", "remove container", id, func() error {
		b := e.find(id)
		if b == nil {
			return nil
		}
		if b.proc != nil {
			e.finish(b, b.proc, exitKilled, false)
		}
		delete(e.boxes, b.id)
		e.tell(b, "destroy")
		return nil
	})
}

// SignalContainer implements engine.Engine. What ends a process by default ends the
// program; it hears the rest.
func (e *Engine) SignalContainer(ctx context.Context, id, signal string) error {
	return e.call(ctx, "SignalContainer", "send a signal to container", id, func() error {
		b, err := e.need(id)
		switch {
		case err != nil:
			return err
		case b.proc == nil:
			return failf(engine.Other, "container %s is not running", id)
		case signal == "SIGKILL":
			e.finish(b, b.proc, exitKilled, false)
		case signal == "SIGTERM" || signal == "SIGINT":
			b.proc.terminate()
		default:
			select {
			case b.proc.signals <- signal:
			default: // the same as one that is pending
			}
		}
		return nil
	})
}

// RenameContainer implements engine.Engine.
func (e *Engine) RenameContainer(ctx context.Context, id, name string) error {
	return e.call(ctx, "RenameContainer", "rename container", id, func() error {
		b, err := e.need(id)
		if err != nil {
			return err
		}
		if other := e.find(name); other != nil && other != b {
			return failf(engine.NameTaken, "the container name %q is already in use by container %s", name, other.id)
		}
		b.spec.Name = name
		return nil
	})
}

// WaitContainer implements engine.Engine.
func (e *Engine) WaitContainer(ctx context.Context, id string) (code int, err error) {
	const method, op = "WaitContainer", "wait for container"
	if err := e.enter(ctx, method, id); err != nil {
		return 0, wrap(op, id, err)
	}
	e.mu.Lock()
	b, err := e.need(id)
	var p *process
	if err == nil {
		p, code = b.proc, b.exitCode
	}
	e.mu.Unlock()
	if p != nil {
		select {
		case <-p.done:
			code = p.exitCode
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return code, e.leave(ctx, method, op, id, err)
}

// InspectContainer implements engine.Engine.
func (e *Engine) InspectContainer(ctx context.Context, id string) (out engine.Container, err error) {
	err = e.call(ctx, "InspectContainer", "inspect container", id, func() error {
		b, err := e.need(id)
		if err != nil {
			return err
		}
		out = b.snapshot()
		return nil
	})
	return out, err
}

// Usage implements engine.Engine: a process of ours uses a mebibyte, and no time.
func (e *Engine) Usage(ctx context.Context, id string) (out engine.Usage, err error) {
	err = e.call(ctx, "Usage", "usage of container", id, func() error {
		b, err := e.need(id)
		if err == nil && b.state == engine.Running {
			out.Memory = 1 << 20
		}
		return err
	})
	return out, err
}

// ListContainers implements engine.Engine.
func (e *Engine) ListContainers(ctx context.Context, labels map[string]string) (all []engine.Container, err error) {
	err = e.call(ctx, "ListContainers", "list containers", "", func() error {
		for _, b := range e.boxes {
			if carries(b.spec.Labels, labels) {
				all = append(all, b.snapshot())
			}
		}
		slices.SortFunc(all, func(a, b engine.Container) int { return cmp.Compare(a.Name, b.Name) })
		return nil
	})
	return all, err
}

// snapshot is the container as callers see it, theirs to keep.
func (b *box) snapshot() engine.Container {
	out := engine.Container{
		ID: b.id, Name: b.spec.Name, Image: b.spec.Image, ImageID: b.image.ID,
		Labels: maps.Clone(b.spec.Labels), Env: slices.Clone(b.env),
		State: b.state, ExitCode: b.exitCode, OOMKilled: b.oom, Error: b.lastError,
		Created: b.created, Started: b.started, Finished: b.finished, HostNetwork: b.spec.HostNetwork,
	}
	if b.proc == nil {
		for _, p := range b.spec.Publish {
			p.HostIP = cmp.Or(p.HostIP, "127.0.0.1")
			out.Publish = append(out.Publish, p)
		}
		return out
	}
	out.Publish = slices.Clone(b.publish)
	if b.ip.IsValid() {
		out.IP = b.ip.String()
	}
	return out
}
