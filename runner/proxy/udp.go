package proxy

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// flowIdle is how long a UDP client may be silent before its flow is
	// forgotten: what conntrack gives a stream that answered.
	flowIdle = 2 * time.Minute
	// maxFlows bounds the flows of one front: a client that sends each datagram
	// from a new port would else pile up two minutes of them. The one silent the
	// longest gives way.
	maxFlows = 2048
	// flowLinger is how long an endpoint that has left may still answer.
	flowLinger = 500 * time.Millisecond
	// maxDatagram is the largest UDP payload, in bytes.
	maxDatagram = 65507
	// maxHeld and maxHeldBytes bound the datagrams of one front that wait for an
	// endpoint that is held; more are lost.
	maxHeld      = 1024
	maxHeldBytes = 1 << 20
)

// datagram is one that waits.
type datagram struct {
	client netip.AddrPort
	data   []byte
	until  time.Time
}

// udpFront is a socket that clients send to, with a connected socket towards
// an endpoint for each of them.
type udpFront struct {
	server *Server
	name   Front
	conn   *net.UDPConn
	target atomic.Pointer[Target]

	mu    sync.Mutex
	flows map[netip.AddrPort]*flow
	held  []datagram // in the order in which they came
	bytes int        // of those
}

// flow is one client's way to one endpoint.
type flow struct {
	client   netip.AddrPort
	endpoint netip.AddrPort
	conn     *net.UDPConn
	meter    *Meter
	last     atomic.Int64 // Unix nanoseconds of the last datagram either way
}

func (fl *flow) touch() { fl.last.Store(time.Now().UnixNano()) }

func (s *Server) openUDP(name Front, t *Target) (front, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(name.Addr))
	if err != nil {
		return nil, err
	}
	f := &udpFront{server: s, name: name, conn: conn, flows: map[netip.AddrPort]*flow{}}
	f.target.Store(t)
	s.wg.Go(f.receive)
	return f, nil
}

// retarget drops the flows to endpoints that left: their clients' next datagram
// goes to one that is there. What has waited goes now, unless it waits on.
func (f *udpFront) retarget(t *Target) {
	f.target.Store(t)
	f.leave(t)
	f.mu.Lock()
	held := f.held
	f.held, f.bytes = nil, 0
	f.mu.Unlock()
	now := time.Now()
	for _, d := range held {
		if now.Before(d.until) {
			f.send(d.client, d.data)
		}
	}
}

// leave drops the flows to endpoints that are not there.
func (f *udpFront) leave(t *Target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for client, fl := range f.flows {
		if !slices.Contains(t.Endpoints, fl.endpoint) {
			time.AfterFunc(flowLinger, func() { fl.conn.Close() }) // it may be about to answer
			delete(f.flows, client)
		}
	}
}

// wait keeps a datagram while the endpoint of its client is held, and reports
// whether it does.
func (f *udpFront) wait(client netip.AddrPort, data []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	target := f.target.Load()
	fl := f.flows[client]
	if fl == nil && !target.Waits() || fl != nil && target.Held[fl.endpoint] == 0 {
		return false
	}
	if len(f.held) < maxHeld && f.bytes+len(data) <= maxHeldBytes {
		f.held = append(f.held, datagram{client, slices.Clone(data), time.Now().Add(target.patience())})
		f.bytes += len(data)
	}
	return true
}

// Close closes the socket, then the flows; receive may add none after the
// target is empty.
func (f *udpFront) Close() error {
	err := f.conn.Close()
	f.retarget(&Target{Service: f.name.String()})
	return err
}

func (f *udpFront) receive() {
	buf := make([]byte, maxDatagram)
	for {
		n, client, err := f.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the kernel's word about an earlier datagram we sent
		}
		f.send(client, buf[:n])
	}
}

// send passes a datagram on. An endpoint whose host says that nobody listens is
// left for another one, once.
func (f *udpFront) send(client netip.AddrPort, data []byte) {
	if f.wait(client, data) {
		return
	}
	fl := f.flow(client, netip.AddrPort{})
	if fl == nil {
		return
	}
	if err := fl.write(data); !errors.Is(err, syscall.ECONNREFUSED) {
		return // sent, or lost as datagrams may be
	}
	f.drop(fl)
	if fl = f.flow(client, fl.endpoint); fl != nil {
		_ = fl.write(data)
	}
}

func (fl *flow) write(data []byte) error {
	n, err := fl.conn.Write(data)
	fl.meter.Sent(n)
	return err
}

// flow returns the client's flow, making one where there is none; nil when
// there cannot be one. It makes none to avoid unless no other endpoint is there.
func (f *udpFront) flow(client, avoid netip.AddrPort) *flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.flows[client]; fl != nil {
		fl.touch()
		return fl
	}
	now := f.server.config.Now()
	target := f.target.Load()
	order := f.server.affinity.order(f.name, target, client.Addr(), now)
	if len(order) == 0 {
		return nil
	}
	if len(f.flows) >= maxFlows {
		f.evict()
	}
	endpoint := order[0]
	if endpoint == avoid && len(order) > 1 {
		endpoint = order[1]
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(endpoint))
	if err != nil {
		return nil
	}
	f.server.affinity.used(f.name, target, client.Addr(), endpoint, now)
	fl := &flow{client: client, endpoint: endpoint, conn: conn, meter: f.server.tally.Meter(f.name.edge(target, client.Addr(), endpoint))}
	fl.meter.Connected()
	fl.touch()
	f.flows[client] = fl
	f.server.wg.Go(func() { f.answer(fl) })
	return fl
}

// evict drops the flow silent the longest. The caller holds the lock.
func (f *udpFront) evict() {
	var oldest *flow
	for _, fl := range f.flows {
		if oldest == nil || fl.last.Load() < oldest.last.Load() {
			oldest = fl
		}
	}
	oldest.conn.Close()
	delete(f.flows, oldest.client)
}

func (f *udpFront) drop(fl *flow) {
	fl.conn.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flows[fl.client] == fl {
		delete(f.flows, fl.client)
	}
}

// answer carries what the endpoint sends back, until the flow has been idle or
// its socket is closed.
func (f *udpFront) answer(fl *flow) {
	defer f.drop(fl)
	buf := make([]byte, maxDatagram)
	for {
		idle := time.Since(time.Unix(0, fl.last.Load()))
		if idle >= flowIdle || fl.conn.SetReadDeadline(time.Now().Add(flowIdle-idle)) != nil {
			return
		}
		n, err := fl.conn.Read(buf)
		switch {
		case err == nil:
			fl.touch()
			fl.meter.Received(n)
			_, _ = f.conn.WriteToUDPAddrPort(buf[:n], fl.client)
		case errors.Is(err, syscall.ECONNREFUSED):
			return // nobody listens there any more: the next datagram finds another
		case errors.Is(err, net.ErrClosed):
			return
		}
	}
}
