package runner

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// An engine lets nobody end a command that it runs in a container: whoever
// waited goes away, and the command stays. So a probe's command carries a mark
// in its environment, and one that is late is looked for and killed, with what
// it has started, by a container of ours that sees the same processes for a
// moment. It costs nothing until a probe is late.

// newMarker is a mark that no other command has.
func newMarker() string { return strings.ToLower(rand.Text()[:16]) }

// killPatience bounds the engine calls of one kill.
const killPatience = 30 * time.Second

// killLate ends a probe's command that is still running. A kill that fails is
// no failure of the probe, and tried again when the next one is late.
func (r *supervisor) killLate(ctx context.Context, target execTarget, marker string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killPatience)
	defer cancel()
	if err := killMarked(ctx, r.cfg.Engine, killerSpec(r.id, r.agent.ref, target, marker)); err != nil {
		r.log.Debug("a probe's command may still run", "pod", target.pod.Name, "container", target.container, "error", err)
	}
}

func killMarked(ctx context.Context, eng engine.Engine, spec engine.ContainerSpec) error {
	id, err := eng.CreateContainer(ctx, spec)
	if err != nil {
		return err
	}
	defer func() { _ = eng.RemoveContainer(ctx, id) }() // a stranger in the pod otherwise: it goes with the next plan
	if err := eng.StartContainer(ctx, id); err != nil {
		return err
	}
	_, err = eng.WaitContainer(ctx, id)
	return err
}

// killerSpec is a container that kills what carries a mark among the processes
// of another. It may read everybody's environment there and signal everybody,
// has no network, and ends at once. To the pod it is no container that anybody
// defined, and so it is removed when it is left over.
func killerSpec(id Identity, image string, target execTarget, marker string) engine.ContainerSpec {
	c := target.pod.Container(target.container)
	labels := id.with(map[string]string{
		labelRole: string(reconcile.RoleInit), labelPod: target.pod.Name, labelWorkload: target.pod.Workload,
		labelContainer: c.Name + ".kill", labelJob: target.pod.Job, labelRun: target.pod.Run,
	})
	s := agentSpec(c.EngineName+".kill."+marker, image, labels, api.RoleKill, marker)
	s.CapAdd = []string{"KILL", "SYS_PTRACE", "DAC_READ_SEARCH"}
	s.JoinPID = target.id
	return s
}
