package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// upstreamTimeout is how long one upstream may think. Resolvers ask again
	// after five seconds, so an answer later than that helps nobody.
	upstreamTimeout = 5 * time.Second
	// maxForwards bounds the queries under way upstream; what is over it gets
	// SERVFAIL at once.
	maxForwards = 256
	// tcpIdle is how long a TCP client may say nothing (RFC 7766 asks for a few
	// seconds).
	tcpIdle = 10 * time.Second
	// failurePause is how long to leave a socket alone that failed without being
	// closed: the system is short of memory or file descriptors, which passes.
	failurePause = 10 * time.Millisecond
	// maxTCPClients bounds the TCP connections served at once.
	maxTCPClients = 128
)

// Server answers from the current zone and passes other names on.
type Server struct {
	upstream string // host:port; "" means that other names fail
	zone     atomic.Pointer[Zone]
	slots    chan struct{} // one per forward under way
	clients  chan struct{} // one per TCP client
}

// NewServer makes a server without a zone. upstream is the host:port of the
// name server for other names; "" means there is none.
func NewServer(upstream string) *Server {
	return &Server{
		upstream: upstream,
		slots:    make(chan struct{}, maxForwards),
		clients:  make(chan struct{}, maxTCPClients),
	}
}

// SetZone puts a zone in force. Safe for concurrent use.
func (s *Server) SetZone(z *Zone) { s.zone.Store(z) }

// Serve answers on both sockets until ctx ends or one of them is closed, then
// closes both and waits for what is under way. It returns nil after ctx.
func (s *Server) Serve(ctx context.Context, udp net.PacketConn, tcp net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		udp.Close()
		tcp.Close()
	})
	defer stop()
	wg.Go(func() { cancel(s.serveUDP(ctx, udp, &wg)) })
	wg.Go(func() { cancel(s.serveTCP(ctx, tcp, &wg)) })
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (s *Server) serveUDP(ctx context.Context, conn net.PacketConn, wg *sync.WaitGroup) error {
	buf := make([]byte, maxSize)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			time.Sleep(failurePause)
			continue
		}
		answer, verdict := s.zone.Load().Answer(buf[:n], true)
		if verdict == Forward {
			query := append([]byte(nil), buf[:n]...)
			if answer = s.tryForward(query, func() {
				wg.Go(func() { s.reply(conn, from, s.forward(ctx, "udp", query)) })
			}); answer == nil {
				continue
			}
		}
		s.reply(conn, from, answer)
	}
}

// tryForward takes a slot and starts the forward, or returns the refusal.
func (s *Server) tryForward(query []byte, start func()) (refusal []byte) {
	select {
	case s.slots <- struct{}{}:
		start()
		return nil
	default:
		return Failure(query, dnsmessage.RCodeServerFailure)
	}
}

// reply sends an answer; a client that is gone is no error of ours.
func (s *Server) reply(conn net.PacketConn, to net.Addr, answer []byte) {
	if len(answer) > 0 {
		_, _ = conn.WriteTo(answer, to)
	}
}

// forward asks upstream, and frees the slot. It always has an answer: SERVFAIL
// at worst.
func (s *Server) forward(ctx context.Context, network string, query []byte) []byte {
	defer func() { <-s.slots }()
	answer, err := s.exchange(ctx, network, query)
	if err != nil {
		return Failure(query, dnsmessage.RCodeServerFailure)
	}
	return answer
}

func (s *Server) exchange(ctx context.Context, network string, query []byte) ([]byte, error) {
	if s.upstream == "" {
		return nil, errors.New("no upstream name server")
	}
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, s.upstream)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if network == "tcp" {
		if err := writeTCP(conn, query); err != nil {
			return nil, err
		}
		return readTCP(conn)
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, maxTCP)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		// The socket is connected, so this is from upstream; the ID has to be ours.
		if n >= 12 && [2]byte(buf[:2]) == [2]byte(query[:2]) {
			return buf[:n], nil
		}
	}
}

func (s *Server) serveTCP(ctx context.Context, ln net.Listener, wg *sync.WaitGroup) error {
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			time.Sleep(failurePause)
			continue
		}
		select {
		case s.clients <- struct{}{}:
			wg.Go(func() {
				defer func() { <-s.clients }()
				s.serveConn(ctx, conn)
			})
		default:
			conn.Close()
		}
	}
}

func (s *Server) serveConn(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for {
		if conn.SetDeadline(time.Now().Add(tcpIdle)) != nil {
			return
		}
		query, err := readTCP(conn)
		if err != nil {
			return
		}
		answer, verdict := s.zone.Load().Answer(query, false)
		if verdict == Forward {
			answer = s.tryForward(query, func() {})
			if answer == nil {
				answer = s.forward(ctx, "tcp", query)
			}
		}
		if len(answer) == 0 || writeTCP(conn, answer) != nil {
			return
		}
	}
}

// readTCP reads one message with its length before it (RFC 1035 4.2.2).
func readTCP(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}

func writeTCP(w io.Writer, msg []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
	return err
}

// Listen opens the UDP and the TCP socket of one address.
func Listen(addr netip.AddrPort) (net.PacketConn, net.Listener, error) {
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, nil, err
	}
	bound := udp.LocalAddr().(*net.UDPAddr).AddrPort()
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(bound))
	if err != nil {
		udp.Close()
		return nil, nil, err
	}
	return udp, tcp, nil
}
