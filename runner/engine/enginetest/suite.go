// Package enginetest is the conformance suite of engine.Engine: what the
// runner relies on, checked on the fake and on a real engine alike, so that a
// test on the fake means something.
package enginetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
)

// Subject is an engine under test.
type Subject struct {
	Engine  engine.Engine
	Archive []byte // docker-archive of Ref, from Archive
	Sockets bool   // its containers have a network that carries packets
	// Gone waits until no process of the engine has a word among its arguments;
	// nil when nobody can tell.
	Gone func(t *testing.T, word string)
}

// deadline bounds the waits for something that happens soon. It is generous,
// since the machine may be busy, and never reached when all is well.
const deadline = 60 * time.Second

// label marks everything that the suite makes. Its value is the test's.
const label = "dev.cuepod.enginetest"

// Run checks everything. The tests run one after the other.
func Run(t *testing.T, s Subject) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"Info", testInfo},
		{"Images", testImages},
		{"Build", testBuild},
		{"BuildErrors", testBuildErrors},
		{"BuildCancel", testBuildCancel},
		{"RemoveImage", testRemoveImage},
		{"Networks", testNetworks},
		{"Addresses", testAddresses},
		{"Volumes", testVolumes},
		{"MemoryVolume", testMemoryVolume},
		{"SubPaths", testSubPaths},
		{"ImageMounts", testImageMounts},
		{"Lifecycle", testLifecycle},
		{"Rename", testRename},
		{"CannotRun", testCannotRun},
		{"CreateErrors", testCreateErrors},
		{"CommandAndEnvironment", testCommandAndEnvironment},
		{"Limits", testLimits},
		{"HostNetwork", testHostNetwork},
		{"Rights", testRights},
		{"Processes", testProcesses},
		{"HostPaths", testHostPaths},
		{"Terminal", testTerminal},
		{"Wait", testWait},
		{"StopGrace", testStopGrace},
		{"Signal", testSignal},
		{"RemoveRunning", testRemoveRunning},
		{"List", testList},
		{"Join", testJoin},
		{"JoinsLater", testJoinsLater},
		{"Ports", testPorts},
		{"Logs", testLogs},
		{"LogsFollow", testLogsFollow},
		{"Exec", testExec},
		{"Attach", testAttach},
		{"Copy", testCopy},
		{"Events", testEvents},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newBench(t, s)) })
	}
}

// bench is one test's corner of the engine: unique names, one label, and
// everything removed at the end.
type bench struct {
	Subject
	id     string
	labels map[string]string
}

func newBench(t *testing.T, s Subject) *bench {
	b := &bench{Subject: s, id: "enginetest-" + strings.ToLower(rand.Text()[:8])}
	b.labels = map[string]string{label: b.id}
	if err := s.Engine.LoadImage(t.Context(), bytes.NewReader(s.Archive)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.clean(t) })
	return b
}

// clean removes what carries the test's label, and says what it could not.
func (b *bench) clean(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	containers, err := b.Engine.ListContainers(ctx, b.labels)
	report(t, err)
	for _, c := range containers {
		report(t, b.Engine.RemoveContainer(ctx, c.ID))
	}
	images, err := b.Engine.ListImages(ctx, b.labels)
	report(t, err)
	for _, img := range images {
		for _, ref := range img.Refs {
			report(t, b.Engine.RemoveImage(ctx, ref))
		}
	}
	networks, err := b.Engine.ListNetworks(ctx, b.labels)
	report(t, err)
	for _, n := range networks {
		report(t, b.Engine.RemoveNetwork(ctx, n.ID))
	}
	volumes, err := b.Engine.ListVolumes(ctx, b.labels)
	report(t, err)
	for _, v := range volumes {
		report(t, b.Engine.RemoveVolume(ctx, v.Name))
	}
}

func report(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
}

func (b *bench) name(s string) string { return b.id + "-" + s }

// spec is a container that runs a command of the test program.
func (b *bench) spec(name string, command ...string) engine.ContainerSpec {
	return engine.ContainerSpec{Name: b.name(name), Image: Ref, Labels: b.labels, Cmd: command}
}

func (b *bench) create(t *testing.T, spec engine.ContainerSpec) string {
	t.Helper()
	id, err := b.Engine.CreateContainer(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *bench) run(t *testing.T, spec engine.ContainerSpec) string {
	t.Helper()
	id := b.create(t, spec)
	b.start(t, id)
	return id
}

func (b *bench) start(t *testing.T, id string) {
	t.Helper()
	if err := b.Engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) inspect(t *testing.T, id string) engine.Container {
	t.Helper()
	c, err := b.Engine.InspectContainer(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// finish waits for a container's end and returns its exit code and output.
func (b *bench) finish(t *testing.T, id string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	code, err := b.Engine.WaitContainer(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	if err := b.Engine.Logs(ctx, id, engine.LogOptions{Tail: -1}, &out, &errOut); err != nil {
		t.Fatal(err)
	}
	return code, out.String(), errOut.String()
}

// waitForLog waits until a container has written a text.
func (b *bench) waitForLog(t *testing.T, id, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the log has %q", text), func() bool {
		var out bytes.Buffer
		if err := b.Engine.Logs(t.Context(), id, engine.LogOptions{Tail: -1}, &out, &out); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(out.String(), text)
	})
}

// network makes a /24 whose lower half is for free addresses. It returns the
// name and the first three numbers of its addresses.
func (b *bench) network(t *testing.T, name string) (network, prefix string) {
	t.Helper()
	for range 20 { // others make networks too
		prefix := fmt.Sprintf("10.%d.%d", 200+mathrand.IntN(40), mathrand.IntN(256))
		spec := b.networkSpec(name, prefix)
		_, err := b.Engine.CreateNetwork(t.Context(), spec)
		if err == nil {
			return spec.Name, prefix
		}
		if engine.KindOf(err) != engine.SubnetTaken {
			t.Fatal(err)
		}
	}
	t.Fatal("no free subnet")
	return "", ""
}

func (b *bench) networkSpec(name, prefix string) engine.NetworkSpec {
	return engine.NetworkSpec{
		Name: b.name(name), Labels: b.labels,
		Subnet: prefix + ".0/24", IPRange: prefix + ".0/25", Gateway: prefix + ".1",
	}
}

// eventually polls a condition until it holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	end := time.Now().Add(deadline)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(end) {
			t.Fatalf("in vain waited until %s", what)
		}
		<-tick.C
	}
}

// wantKind checks that a call failed, with a kind and a wrapped *engine.Error.
func wantKind(t *testing.T, err error, kind engine.Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want kind %q", kind)
		return
	}
	if got := engine.KindOf(err); got != kind {
		t.Errorf("kind %q, want %q: %v", got, kind, err)
	}
	var typed *engine.Error
	if !errors.As(err, &typed) {
		t.Errorf("%v wraps no *engine.Error", err)
	}
}

// syncBuffer is a buffer for a writer and a reader in different goroutines.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// readLine reads up to a newline, without reading past it.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(r, one); err != nil {
			return string(line), err
		}
		if one[0] == '\n' {
			return string(line), nil
		}
		line = append(line, one[0])
	}
}
