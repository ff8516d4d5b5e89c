package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
)

// held is a target whose first endpoint is held for so long.
func held(limit time.Duration, endpoints ...netip.AddrPort) Target {
	return Target{Service: "web", Endpoints: endpoints, Held: map[netip.AddrPort]time.Duration{endpoints[0]: limit}}
}

// waitsFor waits until a connection waits at the server.
func (s *Server) waitsFor(t *testing.T, n int64) {
	t.Helper()
	agenttest.Eventually(t, func() error {
		if got := s.waiting.Load(); got != n {
			return fmt.Errorf("%d connections wait, want %d", got, n)
		}
		return nil
	})
}

type heard struct {
	word string
	err  error
}

// A connection to a held endpoint waits until that is over, and then goes to where
// the table leads. The twins: another endpoint takes it at once, one that is held
// too long refuses, and so does a service that loses its endpoints.
func TestServer_ConnectionsWaitForAHeldEndpoint(t *testing.T) {
	agenttest.NoLeaks(t)
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	name := Front{TCP, front}
	gone, next := deadPort(t), says(t, "next")
	apply(t, s, Table{name: held(time.Minute, gone)})
	ask := func() <-chan heard {
		out := make(chan heard, 1)
		go func() {
			word, err := hear(t, front)
			out <- heard{word, err}
		}()
		return out
	}
	waits := ask()
	s.waitsFor(t, 1)
	apply(t, s, Table{name: held(time.Minute, gone, next)})
	if got := <-waits; got.word != "next" || got.err != nil {
		t.Errorf("when another endpoint is there: %+v", got)
	}
	for range 5 {
		if word, err := hear(t, front); word != "next" {
			t.Errorf("one of two endpoints is held: %q, %v", word, err)
		}
	}
	apply(t, s, Table{name: held(time.Minute, next)})
	waits = ask()
	s.waitsFor(t, 1)
	apply(t, s, Table{name: {Service: "web", Endpoints: []netip.AddrPort{next}}})
	if got := <-waits; got.word != "next" || got.err != nil {
		t.Errorf("when it is over: %+v", got)
	}
	apply(t, s, Table{name: held(10*time.Millisecond, next)})
	if word, err := hear(t, front); word != "" || err == nil {
		t.Errorf("held for too long: %q, %v", word, err)
	}
	apply(t, s, Table{name: held(time.Minute, next)})
	waits = ask()
	s.waitsFor(t, 1)
	apply(t, s, Table{name: {Service: "web"}})
	if got := <-waits; got.word != "" || got.err == nil {
		t.Errorf("when nothing is left to wait for: %+v", got)
	}
	s.waitsFor(t, 0)
}

func TestServer_DatagramsWaitForAHeldEndpoint(t *testing.T) {
	agenttest.NoLeaks(t)
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	name := Front{UDP, front}
	to, _ := udpBackend(t, "a")
	open := Table{name: {Service: "dns", Endpoints: []netip.AddrPort{to}}}
	apply(t, s, open)
	known, fresh := newAsker(t, front), newAsker(t, front)
	if got, err := known.ask("0"); got != "a0" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	apply(t, s, Table{name: held(time.Minute, to)})
	for _, client := range []asker{known, fresh} {
		if got, err := client.askFor("1", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a held endpoint answers %q, %v", got, err)
		}
	}
	apply(t, s, open)
	for _, client := range []asker{known, fresh} {
		if got, err := client.hear(); got != "a1" || err != nil {
			t.Errorf("when it is over: %q, %v", got, err)
		}
	}
	// Those that have waited too long are lost, and more than may wait are, too.
	apply(t, s, Table{name: held(time.Nanosecond, to)})
	io.WriteString(known, "late")
	f := s.fronts[name].(*udpFront)
	agenttest.Eventually(t, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.held) != 1 {
			return fmt.Errorf("%d wait", len(f.held))
		}
		return nil
	})
	apply(t, s, open)
	if got, err := known.ask("2"); got != "a2" || err != nil {
		t.Errorf("after one that came too late: %q, %v", got, err)
	}
	apply(t, s, Table{name: held(time.Minute, to)})
	for range maxHeld + 10 {
		f.send(at("127.0.0.9", 1000), []byte("x"))
	}
	if len(f.held) != maxHeld {
		t.Errorf("%d datagrams wait", len(f.held))
	}
	apply(t, s, open)
}

// An endpoint that leaves answers what it was asked.
func TestServer_DatagramsAreAnsweredByAnEndpointThatLeft(t *testing.T) {
	agenttest.NoLeaks(t)
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at("127.0.0.1", 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	name := Front{UDP, front}
	next, _ := udpBackend(t, "next")
	apply(t, s, Table{name: {Service: "dns", Endpoints: []netip.AddrPort{conn.LocalAddr().(*net.UDPAddr).AddrPort()}}})
	client := newAsker(t, front)
	io.WriteString(client, "?")
	buf := make([]byte, 10)
	_, from, err := conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, Table{name: {Service: "dns", Endpoints: []netip.AddrPort{next}}})
	if _, err := conn.WriteToUDPAddrPort([]byte("late"), from); err != nil {
		t.Fatal(err)
	}
	if got, err := client.hear(); got != "late" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := client.ask("!"); got != "next!" || err != nil {
		t.Errorf("the next one: %q, %v", got, err)
	}
}

// hear reads one answer.
func (a asker) hear() (string, error) {
	a.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, maxDatagram)
	n, err := a.Read(buf)
	return string(buf[:n]), err
}
