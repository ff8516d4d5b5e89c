package runner

import (
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// PodStatus is one pod in Kubernetes' words.
type PodStatus struct {
	Name     string `json:"name"`
	Workload string `json:"workload"`
	Job      string `json:"job,omitempty"` // the run it belongs to
	Phase    string `json:"phase"`         // Pending, Running, Succeeded, Failed
	// Status is what kubectl shows in its STATUS column: the phase, or what says
	// more: Init:0/2, CrashLoopBackOff, Completed, Terminating.
	Status   string `json:"status"`
	Reason   string `json:"reason,omitempty"` // why the pod as a whole is as it is; mostly ""
	Message  string `json:"message,omitempty"`
	QoSClass string `json:"qosClass,omitempty"`
	Ready    bool   `json:"ready"` // it serves, in the gateway's word
	IP       string `json:"ip"`
	// Proxy is the way of its connections to services, in its agent's word; nil
	// while that has none.
	Proxy       *api.Proxy        `json:"proxy,omitempty"`
	Restarts    int               `json:"restarts"` // as kubectl counts: of init containers until they are done, then of the others
	LastRestart time.Time         `json:"lastRestart,omitzero"`
	Started     time.Time         `json:"started,omitzero"` // of its infra container
	Conditions  []Condition       `json:"conditions"`
	Containers  []ContainerStatus `json:"containers"` // init containers first
}

// podInput is all that a pod's status follows from.
type podInput struct {
	pod     *docker.Pod
	seen    *reconcile.Pod // nil when nothing of it is on the engine
	word    api.PodStatus  // of its agent and the gateway
	ready   bool           // the gateway's word is about the containers that run now
	leaving bool           // it is not wanted any more and on its way out
	backoff reconcile.Backoff
	images  map[string]api.Image // that are not to be had, in the supervisor's word
	// messages are the last words of instances that ended, by container ID.
	messages map[string]string
	now      time.Time
}

// status tells how a pod is. It is a pure function.
func (in podInput) status() PodStatus {
	p := in.pod
	out := PodStatus{Name: p.Name, Workload: p.Workload, Job: p.Job, QoSClass: string(p.QoS), Containers: []ContainerStatus{}}
	if in.seen == nil {
		in.seen = &reconcile.Pod{Name: p.Name}
	}
	if i := in.seen.Infra; i != nil {
		out.IP, out.Started = i.IP, i.Started
	}
	if in.word.Connected && in.word.Proxy.Mode != "" {
		out.Proxy = &in.word.Proxy
	}
	for i := range p.Init {
		out.Containers = append(out.Containers, in.container(&p.Init[i], true))
	}
	for i := range p.Containers {
		out.Containers = append(out.Containers, in.container(&p.Containers[i], false))
	}
	in.assumeInitialised(out.Containers)
	out.Phase = in.phase(out.Containers)
	if reconcile.Overdue(p, in.seen) {
		out.Reason = reconcile.DeadlineExceeded
	}
	out.Ready = in.ready && out.Phase == phaseRunning && pausedIn(in.seen) == nil
	out.Conditions = in.conditions(&out)
	in.print(&out)
	return out
}

// assumeInitialised takes an init container that is gone for one that succeeded,
// where a regular one has started after it: somebody removed it, or a down that
// was killed. Source: pkg/kubelet/kubelet_pods.go convertToAPIContainerStatuses.
func (in podInput) assumeInitialised(list []ContainerStatus) {
	if !regularBegan(list) {
		return
	}
	for i := range list {
		if c := &list[i]; c.Init && !c.Sidecar && c.ID == "" {
			c.ContainerState = ContainerState{State: stateTerminated, Reason: reasonCompleted, Message: "it is not on the engine any more, and the containers after it have started"}
			c.Ready = true
		}
	}
}

// Phases of a pod.
const (
	phasePending   = "Pending"
	phaseRunning   = "Running"
	phaseSucceeded = string(reconcile.Succeeded)
	phaseFailed    = string(reconcile.Failed)
)

// phase follows from the containers. A container in back-off has run: the pod
// of a crash loop is Running. Source: pkg/kubelet/kubelet_pods.go getPhase.
func (in podInput) phase(list []ContainerStatus) string {
	if ended := reconcile.Ended(in.pod, in.seen); ended != reconcile.NotEnded {
		return string(ended)
	}
	var t phaseTally
	for i := range list {
		switch c := &list[i]; {
		case c.Init && !c.Sidecar:
			t.init(c)
		case c.Sidecar:
			t.sidecar(c)
		default:
			t.regular(c)
		}
	}
	switch {
	case t.pendingInit > 0, t.pendingSidecars > 0 && !regularBegan(list), t.waiting > 0:
		return phasePending
	case t.running > 0, t.stopped > 0: // stopped: they are started again, or Ended had said so
		return phaseRunning
	}
	return phasePending
}

// phaseTally counts containers as getPhase does.
type phaseTally struct{ pendingInit, pendingSidecars, running, waiting, stopped int }

func (t *phaseTally) init(c *ContainerStatus) {
	if c.State == stateRunning || c.State == stateWaiting && c.LastState == nil {
		t.pendingInit++
	}
}

func (t *phaseTally) sidecar(c *ContainerStatus) {
	switch {
	case c.State == stateRunning:
		t.running++
		if !c.Started {
			t.pendingSidecars++
		}
	case c.State == stateWaiting && c.LastState == nil:
		t.pendingSidecars++
		t.waiting++
	}
}

func (t *phaseTally) regular(c *ContainerStatus) {
	switch {
	case c.State == stateRunning:
		t.running++
	case c.State == stateWaiting && c.LastState == nil:
		t.waiting++
	default:
		t.stopped++
	}
}

// regularBegan reports whether any regular container has ever started, so that
// the pod has been initialised.
func regularBegan(list []ContainerStatus) bool {
	for i := range list {
		if c := &list[i]; !c.Init && (c.State != stateWaiting || c.LastState != nil) {
			return true
		}
	}
	return false
}
