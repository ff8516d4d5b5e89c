package holder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// forward listens on a port and passes on what comes to another.
type forward struct {
	protocol string // tcp or udp
	port     int
	name     string // whose addresses to connect to; "" means the pod's own
	target   int
}

// parseForwards reads --forward=tcp/80=8080 and --forward=tcp/80=web:8080.
func parseForwards(args []string) ([]forward, error) {
	var out []forward
	for _, arg := range args {
		spec, ok := strings.CutPrefix(arg, "--forward=")
		if !ok {
			return nil, fmt.Errorf("%w: hold has no option %q", errUsage, arg)
		}
		f, ok := parseForward(spec)
		if !ok {
			return nil, fmt.Errorf("%w: %q is not like tcp/80=8080 or udp/53=name:5353", errUsage, spec)
		}
		out = append(out, f)
	}
	return out, nil
}

func parseForward(spec string) (f forward, ok bool) {
	listen, to, ok := strings.Cut(spec, "=")
	if !ok {
		return f, false
	}
	var port string
	if f.protocol, port, ok = strings.Cut(listen, "/"); !ok || f.protocol != "tcp" && f.protocol != "udp" {
		return f, false
	}
	if i := strings.LastIndexByte(to, ':'); i >= 0 {
		f.name, to = to[:i], to[i+1:]
		ok = f.name != ""
	}
	var okPort, okTarget bool
	f.port, okPort = parsePort(port)
	f.target, okTarget = parsePort(to)
	return f, ok && okPort && okTarget
}

func parsePort(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0 && n < 65536
}

const (
	// dialTimeout is for one address. The engine's bridge answers at once; a
	// vanished container costs the kernel 3 s to give up on.
	dialTimeout = 2 * time.Second
	// udpIdle is how long a client's UDP answers find their way back after its
	// last datagram; the kernel's own tracking keeps an answered flow as long.
	udpIdle = 120 * time.Second
	// maxClients bounds the UDP clients of one port that are remembered.
	maxClients = 4096
	// maxDatagram is the longest UDP payload.
	maxDatagram = 65535
)

// forwarder runs forwards. start may be called from one goroutine.
type forwarder struct {
	log    io.Writer
	lookup func(ctx context.Context, name string) ([]string, error)
	own    func() (string, error)
	next   atomic.Uint64 // turn of the addresses
	tasks  sync.WaitGroup
}

// wait returns when everything that start began has ended, which it does after
// the context of start.
func (w *forwarder) wait() { w.tasks.Wait() }

// start listens; it fails when the port is taken.
func (w *forwarder) start(ctx context.Context, f forward) error {
	if f.protocol == "udp" {
		return w.startUDP(ctx, f)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", f.port))
	if err != nil {
		return fmt.Errorf("forward of port %d: %w", f.port, err)
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	w.tasks.Go(func() { w.serveTCP(ctx, f, listener) })
	return nil
}

func (w *forwarder) serveTCP(ctx context.Context, f forward, listener net.Listener) {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, most likely: let some connections end
			fmt.Fprintf(w.log, "port %d: %v\n", f.port, err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		w.tasks.Go(func() { w.pass(ctx, f, client.(*net.TCPConn)) })
	}
}

// pass connects a client, or resets the connection when nobody answers: that
// is as close as one can get to a refusal after the fact.
func (w *forwarder) pass(ctx context.Context, f forward, client *net.TCPConn) {
	defer client.Close()
	conn, err := w.dial(ctx, f)
	if err != nil {
		client.SetLinger(0)
		fmt.Fprintf(w.log, "port %d: %v\n", f.port, err)
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { client.Close(); conn.Close() })
	defer stop()

	server := conn.(*net.TCPConn)
	var both sync.WaitGroup
	both.Go(func() { copyHalf(server, client) })
	both.Go(func() { copyHalf(client, server) })
	both.Wait()
}

// copyHalf passes one direction on, its end included; an error ends both.
func copyHalf(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}

// dial connects to the first address, in turn, that accepts.
func (w *forwarder) dial(ctx context.Context, f forward) (net.Conn, error) {
	addresses, err := w.addresses(ctx, f)
	if err != nil {
		return nil, err
	}
	first := int(w.next.Add(1) % uint64(len(addresses)))
	dialer := net.Dialer{Timeout: dialTimeout}
	var failures []error
	for i := range addresses {
		address := addresses[(first+i)%len(addresses)]
		conn, err := dialer.DialContext(ctx, f.protocol, net.JoinHostPort(address, strconv.Itoa(f.target)))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

func (w *forwarder) addresses(ctx context.Context, f forward) ([]string, error) {
	if f.name == "" {
		own, err := w.own()
		return []string{own}, err
	}
	addresses, err := w.lookup(ctx, f.name)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("%s has no address", f.name)
	}
	slices.Sort(addresses) // the resolver shuffles; turns need one order
	return addresses, nil
}

func (w *forwarder) startUDP(ctx context.Context, f forward) error {
	listener, err := net.ListenPacket("udp", fmt.Sprintf(":%d", f.port))
	if err != nil {
		return fmt.Errorf("forward of port %d: %w", f.port, err)
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	w.tasks.Go(func() { w.serveUDP(ctx, f, listener) })
	return nil
}

// clients are the UDP clients of one port, each with its own socket to the
// target, by which the answers find back.
type clients struct {
	mu   sync.Mutex
	conn map[string]net.Conn
}

func (c *clients) get(key string) (conn net.Conn, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn = c.conn[key]
	return conn, conn == nil && len(c.conn) >= maxClients
}

func (c *clients) set(key string, conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn == nil {
		delete(c.conn, key)
		return
	}
	c.conn[key] = conn
}

func (w *forwarder) serveUDP(ctx context.Context, f forward, listener net.PacketConn) {
	known := &clients{conn: map[string]net.Conn{}}
	buffer := make([]byte, maxDatagram)
	for {
		n, client, err := listener.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			fmt.Fprintf(w.log, "port %d: %v\n", f.port, err)
			continue
		}
		conn, full := known.get(client.String())
		if full {
			fmt.Fprintf(w.log, "port %d: a datagram of %s is dropped: %d clients are served already\n", f.port, client, maxClients)
			continue
		}
		if conn == nil {
			if conn, err = w.dial(ctx, f); err != nil {
				fmt.Fprintf(w.log, "port %d: %v\n", f.port, err)
				continue
			}
			known.set(client.String(), conn)
			w.tasks.Go(func() { w.answer(ctx, listener, client, conn, known) })
		}
		conn.SetReadDeadline(time.Now().Add(udpIdle))
		conn.Write(buffer[:n]) // a lost datagram is a lost datagram
	}
}

// answer passes the target's datagrams back to one client until it is idle.
func (w *forwarder) answer(ctx context.Context, listener net.PacketConn, client net.Addr, conn net.Conn, known *clients) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	defer known.set(client.String(), nil)
	buffer := make([]byte, maxDatagram)
	for {
		n, err := conn.Read(buffer)
		if err != nil { // idle, refused by the target, or the end
			return
		}
		conn.SetReadDeadline(time.Now().Add(udpIdle))
		if _, err := listener.WriteTo(buffer[:n], client); err != nil {
			return
		}
	}
}
