package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// dialTimeout is how long one endpoint may take to answer before the next is
// tried. On a local bridge a living one answers in under a millisecond; a second
// is the kernel's first retransmission, so this allows for one lost packet.
const dialTimeout = 2500 * time.Millisecond

// Config is what a Server needs. The zero value works.
type Config struct {
	// SetAddresses makes exactly these addresses this machine's own, before any
	// of them is listened on. nil: they are already.
	SetAddresses func([]netip.Addr) error
	// Now tells the time for session affinity; nil means time.Now.
	Now func() time.Time
}

// Server listens on the fronts of a Table and carries what arrives to their
// targets. All methods are safe for concurrent use.
//
// A front without endpoints is closed, so that the kernel refuses at once. A
// TCP connection outlives the endpoint's leaving the table, and the front's; a
// UDP flow ends with its endpoint.
type Server struct {
	config   Config
	affinity affinity
	tally    Tally
	ctx      context.Context // ends with Close; only for the dials of the Server's own goroutines
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	waiting  atomic.Int64 // connections, for an endpoint that is held

	mu     sync.Mutex
	closed bool
	fronts map[Front]front
	conns  map[io.Closer]bool // under way
}

// front is an open listener.
type front interface {
	retarget(*Target)
	io.Closer
}

// New makes a Server with an empty table.
func New(c Config) *Server {
	if c.SetAddresses == nil {
		c.SetAddresses = func([]netip.Addr) error { return nil }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{config: c, ctx: ctx, cancel: cancel, fronts: map[Front]front{}, conns: map[io.Closer]bool{}}
}

// Apply puts a table in force. What cannot be carried out is in the error,
// joined; everything else is in force all the same, and the next Apply tries
// again.
func (s *Server) Apply(t Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.affinity.sweep(s.config.Now())
	for f, open := range s.fronts {
		if len(t[f].Endpoints) == 0 {
			open.Close()
			delete(s.fronts, f)
		}
	}
	var errs []error
	if err := s.config.SetAddresses(t.Addresses()); err != nil {
		errs = append(errs, err)
	}
	for f, target := range t {
		if len(target.Endpoints) == 0 {
			continue
		}
		if open, ok := s.fronts[f]; ok {
			open.retarget(&target)
			continue
		}
		open, err := s.open(f, &target)
		if err != nil {
			errs = append(errs, fmt.Errorf("service %s: %w", target.Service, err))
			continue
		}
		s.fronts[f] = open
	}
	return errors.Join(errs...)
}

// Traffic is what was carried since New. Connections that nobody took are not in
// it: the kernel refused them.
func (s *Server) Traffic() Counts { return s.tally.Counts() }

// Close ends everything, connections too, and waits for it.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.cancel()
	for _, f := range s.fronts {
		f.Close()
	}
	for c := range maps.Keys(s.conns) {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

func (s *Server) open(f Front, t *Target) (front, error) {
	if f.Protocol == UDP {
		return s.openUDP(f, t)
	}
	return s.openTCP(f, t)
}

// track notes a connection for Close; it reports false, having closed it, when
// the Server is closed already.
func (s *Server) track(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	s.conns[c] = true
	return true
}

func (s *Server) forget(c io.Closer) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// tcpFront is a listener of connections.
type tcpFront struct {
	net.Listener
	name Front

	mu      sync.Mutex
	target  *Target
	changed chan struct{} // closed when there is another target
}

func (f *tcpFront) retarget(t *Target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = t
	close(f.changed)
	f.changed = make(chan struct{})
}

// now is the target, and what is closed when it is another.
func (f *tcpFront) now() (*Target, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.target, f.changed
}

// Close lets nobody wait any more.
func (f *tcpFront) Close() error {
	f.retarget(&Target{Service: f.name.String()})
	return f.Listener.Close()
}

func (s *Server) openTCP(name Front, t *Target) (front, error) {
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(name.Addr))
	if err != nil {
		return nil, err
	}
	f := &tcpFront{Listener: ln, name: name, target: t, changed: make(chan struct{})}
	s.wg.Go(func() { s.accept(f, ln) })
	return f, nil
}

func (s *Server) accept(f *tcpFront, ln *net.TCPListener) {
	for {
		conn, err := ln.AcceptTCP()
		switch {
		case err == nil:
			s.wg.Go(func() { s.carry(f, conn) })
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of file descriptors, or the client left before we looked
			select {
			case <-time.After(10 * time.Millisecond):
			case <-s.ctx.Done():
			}
		}
	}
}

func (s *Server) carry(f *tcpFront, client *net.TCPConn) {
	if !s.track(client) {
		return
	}
	defer s.forget(client)
	backend, meter := s.dial(f, client.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
	if backend == nil {
		Reset(client)
		return
	}
	if !s.track(backend) {
		return
	}
	defer s.forget(backend)
	Carry(client, backend, meter)
}

// maxWaiting bounds the connections that wait for endpoints; more are refused.
const maxWaiting = 4096

// dial connects to the first endpoint that answers. An endpoint that refuses
// costs nothing and gives its place to the next, so that a pod that died a
// moment ago fails no request while another one lives. Where all that is left is
// held, the client waits until that is over.
func (s *Server) dial(f *tcpFront, client netip.Addr) (*net.TCPConn, *Meter) {
	var late <-chan time.Time
	for {
		target, changed := f.now()
		conn, meter := s.connect(f, target, client)
		if conn != nil || s.ctx.Err() != nil || len(target.Held) == 0 {
			return conn, meter
		}
		if late == nil {
			if s.waiting.Add(1) > maxWaiting {
				s.waiting.Add(-1)
				return nil, nil
			}
			defer s.waiting.Add(-1)
			late = time.After(target.patience())
		}
		select {
		case <-changed:
		case <-late:
			return nil, nil
		case <-s.ctx.Done():
			return nil, nil
		}
	}
}

// connect tries the endpoints of a target that are not held, once.
func (s *Server) connect(f *tcpFront, target *Target, client netip.Addr) (*net.TCPConn, *Meter) {
	for _, endpoint := range s.affinity.order(f.name, target, client, s.config.Now()) {
		d := net.Dialer{Timeout: dialTimeout}
		conn, err := d.DialContext(s.ctx, "tcp", endpoint.String())
		if s.ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil, nil
		}
		meter := s.tally.Meter(f.name.edge(target, client, endpoint))
		if err == nil {
			meter.Connected()
			s.affinity.used(f.name, target, client, endpoint, s.config.Now())
			return conn.(*net.TCPConn), meter
		}
		meter.Failed()
	}
	return nil, nil
}

func (f Front) edge(t *Target, client netip.Addr, endpoint netip.AddrPort) Edge {
	return Edge{Client: client, Service: t.Service, Protocol: f.Protocol, Port: f.Addr.Port(), Endpoint: endpoint}
}
