package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// Down removes an app, found by its labels alone: containers with their grace
// period, then volumes and the network. Claims stay unless opts.Volumes, and
// with them the generated secrets that protect their data, and the images that
// were built. It is idempotent,
// and fails when something of the app is left.
func Down(ctx context.Context, eng engine.Engine, id Identity, opts DownOptions) error {
	if opts.Report == nil {
		opts.Report = func(Event) {}
	}
	for round := 1; ; round++ {
		left, err := removeAll(ctx, eng, id, opts)
		switch {
		case err != nil:
			return err
		case len(left) > 0 && round == maxRounds:
			return fmt.Errorf("still there after down: %s; run it again", strings.Join(left, ", "))
		case len(left) > 0:
			continue
		case opts.Volumes:
			return removeBuilt(ctx, eng, id, opts)
		}
		return nil
	}
}

// maxRounds is how often down looks again: the engine may be about to make what a
// supervisor asked for that ended a moment ago.
const maxRounds = 3

// removeAll removes what is there, and returns the names of what is there then.
func removeAll(ctx context.Context, eng engine.Engine, id Identity, opts DownOptions) ([]string, error) {
	seen, err := observe(ctx, eng, id, nil, "")
	if err != nil {
		return nil, err
	}
	h := hands{eng: eng, id: id, clocks: newClocks(), tell: func(object, message string) {
		opts.Report(Event{Kind: EventProblem, Object: object, Message: message})
	}}
	volumes := goingVolumes(seen, opts.Volumes)
	plan := reconcile.Teardown(id.Project(), seen.Observed, volumes, names(seen.records))
	errs := runPlan(ctx, plan, func(ctx context.Context, s reconcile.Step) error {
		switch s.Op {
		case reconcile.StopContainer, reconcile.PreStop, reconcile.AwaitTurn:
			if opts.Now {
				return nil // removal kills
			}
			_, err := h.do(context.WithoutCancel(ctx), s)
			return err
		}
		_, err := h.do(context.WithoutCancel(ctx), s)
		if err == nil {
			opts.Report(Event{Kind: EventStep, Object: s.Object, Message: "removed"})
		}
		return err
	})
	busy := keptNetwork(plan, errs)
	if err := firstCauses(errs); err != nil {
		return nil, err
	}
	if busy != "" {
		opts.Report(Event{Kind: EventNotice, Object: busy, Message: "it stays: the engine says that something is on it, " +
			"which is another's container or an endpoint that it has lost count of; the next `cuepod up` uses it"})
	}
	return whatIsLeft(ctx, eng, id, opts, busy != "")
}

// removeBuilt removes the images that were built for the app. One that somebody
// else's container uses stays, and so does a name that the definition gave.
func removeBuilt(ctx context.Context, eng engine.Engine, id Identity, opts DownOptions) error {
	images, err := builtImages(ctx, eng, id)
	if err != nil {
		return err
	}
	for _, img := range images {
		switch err := eng.RemoveImage(ctx, img.Ref); {
		case engine.KindOf(err) == engine.ImageInUse:
		case err != nil:
			return err
		default:
			opts.Report(Event{Kind: EventStep, Object: "image " + img.Ref, Message: "removed"})
		}
	}
	return nil
}

// goingVolumes are the volumes that down removes. Without all, claims stay that
// no StatefulSet takes with it, and the vault stays beside them.
func goingVolumes(seen *observation, all bool) []string {
	deleted := map[string]bool{}
	if seen.Record != nil {
		deleted = reconcile.DeletedClaims(seen.Record.State, seen.Volumes)
	}
	keptClaim := func(v engine.Volume) bool { return v.Labels[labelKeep] == keepClaim && !deleted[v.Name] }
	keepsClaim := slices.ContainsFunc(seen.volumes, keptClaim)
	var out []string
	for _, v := range seen.volumes {
		keep := keptClaim(v) || v.Labels[labelKeep] == keepVault && keepsClaim
		if all || !keep {
			out = append(out, v.Name)
		}
	}
	return out
}

// firstCauses joins the errors of steps that failed by themselves.
func firstCauses(errs []error) error {
	var out []error
	for _, err := range errs {
		var s *skipped
		if err != nil && !errors.As(err, &s) {
			out = append(out, err)
		}
	}
	return errors.Join(out...)
}

// keptNetwork is the network that the engine does not let go, or "": what of the
// app was on it is gone, so that is no failure. Its error is dropped.
func keptNetwork(plan reconcile.Plan, errs []error) string {
	for i, s := range plan.Steps {
		if s.Op == reconcile.RemoveNetwork && engine.KindOf(errs[i]) == engine.NetworkInUse {
			errs[i] = nil
			return s.Object
		}
	}
	return ""
}

// whatIsLeft are the names of what down should have removed.
func whatIsLeft(ctx context.Context, eng engine.Engine, id Identity, opts DownOptions, networkStays bool) ([]string, error) {
	left, err := observe(ctx, eng, id, nil, "")
	if err != nil {
		return nil, err
	}
	what := append(names(left.all), goingVolumes(left, opts.Volumes)...)
	if left.network != "" && !networkStays {
		what = append(what, "network "+left.network)
	}
	return what, nil
}

func names(list []engine.Container) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.Name)
	}
	return out
}
