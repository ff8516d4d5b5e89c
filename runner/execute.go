package runner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/reconcile"
)

// concurrency bounds the engine calls under way. More gains nothing: on two
// cores ten at a time were measured 1.8 times as fast as one, and each call
// takes longer for every other that runs.
const concurrency = 6

// skipped is the error of a step that did not run because one before it failed.
type skipped struct{ because error }

func (s *skipped) Error() string { return fmt.Sprintf("not tried: %v", s.because) }
func (s *skipped) Unwrap() error { return s.because }

// runPlan carries out a plan: every step as soon as all steps it comes after
// have succeeded and all it comes behind have ended. It makes no decision. Once ctx is done no further step
// starts; steps under way finish. When a step fails, steps that only wait give
// up, as what they wait for may never come; the rest goes on as far as it can.
// The result has one error per step.
func runPlan(ctx context.Context, plan reconcile.Plan, do func(context.Context, reconcile.Step) error) []error {
	errs := make([]error, len(plan.Steps))
	done := make([]chan struct{}, len(plan.Steps))
	for i := range done {
		done[i] = make(chan struct{})
	}
	slots := make(chan struct{}, concurrency)
	waiting, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	var wg sync.WaitGroup
	for i, step := range plan.Steps {
		wg.Go(func() {
			defer close(done[i]) // after the error is stored: a dependent must see it
			for _, before := range step.Behind {
				<-done[before]
			}
			for _, before := range step.After {
				<-done[before]
				if errs[before] != nil {
					errs[i] = &skipped{errs[before]}
					return
				}
			}
			own := ctx
			switch {
			case waits(step.Op):
				own = waiting
			case !lasts(step.Op):
				slots <- struct{}{}
				defer func() { <-slots }()
			}
			if own.Err() != nil {
				errs[i] = context.Cause(own)
				return
			}
			switch errs[i] = do(own, step); {
			case errs[i] == nil:
			case fetches(step.Op):
				time.AfterFunc(fetchesToo, func() { giveUp(errStale) })
			default:
				giveUp(errStale)
			}
		})
	}
	wg.Wait()
	return errs
}

// fetchesToo is how long the others may still take after one image is not to be
// had: registries say no quickly, and all that is missing is told at once.
const fetchesToo = 2 * time.Second

func fetches(op reconcile.Op) bool { return op == reconcile.PullImage || builds(op) }

// waits reports whether an operation only waits, and so must not hold a slot
// that an engine call could use.
func waits(op reconcile.Op) bool {
	switch op {
	case reconcile.PullImage, reconcile.BuildImage, reconcile.CompileProgram, reconcile.AwaitAgent, reconcile.AwaitExit, reconcile.AwaitStarted, reconcile.AwaitTurn, reconcile.PostStart, reconcile.AwaitReady, reconcile.AwaitService, reconcile.Connect, reconcile.Drain, reconcile.Hold, reconcile.Update:
		return true
	}
	return false
}

// lasts reports whether an operation takes as long as a container likes: while
// one is stopped, the others of its pod are to be told, too.
func lasts(op reconcile.Op) bool { return op == reconcile.StopContainer || op == reconcile.PreStop }
