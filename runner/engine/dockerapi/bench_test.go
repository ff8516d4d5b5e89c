package dockerapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
)

// BenchmarkStart measures create and start of a container. A member that joins
// a pod's namespaces is what a reload replaces; a new namespace is what it
// spares.
func BenchmarkStart(b *testing.B) {
	c, arch := realEngine(b)
	archive, err := enginetest.Archive(enginetest.BuildProgram(b, arch))
	if err != nil {
		b.Fatal(err)
	}
	if err := c.LoadImage(b.Context(), bytes.NewReader(archive)); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { removeImage(b, c) })
	name := "cuepod-bench-" + strings.ToLower(rand.Text()[:8])
	network := benchNetwork(b, c, name)
	own := engine.ContainerSpec{Name: name + "-own", Image: enginetest.Ref, Network: network, ShareableIPC: true}
	holder := own
	holder.Name = name + "-holder"
	holderID := benchStart(b, c, holder)
	b.Cleanup(func() { benchRemove(b, c, holderID) })

	b.Run("own", func(b *testing.B) { benchCycle(b, c, own) })
	b.Run("joined", func(b *testing.B) {
		benchCycle(b, c, engine.ContainerSpec{Name: name + "-member", Image: enginetest.Ref, JoinContainer: holderID})
	})
}

func benchCycle(b *testing.B, c *Client, spec engine.ContainerSpec) {
	for b.Loop() {
		id := benchStart(b, c, spec)
		b.StopTimer()
		benchRemove(b, c, id)
		b.StartTimer()
	}
}

func benchStart(b *testing.B, c *Client, spec engine.ContainerSpec) string {
	b.Helper()
	id, err := c.CreateContainer(b.Context(), spec)
	if err != nil {
		b.Fatal(err)
	}
	if err := c.StartContainer(b.Context(), id); err != nil {
		b.Fatal(err)
	}
	return id
}

func benchRemove(b *testing.B, c *Client, id string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // also after the benchmark's own ended
	defer cancel()
	if err := c.RemoveContainer(ctx, id); err != nil {
		b.Error(err)
	}
}

func benchNetwork(b *testing.B, c *Client, name string) string {
	b.Helper()
	id, err := c.CreateNetwork(b.Context(), engine.NetworkSpec{Name: name, Subnet: "10.198.77.0/24"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.RemoveNetwork(ctx, id); err != nil {
			b.Error(err)
		}
	})
	return name
}
