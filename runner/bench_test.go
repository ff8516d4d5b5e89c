package runner

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/agent/image"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
	"github.com/cuepod/cuepod/targets/docker"
)

// BenchmarkPodStart scales a running app up by one pod, ready included, and
// reports how long that takes in terms of a bare container of the same image
// on the same engine in the same minute: absolute times mean nothing on a
// shared machine. It needs an engine and a prebuilt agent (`make bench`).
func BenchmarkPodStart(b *testing.B) {
	eng, err := dockerapi.New(dockerapi.Options{LookupEnv: os.LookupEnv, ReadFile: os.ReadFile})
	if err != nil {
		b.Fatal(err)
	}
	defer eng.Close()
	info, err := eng.Info(b.Context())
	if err != nil {
		b.Skipf("needs an engine: %v", err)
	}
	ref, archive, err := image.Build(info.Arch)
	if err != nil {
		b.Skipf("needs an agent: %v", err)
	}
	replicas := 1
	cfg := Config{
		Engine: eng, Once: true, Timeout: 5 * time.Minute,
		Agent: func(string) (string, []byte, error) { return ref, archive, nil },
		Compile: func(context.Context) (Compiled, error) {
			state, _, err := docker.Render(&app.App{Name: "bench-pod-start", Pods: []app.Pod{{
				Name: "web", Kind: "Deployment", Replicas: replicas,
				Containers: []app.Container{{Name: "app", Image: ref, ImagePullPolicy: "IfNotPresent", Args: []string{"pod"}}},
			}}}, docker.Options{})
			return Compiled{State: state, Root: "/bench"}, err
		},
	}
	id := Identity{App: "bench-pod-start", Root: "/bench"}
	b.Cleanup(func() {
		if err := Down(context.Background(), eng, id, DownOptions{Volumes: true, Now: true}); err != nil {
			b.Error(err)
		}
	})
	if err := Up(b.Context(), cfg); err != nil {
		b.Fatal(err)
	}
	var pods, bare time.Duration
	for b.Loop() {
		replicas++
		begin := time.Now()
		if err := Up(b.Context(), cfg); err != nil {
			b.Fatal(err)
		}
		pods += time.Since(begin)
		b.StopTimer()
		bare += startBare(b, eng, ref, replicas)
		b.StartTimer()
	}
	b.ReportMetric(pods.Seconds()/bare.Seconds(), "x-bare-container")
}

// startBare creates and starts a container with a network of its own.
func startBare(b *testing.B, eng engine.Engine, ref string, n int) time.Duration {
	b.Helper()
	name := fmt.Sprintf("bench-bare-%d", n)
	begin := time.Now()
	id, err := eng.CreateContainer(b.Context(), engine.ContainerSpec{Name: name, Image: ref, Cmd: []string{"pod"}, Network: "bench-pod-start"})
	if err != nil {
		b.Fatal(err)
	}
	if err := eng.StartContainer(b.Context(), id); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begin)
	if err := eng.RemoveContainer(context.Background(), id); err != nil {
		b.Fatal(err)
	}
	return took
}
