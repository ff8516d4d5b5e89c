package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// defaultGrace is Kubernetes' terminationGracePeriodSeconds, for pods that no
// record tells about.
const defaultGrace = 30 * time.Second

// hands carries out the steps that need nothing but the engine.
type hands struct {
	eng   engine.Engine
	id    Identity
	grace func(pod string) time.Duration
}

// graceOf looks up a pod's grace period in the states given, first one first.
func graceOf(pod string, states ...*docker.State) time.Duration {
	for _, s := range states {
		if s == nil {
			continue
		}
		if p := s.Pod(pod); p != nil {
			return time.Duration(p.GracePeriod) * time.Second
		}
	}
	return defaultGrace
}

// do carries out removals; it reports false for an operation it does not know.
func (h hands) do(ctx context.Context, s reconcile.Step) (known bool, err error) {
	switch s.Op {
	case reconcile.StopContainer:
		return true, h.eng.StopContainer(ctx, s.ID, h.stopGrace(s))
	case reconcile.RemoveContainer:
		return true, h.eng.RemoveContainer(ctx, s.ID)
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
	switch s.Role {
	case reconcile.RoleApp, reconcile.RoleInit:
		return max(h.grace(s.Pod), minGrace)
	}
	return time.Second // our own: they exit at once
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
