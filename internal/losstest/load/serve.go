package load

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// drainLimit is how long a server that is told to end waits for its
// connections.
const drainLimit = 3 * time.Second

// Addrs are what a server listens on.
type Addrs struct{ HTTP, TCP, UDP string }

// Server answers requests of all kinds.
type Server struct {
	web, words net.Listener
	datagrams  net.PacketConn
	ending     atomic.Bool

	mu    sync.Mutex
	conns int
}

// Listen makes a Server.
func Listen(a Addrs) (*Server, error) {
	datagrams, err := net.ListenPacket("udp", a.UDP)
	if err != nil {
		return nil, err
	}
	words, err := net.Listen("tcp", a.TCP)
	if err != nil {
		return nil, errors.Join(err, datagrams.Close())
	}
	web, err := net.Listen("tcp", a.HTTP)
	if err != nil {
		return nil, errors.Join(err, words.Close(), datagrams.Close())
	}
	return &Server{web: web, words: words, datagrams: datagrams}, nil
}

// Addrs are where it listens.
func (s *Server) Addrs() Addrs {
	return Addrs{s.web.Addr().String(), s.words.Addr().String(), s.datagrams.LocalAddr().String()}
}

// Serve serves until ctx is done. Then it behaves as a server should: it accepts
// no more, answers what it has been asked, says that it will close the
// connection with the next answer on each, and returns when none is left.
func (s *Server) Serve(ctx context.Context) error {
	go echoDatagrams(s.datagrams)
	go s.acceptWords(s.words)
	hs := s.http()
	served := make(chan error, 1)
	go func() { served <- hs.Serve(s.web) }()
	defer s.datagrams.Close()
	select {
	case err := <-served:
		return errors.Join(err, s.words.Close())
	case <-ctx.Done():
	}
	s.ending.Store(true)
	s.words.Close()
	s.web.Close()
	s.wait(drainLimit)
	return hs.Close()
}

func (s *Server) count(n int) {
	s.mu.Lock()
	s.conns += n
	s.mu.Unlock()
}

// wait returns when no connection is left, or the time is over.
func (s *Server) wait(limit time.Duration) {
	for over := time.Now().Add(limit); time.Now().Before(over); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		left := s.conns
		s.mu.Unlock()
		if left == 0 {
			return
		}
	}
}

func (s *Server) http() *http.Server {
	return &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/change" {
				_, _ = io.WriteString(w, os.Getenv("CHANGE"))
				return
			}
			if s.ending.Load() {
				w.Header().Set("Connection", "close")
			}
			_, _ = io.WriteString(w, "ok\n")
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.count(1)
			case http.StateClosed, http.StateHijacked:
				s.count(-1)
			}
		},
	}
}

func (s *Server) acceptWords(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		s.count(1)
		go func() {
			defer s.count(-1)
			defer conn.Close()
			in := bufio.NewReader(conn)
			for {
				word, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if _, err := io.WriteString(conn, word); err != nil {
					return
				}
			}
		}()
	}
}

func echoDatagrams(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}
}
