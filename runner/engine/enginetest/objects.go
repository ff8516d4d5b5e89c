package enginetest

import (
	"bytes"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/engine"
)

func testInfo(t *testing.T, b *bench) {
	info, err := b.Engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "docker" && info.Name != "podman" {
		t.Errorf("name %q", info.Name)
	}
	if info.OS != "linux" || info.Arch == "" || info.Arch == "x86_64" {
		t.Errorf("os %q, arch %q: not in Go's words", info.OS, info.Arch)
	}
	if info.Version == "" || info.APIVersion == "" || info.Endpoint == "" || info.NumCPU == 0 || info.Memory < 1<<20 {
		t.Errorf("something is missing: %+v", info)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.Engine.Info(ctx)
	wantKind(t, err, engine.Other) // giving up is not the engine's fault
}

func testImages(t *testing.T, b *bench) {
	ctx := t.Context()
	img, err := b.Engine.InspectImage(ctx, Ref) // loaded by the bench
	if err != nil {
		t.Fatal(err)
	}
	if img.ID == "" || !slices.Equal(img.Entrypoint, []string{programPath}) || !slices.Equal(img.Cmd, []string{"wait"}) {
		t.Errorf("image %+v", img)
	}
	if !slices.Contains(img.Env, "FROM=image") {
		t.Errorf("environment %v", img.Env)
	}
	_, err = b.Engine.InspectImage(ctx, b.id+":none")
	wantKind(t, err, engine.NotFound)

	err = b.Engine.LoadImage(ctx, strings.NewReader("no tar at all, and long enough to be sure of it"+strings.Repeat(".", 1024)))
	wantKind(t, err, engine.Other)

	// Nobody listens on port 1: a registry out of reach is not an engine out of reach.
	err = b.Engine.PullImage(ctx, "127.0.0.1:1/"+b.id+":none", nil)
	if err == nil || engine.KindOf(err) == engine.Unreachable {
		t.Errorf("pull from nowhere: %v", err)
	}
}

func testNetworks(t *testing.T, b *bench) {
	ctx := t.Context()
	name, prefix := b.network(t, "net")
	_, err := b.Engine.CreateNetwork(ctx, b.networkSpec("other", prefix))
	wantKind(t, err, engine.SubnetTaken)
	_, other := b.network(t, "second")
	if other == prefix {
		t.Errorf("two networks with the subnet %s", prefix)
	}
	_, err = b.Engine.CreateNetwork(ctx, b.networkSpec("net", "10.199.199"))
	wantKind(t, err, engine.NameTaken)

	nets, err := b.Engine.ListNetworks(ctx, b.labels)
	if err != nil {
		t.Fatal(err)
	}
	if len(nets) != 2 || nets[0].Name != name || nets[0].Subnet != prefix+".0/24" || nets[0].Labels[label] != b.id {
		t.Fatalf("networks %+v", nets)
	}

	spec := b.spec("user", "wait")
	spec.Network = name
	id := b.run(t, spec)
	wantKind(t, b.Engine.RemoveNetwork(ctx, nets[0].ID), engine.NetworkInUse)
	if err := b.Engine.RemoveContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := b.Engine.RemoveNetwork(ctx, nets[0].ID); err != nil {
		t.Error(err)
	}
	wantKind(t, b.Engine.RemoveNetwork(ctx, nets[0].ID), engine.NotFound)
}

func testAddresses(t *testing.T, b *bench) {
	network, prefix := b.network(t, "net")
	free := b.spec("free", "wait")
	free.Network = network
	freeID := b.run(t, free)
	got := netip.MustParseAddr(b.inspect(t, freeID).IP)
	if lower := netip.MustParsePrefix(prefix + ".0/25"); !lower.Contains(got) {
		t.Errorf("address %s is not in the range %s", got, lower)
	}

	fixed := b.spec("fixed", "wait")
	fixed.Network, fixed.IP = network, prefix+".200" // outside the range
	fixedID := b.run(t, fixed)
	if got := b.inspect(t, fixedID).IP; got != fixed.IP {
		t.Errorf("address %s, want %s", got, fixed.IP)
	}

	again := fixed
	again.Name = b.name("again")
	againID := b.create(t, again)
	wantKind(t, b.Engine.StartContainer(t.Context(), againID), engine.Other)
	if err := b.Engine.RemoveContainer(t.Context(), fixedID); err != nil {
		t.Fatal(err)
	}
	b.start(t, againID) // it is free now
}

func testVolumes(t *testing.T, b *bench) {
	ctx := t.Context()
	spec := engine.VolumeSpec{Name: b.name("vol"), Labels: b.labels}
	for range 2 { // idempotent
		if err := b.Engine.CreateVolume(ctx, spec); err != nil {
			t.Fatal(err)
		}
	}
	other := spec
	other.Labels = maps.Clone(b.labels)
	other.Labels["owner"] = "somebody else"
	wantKind(t, b.Engine.CreateVolume(ctx, other), engine.NameTaken)

	vols, err := b.Engine.ListVolumes(ctx, b.labels)
	if err != nil {
		t.Fatal(err)
	}
	if len(vols) != 1 || vols[0].Name != spec.Name || vols[0].Labels[label] != b.id {
		t.Fatalf("volumes %+v", vols)
	}

	user := b.spec("user", "wait")
	user.Mounts = []engine.Mount{{Volume: spec.Name, Path: "/data"}}
	id := b.create(t, user)
	wantKind(t, b.Engine.RemoveVolume(ctx, spec.Name), engine.Other) // in use, though not running
	if err := b.Engine.RemoveContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := b.Engine.RemoveVolume(ctx, spec.Name); err != nil {
		t.Error(err)
	}
	wantKind(t, b.Engine.RemoveVolume(ctx, spec.Name), engine.NotFound)
}

// A volume in memory is shared like any other and lives as long as somebody
// runs who mounts it.
func testMemoryVolume(t *testing.T, b *bench) {
	ctx := t.Context()
	vol := engine.VolumeSpec{Name: b.name("vol"), Labels: b.labels, Memory: true, Size: 1 << 20}
	for range 2 {
		if err := b.Engine.CreateVolume(ctx, vol); err != nil {
			t.Fatal(err)
		}
	}
	mounted := func(name string, command ...string) engine.ContainerSpec {
		spec := b.spec(name, command...)
		spec.Mounts = []engine.Mount{{Volume: vol.Name, Path: "/data", NoCopy: true}}
		return spec
	}
	holder := b.run(t, mounted("holder", "wait"))
	if code, _, said := b.finish(t, b.run(t, mounted("writer", "write", "/data/f", "secret"))); code != 0 {
		t.Fatalf("write: %s", said)
	}
	if _, got, said := b.finish(t, b.run(t, mounted("reader", "read", "/data/f"))); got != "secret" {
		t.Errorf("read %q: %s", got, said)
	}
	if err := b.Engine.StopContainer(ctx, holder, deadline); err != nil {
		t.Fatal(err)
	}
	if code, got, _ := b.finish(t, b.run(t, mounted("late", "read", "/data/f"))); code == 0 {
		t.Errorf("still there after the last holder stopped: %q", got)
	}
}

// testSubPaths mounts parts of a volume, in the ways that every engine has.
func testSubPaths(t *testing.T, b *bench) {
	ctx := t.Context()
	vol := engine.VolumeSpec{Name: b.name("vol"), Labels: b.labels}
	part := engine.VolumeSpec{Name: b.name("part"), Labels: b.labels, Shows: &engine.Part{Volume: vol.Name, SubPath: "dir"}}
	missing := engine.VolumeSpec{Name: b.name("missing"), Labels: b.labels, Shows: &engine.Part{Volume: b.name("none"), SubPath: "dir"}}
	if err := b.Engine.CreateVolume(ctx, vol); err != nil {
		t.Fatal(err)
	}
	for range 2 { // idempotent, and before there is anything to show
		if err := b.Engine.CreateVolume(ctx, part); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, b.Engine.CreateVolume(ctx, missing), engine.NotFound)
	other := part
	other.Shows = &engine.Part{Volume: vol.Name, SubPath: "other"}
	wantKind(t, b.Engine.CreateVolume(ctx, other), engine.NameTaken)

	mounted := func(name string, m engine.Mount, command ...string) engine.ContainerSpec {
		spec := b.spec(name, command...)
		spec.Mounts = []engine.Mount{m}
		return spec
	}
	early := b.create(t, mounted("early", engine.Mount{Volume: part.Name, Path: "/part", NoCopy: true}, "read", "/part/f"))
	wantKind(t, b.Engine.StartContainer(ctx, early), engine.Other)
	tarball, err := pack(file{"dir/f", 0o644, []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	holder := b.create(t, mounted("holder", engine.Mount{Volume: vol.Name, Path: "/data", NoCopy: true}))
	if err := b.Engine.CopyTo(ctx, holder, "/data", bytes.NewReader(tarball)); err != nil {
		t.Fatal(err)
	}
	b.start(t, early)
	if _, got, said := b.finish(t, early); got != "hello" {
		t.Errorf("part: %q %s", got, said)
	}
	fixed := engine.Mount{Volume: vol.Name, SubPath: "dir/f", Fixed: true, Path: "/file", ReadOnly: true}
	if _, got, said := b.finish(t, b.run(t, mounted("fixed", fixed, "read", "/file"))); got != "hello" {
		t.Errorf("fixed: %q %s", got, said)
	}
	if code, _, _ := b.finish(t, b.run(t, mounted("read-only", fixed, "write", "/file", "other"))); code == 0 {
		t.Error("a read-only file was written to")
	}
	info, err := b.Engine.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	free := mounted("free", engine.Mount{Volume: vol.Name, SubPath: "dir", Path: "/part", NoCopy: true}, "read", "/part/f")
	if !info.SubPaths {
		_, err := b.Engine.CreateContainer(ctx, free)
		wantKind(t, err, engine.Other)
		return
	}
	if _, got, said := b.finish(t, b.run(t, free)); got != "hello" {
		t.Errorf("sub-path: %q %s", got, said)
	}
}

// testImageMounts mounts an image, read-only, where the engine can.
func testImageMounts(t *testing.T, b *bench) {
	info, err := b.Engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mounted := func(name, image string, command ...string) engine.ContainerSpec {
		spec := b.spec(name, command...)
		spec.Mounts = []engine.Mount{{Image: image, Path: "/image"}}
		return spec
	}
	if !info.Images {
		_, err := b.Engine.CreateContainer(t.Context(), mounted("old", Ref, "print", "fine"))
		wantKind(t, err, engine.Other)
		return
	}
	_, err = b.Engine.CreateContainer(t.Context(), mounted("nobody", b.id+":none", "print", "fine"))
	if err == nil {
		t.Error("an image that is nowhere was mounted")
	}
	if code, _, said := b.finish(t, b.run(t, mounted("plain", Ref, "print", "fine"))); code != 0 {
		t.Errorf("exit %d: %s", code, said)
	}
	if code, _, _ := b.finish(t, b.run(t, mounted("read-only", Ref, "write", "/image/file", "text"))); code == 0 {
		t.Error("an image was written to")
	}
}

func testCopy(t *testing.T, b *bench) {
	ctx := t.Context()
	vol := engine.VolumeSpec{Name: b.name("vol"), Labels: b.labels}
	if err := b.Engine.CreateVolume(ctx, vol); err != nil {
		t.Fatal(err)
	}
	mounted := func(name string, command ...string) engine.ContainerSpec {
		spec := b.spec(name, command...)
		spec.Mounts = []engine.Mount{{Volume: vol.Name, Path: "/data", NoCopy: true}}
		return spec
	}
	// Neither of the two ever runs.
	one, two := b.create(t, mounted("one")), b.create(t, mounted("two"))
	tarball, err := pack(file{"dir/f", 0o640, []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Engine.CopyTo(ctx, one, "/data", bytes.NewReader(tarball)); err != nil {
		t.Fatal(err)
	}
	if got := b.read(t, two, "/data/dir/f"); got["f"] != "hello" {
		t.Errorf("copied %v", got)
	}
	if got := b.read(t, two, "/data/dir"); got["dir/f"] != "hello" {
		t.Errorf("copied %v", got)
	}
	// The container's own files, without a mount.
	if err := b.Engine.CopyTo(ctx, one, "/", bytes.NewReader(tarball)); err != nil {
		t.Fatal(err)
	}
	if got := b.read(t, one, "/dir/f"); got["f"] != "hello" {
		t.Errorf("copied %v", got)
	}

	_, err = b.Engine.CopyFrom(ctx, two, "/data/none")
	wantKind(t, err, engine.NotFound)
	_, err = b.Engine.CopyFrom(ctx, b.name("none"), "/data")
	wantKind(t, err, engine.NotFound)
	wantKind(t, b.Engine.CopyTo(ctx, one, "/nowhere", bytes.NewReader(tarball)), engine.NotFound)

	if _, got, said := b.finish(t, b.run(t, mounted("reader", "read", "/data/dir/f"))); got != "hello" {
		t.Errorf("the program reads %q: %s", got, said)
	}
}

// read copies a path out of a container and gives its files.
func (b *bench) read(t *testing.T, id, path string) map[string]string {
	t.Helper()
	stream, err := b.Engine.CopyFrom(t.Context(), id, path)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	files, err := unpack(stream)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
