package proxy

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Edge is a way that connections take: from a client through a port of a service
// to an endpoint.
type Edge struct {
	Client   netip.Addr
	Service  string
	Protocol string
	Port     uint16
	Endpoint netip.AddrPort // invalid for connections that got to none
}

// Counts are edges with what took them.
type Counts map[Edge]api.Traffic

// Add counts more on an edge.
func (c Counts) Add(e Edge, t api.Traffic) {
	if t != (api.Traffic{}) {
		c[e] = c[e].Add(t)
	}
}

// Edges are those of the counts, in an order that is the same each time.
func (c Counts) Edges() []Edge {
	return slices.SortedFunc(maps.Keys(c), func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol),
			a.Client.Compare(b.Client), a.Endpoint.Compare(b.Endpoint))
	})
}

// Ways are the counts as they are sent: addresses for names.
func (c Counts) Ways() []api.Edge {
	var out []api.Edge
	for _, e := range c.Edges() {
		w := api.Way{Service: e.Service, Port: int(e.Port), Protocol: e.Protocol}
		if e.Client.IsValid() {
			w.Client = e.Client.String()
		}
		if e.Endpoint.IsValid() {
			w.Endpoint = e.Endpoint.String()
		}
		out = append(out, api.Edge{Way: w, Traffic: c[e]})
	}
	return out
}

// Tally counts. The zero value is ready, and all methods are safe for concurrent
// use.
type Tally struct {
	mu    sync.Mutex
	edges map[Edge]*Meter
}

// Meter counts on one edge: without a lock, for whoever carries bytes.
type Meter struct{ connections, errors, sent, received atomic.Uint64 }

// Meter is that of an edge.
func (t *Tally) Meter(e Edge) *Meter {
	e.Client = e.Client.Unmap()
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.edges[e]
	if m == nil {
		if t.edges == nil {
			t.edges = map[Edge]*Meter{}
		}
		m = &Meter{}
		t.edges[e] = m
	}
	return m
}

// Connected counts a connection.
func (m *Meter) Connected() { m.connections.Add(1) }

// Failed counts an error.
func (m *Meter) Failed() { m.errors.Add(1) }

// Answered counts an answer of HTTP, which is an error from 500 on.
func (m *Meter) Answered(code int) {
	if code >= 500 {
		m.Failed()
	}
}

// Sent counts bytes to the endpoint.
func (m *Meter) Sent(n int) { m.sent.Add(uint64(n)) }

// Received counts bytes from it.
func (m *Meter) Received(n int) { m.received.Add(uint64(n)) }

// Counts are all of the tally until now.
func (t *Tally) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := Counts{}
	for e, m := range t.edges {
		out.Add(e, api.Traffic{Connections: m.connections.Load(), Errors: m.errors.Load(), Sent: m.sent.Load(), Received: m.received.Load()})
	}
	return out
}
