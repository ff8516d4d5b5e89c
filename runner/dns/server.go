package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxForwards bounds the queries under way upstream; what is over it gets
	// SERVFAIL at once.
	maxForwards = 256
	// tcpIdle is how long a TCP client may say nothing (RFC 7766 asks for a few
	// seconds).
	tcpIdle = 10 * time.Second
	// failurePause is how long to leave a socket alone that failed without being
	// closed: the system is short of memory or file descriptors, which passes.
	failurePause = 10 * time.Millisecond
	// maxQuery is the size in bytes of the longest query over UDP that is read:
	// a name and options that nobody has are far below.
	maxQuery = 4096
	// maxTCPClients bounds the TCP connections served at once.
	maxTCPClients = 128
)

// Server answers from the current zone and passes other names on.
type Server struct {
	upstream []string // host:port; none means that other names fail
	zone     atomic.Pointer[func() *Zone]
	slots    chan struct{} // one per forward under way
	clients  chan struct{} // one per TCP client
}

// NewServer makes a server without a zone. upstream are the host:port of the
// name servers for other names, asked in that order until one answers.
func NewServer(upstream ...string) *Server {
	return &Server{
		upstream: upstream,
		slots:    make(chan struct{}, maxForwards),
		clients:  make(chan struct{}, maxTCPClients),
	}
}

// SetZone puts a zone in force, which is made when somebody asks for a name: most
// changes are followed by the next one before that. Safe for concurrent use.
func (s *Server) SetZone(make func() *Zone) {
	once := sync.OnceValue(make)
	s.zone.Store(&once)
}

// current is the zone in force; nil is none.
func (s *Server) current() *Zone {
	if make := s.zone.Load(); make != nil {
		return (*make)()
	}
	return nil
}

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
	buf := make([]byte, maxQuery)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			time.Sleep(failurePause)
			continue
		}
		zone := s.current()
		answer, verdict := zone.Answer(buf[:n], true)
		if verdict == Forward || verdict == Chase {
			f := forward{zone, append([]byte(nil), buf[:n]...), answer, verdict, "udp"}
			if answer = s.tryForward(f.query, func() {
				wg.Go(func() { s.reply(conn, from, s.forward(ctx, f)) })
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
		return Failure(query)
	}
}

// reply sends an answer; a client that is gone is no error of ours.
func (s *Server) reply(conn net.PacketConn, to net.Addr, answer []byte) {
	if len(answer) > 0 {
		_, _ = conn.WriteTo(answer, to)
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
		zone := s.current()
		answer, verdict := zone.Answer(query, false)
		if verdict == Forward || verdict == Chase {
			f := forward{zone, query, answer, verdict, "tcp"}
			answer = s.tryForward(query, func() {})
			if answer == nil {
				answer = s.forward(ctx, f)
			}
		}
		if len(answer) == 0 || writeTCP(conn, answer) != nil {
			return
		}
	}
}

// Listen opens the UDP and the TCP socket of one address. Port 0 is any that is
// free for both.
func Listen(addr netip.AddrPort) (udp net.PacketConn, tcp net.Listener, err error) {
	for range 10 {
		if udp, tcp, err = listen(addr); err == nil || addr.Port() != 0 {
			break // else somebody has the port that UDP got
		}
	}
	return udp, tcp, err
}

func listen(addr netip.AddrPort) (net.PacketConn, net.Listener, error) {
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
