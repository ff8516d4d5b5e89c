// Package swap decides when new connections to a container's ports wait, and
// when they no longer do: while one instance of a container is swapped for the
// next in a living pod. It has no effects: what to do comes out of Next.
//
// Each port goes through phases of its own:
//
//	Before --nobody listens--> Gap --somebody listens--> Back --the probes succeed--> Over
//
// A port is led to whoever holds connections from Before to Back; datagrams wait,
// too. It is over when the order for it ends, and then those that wait find what
// there is; after the limit they are refused, unless the instance that was to be
// stopped still listens.
package swap

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Port is a port of TCP, or of UDP.
type Port struct {
	Number int
	UDP    bool
}

func (p Port) String() string {
	if p.UDP {
		return fmt.Sprintf("%d/udp", p.Number)
	}
	return fmt.Sprint(p.Number)
}

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), strings.Compare(a.String(), b.String()))
}

// join are the ports of both protocols.
func join(tcp, udp []int) (out []Port) {
	for _, n := range tcp {
		out = append(out, Port{Number: n})
	}
	for _, n := range udp {
		out = append(out, Port{Number: n, UDP: true})
	}
	return out
}

// Of are the ports of the instance that is stopped.
func Of(o api.Hold) []Port { return join(o.Ports, o.Datagrams) }

// Following are the ports of the instance that follows.
func Following(o api.Hold) []Port { return join(o.Next, o.NextDatagrams) }

// Phase is how far the swap of a port's container has come.
type Phase string

const (
	Before Phase = "before" // the instance that is to be stopped still listens
	Gap    Phase = "gap"    // nobody does
	Back   Phase = "back"   // the next instance does, and its probes have not succeeded
	Over   Phase = "over"
)

// State is all holds of a pod, by the ID of the instance that is stopped. It is a
// value: Next changes nothing of what it is given.
type State map[string]Entry

// Entry is one of them.
type Entry struct {
	Order api.Hold
	Since time.Time
	Ports map[Port]Phase // those that are held, or were
}

// Seen is what there is to see of the pod.
type Seen struct {
	Now       time.Time
	Listening map[Port]bool     // ports on which somebody listens, beyond the loopback address
	Instances map[string]string // ID of the instance of each container that runs, as far as that is known
	Passed    map[string]bool   // containers whose probes for startup and readiness succeed, or that have none
}

// Actions are what is to be done, in the order of the fields.
type Actions struct {
	Hold    []Port // let new connections wait
	Release []Port // let them pass, and those that wait
	Refuse  []Port // let them pass, and break those that wait
}

// Next is the state after a look.
func (s State) Next(orders []api.Hold, seen Seen) (State, Actions) {
	next := State{}
	before := s.held()
	refused := map[Port]bool{}
	for _, o := range orders {
		e, ok := s[o.ID]
		if !ok {
			e = begin(o, seen)
		}
		e.Ports = maps.Clone(e.Ports)
		for _, port := range e.step(seen) {
			refused[port] = true
		}
		next[o.ID] = e
	}
	now := next.held()
	var a Actions
	for port := range now {
		if !before[port] {
			a.Hold = append(a.Hold, port)
		}
	}
	for port := range before {
		switch {
		case now[port]:
		case refused[port]:
			a.Refuse = append(a.Refuse, port)
		default:
			a.Release = append(a.Release, port)
		}
	}
	for _, list := range [][]Port{a.Hold, a.Release, a.Refuse} {
		slices.SortFunc(list, comparePorts)
	}
	return next, a
}

// Waits reports whether there is something to look out for.
func (s State) Waits() bool { return len(s.held()) > 0 }

// Asks are the containers whose probes are of interest now.
func (s State) Asks() []string {
	var out []string
	for _, e := range s {
		if slices.Contains(slices.Collect(maps.Values(e.Ports)), Back) {
			out = append(out, e.Order.Container)
		}
	}
	slices.Sort(out)
	return out
}

// Held are the ports that are held, in order.
func (s State) Held() []Port { return slices.SortedFunc(maps.Keys(s.held()), comparePorts) }

func (s State) held() map[Port]bool {
	out := map[Port]bool{}
	for _, e := range s {
		for port, phase := range e.Ports {
			if phase != Over {
				out[port] = true
			}
		}
	}
	return out
}

// begin holds the ports that somebody listens on, and those that only the next
// instance has. One that the instance says it has and does not listen on is left
// alone: the next may not either, and would be waited for in vain.
func begin(o api.Hold, seen Seen) Entry {
	e := Entry{Order: o, Since: seen.Now, Ports: map[Port]Phase{}}
	for _, port := range Of(o) {
		if seen.Listening[port] {
			e.Ports[port] = Before
		}
	}
	for _, port := range Following(o) {
		if !slices.Contains(Of(o), port) && !seen.Listening[port] {
			e.Ports[port] = Gap
		}
	}
	return e
}

// step moves every port on. When the time is over, it returns those at which
// nobody serves.
func (e *Entry) step(seen Seen) (late []Port) {
	if !seen.Now.Before(e.Since.Add(time.Duration(e.Order.Limit) * time.Second)) {
		for port, phase := range e.Ports {
			if phase == Gap || phase == Back || phase == Before && !seen.Listening[port] {
				late = append(late, port)
			}
		}
		e.end()
		return late
	}
	instance := seen.Instances[e.Order.Container]
	another := instance != "" && instance != e.Order.ID
	waits := false // for a port of the next instance
	for port, phase := range e.Ports {
		listens := seen.Listening[port]
		switch {
		case phase == Before && !listens:
			phase = Gap
		case phase == Before && another, phase == Gap && listens:
			phase = Back // a gap may be too short to be seen
		case phase == Back && !listens:
			phase = Gap // it was not to stay
		case phase == Back && seen.Passed[e.Order.Container]:
			phase = Over
		}
		e.Ports[port] = phase
		waits = waits || phase != Over && slices.Contains(Following(e.Order), port)
	}
	if !waits {
		e.end() // what is left are ports that the next instance does not have
	}
	return nil
}

func (e *Entry) end() {
	for port := range e.Ports {
		e.Ports[port] = Over
	}
}

// String lists the ports, for tests and logs.
func (s State) String() string {
	var lines []string
	for _, e := range s {
		for port, phase := range e.Ports {
			lines = append(lines, fmt.Sprintf("%s:%s %s", e.Order.Container, port, phase))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

func (a Actions) String() string {
	var out []string
	for _, part := range []struct {
		what  string
		ports []Port
	}{{"hold", a.Hold}, {"release", a.Release}, {"refuse", a.Refuse}} {
		if len(part.ports) > 0 {
			out = append(out, fmt.Sprint(part.what, " ", part.ports))
		}
	}
	return strings.Join(out, ", ")
}
