package swap

import (
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// look is one look at the pod and what has to come of it.
type look struct {
	orders    string // IDs of the instances that are to be stopped
	listening []int  // of TCP; negative ones are of UDP
	instance  string // of container app, once known
	passed    bool
	after     time.Duration // since the look before
	want      string        // actions
	state     string
}

// orders are by their first letter: "a" swaps ports 80 and 81, "b" port 80 for
// 90, "c" follows "a", "d" has datagrams too.
func order(id string) api.Hold {
	o := api.Hold{Container: "app", ID: id, Ports: []int{80, 81}, Next: []int{80, 81}, Limit: 10}
	switch id {
	case "b":
		o.Ports, o.Next = []int{80}, []int{90}
	case "d":
		o.Ports, o.Next, o.Datagrams, o.NextDatagrams = []int{80}, []int{80}, []int{80, 53}, []int{80, 54}
	}
	return o
}

func TestState_Next(t *testing.T) {
	both := []int{80, 81}
	tests := map[string][]look{
		"a swap": {
			{orders: "a", listening: both, want: "hold [80 81]", state: "app:80 before, app:81 before"},
			{orders: "a", listening: both, instance: "a", passed: true, state: "app:80 before, app:81 before"},
			{orders: "a", listening: []int{81}, passed: true, state: "app:80 gap, app:81 before"},
			{orders: "a", passed: true, state: "app:80 gap, app:81 gap"},
			{orders: "a", listening: []int{80}, state: "app:80 back, app:81 gap"},
			{orders: "a", listening: both, state: "app:80 back, app:81 back"},
			{orders: "a", listening: both, passed: true, want: "release [80 81]", state: "app:80 over, app:81 over"},
			{orders: "a", listening: nil, state: "app:80 over, app:81 over"}, // it crashes: that is not held
			{},
		},
		"a port that nobody listens on is left alone": {
			{orders: "a", listening: []int{80}, want: "hold [80]", state: "app:80 before"},
			{orders: "a", state: "app:80 gap"},
			{orders: "a", listening: []int{80}, passed: true, state: "app:80 back"},
			{orders: "a", listening: []int{80}, passed: true, want: "release [80]", state: "app:80 over"},
		},
		"nothing listens, nothing is held": {
			{orders: "a"},
			{orders: "a", listening: both},
		},
		"the gap was too short to be seen": {
			{orders: "a", listening: both, want: "hold [80 81]", state: "app:80 before, app:81 before"},
			{orders: "a", listening: both, instance: "next", passed: true, state: "app:80 back, app:81 back"},
			{orders: "a", listening: both, instance: "next", passed: true, want: "release [80 81]", state: "app:80 over, app:81 over"},
		},
		"the next instance has another port": {
			{orders: "b", listening: []int{80}, want: "hold [80 90]", state: "app:80 before, app:90 gap"},
			{orders: "b", state: "app:80 gap, app:90 gap"},
			{orders: "b", listening: []int{90}, passed: true, state: "app:80 gap, app:90 back"},
			{orders: "b", listening: []int{90}, passed: true, want: "release [80 90]", state: "app:80 over, app:90 over"},
		},
		"it comes and goes again": {
			{orders: "a", listening: both, want: "hold [80 81]", state: "app:80 before, app:81 before"},
			{orders: "a", state: "app:80 gap, app:81 gap"},
			{orders: "a", listening: both, state: "app:80 back, app:81 back"},
			{orders: "a", passed: true, state: "app:80 gap, app:81 gap"},
			{orders: "a", listening: both, passed: true, state: "app:80 back, app:81 back"},
			{orders: "a", listening: both, passed: true, want: "release [80 81]", state: "app:80 over, app:81 over"},
		},
		"the change fails": {
			{orders: "a", listening: both, want: "hold [80 81]", state: "app:80 before, app:81 before"},
			{orders: "a", state: "app:80 gap, app:81 gap"},
			{want: "release [80 81]"},
		},
		"it takes too long": {
			{orders: "a", listening: both, want: "hold [80 81]", state: "app:80 before, app:81 before"},
			{orders: "a", after: 9 * time.Second, state: "app:80 gap, app:81 gap"},
			{orders: "a", after: time.Second, want: "refuse [80 81]", state: "app:80 over, app:81 over"},
			{orders: "a", after: time.Second, listening: both, state: "app:80 over, app:81 over"},
		},
		"it takes too long, and was never stopped": {
			{orders: "a", listening: both, want: "hold [80 81]", state: "app:80 before, app:81 before"},
			{orders: "a", listening: []int{80}, state: "app:80 before, app:81 gap"},
			{orders: "a", after: 10 * time.Second, listening: []int{80}, want: "release [80], refuse [81]", state: "app:80 over, app:81 over"},
		},
		"datagrams wait, too": {
			{orders: "d", listening: []int{80, -80, -53}, want: "hold [53/udp 54/udp 80 80/udp]", state: "app:53/udp before, app:54/udp gap, app:80 before, app:80/udp before"},
			{orders: "d", listening: []int{80}, state: "app:53/udp gap, app:54/udp gap, app:80 before, app:80/udp gap"},
			{orders: "d", listening: []int{-80}, passed: true, state: "app:53/udp gap, app:54/udp gap, app:80 gap, app:80/udp back"},
			{orders: "d", listening: []int{80, -80}, passed: true, want: "release [80/udp]", state: "app:53/udp gap, app:54/udp gap, app:80 back, app:80/udp over"},
			{orders: "d", listening: []int{80, -80, -54}, passed: true, want: "release [80]", state: "app:53/udp gap, app:54/udp back, app:80 over, app:80/udp over"},
			{orders: "d", listening: []int{80, -80, -54}, passed: true, want: "release [53/udp 54/udp]", state: "app:53/udp over, app:54/udp over, app:80 over, app:80/udp over"},
		},
		"one change follows another": {
			{orders: "a", listening: both, want: "hold [80 81]", state: "app:80 before, app:81 before"},
			{orders: "a", state: "app:80 gap, app:81 gap"},
			{orders: "ac", listening: both, instance: "c", passed: true, state: "app:80 back, app:80 before, app:81 back, app:81 before"},
			{orders: "ac", listening: both, instance: "c", passed: true, state: "app:80 before, app:80 over, app:81 before, app:81 over"},
			{orders: "c", instance: "c", passed: true, state: "app:80 gap, app:81 gap"},
			{orders: "c", listening: both, passed: true, state: "app:80 back, app:81 back"},
			{orders: "c", listening: both, passed: true, want: "release [80 81]", state: "app:80 over, app:81 over"},
		},
	}
	for name, looks := range tests {
		t.Run(name, func(t *testing.T) {
			s, now := State{}, time.Unix(1e9, 0)
			for i, l := range looks {
				now = now.Add(l.after)
				seen := Seen{Now: now, Listening: map[Port]bool{}, Instances: map[string]string{"app": l.instance}, Passed: map[string]bool{"app": l.passed}}
				for _, port := range l.listening {
					seen.Listening[Port{Number: max(port, -port), UDP: port < 0}] = true
				}
				var orders []api.Hold
				for _, id := range strings.Split(l.orders, "") {
					orders = append(orders, order(id))
				}
				before := s.String()
				next, a := s.Next(orders, seen)
				if s.String() != before {
					t.Fatalf("look %d changed the state before it", i)
				}
				if a.String() != l.want || next.String() != l.state {
					t.Fatalf("look %d: %q and %q, want %q and %q", i, a, next, l.want, l.state)
				}
				s = next
				if open := strings.Contains(l.state, "before") || strings.Contains(l.state, "gap") || strings.Contains(l.state, "back"); s.Waits() != open {
					t.Fatalf("look %d: waits %v at %q", i, s.Waits(), l.state)
				}
			}
		})
	}
}
