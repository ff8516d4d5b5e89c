package agent

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/nft"
	"github.com/cuepod/cuepod/runner/agent/swap"
	"github.com/cuepod/cuepod/runner/probe"
	"github.com/cuepod/cuepod/runner/proxy"
)

const (
	// holdLook is how often a pod is looked at while something is held: what a
	// client waits beyond the swap itself. The kernel goes through all its
	// connections at each look, so that looks get rarer the longer it takes: by
	// a part of the time that has passed, up to holdLookMax.
	holdLook     = 5 * time.Millisecond
	holdLookMax  = 250 * time.Millisecond
	holdLookPart = 40
	// holdProbe is between two tries of the probes of an instance that listens.
	holdProbe = 20 * time.Millisecond
	// maxHeld bounds the connections that wait; more are refused.
	maxHeld = 4096
	// passTimeout is how long a connection that has waited may take to pass: to a
	// program in the same network namespace.
	passTimeout = 2 * time.Second
)

// redirects lead new connections to some of the pod's ports to the holder.
type redirects interface {
	Hold(ports ...uint16) error
	Release(ports ...uint16) error
	// Origin is the port for which a connection was, by where its client sent it.
	Origin(dst netip.AddrPort) uint16
}

// queue keeps datagrams to some of the pod's ports in the kernel.
type queue interface {
	Hold(ports ...uint16) error
	Release(ports ...uint16) error
}

var (
	_ redirects = (*nft.Plane)(nil)
	_ queue     = (*nft.Queue)(nil)
)

// holder lets new connections to ports of the pod wait while their container is
// swapped: they arrive at its own listener, which is open before anybody is led
// there, and pass when the next instance serves. Datagrams wait in the kernel.
// Where it has no rules, it only says which ports are held, and the gateway has
// those wait that come through it.
type holder struct {
	listen    func() (net.Listener, error)
	listening func() (map[swap.Port]bool, error) // of the pod
	origin    func(net.Conn) netip.AddrPort
	probe     func(ctx context.Context, ip string, p api.Probe) probe.Outcome
	log       *log.Logger
	ctx       context.Context // of the pod; only for the holder's own goroutines
	wg        *sync.WaitGroup
	changed   func() // there is something to report

	mu      sync.Mutex
	gate    redirects // nil where there are no rules
	queue   queue     // nil the same
	late    string    // see api.FromAgent
	pod     api.Pod
	state   swap.State
	passed  map[string]bool // containers whose probes succeed
	ln      net.Listener
	looking bool             // somebody looks again by himself
	doors   map[uint16]*door // of ports that are held
	waiting int
}

// door is what connections to a held port wait at.
type door struct {
	opened chan struct{} // closed when they may pass
	broken bool          // valid once opened: they may not
}

// apply follows the orders for the pod, and returns when they are in force.
func (h *holder) apply(g redirects, q queue, pod api.Pod) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gate, h.queue, h.pod = g, q, pod
	if len(pod.Holds) == 0 {
		h.late = ""
	}
	if len(pod.Holds) == 0 && len(h.state) == 0 {
		return nil
	}
	if g != nil {
		if err := h.open(); err != nil {
			return err
		}
	}
	err := h.look()
	if h.state.Waits() && !h.looking {
		h.looking = true
		h.wg.Go(h.watch)
	}
	return err
}

// tells adds to a report what is held for the gateway to hold, and what ended late.
func (h *holder) tells(report *api.FromAgent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	report.Late, report.Held = h.late, api.Ports{}
	if h.gate != nil {
		return
	}
	for _, port := range h.state.Held() {
		if port.UDP {
			report.Held.UDP = append(report.Held.UDP, port.Number)
		} else {
			report.Held.TCP = append(report.Held.TCP, port.Number)
		}
	}
}

// listenHeld listens where the rules lead.
func listenHeld() (net.Listener, error) {
	return net.Listen("tcp4", net.JoinHostPort("0.0.0.0", strconv.Itoa(nft.HoldPort)))
}

// open listens, once.
func (h *holder) open() error {
	if h.ln != nil {
		return nil
	}
	ln, err := h.listen()
	if err != nil {
		return fmt.Errorf("hold connections: %w", err)
	}
	h.ln = ln
	h.wg.Go(func() {
		<-h.ctx.Done()
		ln.Close()
	})
	h.wg.Go(func() { h.accept(ln) })
	return nil
}

// look takes one look and does what follows from it. The caller holds the lock.
func (h *holder) look() error {
	seen := swap.Seen{Now: time.Now(), Instances: map[string]string{}, Passed: h.passed}
	var err error
	if seen.Listening, err = h.listening(); err != nil {
		return fmt.Errorf("hold connections: %w", err)
	}
	for _, c := range h.pod.Containers {
		if c.Running {
			seen.Instances[c.Name] = c.ID
		}
	}
	next, do := h.state.Next(h.pod.Holds, seen)
	h.state = next
	if len(do.Hold)+len(do.Release)+len(do.Refuse) > 0 {
		defer h.changed()
	}
	return errors.Join(h.hold(do.Hold), h.release(do.Release, false), h.release(do.Refuse, true))
}

// hold has new connections to ports wait.
func (h *holder) hold(ports []swap.Port) error {
	tcp, udp := numbers(ports)
	for _, port := range tcp {
		h.doors[port] = &door{opened: make(chan struct{})}
	}
	if h.gate == nil || len(ports) == 0 {
		return nil
	}
	if len(udp) > 0 {
		if err := h.queue.Hold(udp...); err != nil {
			h.log.Print(err) // the change goes on without: nobody can rely on datagrams
		}
	}
	if len(tcp) == 0 {
		return nil
	}
	return h.gate.Hold(tcp...)
}

// release lets those pass, or be refused, that wait.
func (h *holder) release(ports []swap.Port, broken bool) error {
	if len(ports) == 0 {
		return nil
	}
	tcp, udp := numbers(ports)
	var errs []error
	if h.gate != nil && len(tcp) > 0 {
		errs = append(errs, h.gate.Release(tcp...)) // first: those that come now need not wait
	}
	if h.queue != nil && len(udp) > 0 {
		errs = append(errs, h.queue.Release(udp...)) // the kernel refuses them where nobody listens
	}
	for _, port := range tcp {
		h.doors[port].broken = broken
		close(h.doors[port].opened)
		delete(h.doors, port)
	}
	if broken {
		h.late = fmt.Sprintf("connections to ports %v that waited for a container's next instance were refused: nobody serves there in time", ports)
		h.log.Print(h.late)
	}
	return errors.Join(errs...)
}

func numbers(ports []swap.Port) (tcp, udp []uint16) {
	for _, p := range ports {
		switch {
		case p.Number <= 0 || p.Number > 65535:
		case p.UDP:
			udp = append(udp, uint16(p.Number))
		default:
			tcp = append(tcp, uint16(p.Number))
		}
	}
	return tcp, udp
}

// watch looks again and again until nothing is held.
func (h *holder) watch() {
	began := time.Now()
	var asked time.Time
	for {
		h.mu.Lock()
		if !h.state.Waits() || h.ctx.Err() != nil {
			h.looking = false
			h.mu.Unlock()
			return
		}
		asks, pod := h.state.Asks(), h.pod
		h.mu.Unlock()
		passed := map[string]bool{}
		if len(asks) > 0 && time.Since(asked) >= holdProbe {
			for _, name := range asks {
				passed[name] = h.passes(pod, name)
			}
			asked = time.Now()
		}
		h.mu.Lock()
		h.passed = passed
		if err := h.look(); err != nil {
			h.log.Print(err)
		}
		listens := len(h.state.Asks()) > len(asks)
		h.mu.Unlock()
		if listens {
			continue // whether it serves is asked at once
		}
		select {
		case <-time.After(lookPause(time.Since(began))):
		case <-h.ctx.Done():
		}
	}
}

// lookPause is the time to the next look after some time of waiting.
func lookPause(waited time.Duration) time.Duration {
	return min(max(holdLook, waited/holdLookPart), holdLookMax)
}

// passes reports whether the instance of a container that listens now may have
// its connections: its probes for startup and readiness succeed. They are asked
// at once, whatever their delays and periods: somebody waits. A probe that is a
// command is the supervisor's, whose word comes with the instance's ID.
func (h *holder) passes(pod api.Pod, name string) bool {
	for _, c := range pod.Containers {
		if c.Name != name {
			continue
		}
		for _, p := range c.Probes {
			switch {
			case p.Kind == api.Liveness:
			case p.HTTP == nil && p.TCP == nil && p.GRPC == nil:
				if h.replaced(pod, c) || !c.Exec[p.Kind] {
					return false
				}
			case h.probe(h.ctx, pod.IP, p).Result != probe.Success:
				return false
			}
		}
	}
	return true
}

// replaced reports whether a container is told of as it was before its swap.
func (h *holder) replaced(pod api.Pod, c api.Container) bool {
	for _, o := range pod.Holds {
		if o.Container == c.Name && o.ID == c.ID {
			return true
		}
	}
	return !c.Running
}

func (h *holder) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			h.wg.Go(func() { h.wait(conn) })
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of file descriptors
			select {
			case <-time.After(holdLook):
			case <-h.ctx.Done():
			}
		}
	}
}

// wait keeps one connection until it may pass.
func (h *holder) wait(conn net.Conn) {
	client, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return
	}
	h.mu.Lock()
	var port uint16
	if h.gate != nil {
		port = h.gate.Origin(h.origin(conn))
	}
	d, full := h.doors[port], h.waiting >= maxHeld
	h.waiting++
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.waiting--
		h.mu.Unlock()
	}()
	if port == 0 || full {
		proxy.Reset(client)
		return
	}
	if d != nil { // else it was on its way here when the port was released
		select {
		case <-d.opened:
		case <-h.ctx.Done():
		}
		if d.broken || h.ctx.Err() != nil {
			proxy.Reset(client)
			return
		}
	}
	h.pass(client, port)
}

// pass carries a connection that has waited. To its server it comes from the
// pod's own address.
func (h *holder) pass(client *net.TCPConn, port uint16) {
	h.mu.Lock()
	ip := h.pod.IP
	h.mu.Unlock()
	d := net.Dialer{Timeout: passTimeout, Control: probe.Mark}
	server, err := d.DialContext(h.ctx, "tcp", net.JoinHostPort(ip, strconv.Itoa(int(port))))
	if err != nil {
		proxy.Reset(client)
		return
	}
	end := context.AfterFunc(h.ctx, func() { client.Close(); server.Close() })
	defer end()
	proxy.Pipe(client, server.(*net.TCPConn))
}
