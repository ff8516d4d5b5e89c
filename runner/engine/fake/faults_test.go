package fake

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
)

// started makes an engine with one running container, "c".
func started(t *testing.T, img Image) (*Engine, string) {
	t.Helper()
	e := New()
	t.Cleanup(e.Shutdown)
	e.AddImage("i", img)
	if _, err := e.CreateNetwork(t.Context(), engine.NetworkSpec{Name: "n", Subnet: "10.0.0.0/24"}); err != nil {
		t.Fatal(err)
	}
	id, err := e.CreateContainer(t.Context(), engine.ContainerSpec{Name: "c", Image: "i", Network: "n", OpenStdin: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return e, id
}

func TestFailNext_FailsOnceWithNoEffect(t *testing.T) {
	e, id := started(t, Image{})
	disk := errors.New("no space left on device")
	e.FailNext("RemoveContainer", disk)
	err := e.RemoveContainer(t.Context(), id)
	var typed *engine.Error
	if !errors.Is(err, disk) || !errors.As(err, &typed) || typed.Op != "remove container" || typed.Object != id {
		t.Errorf("error %#v", err)
	}
	if c, err := e.InspectContainer(t.Context(), id); err != nil || c.State != engine.Running {
		t.Errorf("it had an effect: %v, %v", c.State, err)
	}
	if err := e.RemoveContainer(t.Context(), id); err != nil {
		t.Errorf("the second: %v", err)
	}
}

func TestHook_SeesEveryCallAndMayLoseTheAnswer(t *testing.T) {
	e, id := started(t, Image{})
	lost := errors.New("connection reset")
	var seen []string
	e.SetHook(func(_ context.Context, phase Phase, op, object string) error {
		seen = append(seen, string(phase)+" "+op+" "+object)
		if phase == After && op == "StopContainer" {
			return lost
		}
		return nil
	})
	if err := e.StopContainer(t.Context(), id, time.Hour); !errors.Is(err, lost) {
		t.Errorf("error %v", err)
	}
	c, err := e.InspectContainer(t.Context(), "c")
	if err != nil || c.State != engine.Exited {
		t.Errorf("no effect: %v, %v", c.State, err)
	}
	want := []string{"before StopContainer " + id, "after StopContainer " + id, "before InspectContainer c", "after InspectContainer c"}
	if !slices.Equal(seen, want) {
		t.Errorf("%q\nwant %q", seen, want)
	}
}

// A kill between two calls is a context that ends in a hook.
func TestHook_KillPoint(t *testing.T) {
	e, id := started(t, Image{})
	ctx, kill := context.WithCancel(t.Context())
	e.SetHook(func(_ context.Context, phase Phase, op, _ string) error {
		if phase == Before && op == "RemoveContainer" {
			kill()
		}
		return nil
	})
	if err := e.RemoveContainer(ctx, id); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	e.SetHook(nil)
	if _, err := e.InspectContainer(t.Context(), id); err != nil {
		t.Errorf("it was removed all the same: %v", err)
	}
}

func TestCrash_EndsTheProgramAndTellsWhy(t *testing.T) {
	ended := make(chan struct{})
	e, id := started(t, Image{Run: func(ctx context.Context, p Process) int {
		defer close(ended)
		<-p.Killed
		return 0
	}})
	events, _ := e.Events(t.Context(), nil)
	if err := e.Crash("c", 137, true); err != nil {
		t.Fatal(err)
	}
	<-ended
	c, err := e.InspectContainer(t.Context(), id)
	if err != nil || c.State != engine.Exited || c.ExitCode != 137 || !c.OOMKilled || c.IP != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if first, second := <-events, <-events; first.Action != "oom" || second.Action != "die" || second.ExitCode != 137 {
		t.Errorf("events %+v, %+v", first, second)
	}
	if err := e.Crash("c", 1, false); err == nil {
		t.Error("crashed twice")
	}
}

func TestTakePort_IsTakenUntilFreed(t *testing.T) {
	e, _ := started(t, Image{})
	e.TakePort(8080)
	id, err := e.CreateContainer(t.Context(), engine.ContainerSpec{
		Name: "p", Image: "i", Network: "n",
		Publish: []engine.PortBinding{{HostPort: 8080, ContainerPort: 80, Protocol: "TCP"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.StartContainer(t.Context(), id); engine.KindOf(err) != engine.PortTaken {
		t.Errorf("error %v", err)
	}
	e.FreePort(8080)
	if err := e.StartContainer(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func TestSetDown_BreaksStreamsAndRefusesCalls(t *testing.T) {
	e, id := started(t, Image{})
	_, broken := e.Events(t.Context(), nil)
	e.SetDown(true)
	if err := <-broken; engine.KindOf(err) != engine.Unreachable {
		t.Errorf("events: %v", err)
	}
	if _, err := e.InspectContainer(t.Context(), id); engine.KindOf(err) != engine.Unreachable {
		t.Errorf("inspect: %v", err)
	}
	e.SetDown(false)
	if c, err := e.InspectContainer(t.Context(), id); err != nil || c.State != engine.Running {
		t.Errorf("afterwards: %v, %v", c.State, err)
	}
}

func TestPullImage_GivesWhatAddRemoteSays(t *testing.T) {
	e := New()
	e.AddRemote("r", Image{Image: engine.Image{User: "7"}})
	if _, err := e.InspectImage(t.Context(), "r"); engine.KindOf(err) != engine.NotFound {
		t.Errorf("before the pull: %v", err)
	}
	var lines []string
	if err := e.PullImage(t.Context(), "r", func(p engine.Progress) { lines = append(lines, p.Status) }); err != nil || len(lines) == 0 {
		t.Errorf("%v, %v", lines, err)
	}
	if img, err := e.InspectImage(t.Context(), "r"); err != nil || img.User != "7" || img.ID == "" {
		t.Errorf("%+v, %v", img, err)
	}
	e.LoseImage("r")
	if _, err := e.CreateContainer(t.Context(), engine.ContainerSpec{Name: "c", Image: "r"}); engine.KindOf(err) != engine.ImageMissing {
		t.Errorf("after its removal: %v", err)
	}
}

// Under synctest an hour of grace takes no time, and nothing is left running.
func TestEngine_RunsInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stubborn := func(_ context.Context, p Process) int { <-p.Killed; return 0 }
		e, id := started(t, Image{Run: stubborn})
		began := time.Now()
		if err := e.StopContainer(t.Context(), id, time.Hour); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Hour {
			t.Errorf("took %s", took)
		}
		c, err := e.InspectContainer(t.Context(), id)
		if err != nil || c.ExitCode != exitKilled || c.Finished.Sub(c.Started) != time.Hour {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestAttach_WriterNeverBlocksOnASlowReader(t *testing.T) {
	const lines = 10_000
	e, id := started(t, Image{Run: func(_ context.Context, p Process) int {
		one := make([]byte, 1)
		if _, err := io.ReadFull(p.Stdin, one); err != nil {
			return 1
		}
		for range lines {
			if _, err := io.WriteString(p.Stdout, "0123456789\n"); err != nil {
				return 1
			}
		}
		return 0
	}})
	conn, err := e.Attach(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	if code, err := e.WaitContainer(t.Context(), id); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	out, err := io.ReadAll(conn) // only now
	if err != nil || len(out) != lines*11 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}
