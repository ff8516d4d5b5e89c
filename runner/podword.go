package runner

import (
	"fmt"
	"time"
)

// print fills in what kubectl shows of a pod: one word for how it is, and the
// restarts. Source: pkg/printers/internalversion/printers.go printPod.
func (in podInput) print(p *PodStatus) {
	p.Status = p.Phase
	if p.Reason != "" {
		p.Status = p.Reason
	}
	initWord := in.initWord(p)
	if initWord != "" {
		p.Status = initWord
	}
	if initWord == "" || p.condition(Initialized).True() {
		p.Restarts, p.LastRestart = restarts(p.Containers, func(c *ContainerStatus) bool { return !c.Init || c.Sidecar })
		in.regularWord(p)
	} else {
		p.Restarts, p.LastRestart = restarts(p.Containers, func(c *ContainerStatus) bool { return c.Init })
	}
	if in.leaving && p.Phase != phaseSucceeded && p.Phase != phaseFailed {
		p.Status = "Terminating"
	}
}

// initWord says how far the init containers are; "" once all are done.
func (in podInput) initWord(p *PodStatus) string {
	for i := range p.Containers {
		switch c := &p.Containers[i]; {
		case !c.Init:
			return ""
		case c.State == stateTerminated && c.ExitCode == 0, c.Sidecar && c.Started:
		case c.State == stateTerminated, c.State == stateWaiting && c.Reason != reasonPodInitializing:
			return "Init:" + c.Reason
		default:
			return fmt.Sprintf("Init:%d/%d", i, len(in.pod.Init))
		}
	}
	return ""
}

// regularWord takes the word of the first container that has one.
func (in podInput) regularWord(p *PodStatus) {
	running := false
	for i := len(p.Containers) - 1; i >= 0 && !p.Containers[i].Init; i-- {
		switch c := &p.Containers[i]; {
		case c.State != stateRunning:
			p.Status = c.Reason
		case c.Ready:
			running = true
		}
	}
	if p.Status == reasonCompleted && running {
		p.Status = "NotReady"
		if p.condition(Ready).True() {
			p.Status = phaseRunning
		}
	}
}

// restarts counts those of some containers, and finds the last.
func restarts(list []ContainerStatus, counts func(*ContainerStatus) bool) (n int, last time.Time) {
	for i := range list {
		c := &list[i]
		if !counts(c) {
			continue
		}
		n += c.Restarts
		if c.LastState != nil && c.LastState.FinishedAt.After(last) {
			last = c.LastState.FinishedAt
		}
	}
	return n, last
}
