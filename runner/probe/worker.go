// Package probe decides how containers are from what probes find, as the
// kubelet does.
//
// Worker is the pure part: a probe's findings in, its verdict out. Do carries
// out one network probe. Set runs the probes of one pod's containers and keeps
// their state.
package probe

import (
	"fmt"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Result is what a probe says.
type Result int

const (
	Unknown Result = iota // nothing, or it could not be carried out: changes no verdict
	Success
	Failure
)

// Outcome is what one attempt found.
type Outcome struct {
	Result  Result
	Message string // why it failed, in words; may warn on success
	Refused bool   // it failed because nobody listens
}

// Worker is the state of one probe of one container. It is a value: Next gives
// the next state and changes nothing.
type Worker struct {
	Verdict Result
	Message string // the last failure or warning, in words; "" after a success
	Hold    bool   // decided: the probe is not run again on this container

	refused bool // the last attempt: nobody listens

	last Result // of the attempts in the current run of equal ones
	run  int    // their number
}

// NewWorker returns the state before the first attempt: a container is not
// ready, is alive, and may or may not have started, until a probe says so
// (kubelet's prober/worker.go).
func NewWorker(kind string) Worker {
	switch kind {
	case api.Readiness:
		return Worker{Verdict: Failure}
	case api.Liveness:
		return Worker{Verdict: Success}
	}
	return Worker{}
}

// Next takes one attempt's outcome. The verdict changes once enough equal
// outcomes came in a row. A failed liveness or startup probe, and a startup
// probe that succeeded, are final for this container.
func (w Worker) Next(p api.Probe, o Outcome) Worker {
	if w.Hold || o.Result == Unknown {
		return w
	}
	w.refused = o.Refused
	if o.Result != w.last {
		w.last, w.run = o.Result, 0
	}
	w.run++
	w.Message = ""
	if o.Result == Success && o.Message != "" {
		w.Message = fmt.Sprintf("%s probe warning: %s", p.Kind, o.Message)
	}
	if o.Result == Failure {
		w.Message = fmt.Sprintf("%s probe failed: %s", p.Kind, o.Message)
	}
	threshold := p.SuccessThreshold
	if o.Result == Failure {
		threshold = p.FailureThreshold
	}
	if w.run < threshold {
		return w
	}
	w.Verdict = o.Result
	switch p.Kind {
	case api.Startup:
		w.Hold = true
	case api.Liveness:
		w.Hold = o.Result == Failure
	}
	return w
}

// eagerPeriod is how often a container that is not ready is asked, where its
// probe's own period is longer: somebody waits for it.
const eagerPeriod = time.Second

// Limits of how often a port is asked again on which nobody listens yet: the
// refusal costs next to nothing, and who is ready serves at once.
const (
	minKnock  = 10 * time.Millisecond // a part of what an endpoint may take to be known everywhere
	knockPart = 256                   // the pause is this part of the time that went by, at least
)

// Pause is the time from the start of one attempt to the start of the next: the
// probe's period; less while a readiness probe has not succeeded, which
// Kubernetes' documentation of periodSeconds allows for that very reason, and
// much less while nobody listens. waited is how long that has been so.
func (w Worker) Pause(p api.Probe, waited time.Duration) time.Duration {
	period := time.Duration(max(p.Period, 1)) * time.Second
	switch {
	case p.Kind != api.Readiness || w.Verdict == Success:
		return period
	case w.refused:
		return min(period, eagerPeriod, max(minKnock, waited/knockPart))
	}
	return min(period, eagerPeriod)
}
