package dockerapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/cuepod/cuepod/runner/engine"
)

// CreateNetwork implements engine.Engine.
func (c *Client) CreateNetwork(ctx context.Context, spec engine.NetworkSpec) (string, error) {
	ctx, done := within(ctx, workPatience)
	defer done()
	got, err := c.api.NetworkCreate(ctx, spec.Name, network.CreateOptions{
		Driver: "bridge",
		Labels: spec.Labels,
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{
			Subnet: spec.Subnet, IPRange: spec.IPRange, Gateway: spec.Gateway,
		}}},
	})
	return got.ID, c.fail("create network", spec.Name, heard(ctx, err))
}

// RemoveNetwork implements engine.Engine.
func (c *Client) RemoveNetwork(ctx context.Context, id string) error {
	ctx, done := within(ctx, workPatience)
	defer done()
	return c.fail("remove network", id, heard(ctx, c.api.NetworkRemove(ctx, id)))
}

// ListNetworks implements engine.Engine, sorted by name.
func (c *Client) ListNetworks(ctx context.Context, labels map[string]string) ([]engine.Network, error) {
	ctx, done := within(ctx, askPatience)
	defer done()
	got, err := c.api.NetworkList(ctx, network.ListOptions{Filters: labelFilter(labels)})
	if err != nil {
		return nil, c.fail("list networks", "", heard(ctx, err))
	}
	var nets []engine.Network
	for _, n := range got {
		out := engine.Network{ID: n.ID, Name: n.Name, Labels: n.Labels}
		if len(n.IPAM.Config) > 0 {
			out.Subnet = n.IPAM.Config[0].Subnet
		}
		nets = append(nets, out)
	}
	slices.SortFunc(nets, func(a, b engine.Network) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return nets, nil
}

// CreateVolume implements engine.Engine. Engines give an existing volume of
// the name as it is; one with other labels or options is NameTaken here, since
// it is somebody else's.
func (c *Client) CreateVolume(ctx context.Context, spec engine.VolumeSpec) error {
	const op = "create volume"
	options := map[string]string{}
	if spec.Memory {
		options["type"], options["device"] = "tmpfs", "tmpfs"
		if spec.Size > 0 {
			options["o"] = "size=" + strconv.FormatInt(spec.Size, 10)
		}
	}
	if spec.Shows != nil {
		device, err := c.part(ctx, *spec.Shows)
		if err != nil {
			return c.fail(op, spec.Name, err)
		}
		options["type"], options["o"], options["device"] = "none", "bind", device
	}
	ctx, done := within(ctx, workPatience)
	defer done()
	got, err := c.api.VolumeCreate(ctx, volume.CreateOptions{Name: spec.Name, Labels: spec.Labels, DriverOpts: options})
	if err != nil {
		return c.fail(op, spec.Name, heard(ctx, err))
	}
	if !maps.Equal(got.Labels, spec.Labels) || !maps.Equal(got.Options, options) {
		return &engine.Error{Kind: engine.NameTaken, Op: op, Object: spec.Name,
			Err: errors.New("a volume of this name exists with other labels or options")}
	}
	return nil
}

// part is where a part of a volume is on the engine's machine.
func (c *Client) part(ctx context.Context, p engine.Part) (string, error) {
	dir := p.HostPath
	if p.Volume != "" {
		var err error
		if dir, err = c.mountpoint(ctx, p.Volume); err != nil {
			return "", err
		}
	}
	return path.Join(dir, p.SubPath), nil
}

// mountpoint is where a volume is on the engine's machine.
func (c *Client) mountpoint(ctx context.Context, name string) (string, error) {
	got, err := c.api.VolumeInspect(ctx, name)
	return got.Mountpoint, err
}

// RemoveVolume implements engine.Engine.
func (c *Client) RemoveVolume(ctx context.Context, name string) error {
	ctx, done := within(ctx, workPatience)
	defer done()
	err := c.api.VolumeRemove(ctx, name, false)
	if err != nil && strings.Contains(err.Error(), "active mounts") {
		// It counts mounts that went while it was restarted under live containers.
		err = fmt.Errorf("%w; the engine has lost count of who mounts it: restart the engine, and try again", err)
	}
	return c.fail("remove volume", name, heard(ctx, err))
}

// ListVolumes implements engine.Engine, sorted by name.
func (c *Client) ListVolumes(ctx context.Context, labels map[string]string) ([]engine.Volume, error) {
	ctx, done := within(ctx, askPatience)
	defer done()
	got, err := c.api.VolumeList(ctx, volume.ListOptions{Filters: labelFilter(labels)})
	if err != nil {
		return nil, c.fail("list volumes", "", heard(ctx, err))
	}
	var vols []engine.Volume
	for _, v := range got.Volumes {
		vols = append(vols, engine.Volume{Name: v.Name, Labels: v.Labels})
	}
	slices.SortFunc(vols, func(a, b engine.Volume) int { return cmp.Compare(a.Name, b.Name) })
	return vols, nil
}
