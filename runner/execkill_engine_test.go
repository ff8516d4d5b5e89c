package runner

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
	"github.com/cuepod/cuepod/targets/docker"
)

// A probe's command that is late is a failure, and does not stay behind in its
// container, whoever it runs as.
//
// conformance:S41
func TestExecProbe_LateCommandIsKilled(t *testing.T) {
	eng, err := dockerapi.New(dockerapi.Options{})
	var info engine.Info
	if err == nil {
		info, err = eng.Info(t.Context())
	}
	if err != nil {
		if os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no engine: %v", err)
	}
	defer eng.Close()
	program, err := enginetest.Archive(enginetest.BuildProgram(t, info.Arch))
	if err != nil {
		t.Fatal(err)
	}
	ref, agent := agenttest.Image(t, info.Arch)
	for _, archive := range [][]byte{program, agent} {
		if err := eng.LoadImage(t.Context(), bytes.NewReader(archive)); err != nil {
			t.Fatal(err)
		}
	}
	name := fmt.Sprintf("killtest-%06x", rand.Uint32N(1<<24))
	id, err := eng.CreateContainer(t.Context(), engine.ContainerSpec{Name: name, Image: enginetest.Ref, User: "1234", Cmd: []string{"ignore"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.RemoveContainer(context.WithoutCancel(t.Context()), id) })
	if err := eng.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	// The command as a probe begins it, waited for by the test as well.
	marker := newMarker()
	ended := make(chan int, 1)
	go func() {
		code, _ := eng.Exec(t.Context(), id, engine.ExecSpec{Cmd: []string{"/testprog", "ignore"}, Env: []string{"CUEPOD_PROBE=" + marker}})
		ended <- code
	}()
	late := docker.Probe{Exec: []string{"/testprog", "ignore"}, Timeout: 1}
	if o, isLate := execOnce(t.Context(), eng, id, late, marker); !isLate || o.Result != 2 {
		t.Errorf("%+v, late %t", o, isLate)
	}
	target := execTarget{pod: docker.Pod{Name: "p", Containers: []docker.Container{{Name: "c", EngineName: name}}}, container: "c", id: id}
	if err := killMarked(t.Context(), eng, killerSpec(Identity{App: name, Root: "/"}, ref, target, marker)); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-ended:
		if code != 137 {
			t.Errorf("the command ended with %d", code)
		}
	case <-time.After(time.Minute):
		t.Error("the command still runs")
	}
	if c, err := eng.InspectContainer(t.Context(), id); err != nil || c.State != engine.Running {
		t.Errorf("its container is %s, %v", c.State, err)
	}
}
