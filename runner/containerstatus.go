package runner

import (
	"fmt"
	"time"

	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// ContainerStatus is one container of a pod, in Kubernetes' words. Its own
// fields of ContainerState are how it is now.
type ContainerStatus struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	Init    bool   `json:"init,omitempty"`
	Sidecar bool   `json:"sidecar,omitempty"` // an init container that goes on running
	Image   string `json:"image"`
	ContainerState
	Ready    bool      `json:"ready"`
	Started  bool      `json:"started"` // running, and its startup probe has succeeded
	Restarts int       `json:"restarts"`
	RetryAt  time.Time `json:"retryAt,omitzero"` // when it is started again, in back-off
	// LastState is how the instance before this one ended.
	LastState *ContainerState `json:"lastState,omitempty"`
}

// ContainerState is how a container is or was.
type ContainerState struct {
	State      string    `json:"state"`             // waiting, running, terminated
	Reason     string    `json:"reason"`            // of waiting or terminated
	Message    string    `json:"message,omitempty"` // why it waits, its last words, or the last failure of a probe
	ExitCode   int       `json:"exitCode"`          // of terminated
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
}

// States of a container.
const (
	stateWaiting    = "waiting"
	stateRunning    = "running"
	stateTerminated = "terminated"
)

// Reasons, where they come from: pkg/kubelet/kubelet_pods.go,
// container/sync_result.go, kuberuntime/kuberuntime_container.go, dockershim.
const (
	reasonContainerCreating  = "ContainerCreating"
	reasonPodInitializing    = "PodInitializing"
	reasonCrashLoopBackOff   = "CrashLoopBackOff"
	reasonRunContainerError  = "RunContainerError"
	reasonContainerCannotRun = "ContainerCannotRun"
	reasonCompleted          = "Completed"
	reasonError              = "Error"
	reasonOOMKilled          = "OOMKilled"
)

// container tells how a container is, from the one of it that belongs to the
// pod's infra container.
func (in podInput) container(c *docker.Container, init bool) ContainerStatus {
	out := ContainerStatus{Name: c.Name, Init: init, Sidecar: c.Sidecar, Image: c.Image,
		ContainerState: ContainerState{State: stateWaiting, Reason: reasonContainerCreating}}
	if len(in.pod.Init) > 0 {
		out.Reason = reasonPodInitializing
	}
	m := in.seen.Living(c.Name)
	if m == nil {
		in.imageless(&out)
		return out
	}
	out.ID, out.Restarts = m.ID, m.Restarts
	if m.Previous != nil {
		last := in.endState(m.Previous)
		out.LastState = &last
	}
	switch {
	case m.Waiting != "":
		out.ID, out.Reason, out.Message = "", m.Waiting, m.Message
		out.RetryAt, _ = in.backoff.Due(m)
	case m.State == reconcile.Running:
		in.running(&out, m)
	case m.Ended():
		out.ContainerState = in.endState(m)
		out.Ready = init && !c.Sidecar && m.ExitCode == 0
		in.restarting(&out, m)
	}
	return out
}

// running fills in how a container that runs does, in its agent's word.
func (in podInput) running(out *ContainerStatus, m *reconcile.Container) {
	out.ContainerState = ContainerState{State: stateRunning, StartedAt: m.Started}
	if m.Paused {
		out.Message = pausedWords(m)
		return
	}
	word := in.word.Containers[out.Name]
	if word.ID != m.ID {
		return
	}
	out.Started, out.Ready = word.Started, word.Ready
	if !out.Ready {
		out.Message = word.Message
	}
}

// restarting makes a container that is started again one that waits, unless
// its turn has come: then how it ended says more. Source: kubelet_pods.go
// convertToAPIContainerStatuses.
func (in podInput) restarting(out *ContainerStatus, m *reconcile.Container) {
	if !in.seen.Restarts(in.pod, m) {
		return
	}
	at, _ := in.backoff.Due(m)
	end := out.ContainerState
	switch wait := at.Sub(in.now); {
	case wait > 0:
		out.RetryAt, out.LastState = at, &end
		out.ContainerState = ContainerState{State: stateWaiting, Reason: reasonCrashLoopBackOff,
			Message: fmt.Sprintf("back-off %v restarting failed container=%s pod=%s", at.Sub(ended(m)), m.Key, in.pod.Name)}
	case in.images[out.Image].Reason != "":
		out.LastState = &end
		out.ContainerState = ContainerState{State: stateWaiting}
		in.imageless(out)
	case m.State == reconcile.Created:
		out.LastState = &end
		out.ContainerState = ContainerState{State: stateWaiting, Reason: reasonRunContainerError, Message: m.Error}
	}
}

// imageless says why a container waits for its image, if it does.
func (in podInput) imageless(out *ContainerStatus) {
	if why, ok := in.images[out.Image]; ok {
		out.Reason, out.Message, out.RetryAt = why.Reason, why.Message, why.Retry
	}
}

// endState is how a container ended. One that the engine could not start has
// the time when it was made.
func (in podInput) endState(m *reconcile.Container) ContainerState {
	out := ContainerState{State: stateTerminated, ExitCode: m.ExitCode, StartedAt: m.Started, FinishedAt: m.Finished, Message: in.messages[m.ID]}
	switch {
	case m.State == reconcile.Created:
		out.Reason, out.Message = reasonContainerCannotRun, m.Error
		out.StartedAt, out.FinishedAt = m.Created, m.Created
	case m.OOMKilled: // the engine's flag: the exit code may be that of a parent that went on
		out.Reason = reasonOOMKilled
	case m.ExitCode == 0:
		out.Reason = reasonCompleted
	default:
		out.Reason = reasonError
	}
	return out
}

func ended(m *reconcile.Container) time.Time {
	if m.Finished.IsZero() {
		return m.Created
	}
	return m.Finished
}
