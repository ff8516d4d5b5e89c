package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

const (
	// holdLimit is how long connections wait for the next instance of a container,
	// beyond the time that the one before has to stop. A client that hears nothing
	// for longer is better told.
	holdLimit = 30 * time.Second
	// ackLimit is how long a change waits for the pods' agents to say that they
	// follow it. They take milliseconds; one that is cut off must not stop it.
	ackLimit = 3 * time.Second
)

// drain takes a pod out of all services and waits until no new connection is led
// to it.
func (e *executor) drain(ctx context.Context, pod string) error {
	return e.acknowledged(ctx, "pod "+pod, "", func() { e.loop.draining[pod] = true })
}

// hold lets new connections to a container wait that is about to be swapped, in
// its pod, until the next instance serves.
func (e *executor) hold(ctx context.Context, s reconcile.Step) error {
	follower := s.Pod
	if e.board.get().status.Pods[s.Pod].Proxy.Mode == api.ProxyUserspace {
		follower = "" // the gateway holds, and every pod has to lead connections there
	}
	return e.acknowledged(ctx, s.Object, follower, func() {
		l := &e.loop
		l.holds[s.Pod] = slices.DeleteFunc(l.holds[s.Pod], func(h api.Hold) bool { return h.Container == s.Container && l.seen.byID(h.ID) == nil })
		l.holds[s.Pod] = append(l.holds[s.Pod], api.Hold{
			Container: s.Container, ID: s.ID, Ports: portsOf(l.present, s.Pod, s.Container), Next: portsOf(e.state, s.Pod, s.Container),
			Datagrams: datagramsOf(l.present, s.Pod, s.Container), NextDatagrams: datagramsOf(e.state, s.Pod, s.Container),
			Limit: int(s.Grace) + int(holdLimit.Seconds()),
		})
	})
}

// portsOf are the TCP ports of a container that others connect to: those that it
// says it has, those of its probes, and those of services where it is alone.
func portsOf(s *docker.State, pod, container string) []int {
	p := s.Pod(pod)
	if p == nil || p.Container(container) == nil {
		return []int{}
	}
	c := p.Container(container)
	ports := slices.Clone(c.TCP)
	for _, probe := range c.Probes {
		switch {
		case probe.HTTP != nil && probe.HTTP.Host == "":
			ports = append(ports, probe.HTTP.Port)
		case probe.TCP != 0 && probe.TCPHost == "":
			ports = append(ports, probe.TCP)
		case probe.GRPC != nil:
			ports = append(ports, probe.GRPC.Port)
		}
	}
	return inOrder(append(ports, servedBy(s, p, "TCP")...))
}

// datagramsOf are the UDP ports of a container, in the same way.
func datagramsOf(s *docker.State, pod, container string) []int {
	p := s.Pod(pod)
	if p == nil || p.Container(container) == nil {
		return nil
	}
	return inOrder(append(slices.Clone(p.Container(container).UDP), servedBy(s, p, "UDP")...))
}

// servedBy are the ports of a pod that services lead to, where only one container
// can be meant.
func servedBy(s *docker.State, p *docker.Pod, protocol string) (out []int) {
	if len(p.Lasting()) != 1 {
		return nil
	}
	for i := range s.Services {
		for _, port := range s.Services[i].Ports {
			if target := port.Targets[p.Name]; target != 0 && (port.Protocol == "UDP") == (protocol == "UDP") {
				out = append(out, target)
			}
		}
	}
	return out
}

// inOrder has each port once. None is an empty list: it is sent.
func inOrder(ports []int) []int {
	slices.Sort(ports)
	return append([]int{}, slices.Compact(ports)...)
}

// resumeHolds goes on with what the supervisor before us held when it was killed
// in the middle of a swap. The time that is left for it is the agent's to count.
func (r *supervisor) resumeHolds() {
	l := &r.loop
	if !r.wants(reconcile.AllButJobs).Hold {
		return
	}
	for name, p := range l.seen.Pods {
		for i := range p.Members {
			if m := &p.Members[i]; m.Due() && p.Infra != nil && m.Infra == p.Infra.ID {
				l.holds[name] = append(l.holds[name], api.Hold{
					Container: m.Key, ID: m.Previous.ID, Ports: []int{}, Next: portsOf(l.desired, name, m.Key),
					NextDatagrams: datagramsOf(l.desired, name, m.Key), Limit: int(holdLimit.Seconds()),
				})
			}
		}
	}
}

// unhold ends the holds of pods for which a plan does nothing more: the change is
// done, or has failed.
func (r *supervisor) unhold(plan reconcile.Plan) (changed bool) {
	l := &r.loop
	for pod := range l.holds {
		if !slices.ContainsFunc(plan.Steps, func(s reconcile.Step) bool { return s.Pod == pod }) {
			delete(l.holds, pod)
			changed = true
		}
	}
	return changed
}

// acknowledged tells the gateway something and waits until it and every pod's
// agent follow it, or that of one pod alone. Who does not answer is told of, and waited for no longer.
func (e *executor) acknowledged(ctx context.Context, object, pod string, change func()) error {
	var sent int64
	err := e.call(ctx, func() {
		change()
		e.push()
		sent = e.loop.sent
	})
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, ackLimit)
	defer cancel()
	err = e.board.wait(limited, func(v view) (bool, error) { return len(behind(v, sent, pod)) == 0, nil })
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	late := behind(e.board.get(), sent, pod)
	return e.call(ctx, func() {
		e.problem(object, fmt.Sprintf("%s did not answer within %v: connections from there may still go to what is stopped now", strings.Join(late, ", "), ackLimit))
	})
}

// behind are those who lead connections and do not follow a snapshot yet: the
// gateway, and the agents of pods that run, or that of one pod. Where the gateway is not on the line
// nobody can be asked.
func behind(v view, sent int64, pod string) []string {
	if !v.linked {
		return nil
	}
	if v.status.Generation < sent {
		return []string{"the gateway"}
	}
	var out []string
	for name, s := range v.status.Pods {
		p := v.seen.Pods[name]
		runs := p != nil && p.Infra != nil && p.Infra.State == reconcile.Running && !p.Infra.Paused
		if runs && (pod == "" || pod == name) && s.Generation != 0 && s.Generation < sent { // one that never followed any leads nobody
			out = append(out, "the agent of pod "+name)
		}
	}
	slices.Sort(out)
	return out
}
