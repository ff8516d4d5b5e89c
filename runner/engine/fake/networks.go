package fake

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/cuepod/cuepod/runner/engine"
)

// netw is a network. Addresses are taken while their container runs.
type netw struct {
	id      string
	spec    engine.NetworkSpec
	subnet  netip.Prefix
	ipRange netip.Prefix // where free addresses come from
	taken   map[netip.Addr]bool
	next    netip.Addr // first candidate for the next container: addresses are not reused at once
}

// vol is a volume.
type vol struct {
	spec  engine.VolumeSpec
	files tree
}

// CreateNetwork implements engine.Engine.
func (e *Engine) CreateNetwork(ctx context.Context, spec engine.NetworkSpec) (id string, err error) {
	err = e.call(ctx, "CreateNetwork", "create network", spec.Name, func() error {
		n, err := newNetw(spec)
		if err != nil {
			return err
		}
		for _, other := range e.networks {
			if other.spec.Name == spec.Name {
				return failf(engine.NameTaken, "network with name %s already exists", spec.Name)
			}
			if other.subnet.Overlaps(n.subnet) {
				return failf(engine.SubnetTaken, "Pool overlaps with other one on this address space")
			}
		}
		n.id = e.newID("network")
		e.networks[n.id] = n
		id = n.id
		return nil
	})
	return id, err
}

// newNetw checks a spec's address plan.
func newNetw(spec engine.NetworkSpec) (*netw, error) {
	n := &netw{spec: spec, taken: map[netip.Addr]bool{}}
	n.spec.Labels = maps.Clone(spec.Labels)
	var err error
	if n.subnet, err = netip.ParsePrefix(spec.Subnet); err != nil {
		return nil, err
	}
	n.ipRange = n.subnet
	if spec.IPRange != "" {
		if n.ipRange, err = netip.ParsePrefix(spec.IPRange); err != nil {
			return nil, err
		}
	}
	if !n.subnet.Contains(n.ipRange.Addr()) {
		return nil, failf(engine.Other, "range %s is not within %s", n.ipRange, n.subnet)
	}
	gateway := n.subnet.Addr().Next()
	if spec.Gateway != "" {
		if gateway, err = netip.ParseAddr(spec.Gateway); err != nil {
			return nil, err
		}
	}
	n.taken[n.subnet.Masked().Addr()] = true
	n.taken[gateway] = true
	n.next = n.ipRange.Masked().Addr()
	return n, nil
}

// take gives an address: the one asked for, which may lie outside the range,
// or a free one of the range.
func (n *netw) take(want string) (netip.Addr, error) {
	if want != "" {
		addr, err := netip.ParseAddr(want)
		if err != nil {
			return addr, err
		}
		if !n.subnet.Contains(addr) {
			return addr, failf(engine.Other, "invalid address %s: it does not belong to the network's subnet %s", want, n.subnet)
		}
		if n.taken[addr] {
			return addr, failf(engine.Other, "Address already in use: %s", want)
		}
		n.taken[addr] = true
		return addr, nil
	}
	for addr, wrapped := n.next, false; ; addr = addr.Next() {
		if !n.ipRange.Contains(addr) || !n.ipRange.Contains(addr.Next()) { // the last one is the broadcast address
			if wrapped {
				return addr, failf(engine.Other, "no available IPv4 addresses on this network's address pools: %s", n.spec.Name)
			}
			addr, wrapped = n.ipRange.Masked().Addr(), true
		}
		if !n.taken[addr] {
			n.taken[addr], n.next = true, addr.Next()
			return addr, nil
		}
	}
}

// network finds a network by ID or name.
func (e *Engine) network(idOrName string) *netw {
	if n := e.networks[idOrName]; n != nil {
		return n
	}
	for _, n := range e.networks {
		if n.spec.Name == idOrName {
			return n
		}
	}
	return nil
}

// RemoveNetwork implements engine.Engine.
func (e *Engine) RemoveNetwork(ctx context.Context, id string) error {
	return e.call(ctx, "RemoveNetwork", "remove network", id, func() error {
		n := e.network(id)
		if n == nil {
			return failf(engine.NotFound, "network %s not found", id)
		}
		for _, b := range e.boxes {
			if b.proc != nil && b.net == n {
				return failf(engine.NetworkInUse, "network %s has active endpoints", n.spec.Name)
			}
		}
		delete(e.networks, n.id)
		return nil
	})
}

// ListNetworks implements engine.Engine, sorted by name.
func (e *Engine) ListNetworks(ctx context.Context, labels map[string]string) (nets []engine.Network, err error) {
	err = e.call(ctx, "ListNetworks", "list networks", "", func() error {
		for _, n := range e.networks {
			if carries(n.spec.Labels, labels) {
				nets = append(nets, engine.Network{ID: n.id, Name: n.spec.Name, Labels: maps.Clone(n.spec.Labels), Subnet: n.spec.Subnet})
			}
		}
		slices.SortFunc(nets, func(a, b engine.Network) int { return cmp.Compare(a.Name, b.Name) })
		return nil
	})
	return nets, err
}

// CreateVolume implements engine.Engine.
func (e *Engine) CreateVolume(ctx context.Context, spec engine.VolumeSpec) error {
	return e.call(ctx, "CreateVolume", "create volume", spec.Name, func() error {
		old := e.volumes[spec.Name]
		if old == nil {
			if p := spec.Shows; p != nil && p.Volume != "" && e.volumes[p.Volume] == nil {
				return failf(engine.NotFound, "no such volume: %s", p.Volume)
			}
			spec.Labels = maps.Clone(spec.Labels)
			e.volumes[spec.Name] = &vol{spec: spec, files: tree{}}
			return nil
		}
		if !maps.Equal(old.spec.Labels, spec.Labels) || old.spec.Memory != spec.Memory || old.spec.Size != spec.Size || !samePart(old.spec.Shows, spec.Shows) {
			return failf(engine.NameTaken, "a volume of this name exists with other labels or options")
		}
		return nil
	})
}

func samePart(a, b *engine.Part) bool { return a == b || a != nil && b != nil && *a == *b }

// RemoveVolume implements engine.Engine.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	return e.call(ctx, "RemoveVolume", "remove volume", name, func() error {
		if e.volumes[name] == nil {
			return failf(engine.NotFound, "no such volume: %s", name)
		}
		for _, b := range e.boxes {
			if b.mounts(name) {
				return failf(engine.Other, "volume is in use by container %s", b.spec.Name)
			}
		}
		delete(e.volumes, name)
		return nil
	})
}

// ListVolumes implements engine.Engine, sorted by name.
func (e *Engine) ListVolumes(ctx context.Context, labels map[string]string) (vols []engine.Volume, err error) {
	err = e.call(ctx, "ListVolumes", "list volumes", "", func() error {
		for _, v := range e.volumes {
			if carries(v.spec.Labels, labels) {
				vols = append(vols, engine.Volume{Name: v.spec.Name, Labels: maps.Clone(v.spec.Labels)})
			}
		}
		slices.SortFunc(vols, func(a, b engine.Volume) int { return cmp.Compare(a.Name, b.Name) })
		return nil
	})
	return vols, err
}

// forget empties a volume in memory that no running container holds any more.
func (e *Engine) forget(name string) {
	v := e.volumes[name]
	if v == nil || !v.spec.Memory {
		return
	}
	for _, b := range e.boxes {
		if b.proc != nil && b.mounts(name) {
			return
		}
	}
	clear(v.files)
}
