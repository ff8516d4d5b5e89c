package enginetest

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
)

func testLifecycle(t *testing.T, b *bench) {
	ctx := t.Context()
	id := b.create(t, b.spec("one", "wait"))
	c := b.inspect(t, id)
	if c.ID != id || c.Name != b.name("one") || c.Image != Ref || c.ImageID == "" || c.Labels[label] != b.id {
		t.Errorf("created %+v", c)
	}
	if c.State != engine.Created || c.Created.IsZero() || !c.Started.IsZero() || !c.Finished.IsZero() || c.IP != "" {
		t.Errorf("created %+v", c)
	}
	if byName := b.inspect(t, c.Name); byName.ID != id {
		t.Errorf("by name %+v", byName)
	}
	if err := b.Engine.StopContainer(ctx, id, 0); err != nil {
		t.Errorf("stop what never ran: %v", err)
	}

	for range 2 { // the second is a start of what runs, then of what has stopped
		b.start(t, id)
		b.start(t, id)
		b.waitForLog(t, id, "waiting")
		c = b.inspect(t, id)
		if c.State != engine.Running || c.Started.Before(c.Created) || !c.Finished.IsZero() {
			t.Errorf("running %+v", c)
		}
		if u, err := b.Engine.Usage(ctx, id); err != nil || u.Memory == 0 || u.CPU < 0 {
			t.Errorf("running, it uses %+v, %v", u, err)
		}
		if err := b.Engine.StopContainer(ctx, id, deadline); err != nil {
			t.Fatal(err)
		}
		if u, err := b.Engine.Usage(ctx, id); err != nil || u != (engine.Usage{}) {
			t.Errorf("stopped, it uses %+v, %v", u, err)
		}
		c = b.inspect(t, id)
		if c.State != engine.Exited || c.ExitCode != 0 || c.Finished.Before(c.Started) || c.OOMKilled {
			t.Errorf("stopped %+v", c)
		}
	}
	if err := b.Engine.StopContainer(ctx, id, 0); err != nil {
		t.Errorf("stop what has stopped: %v", err)
	}
	for range 2 {
		if err := b.Engine.RemoveContainer(ctx, id); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	_, err := b.Engine.InspectContainer(ctx, id)
	wantKind(t, err, engine.NotFound)
	wantKind(t, b.Engine.StartContainer(ctx, id), engine.NotFound)
	wantKind(t, b.Engine.StopContainer(ctx, id, 0), engine.NotFound)
	_, err = b.Engine.WaitContainer(ctx, id)
	wantKind(t, err, engine.NotFound)
	_, err = b.Engine.Usage(ctx, id)
	wantKind(t, err, engine.NotFound)
}

func testRename(t *testing.T, b *bench) {
	ctx := t.Context()
	id := b.run(t, b.spec("one", "print", "words"))
	if _, err := b.Engine.WaitContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it has the name already
		if err := b.Engine.RenameContainer(ctx, id, b.name("one.previous")); err != nil {
			t.Fatal(err)
		}
	}
	if c := b.inspect(t, b.name("one.previous")); c.ID != id || c.Name != b.name("one.previous") || c.State != engine.Exited {
		t.Errorf("renamed %+v", c)
	}
	_, err := b.Engine.InspectContainer(ctx, b.name("one"))
	wantKind(t, err, engine.NotFound)
	second := b.create(t, b.spec("one", "wait")) // the name is free
	wantKind(t, b.Engine.RenameContainer(ctx, second, b.name("one.previous")), engine.NameTaken)
	wantKind(t, b.Engine.RenameContainer(ctx, b.name("none"), b.name("other")), engine.NotFound)
	b.waitForLog(t, id, "words") // its log has come with it
	b.start(t, second)
	if err := b.Engine.RenameContainer(ctx, b.name("one"), b.name("two")); err != nil {
		t.Errorf("rename what runs, by its name: %v", err)
	}
}

// A container whose program is not there stays created, and says why.
func testCannotRun(t *testing.T, b *bench) {
	ctx := t.Context()
	spec := b.spec("one")
	spec.Entrypoint = []string{"/nowhere/to/be/found"}
	id := b.create(t, spec)
	wantKind(t, b.Engine.StartContainer(ctx, id), engine.Other)
	c := b.inspect(t, id)
	if c.State != engine.Created || c.Error == "" || c.ExitCode == 0 || !c.Finished.IsZero() {
		t.Errorf("after a start that failed: %+v", c)
	}
}

func testCreateErrors(t *testing.T, b *bench) {
	ctx := t.Context()
	b.create(t, b.spec("one"))
	_, err := b.Engine.CreateContainer(ctx, b.spec("one"))
	wantKind(t, err, engine.NameTaken)

	missing := b.spec("two")
	missing.Image = b.id + ":none"
	_, err = b.Engine.CreateContainer(ctx, missing)
	wantKind(t, err, engine.ImageMissing)

	for name, spoil := range map[string]func(*engine.ContainerSpec){
		"joined with a hostname": func(s *engine.ContainerSpec) { s.JoinContainer, s.Hostname = b.name("one"), "h" },
		"joined with a port": func(s *engine.ContainerSpec) {
			s.JoinContainer, s.Publish = b.name("one"), []engine.PortBinding{{ContainerPort: 1, Protocol: "TCP"}}
		},
		"an address but no network": func(s *engine.ContainerSpec) { s.IP = "10.1.1.1" },
		"no name":                   func(s *engine.ContainerSpec) { s.Name = "" },
		"joined the machine too":    func(s *engine.ContainerSpec) { s.JoinContainer, s.HostNetwork = b.name("one"), true },
		"two networks":              func(s *engine.ContainerSpec) { s.HostNetwork, s.Network = true, "n" },
		"two IPC namespaces":        func(s *engine.ContainerSpec) { s.ShareableIPC, s.HostIPC = true, true },
		"two PID namespaces":        func(s *engine.ContainerSpec) { s.JoinPID, s.HostPID = b.name("one"), true },
		"a mount of nothing":        func(s *engine.ContainerSpec) { s.Mounts = []engine.Mount{{Path: "/m"}} },
		"a mount of two things": func(s *engine.ContainerSpec) {
			s.Mounts = []engine.Mount{{Volume: "v", HostPath: "/h", Path: "/m"}}
		},
		"a relative path of the host": func(s *engine.ContainerSpec) { s.Mounts = []engine.Mount{{HostPath: "h", Path: "/m"}} },
		"a path of the host that is not there": func(s *engine.ContainerSpec) {
			s.Mounts = []engine.Mount{{HostPath: "/" + b.id, Path: "/m"}}
		},
	} {
		spec := b.spec("two")
		spoil(&spec)
		if _, err := b.Engine.CreateContainer(ctx, spec); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			wantKind(t, err, engine.Other)
		}
	}
	all, err := b.Engine.ListContainers(ctx, b.labels)
	if err != nil || len(all) != 1 {
		t.Errorf("left behind: %d containers, %v", len(all), err)
	}
}

func testCommandAndEnvironment(t *testing.T, b *bench) {
	spec := b.spec("image")
	spec.Cmd = nil // the image's: wait
	b.waitForLog(t, b.run(t, spec), "waiting")

	spec = b.spec("entrypoint", "print", "a")
	spec.Entrypoint, spec.Cmd = []string{programPath, "print", "b"}, nil // drops the image's command
	if _, got, said := b.finish(t, b.run(t, spec)); got != "b\n" {
		t.Errorf("output %q %q", got, said)
	}

	for variable, want := range map[string]string{"FROM": "image\n", "OWN": "=x y\n", "BOTH": "own\n"} {
		spec := b.spec("env-"+variable, "env", variable)
		spec.Env = []string{"OWN==x y", "BOTH=own"}
		id := b.run(t, spec)
		if _, got, _ := b.finish(t, id); got != want {
			t.Errorf("%s = %q, want %q", variable, got, want)
		}
		if env := b.inspect(t, id).Env; !slices.Contains(env, "BOTH=own") || !slices.Contains(env, "FROM=image") {
			t.Errorf("inspected environment %v", env)
		}
	}
}

// An engine has to take all the limits together.
func testLimits(t *testing.T, b *bench) {
	network, _ := b.network(t, "net")
	spec := b.spec("one", "print", "fine")
	spec.Network, spec.Hostname, spec.ShareableIPC = network, "limited", true
	spec.ExtraHosts = []string{"example.test:10.1.2.3"}
	spec.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0"}
	spec.User, spec.CapDrop, spec.CapAdd = "1000:1000", []string{"ALL"}, []string{"NET_BIND_SERVICE"}
	spec.NoNewPrivileges, spec.ReadOnlyRootFS = true, true
	spec.CPUShares, spec.CPUQuota, spec.MemoryBytes = 512, 50_000, 64<<20
	spec.OOMScoreAdj, spec.StopTimeout = 500, 1500*time.Millisecond
	if code, got, said := b.finish(t, b.run(t, spec)); code != 0 || got != "fine\n" {
		t.Errorf("exit %d, output %q %q", code, got, said)
	}
}

// In the machine's network a container has no address of its own, others may
// join it, and nothing is published.
func testHostNetwork(t *testing.T, b *bench) {
	spec := b.spec("host", "wait")
	spec.HostNetwork, spec.ShareableIPC, spec.ExtraHosts = true, true, []string{"example.test:10.1.2.3"}
	id := b.run(t, spec)
	b.waitForLog(t, id, "waiting")
	if c := b.inspect(t, id); c.IP != "" || len(c.Publish) > 0 || c.State != engine.Running || !c.HostNetwork {
		t.Errorf("container %+v", c)
	}
	member := b.spec("member", "print", "fine")
	member.JoinContainer = b.name("host")
	if code, got, said := b.finish(t, b.run(t, member)); code != 0 || got != "fine\n" {
		t.Errorf("exit %d, output %q %q", code, got, said)
	}
}

// A container can be made to join one that does not run yet, and started once that
// does.
func testJoinsLater(t *testing.T, b *bench) {
	ctx := t.Context()
	create := func(spec engine.ContainerSpec) string {
		id, err := b.Engine.CreateContainer(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	spec := b.spec("holder", "wait")
	spec.ShareableIPC = true
	holder := create(spec)
	spec = b.spec("joiner", "print", "fine")
	spec.JoinContainer = b.name("holder")
	joiner := create(spec)
	if err := b.Engine.StartContainer(ctx, joiner); err == nil {
		t.Error("it started before the one that it joins")
	}
	if err := b.Engine.StartContainer(ctx, holder); err != nil {
		t.Fatal(err)
	}
	b.waitForLog(t, holder, "waiting")
	if err := b.Engine.StartContainer(ctx, joiner); err != nil {
		t.Fatal(err)
	}
	if code, got, said := b.finish(t, joiner); code != 0 || got != "fine\n" {
		t.Errorf("exit %d, output %q %q", code, got, said)
	}
}

func testWait(t *testing.T, b *bench) {
	ctx := t.Context()
	id := b.run(t, b.spec("seven", "exit", "7"))
	for range 2 { // while it runs perhaps, and surely after it has ended
		if code, err := b.Engine.WaitContainer(ctx, id); err != nil || code != 7 {
			t.Errorf("exit code %d, %v", code, err)
		}
	}
	if c := b.inspect(t, id); c.State != engine.Exited || c.ExitCode != 7 {
		t.Errorf("after the end %+v", c)
	}

	waiting := b.run(t, b.spec("long", "wait"))
	short, cancel := context.WithCancel(ctx)
	got := make(chan error, 1)
	go func() {
		_, err := b.Engine.WaitContainer(short, waiting)
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("wait that is given up: %v", err)
	}
}

func testStopGrace(t *testing.T, b *bench) {
	id := b.run(t, b.spec("stubborn", "ignore"))
	b.waitForLog(t, id, "ignoring")
	const grace = time.Second
	began := time.Now()
	if err := b.Engine.StopContainer(t.Context(), id, grace); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < grace {
		t.Errorf("killed after %s, before its grace of %s", took, grace)
	}
	if c := b.inspect(t, id); c.State != engine.Exited || c.ExitCode != 137 {
		t.Errorf("killed: %s, exit code %d", c.State, c.ExitCode)
	}
}

func testSignal(t *testing.T, b *bench) {
	id := b.run(t, b.spec("heedful", "heed"))
	b.waitForLog(t, id, "heeding")
	if err := b.Engine.SignalContainer(t.Context(), id, "SIGHUP"); err != nil {
		t.Fatal(err)
	}
	b.waitForLog(t, id, "SIGHUP")
	if c := b.inspect(t, id); c.State != engine.Running {
		t.Errorf("after a signal that it heeds it is %s", c.State)
	}
	if err := b.Engine.SignalContainer(t.Context(), id, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if code, err := b.Engine.WaitContainer(t.Context(), id); err != nil || code != 137 {
		t.Errorf("killed: exit code %d, %v", code, err)
	}
	wantKind(t, b.Engine.SignalContainer(t.Context(), id, "SIGHUP"), engine.Other)
	wantKind(t, b.Engine.SignalContainer(t.Context(), b.name("none"), "SIGHUP"), engine.NotFound)
}

func testRemoveRunning(t *testing.T, b *bench) {
	id := b.run(t, b.spec("one", "ignore"))
	if err := b.Engine.RemoveContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	_, err := b.Engine.InspectContainer(t.Context(), id)
	wantKind(t, err, engine.NotFound)
	b.run(t, b.spec("one", "wait")) // the name is free again
}

func testList(t *testing.T, b *bench) {
	ctx := t.Context()
	labelled := func(name, colour string) engine.ContainerSpec {
		spec := b.spec(name, "wait")
		spec.Labels = map[string]string{label: b.id, "colour": colour}
		return spec
	}
	b.create(t, labelled("c", "red"))
	b.run(t, labelled("b", "red"))
	b.create(t, labelled("a", "blue"))
	names := func(labels map[string]string) []string {
		all, err := b.Engine.ListContainers(ctx, labels)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range all {
			if c.ImageID == "" {
				t.Errorf("%s is not fully inspected", c.Name)
			}
			names = append(names, c.Name)
		}
		return names
	}
	if got, want := names(b.labels), []string{b.name("a"), b.name("b"), b.name("c")}; !slices.Equal(got, want) {
		t.Errorf("all: %v, want %v", got, want)
	}
	if got, want := names(map[string]string{label: b.id, "colour": "red"}), []string{b.name("b"), b.name("c")}; !slices.Equal(got, want) {
		t.Errorf("red: %v, want %v", got, want)
	}
	if got := names(map[string]string{label: b.id, "colour": "re"}); len(got) > 0 {
		t.Errorf("half a label: %v", got)
	}
}

// The pod: members share the network of a holder, and need it to run.
func testJoin(t *testing.T, b *bench) {
	ctx := t.Context()
	network, _ := b.network(t, "net")
	holder := b.spec("holder", "listen", "127.0.0.1:9000")
	if !b.Sockets {
		holder.Cmd = []string{"wait"}
	}
	holder.Network, holder.Hostname, holder.ShareableIPC = network, "shared-name", true
	holderID := b.create(t, holder)
	join := func(name string, command ...string) string {
		spec := b.spec(name, command...)
		spec.JoinContainer = holderID
		return b.create(t, spec)
	}

	early := join("early", "wait")
	wantKind(t, b.Engine.StartContainer(ctx, early), engine.Other)
	b.start(t, holderID)
	b.start(t, early)
	if c := b.inspect(t, early); c.State != engine.Running || c.IP != "" {
		t.Errorf("member %+v", c)
	}
	if b.Sockets {
		b.waitForLog(t, holderID, "listening")
		dial := join("dial", "dial", "127.0.0.1:9000")
		b.start(t, dial)
		if _, got, said := b.finish(t, dial); got != "hello\n" {
			t.Errorf("over the shared loopback: %q %q", got, said)
		}
		hostname := join("hostname", "hostname")
		b.start(t, hostname)
		if _, got, _ := b.finish(t, hostname); got != "shared-name\n" {
			t.Errorf("hostname %q", got)
		}
	}

	late := join("late", "wait")
	if err := b.Engine.StopContainer(ctx, holderID, deadline); err != nil {
		t.Fatal(err)
	}
	if c := b.inspect(t, early); c.State != engine.Running {
		t.Errorf("member is %s after the holder stopped", c.State)
	}
	wantKind(t, b.Engine.StartContainer(ctx, late), engine.Other)
}

func testPorts(t *testing.T, b *bench) {
	ctx := t.Context()
	network, _ := b.network(t, "net")
	publish := func(name string, hostPort int) engine.ContainerSpec {
		spec := b.spec(name, "listen", "0.0.0.0:8000")
		if !b.Sockets {
			spec.Cmd = []string{"wait"}
		}
		spec.Network = network
		spec.Publish = []engine.PortBinding{{HostPort: hostPort, ContainerPort: 8000, Protocol: "TCP"}}
		return spec
	}
	one := b.run(t, publish("one", 0))
	got := b.inspect(t, one).Publish
	if len(got) != 1 || got[0].HostPort == 0 || got[0].ContainerPort != 8000 || got[0].Protocol != "TCP" || got[0].HostIP != "127.0.0.1" {
		t.Fatalf("published %+v", got)
	}
	if b.Sockets {
		b.checkPublished(t, got[0])
	}

	taken := publish("two", got[0].HostPort)
	two := b.create(t, taken)
	wantKind(t, b.Engine.StartContainer(ctx, two), engine.PortTaken)
	if c := b.inspect(t, two); c.State != engine.Created || c.Publish[0] != got[0] {
		t.Errorf("after the failed start %+v", c)
	}
	if err := b.Engine.RemoveContainer(ctx, one); err != nil {
		t.Fatal(err)
	}
	b.start(t, two) // the port is free now
}

// checkPublished reaches a published port from here, and checks that a port
// which this machine holds counts as taken. Both need the engine to be here.
func (b *bench) checkPublished(t *testing.T, p engine.PortBinding) {
	t.Helper()
	info, err := b.Engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !info.Local {
		return
	}
	address := net.JoinHostPort(p.HostIP, strconv.Itoa(p.HostPort))
	eventually(t, "the published port greets", func() bool { return greeting(address) == "hello" })

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	network, _ := b.network(t, "host-port")
	spec := b.spec("host-port", "wait")
	spec.Network = network
	spec.Publish = []engine.PortBinding{{HostPort: l.Addr().(*net.TCPAddr).Port, ContainerPort: 80, Protocol: "TCP"}}
	wantKind(t, b.Engine.StartContainer(t.Context(), b.create(t, spec)), engine.PortTaken)
}
