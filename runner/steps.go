package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// executor carries out the steps of one plan. It decides nothing: what to do
// and in which order is in the plan.
type executor struct {
	*supervisor
	hands
	desired *docker.State        // as it is recorded
	state   *docker.State        // with the pods of jobs
	earlier []reconcile.Instance // what pods of earlier revisions were made from
	slots   map[string]int
	backoff reconcile.Backoff
	begin   func(reconcile.Step) *fetch // see beginFetch
	quiet   bool                        // who asked for the plan tells what it did
}

// errNotYet marks a failure that the next comparison answers by itself, such as
// an init container that exited with an error.
var errNotYet = errors.New("not yet")

func (e *executor) do(ctx context.Context, s reconcile.Step) error {
	e.log.Debug("step", "op", s.Op, "object", s.Object)
	if s.Op == reconcile.Hold {
		if err := e.call(ctx, func() { e.gap(s.Pod+"/"+s.Container, true) }); err != nil {
			return err
		}
	}
	if s.Op == reconcile.StopContainer || s.Op == reconcile.PreStop {
		if err := e.call(ctx, func() { e.loop.stopping[s.ID] = true }); err != nil {
			return err
		}
	}
	// An engine call that has begun is finished even when the plan is dropped.
	whole := context.WithoutCancel(ctx)
	own := whole
	if s.Op == reconcile.AwaitTurn {
		own = ctx
	}
	known, err := e.hands.do(own, s)
	if !known {
		err = e.other(ctx, whole, s)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // the plan was dropped: what is wrong, the next one meets as well
	}
	if changesEngine(s.Op) {
		_ = e.call(whole, func() {
			e.lookSoon()
			if s.Op == reconcile.StartContainer {
				e.gap(s.Pod+"/"+s.Container, false)
			}
		})
	}
	return err
}

func changesEngine(op reconcile.Op) bool {
	switch op {
	case reconcile.StartContainer, reconcile.StopContainer, reconcile.RemoveContainer, reconcile.WriteRecord, reconcile.CreateNetwork, reconcile.WriteJob, reconcile.WriteCron:
		return true
	}
	return false
}

func (e *executor) other(ctx, whole context.Context, s reconcile.Step) error {
	switch s.Op {
	case reconcile.LoadImage:
		return e.eng().LoadImage(whole, bytes.NewReader(e.agent.archive))
	case reconcile.PullImage, reconcile.BuildImage, reconcile.CompileProgram:
		return e.fetch(ctx, s)
	case reconcile.RemoveImage:
		return e.removeImage(whole, s.Name)
	case reconcile.CreateNetwork:
		return e.hands.createNetwork(whole, e.desired.Prefix())
	case reconcile.CreateVolume:
		return e.eng().CreateVolume(whole, volumeSpec(e.hands.id, s.Name, e.state.Volume(s.Name), e.machine.Memory))
	case reconcile.WriteRecord:
		return e.writeRecord(whole)
	case reconcile.WriteJob:
		return e.write(whole, jobSpec(e.hands.id, e.desired.Prefix(), e.agent.ref, *s.Job))
	case reconcile.WriteCron:
		return e.write(whole, cronSpec(e.hands.id, e.desired.Prefix(), e.agent.ref, *s.Job))
	case reconcile.PutProgram:
		return e.putProgram(whole, s)
	case reconcile.CreateContainer:
		return e.create(ctx, whole, s)
	case reconcile.StartContainer:
		return e.start(ctx, whole, s)
	case reconcile.Connect:
		return e.settled(ctx)
	case reconcile.AwaitAgent:
		return e.awaitAgent(ctx, s.Pod)
	case reconcile.PostStart:
		return e.postStart(ctx, whole, s)
	case reconcile.AwaitExit:
		return e.awaitExit(ctx, s)
	case reconcile.AwaitStarted:
		return e.awaitStarted(ctx, s)
	case reconcile.AwaitReady:
		return e.awaitReady(ctx, s.Pod, time.Duration(s.MinReady)*time.Second)
	case reconcile.AwaitService:
		return e.awaitService(ctx, s)
	case reconcile.Drain:
		return e.drain(ctx, s.Pod)
	case reconcile.Hold:
		return e.hold(ctx, s)
	case reconcile.Update:
		return e.settled(ctx)
	}
	return fmt.Errorf("step %s: no way to do it", s.Op)
}

func (e *executor) eng() engine.Engine { return e.hands.eng }

// containerOf is the container that a step is about, or nil.
func containerOf(s reconcile.Step, state *docker.State) *docker.Container {
	if j := state.Job(s.Workload); j != nil {
		return j.Template.Container(s.Container)
	}
	if p := state.Pod(s.Pod); p != nil {
		return p.Container(s.Container)
	}
	return nil
}

// write makes a container that only has labels.
func (e *executor) write(ctx context.Context, spec engine.ContainerSpec) error {
	_, err := e.eng().CreateContainer(ctx, spec)
	return err
}
