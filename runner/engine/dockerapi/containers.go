package dockerapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"golang.org/x/sync/errgroup"

	"github.com/cuepod/cuepod/runner/engine"
)

const (
	cpuPeriod         = 100_000 // microseconds; the unit of ContainerSpec.CPUQuota
	subPathAPI        = "1.45"  // of Docker 26: the first with a sub-path of a volume
	imageMountAPI     = "1.48"  // of Docker 28: the first that mounts images
	inspectsAtOnce    = 8       // an inspect takes about a millisecond; more only queue in the engine
	removalInProgress = "already in progress"
	// rootfsStays is said when somebody was at a container's files as they were removed,
	// such as a process of it whose end the kernel has not finished: once more does it.
	rootfsStays = "failed to remove root filesystem"
)

// CreateContainer implements engine.Engine.
func (c *Client) CreateContainer(ctx context.Context, spec engine.ContainerSpec) (string, error) {
	const op = "create container"
	if err := spec.Check(); err != nil {
		return "", c.fail(op, spec.Name, err)
	}
	mounts, err := c.subPaths(ctx, spec.Mounts)
	if err != nil {
		return "", c.fail(op, spec.Name, err)
	}
	spec.Mounts = mounts
	config, host, net := createArguments(spec)
	ctx, done := within(ctx, workPatience)
	defer done()
	got, err := c.api.ContainerCreate(ctx, config, host, net, nil, spec.Name)
	return got.ID, c.fail(op, spec.Name, heard(ctx, err))
}

// subPaths gives the mounts as an engine that knows no sub-paths of volumes
// shows them: a fixed one from where the volume is. It would take the others
// without a word, and mount the whole volume.
func (c *Client) subPaths(ctx context.Context, mounts []engine.Mount) ([]engine.Mount, error) {
	of := func(m engine.Mount) bool { return m.SubPath != "" && m.Volume != "" }
	if !slices.ContainsFunc(mounts, of) {
		return mounts, nil
	}
	old := c.api.NewVersionError(ctx, subPathAPI, "the sub-path of a volume")
	if old == nil {
		return mounts, nil
	}
	out := slices.Clone(mounts)
	for i := range out {
		m := &out[i]
		if !of(*m) {
			continue
		}
		if !m.Fixed {
			return nil, fmt.Errorf("mount %s: %w", m.Path, old)
		}
		dir, err := c.mountpoint(ctx, m.Volume)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.Path, err)
		}
		// It need not be there before the container starts: the older form of a
		// mount is looked at only then.
		*m = engine.Mount{HostPath: path.Join(dir, m.SubPath), Path: m.Path, ReadOnly: m.ReadOnly, Create: true}
	}
	return out, nil
}

// createArguments translates a spec into the arguments of the create call.
func createArguments(spec engine.ContainerSpec) (*container.Config, *container.HostConfig, *network.NetworkingConfig) {
	exposed, bindings := publishArguments(spec.Publish)
	config := &container.Config{
		Image:        spec.Image,
		Labels:       spec.Labels,
		Entrypoint:   spec.Entrypoint,
		Cmd:          spec.Cmd,
		WorkingDir:   spec.WorkingDir,
		Env:          spec.Env,
		User:         spec.User,
		OpenStdin:    spec.OpenStdin,
		StdinOnce:    spec.StdinOnce,
		Tty:          spec.TTY,
		StopSignal:   spec.StopSignal,
		Hostname:     spec.Hostname,
		ExposedPorts: exposed,
	}
	if spec.StopTimeout > 0 {
		s := seconds(spec.StopTimeout)
		config.StopTimeout = &s
	}
	host := &container.HostConfig{
		ExtraHosts:     spec.ExtraHosts,
		GroupAdd:       spec.GroupAdd,
		Privileged:     spec.Privileged,
		SecurityOpt:    securityArguments(spec),
		Sysctls:        spec.Sysctls,
		PortBindings:   bindings,
		Mounts:         mountArguments(spec.Mounts),
		Binds:          bindArguments(spec.Mounts),
		CapAdd:         spec.CapAdd,
		CapDrop:        spec.CapDrop,
		ReadonlyRootfs: spec.ReadOnlyRootFS,
		OomScoreAdj:    spec.OOMScoreAdj,
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled}, // the runner restarts
		Resources: container.Resources{
			CPUShares: spec.CPUShares,
			Memory:    spec.MemoryBytes,
			// Equal to Memory: without it the engine grants as much swap again.
			MemorySwap: spec.MemoryBytes,
		},
	}
	if spec.CPUQuota > 0 {
		host.CPUPeriod, host.CPUQuota = cpuPeriod, spec.CPUQuota
	}
	if spec.UnmaskedProc { // not nil, which means the engine's own lists
		host.MaskedPaths, host.ReadonlyPaths = []string{}, []string{}
	}
	if spec.NoLog {
		host.LogConfig = container.LogConfig{Type: "none"}
	}
	return config, host, namespaceArguments(spec, host)
}

func securityArguments(spec engine.ContainerSpec) []string {
	var out []string
	if spec.NoNewPrivileges {
		out = append(out, "no-new-privileges")
	}
	if spec.SeccompUnconfined {
		out = append(out, "seccomp=unconfined")
	}
	if spec.AppArmor != "" {
		out = append(out, "apparmor="+spec.AppArmor)
	}
	return out
}

// namespaceArguments sets the namespaces in host and returns the endpoint on
// the network, nil when there is none.
func namespaceArguments(spec engine.ContainerSpec, host *container.HostConfig) *network.NetworkingConfig {
	switch {
	case spec.HostPID:
		host.PidMode = "host"
	case spec.JoinPID != "":
		host.PidMode = container.PidMode("container:" + spec.JoinPID)
	}
	if spec.JoinContainer != "" {
		host.NetworkMode = container.NetworkMode("container:" + spec.JoinContainer)
		host.IpcMode = container.IpcMode("container:" + spec.JoinContainer)
		return nil
	}
	switch {
	case spec.ShareableIPC:
		host.IpcMode = container.IPCModeShareable
	case spec.HostIPC:
		host.IpcMode = container.IPCModeHost
	}
	if spec.HostNetwork {
		host.NetworkMode = network.NetworkHost
		return nil
	}
	if spec.Network == "" {
		host.NetworkMode = network.NetworkNone
		return nil
	}
	host.NetworkMode = container.NetworkMode(spec.Network)
	endpoint := &network.EndpointSettings{}
	if spec.IP != "" {
		endpoint.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: spec.IP}
	}
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{spec.Network: endpoint}}
}

func publishArguments(ports []engine.PortBinding) (nat.PortSet, nat.PortMap) {
	if len(ports) == 0 {
		return nil, nil
	}
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, p := range ports {
		port := nat.Port(fmt.Sprintf("%d/%s", p.ContainerPort, strings.ToLower(p.Protocol)))
		exposed[port] = struct{}{}
		host := ""
		if p.HostPort != 0 {
			host = strconv.Itoa(p.HostPort)
		}
		bindings[port] = append(bindings[port], nat.PortBinding{HostIP: cmp.Or(p.HostIP, "127.0.0.1"), HostPort: host})
	}
	return exposed, bindings
}

func mountArguments(mounts []engine.Mount) []mount.Mount {
	var out []mount.Mount
	for _, m := range mounts {
		if m.Image != "" {
			out = append(out, mount.Mount{
				Type: mount.TypeImage, Source: m.Image, Target: m.Path, ReadOnly: true,
				ImageOptions: &mount.ImageOptions{Subpath: m.SubPath},
			})
			continue
		}
		if m.HostPath != "" {
			if !m.Create {
				out = append(out, mount.Mount{
					Type: mount.TypeBind, Source: path.Join(m.HostPath, m.SubPath), Target: m.Path, ReadOnly: m.ReadOnly,
					BindOptions: &mount.BindOptions{Propagation: mount.Propagation(m.Propagation)},
				})
			}
			continue
		}
		out = append(out, mount.Mount{
			Type: mount.TypeVolume, Source: m.Volume, Target: m.Path, ReadOnly: m.ReadOnly,
			VolumeOptions: &mount.VolumeOptions{NoCopy: m.NoCopy, Subpath: m.SubPath},
		})
	}
	return out
}

// bindArguments are the mounts of paths that the engine makes where they are
// missing. It does so for this older form alone: the other has an option for
// it since API 1.42 only.
func bindArguments(mounts []engine.Mount) []string {
	var out []string
	for _, m := range mounts {
		if m.HostPath == "" || !m.Create {
			continue
		}
		mode := "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		out = append(out, path.Join(m.HostPath, m.SubPath)+":"+m.Path+":"+mode)
	}
	return out
}

// seconds rounds up: a grace of half a second must not become none.
func seconds(d time.Duration) int {
	return int(math.Ceil(max(d, 0).Seconds()))
}

// StartContainer implements engine.Engine.
func (c *Client) StartContainer(ctx context.Context, id string) error {
	ctx, done := within(ctx, workPatience)
	defer done()
	return c.fail("start container", id, heard(ctx, c.api.ContainerStart(ctx, id, container.StartOptions{})))
}

// StopContainer implements engine.Engine.
func (c *Client) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	timeout := seconds(grace)
	ctx, done := within(ctx, grace+workPatience)
	defer done()
	return c.fail("stop container", id, heard(ctx, c.api.ContainerStop(ctx, id, container.StopOptions{Timeout: &timeout})))
}

// Pauses between tries to remove a container whose files were in use.
const (
	removePause    = 100 * time.Millisecond
	maxRemovePause = 800 * time.Millisecond
)

// RemoveContainer implements engine.Engine.
func (c *Client) RemoveContainer(ctx context.Context, id string) error {
	ctx, done := within(ctx, workPatience)
	defer done()
	err := c.remove(ctx, id)
	for pause := removePause; err != nil && strings.Contains(err.Error(), rootfsStays) && pause <= maxRemovePause; pause *= 2 {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		err = c.remove(ctx, id)
	}
	if err != nil && strings.Contains(err.Error(), removalInProgress) {
		_, err = c.wait(ctx, id, "remove container", container.WaitConditionRemoved)
	}
	if engine.KindOf(err) == engine.NotFound {
		return nil
	}
	return err
}

func (c *Client) remove(ctx context.Context, id string) error {
	return c.fail("remove container", id,
		heard(ctx, c.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})))
}

// SignalContainer implements engine.Engine.
func (c *Client) SignalContainer(ctx context.Context, id, signal string) error {
	return c.fail("send a signal to container", id, c.api.ContainerKill(ctx, id, signal))
}

// RenameContainer implements engine.Engine.
func (c *Client) RenameContainer(ctx context.Context, id, name string) error {
	const op = "rename container"
	// The engine refuses the name that a container has already in the same words
	// as one that another has.
	if got, err := c.InspectContainer(ctx, id); err == nil && got.Name == name {
		return nil
	}
	return c.fail(op, id, c.api.ContainerRename(ctx, id, name))
}

// WaitContainer implements engine.Engine.
func (c *Client) WaitContainer(ctx context.Context, id string) (int, error) {
	return c.wait(ctx, id, "wait for container", container.WaitConditionNotRunning)
}

func (c *Client) wait(ctx context.Context, id, op string, condition container.WaitCondition) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the request when an error came first
	results, errs := c.api.ContainerWait(ctx, id, condition)
	select {
	case r := <-results:
		if r.Error != nil && r.Error.Message != "" {
			return 0, c.fail(op, id, errors.New(r.Error.Message))
		}
		return int(r.StatusCode), nil
	case err := <-errs:
		return 0, c.fail(op, id, cmp.Or(ctx.Err(), err))
	}
}

// InspectContainer implements engine.Engine.
func (c *Client) InspectContainer(ctx context.Context, id string) (engine.Container, error) {
	ctx, done := within(ctx, askPatience)
	defer done()
	got, err := c.api.ContainerInspect(ctx, id)
	if err != nil {
		return engine.Container{}, c.fail("inspect container", id, heard(ctx, err))
	}
	return toContainer(got), nil
}

// Usage implements engine.Engine.
func (c *Client) Usage(ctx context.Context, id string) (engine.Usage, error) {
	ctx, done := within(ctx, askPatience)
	defer done()
	const op = "usage of container"
	got, err := c.api.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return engine.Usage{}, c.fail(op, id, heard(ctx, err))
	}
	defer got.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(got.Body).Decode(&stats); err != nil {
		return engine.Usage{}, c.fail(op, id, heard(ctx, err))
	}
	files, v1 := stats.MemoryStats.Stats["total_inactive_file"] // of cgroup v1
	if !v1 {
		files = stats.MemoryStats.Stats["inactive_file"]
	}
	return engine.Usage{
		CPU:    time.Duration(min(stats.CPUStats.CPUUsage.TotalUsage, math.MaxInt64)),
		Memory: int64(stats.MemoryStats.Usage - min(files, stats.MemoryStats.Usage)),
	}, nil
}

// ListContainers implements engine.Engine. A container that vanishes between
// the list and its inspect is left out.
func (c *Client) ListContainers(ctx context.Context, labels map[string]string) ([]engine.Container, error) {
	ctx, done := within(ctx, askPatience)
	defer done()
	listed, err := c.api.ContainerList(ctx, container.ListOptions{All: true, Filters: labelFilter(labels)})
	if err != nil {
		return nil, c.fail("list containers", "", heard(ctx, err))
	}
	found := make([]*engine.Container, len(listed))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(inspectsAtOnce)
	for i, l := range listed {
		group.Go(func() error {
			one, err := c.InspectContainer(gctx, l.ID)
			if engine.KindOf(err) == engine.NotFound {
				return nil
			}
			found[i] = &one
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []engine.Container
	for _, one := range found {
		if one != nil {
			all = append(all, *one)
		}
	}
	slices.SortFunc(all, func(a, b engine.Container) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// toContainer translates an inspect answer. Engines leave out what they do not
// know, down to whole sections.
func toContainer(got container.InspectResponse) engine.Container {
	var out engine.Container
	var own string // the network that it is made for
	if base := got.ContainerJSONBase; base != nil {
		out.ID, out.Name, out.ImageID = base.ID, strings.TrimPrefix(base.Name, "/"), base.Image
		out.Created = toTime(base.Created)
		setState(&out, base.State)
		if base.HostConfig != nil {
			out.Publish = toBindings(base.HostConfig.PortBindings)
			own, out.HostNetwork = string(base.HostConfig.NetworkMode), base.HostConfig.NetworkMode.IsHost()
		}
	}
	if got.Config != nil {
		out.Image, out.Labels, out.Env = got.Config.Image, got.Config.Labels, got.Config.Env
	}
	if out.State != engine.Running && out.State != engine.Paused || got.NetworkSettings == nil {
		return out
	}
	for name, endpoint := range got.NetworkSettings.Networks {
		// Others than its own are of networks that somebody put it into besides.
		if endpoint != nil && endpoint.IPAddress != "" && (out.IP == "" || name == own) {
			out.IP = endpoint.IPAddress
		}
	}
	if len(got.NetworkSettings.Ports) > 0 {
		out.Publish = toBindings(got.NetworkSettings.Ports) // with the ports that the engine chose
	}
	return out
}

func setState(out *engine.Container, state *container.State) {
	if state == nil {
		return
	}
	switch state.Status {
	case container.StateCreated:
		out.State = engine.Created
	case container.StateRunning, container.StateRestarting:
		out.State = engine.Running
	case container.StatePaused:
		out.State = engine.Paused
	case "initialized": // podman: between created and running
		out.State = engine.Created
	default: // exited, dead, removing, podman's stopped
		out.State = engine.Exited
	}
	out.ExitCode, out.OOMKilled, out.Error = state.ExitCode, state.OOMKilled, state.Error
	out.Started = toTime(state.StartedAt)
	if out.State == engine.Exited {
		out.Finished = toTime(state.FinishedAt)
	}
}

// toTime reads the engine's time; its word for never is the year 1.
func toTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

func toBindings(ports nat.PortMap) []engine.PortBinding {
	var out []engine.PortBinding
	for port, hosts := range ports {
		for _, h := range hosts {
			hostPort, _ := strconv.Atoi(h.HostPort) // "" means not chosen yet: 0
			out = append(out, engine.PortBinding{
				HostIP: h.HostIP, HostPort: hostPort,
				ContainerPort: port.Int(), Protocol: strings.ToUpper(port.Proto()),
			})
		}
	}
	slices.SortFunc(out, func(a, b engine.PortBinding) int {
		return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.HostIP, b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
	})
	return out
}
