package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
)

// Loopback addresses stand in for virtual ones: all of 127/8 is this machine's.
const vip = "127.77.0.1"

func newServer(t testing.TB, c Config) *Server {
	s := New(c)
	t.Cleanup(func() { s.Close() })
	return s
}

func apply(t testing.TB, s *Server, table Table) {
	t.Helper()
	if err := s.Apply(table); err != nil {
		t.Fatal(err)
	}
}

// freePort returns a port of the virtual address that nobody listens on.
func freePort(t testing.TB) int {
	ln, err := net.Listen("tcp", vip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func at(ip string, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(port))
}

// backend serves every connection with handle.
func backend(t testing.TB, handle func(*net.TCPConn)) netip.AddrPort {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer conn.Close(); handle(conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// says is a backend that says a word to everybody.
func says(t testing.TB, word string) netip.AddrPort {
	return backend(t, func(c *net.TCPConn) { io.WriteString(c, word) })
}

func echo(c *net.TCPConn) { io.Copy(c, c) }

// deadPort is an address that refuses.
func deadPort(t testing.TB) netip.AddrPort {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func hear(t testing.TB, addr netip.AddrPort) (string, error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	b, err := io.ReadAll(conn)
	return string(b), err
}

func TestServer_SpreadsOverEndpoints(t *testing.T) {
	agenttest.NoLeaks(t)
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	apply(t, s, Table{{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{says(t, "a"), says(t, "b")}}})
	count := map[string]int{}
	for range 200 {
		word, err := hear(t, front)
		if err != nil {
			t.Fatal(err)
		}
		count[word]++
	}
	if count["a"] < 60 || count["b"] < 60 {
		t.Errorf("200 connections went %v, want about even", count)
	}
}

// conformance:S95
func TestServer_RefusesWithoutEndpoints(t *testing.T) {
	agenttest.NoLeaks(t)
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	full := Table{{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{says(t, "a")}}}
	empty := Table{{TCP, front}: {Service: "web"}}
	for range 3 {
		apply(t, s, full)
		if word, err := hear(t, front); word != "a" {
			t.Fatalf("with an endpoint: %q, %v", word, err)
		}
		apply(t, s, empty)
		if _, err := hear(t, front); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("without endpoints: %v, want connection refused", err)
		}
	}
}

func TestServer_TriesTheNextEndpoint(t *testing.T) {
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	apply(t, s, Table{{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{deadPort(t), says(t, "a"), deadPort(t)}}})
	for range 20 {
		if word, err := hear(t, front); word != "a" {
			t.Fatalf("%q, %v", word, err)
		}
	}
	apply(t, s, Table{{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{deadPort(t)}}})
	if word, err := hear(t, front); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("with dead endpoints only: %q, %v; want a reset, not an end", word, err)
	}
}

// conformance:S100
func TestServer_AffinityKeepsTheEndpoint(t *testing.T) {
	var passed atomic.Int64 // since the test began, in the proxy's eyes
	advance := func(d time.Duration) { passed.Add(int64(d)) }
	now := func() time.Time { return time.Unix(1e9, passed.Load()) }
	s, front := newServer(t, Config{Now: now}), at(vip, freePort(t))
	a, b, c := says(t, "a"), says(t, "b"), says(t, "c")
	table := Table{{TCP, front}: {Service: "web", Affinity: true, Endpoints: []netip.AddrPort{a, b, c}}}
	apply(t, s, table)
	first, err := hear(t, front)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		advance(DefaultTimeout - time.Second) // each connection renews it
		if word, _ := hear(t, front); word != first {
			t.Fatalf("got %q after %q", word, first)
		}
	}
	// The endpoint leaves: another one, and then that one.
	left := map[string]netip.AddrPort{"a": a, "b": b, "c": c}
	delete(left, first)
	var rest []netip.AddrPort
	for _, e := range left {
		rest = append(rest, e)
	}
	apply(t, s, Table{{TCP, front}: {Service: "web", Affinity: true, Endpoints: rest}})
	second, _ := hear(t, front)
	apply(t, s, table)
	for range 10 {
		if word, _ := hear(t, front); word != second || second == first {
			t.Fatalf("got %q, then %q and %q", first, second, word)
		}
	}
	// It ends after the timeout: with fresh luck each time all are seen.
	seen := map[string]bool{}
	for range 100 {
		advance(DefaultTimeout + time.Second)
		word, _ := hear(t, front)
		seen[word] = true
	}
	if len(seen) != 3 {
		t.Errorf("after the timeout only %v were seen", seen)
	}
}

// conformance:S104
func TestServer_ConnectionOutlivesItsEndpoint(t *testing.T) {
	agenttest.NoLeaks(t)
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	first := Table{{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{backend(t, echo)}}}
	apply(t, s, first)
	conn, err := net.Dial("tcp", front.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The first change comes when the connection is there: one that the kernel alone
	// has taken yet goes with its listener.
	for i, table := range []Table{first, nil, {{TCP, front}: {Service: "web"}}, {{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{says(t, "b")}}}} {
		apply(t, s, table)
		msg := fmt.Sprint("still here ", i)
		io.WriteString(conn, msg)
		got := make([]byte, len(msg))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != msg {
			t.Fatalf("step %d: %q, %v", i, got, err)
		}
	}
}

func TestServer_PassesHalfClose(t *testing.T) {
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	count := backend(t, func(c *net.TCPConn) {
		n, _ := io.Copy(io.Discard, c) // to the client's end
		fmt.Fprint(c, n)
	})
	apply(t, s, Table{{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{count}}})
	conn, err := net.Dial("tcp", front.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const size = 5 << 20 // well into what the kernel carries alone
	if _, err := conn.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != fmt.Sprint(size) {
		t.Errorf("the backend counted %q, %v; want %d", got, err, size)
	}
}

func TestServer_BulkIsWhole(t *testing.T) {
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	apply(t, s, Table{{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{backend(t, echo)}}})
	conn, err := net.Dial("tcp", front.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := bytes.Repeat([]byte("0123456789abcdef-"), 400_000)
	go func() { conn.Write(want); conn.(*net.TCPConn).CloseWrite() }()
	if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

func TestServer_BreakIsPassedAsABreak(t *testing.T) {
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	apply(t, s, Table{{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{backend(t, func(c *net.TCPConn) {
		io.WriteString(c, "half")
		io.ReadFull(c, make([]byte, 2))
		c.SetLinger(0)
	})}}})
	conn, err := net.Dial("tcp", front.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.ReadFull(conn, make([]byte, 4))
	io.WriteString(conn, "go")
	if b, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v; want a reset: a broken stream must not look finished", b, err)
	}
}

func TestServer_AddressesComeFirstAndGoLast(t *testing.T) {
	var have []netip.Addr
	s := newServer(t, Config{SetAddresses: func(want []netip.Addr) error {
		have = want
		return nil
	}})
	one, two := at("127.77.0.1", freePort(t)), at("127.77.0.2", freePort(t))
	apply(t, s, Table{{TCP, one}: {Endpoints: []netip.AddrPort{says(t, "a")}}, {TCP, two}: {}})
	if want := []netip.Addr{one.Addr(), two.Addr()}; !slices.Equal(have, want) {
		t.Errorf("addresses %v, want %v: one without endpoints has to refuse", have, want)
	}
	apply(t, s, Table{})
	if len(have) != 0 {
		t.Errorf("addresses %v after the table is empty", have)
	}
}

func TestServer_ReportsWhatItCannotOpenAndOpensTheRest(t *testing.T) {
	s := newServer(t, Config{})
	taken, err := net.Listen("tcp", vip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := taken.Addr().(*net.TCPAddr).AddrPort()
	good := at("127.77.0.2", freePort(t))
	table := Table{
		{TCP, bad}:  {Service: "taken", Endpoints: []netip.AddrPort{says(t, "a")}},
		{TCP, good}: {Service: "good", Endpoints: []netip.AddrPort{says(t, "b")}},
	}
	if err := s.Apply(table); err == nil || !strings.Contains(err.Error(), "service taken") || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v, want service taken: address in use", err)
	}
	if word, err := hear(t, good); word != "b" {
		t.Errorf("the other service: %q, %v", word, err)
	}
	taken.Close()
	apply(t, s, table)
	if word, err := hear(t, bad); word != "a" {
		t.Errorf("once the port is free: %q, %v", word, err)
	}
}

// udpBackend answers each datagram with its name and the datagram.
func udpBackend(t testing.TB, name string) (netip.AddrPort, *net.UDPConn) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at("127.0.0.1", 0)))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(append([]byte(name), buf[:n]...), from)
		}
	})
	t.Cleanup(func() { conn.Close(); wg.Wait() })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), conn
}

// asker is a connected UDP client, as resolvers are.
type asker struct{ net.Conn }

func newAsker(t testing.TB, addr netip.AddrPort) asker {
	conn, err := net.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return asker{conn}
}

func (a asker) ask(msg string) (string, error) { return a.askFor(msg, 5*time.Second) }

func (a asker) askFor(msg string, patience time.Duration) (string, error) {
	if _, err := io.WriteString(a, msg); err != nil {
		return "", err
	}
	a.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, maxDatagram)
	n, err := a.Read(buf)
	return string(buf[:n]), err
}

// conformance:S103
func TestServer_UDPFlowsStayUntilTheirEndpointLeaves(t *testing.T) {
	agenttest.NoLeaks(t)
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	a, _ := udpBackend(t, "a")
	b, bConn := udpBackend(t, "b")
	both := Table{{UDP, front}: {Service: "dns", Endpoints: []netip.AddrPort{a, b}}}
	apply(t, s, both)
	seen := map[string]bool{}
	for range 40 {
		client := newAsker(t, front)
		first, err := client.ask("?")
		if err != nil {
			t.Fatal(err)
		}
		seen[first] = true
		if again, _ := client.ask("?"); again != first {
			t.Fatalf("one client got %q, then %q", first, again)
		}
	}
	if len(seen) != 2 {
		t.Errorf("40 clients saw %v only", seen)
	}
	client := newAsker(t, front)
	apply(t, s, Table{{UDP, front}: {Service: "dns", Endpoints: []netip.AddrPort{b}}})
	if got, err := client.ask("!"); got != "b!" {
		t.Fatalf("%q, %v", got, err)
	}
	apply(t, s, Table{{UDP, front}: {Service: "dns", Endpoints: []netip.AddrPort{a}}})
	if got, err := client.ask("!"); got != "a!" {
		t.Errorf("after its endpoint left: %q, %v; want a!", got, err)
	}
	// An endpoint that is there by the table and refuses gives its place up: a
	// datagram may be lost, the client is not.
	bConn.Close()
	apply(t, s, both)
	for range 10 {
		client := newAsker(t, front)
		agenttest.Eventually(t, func() error {
			got, err := client.askFor("x", 100*time.Millisecond)
			if err == nil && got != "ax" {
				err = fmt.Errorf("got %q", got)
			}
			return err
		})
	}
}

func TestServer_UDPRefusesWithoutEndpoints(t *testing.T) {
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	apply(t, s, Table{{UDP, front}: {Service: "dns"}})
	if _, err := newAsker(t, front).ask("?"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v, want connection refused", err)
	}
}

func TestServer_UDPFlowsAreBounded(t *testing.T) {
	s, front := newServer(t, Config{}), at(vip, freePort(t))
	a, _ := udpBackend(t, "a")
	open, err := s.openUDP(Front{UDP, front}, &Target{Endpoints: []netip.AddrPort{a}})
	if err != nil {
		t.Fatal(err)
	}
	f := open.(*udpFront)
	defer f.Close()
	for i := range maxFlows + 50 {
		if fl := f.flow(at("127.0.0.9", 1000+i), netip.AddrPort{}); fl == nil {
			t.Fatalf("client %d got no flow", i)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.flows) != maxFlows {
		t.Errorf("%d flows, want %d", len(f.flows), maxFlows)
	}
	if f.flows[at("127.0.0.9", 1000)] != nil || f.flows[at("127.0.0.9", 1000+maxFlows+49)] == nil {
		t.Error("want the oldest flow gone and the newest there")
	}
}

func TestNewTable(t *testing.T) {
	port := func(p int, protocol string, backends ...api.Backend) api.ServicePort {
		return api.ServicePort{Port: p, Protocol: protocol, Backends: backends}
	}
	table, err := NewTable([]api.Service{
		{Name: "web", VIP: "10.1.2.130", Affinity: true, Ports: []api.ServicePort{
			port(80, "TCP", api.Backend{Pod: "web-0", IP: "10.1.2.3", Port: 8080}, api.Backend{Pod: "web-1", Port: 8080}),
			port(53, "UDP", api.Backend{Pod: "web-0", IP: "10.1.2.3", Port: 53})}},
		{Name: "empty", VIP: "10.1.2.131", Ports: []api.ServicePort{port(80, "TCP")}},
		{Name: "head", Headless: true, Ports: []api.ServicePort{port(80, "TCP", api.Backend{Pod: "h", IP: "10.1.2.4", Port: 1})}},
		{Name: "odd", VIP: "10.1.2.132", Ports: []api.ServicePort{port(9, "SCTP"), port(0, "TCP")}},
		{Name: "bad", VIP: "nowhere"},
	})
	want := `TCP 10.1.2.130:80 web -> 10.1.2.3:8080 (affinity)
TCP 10.1.2.131:80 empty -> refuse
UDP 10.1.2.130:53 web -> 10.1.2.3:53 (affinity)
`
	if got := table.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, part := range []string{"odd", "SCTP", "not a port", "bad"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
}

// BenchmarkProxy compares a request and its answer on one connection, direct and
// through the proxy, taken in turn, and reports the ratio.
func BenchmarkProxy(b *testing.B) {
	s, front := newServer(b, Config{}), at(vip, freePort(b))
	server := backend(b, echo)
	apply(b, s, Table{{TCP, front}: {Service: "web", Endpoints: []netip.AddrPort{server}}})
	for _, size := range []int{64, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) { benchmarkRatio(b, server, front, size) })
	}
}

func benchmarkRatio(b *testing.B, direct, front netip.AddrPort, size int) {
	var took [2]time.Duration
	var conns [2]net.Conn
	for i, addr := range []netip.AddrPort{direct, front} {
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr.String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
	}
	msg, buf := make([]byte, size), make([]byte, size)
	for b.Loop() {
		for i, conn := range conns {
			start := time.Now()
			go conn.Write(msg)
			if _, err := io.ReadFull(conn, buf); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(start)
		}
	}
	b.ReportMetric(float64(took[0])/float64(took[1]), "rate/direct")
}
