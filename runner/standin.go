package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// A container that cannot be made waits, and is tried again, while everything
// else goes on. What stands for it on the engine is a container of ours that is
// never started and whose labels say what is wrong: so ps shows it, and whoever
// supervises next knows when to try again.

// configError is a mistake in what a container is to be made of: a secret
// without a value, an image that would run as root where it must not.
type configError struct{ error }

func (e *configError) Unwrap() error { return e.error }

// Reasons of containers that could not be made (pkg/kubelet/kuberuntime).
const (
	reasonConfigError = "CreateContainerConfigError"
	reasonCreateError = "CreateContainerError"
)

// whyNotCreated is the reason that a container has for not being made, or "" for
// an error that is not about that container alone.
func whyNotCreated(err error) string {
	var config *configError
	var failed *engine.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &config):
		return reasonConfigError
	case errors.As(err, &failed) && failed.Kind == engine.Other:
		return reasonCreateError
	}
	return ""
}

// standIn notes on the engine why a container cannot be made, and tells it.
func (e *executor) standIn(ctx context.Context, s reconcile.Step, reason string, cause error) error {
	message := e.hide(ctx, plainCause(cause))
	if err := e.noteWaiting(ctx, s, reason, message); err != nil {
		return cause // nothing is known of the engine any more: as for any other step
	}
	_ = e.call(ctx, func() { e.problem(s.Object, line(s, e.state)+reason+": "+message+"; it is tried again") })
	return fmt.Errorf("%w: %s", errNotYet, reason)
}

func (e *executor) noteWaiting(ctx context.Context, s reconcile.Step, reason, message string) error {
	pod := e.state.Pod(s.Pod)
	infra, err := e.eng().InspectContainer(ctx, pod.EngineName)
	if err != nil {
		return err
	}
	c := pod.Container(s.Container)
	labels := memberLabels(e.hands.id, pod, c, s.Role, runtime{infraID: infra.ID, restarts: s.Restarts, backoff: s.Backoff})
	maps.Copy(labels, map[string]string{labelReason: reason, labelMessage: message, labelTries: strconv.Itoa(s.Tries + 1)})
	_, err = e.eng().CreateContainer(ctx, agentSpec(c.EngineName, e.agent.ref, labels, "record"))
	return err
}

// cannotRun tells about a container that the engine made and could not start.
// The engine keeps why, and the next comparison knows when to try again. It is
// the step's own error when the engine does not know.
func (e *executor) cannotRun(ctx context.Context, s reconcile.Step, cause error) error {
	c, err := e.eng().InspectContainer(ctx, s.Name)
	if err != nil || c.State != engine.Created || c.Error == "" {
		return cause
	}
	_ = e.call(ctx, func() {
		e.problem(s.Object, line(s, e.state)+reasonRunContainerError+": "+e.loop.secrets.hide(c.Error)+"; it is tried again")
	})
	return fmt.Errorf("%w: %s", errNotYet, reasonRunContainerError)
}

// hide takes values of secrets out of an engine's words.
func (e *executor) hide(ctx context.Context, text string) string {
	_ = e.call(ctx, func() { text = e.loop.secrets.hide(text) })
	return text
}

// plainCause is an error's own words, without the engine call around it.
func plainCause(err error) string {
	var failed *engine.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return strings.TrimSpace(err.Error())
}
