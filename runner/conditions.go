package runner

import (
	"fmt"
	"strings"

	"github.com/cuepod/cuepod/runner/reconcile"
)

// Condition is one condition of a pod. Source: pkg/kubelet/status/generate.go.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"` // True or False
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// truth is a condition's word for yes and no.
func truth(yes bool) string {
	if yes {
		return "True"
	}
	return "False"
}

// True reports whether a condition holds.
func (c Condition) True() bool { return c.Status == "True" }

// Types of conditions.
const (
	ReadyToStartContainers = "PodReadyToStartContainers" // there is a network for them
	Initialized            = "Initialized"               // the init containers are done, the sidecars have started
	ContainersReady        = "ContainersReady"
	Ready                  = "Ready"
)

// Reasons of conditions.
const (
	reasonPodCompleted   = "PodCompleted"
	reasonPodFailed      = "PodFailed"
	reasonNotReady       = "ContainersNotReady"
	reasonNotInitialized = "ContainersNotInitialized"
)

// conditions follow from the phase and the containers. There are no readiness
// gates here: Ready says what ContainersReady says.
func (in podInput) conditions(p *PodStatus) []Condition {
	infra := in.seen.Infra
	sandbox := Condition{Type: ReadyToStartContainers, Status: truth(infra != nil && infra.State == reconcile.Running && infra.IP != "")}
	ready := containersReady(p)
	all := ready
	all.Type = Ready
	return []Condition{sandbox, initialized(p), ready, all}
}

func initialized(p *PodStatus) Condition {
	out := Condition{Type: Initialized, Status: truth(true)}
	if p.Phase == phaseSucceeded {
		out.Reason = reasonPodCompleted
		return out
	}
	if regularBegan(p.Containers) {
		return out // a sidecar that is started again does not undo it
	}
	var incomplete []string
	for i := range p.Containers {
		if c := &p.Containers[i]; c.Init && !(c.Sidecar && c.Started || !c.Sidecar && c.Ready) {
			incomplete = append(incomplete, c.Name)
		}
	}
	if len(incomplete) > 0 {
		out.Status, out.Reason, out.Message = truth(false), reasonNotInitialized, fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(incomplete, " "))
	}
	return out
}

func containersReady(p *PodStatus) Condition {
	out := Condition{Type: ContainersReady, Status: truth(false)}
	switch p.Phase {
	case phaseSucceeded:
		out.Reason = reasonPodCompleted
		return out
	case phaseFailed:
		out.Reason = reasonPodFailed
		return out
	}
	var unready []string
	for i := range p.Containers {
		if c := &p.Containers[i]; (!c.Init || c.Sidecar) && !c.Ready {
			unready = append(unready, c.Name)
		}
	}
	out.Status = truth(len(unready) == 0)
	if len(unready) > 0 {
		out.Reason, out.Message = reasonNotReady, fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	}
	return out
}

// condition is the one of that type, which every pod has.
func (p *PodStatus) condition(kind string) Condition {
	for _, c := range p.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return Condition{Type: kind, Status: truth(false)}
}
