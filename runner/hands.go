package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// hands carries out the steps that need nothing but the engine.
type hands struct {
	eng    engine.Engine
	id     Identity
	clocks *clocks
	tell   func(object, message string) // of what failed and stops nothing
}

// do carries out stops, renames and removals; it reports false for an operation it does
// not know.
func (h hands) do(ctx context.Context, s reconcile.Step) (known bool, err error) {
	switch s.Op {
	case reconcile.StopContainer:
		return true, h.eng.StopContainer(ctx, s.ID, h.stopGrace(s))
	case reconcile.PreStop:
		h.preStop(ctx, s)
		return true, nil
	case reconcile.AwaitTurn:
		return true, h.awaitTurn(ctx, s)
	case reconcile.RemoveContainer:
		return true, h.eng.RemoveContainer(ctx, s.ID)
	case reconcile.RenameContainer:
		return true, h.eng.RenameContainer(ctx, s.ID, s.Name)
	case reconcile.RemoveVolume:
		return true, h.eng.RemoveVolume(ctx, s.Name)
	case reconcile.RemoveNetwork:
		return true, h.eng.RemoveNetwork(ctx, s.ID)
	}
	return false, nil
}

// minGrace is the least time a container gets, as in Kubernetes.
const minGrace = 2 * time.Second

func (h hands) stopGrace(s reconcile.Step) time.Duration {
	if s.Clock == "" {
		return time.Second // our own: they exit at once
	}
	return max(h.clocks.left(s), minGrace)
}

// awaitTurn waits until the containers have stopped that stop before this one,
// or the grace period is over.
func (h hands) awaitTurn(ctx context.Context, s reconcile.Step) error {
	limited, cancel := context.WithTimeout(ctx, h.clocks.left(s))
	defer cancel()
	for _, id := range s.Turn {
		_, err := h.eng.WaitContainer(limited, id)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case limited.Err() != nil:
			return nil
		case err != nil && engine.KindOf(err) != engine.NotFound:
			return err
		}
	}
	return nil
}

// createNetwork takes the first subnet of the candidates that no other network uses.
func (h hands) createNetwork(ctx context.Context, name string) error {
	var last error
	for n := range subnetTries {
		a := candidate(h.id.ID(), n)
		_, err := h.eng.CreateNetwork(ctx, engine.NetworkSpec{
			Name: name, Labels: h.id.labels(), Subnet: a.subnet.String(), IPRange: a.pods(), Gateway: a.host(),
		})
		if engine.KindOf(err) != engine.SubnetTaken {
			return err
		}
		last = err
	}
	return fmt.Errorf("no free subnet in 10.%d.0.0 to 10.%d.255.255 after %d tries: %w", poolFirst, poolFirst+poolSize-1, subnetTries, last)
}
