package nft

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/proxy"
)

// echoes reads everything and says it again.
func echoes(t testing.TB, address string) {
	t.Helper()
	ln, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
}

// exchangeBytes opens a connection, sends n bytes and reads them again.
func exchangeBytes(t testing.TB, address string, n int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = c.Write(make([]byte, n)) }()
	if _, err := io.CopyN(io.Discard, c, int64(n)); err != nil {
		t.Fatal(err)
	}
	return c
}

// printed are counts as text; bytes are rounded down to thousands.
func printed(c proxy.Counts) string {
	var b strings.Builder
	for _, e := range c.Edges() {
		t := c[e]
		fmt.Fprintf(&b, "%s:%d/%s %v: %d connections, %d errors, %dk sent, %dk received\n", e.Service, e.Port, e.Protocol, e.Endpoint, t.Connections, t.Errors, t.Sent/1000, t.Received/1000)
	}
	return b.String()
}

func traffic(t testing.TB, p *Plane) proxy.Counts {
	t.Helper()
	c, err := p.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Connections, bytes and errors by edge, while connections last and after, through
// changes of endpoints and after the table was made anew.
func TestPlane_CountsTraffic(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	echoes(t, "10.9.1.1:8000")
	echoes(t, "10.9.1.2:8000")
	serve(t, "10.9.1.3:53")
	web, none, dead, dns, silent := front(proxy.TCP, "10.9.200.1:80"), front(proxy.TCP, "10.9.200.2:80"), front(proxy.TCP, "10.9.200.3:80"), front(proxy.UDP, "10.9.200.1:53"), front(proxy.TCP, "10.9.200.4:80")
	named := func(service string, t proxy.Target) proxy.Target { t.Service = service; return t }
	table := proxy.Table{
		web: named("web", target("10.9.1.1:8000")), none: named("none", target()), dead: named("dead", target("10.9.1.9:1")),
		dns: named("dns", target("10.9.1.3:53")), silent: named("silent", target("10.9.1.1:8000")),
	}
	apply(t, p, table)
	long := exchangeBytes(t, "10.9.200.1:80", 500_000)
	for range 20 {
		exchangeBytes(t, "10.9.200.1:80", 1000).Close()
	}
	for range 3 {
		reach("tcp", "10.9.200.2:80")
		reach("tcp", "10.9.200.3:80")
	}
	reach("udp", "10.9.200.1:53")
	want := `dead:80/TCP 10.9.1.9:1: 0 connections, 3 errors, 0k sent, 0k received
dns:53/UDP 10.9.1.3:53: 1 connections, 0 errors, 0k sent, 0k received
none:80/TCP invalid AddrPort: 0 connections, 3 errors, 0k sent, 0k received
web:80/TCP 10.9.1.1:8000: 21 connections, 0 errors, 5XXk sent, 5XXk received
`
	check := func(when, want string) {
		t.Helper()
		got := printed(traffic(t, p))
		// How many acknowledgements there are depends on how busy the machine is.
		if fuzzy := regexp.MustCompile(`5[2-5].k`).ReplaceAllString(got, "5XXk"); fuzzy != want {
			t.Errorf("%s:\n%swant\n%s", when, got, want)
		}
	}
	check("at first", want)
	// The endpoints change, somebody removes the table, and flows end: nothing of
	// it takes a count back.
	before := traffic(t, p)
	table[web], table[none] = named("web", target("10.9.1.2:8000")), named("none", target("10.9.1.2:8000"))
	apply(t, p, table)
	exchangeBytes(t, "10.9.200.1:80", 1000).Close()
	want += "web:80/TCP 10.9.1.2:8000: 1 connections, 0 errors, 1k sent, 1k received\n"
	check("after a change", want)
	long.Close()
	flush(t)
	check("after all flows ended", want)
	table[none] = named("none", target())
	apply(t, p, table)
	reach("tcp", "10.9.200.2:80")
	want = strings.Replace(want, "none:80/TCP invalid AddrPort: 0 connections, 3", "none:80/TCP invalid AddrPort: 0 connections, 4", 1)
	check("refused again", want)
	if err := p.sock.transact([]message{p.rules.remove()}); err != nil {
		t.Fatal(err)
	}
	delete(table, silent)
	apply(t, p, table)
	for e, b := range before {
		if e.Service != "none" && traffic(t, p)[e].Connections < b.Connections {
			t.Errorf("the count of %v went back", e)
		}
	}
}

// flush has the kernel forget all flows.
func flush(t testing.TB) {
	t.Helper()
	s, err := openSocket()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.ask(ctMessage(ctDelete, nil), func([]byte) {}); err != nil {
		t.Fatal(err)
	}
}

// Many connections end while they are counted over and over.
func TestFlows_NeverGoBack(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	echoes(t, "10.9.1.1:8000")
	apply(t, p, proxy.Table{front(proxy.TCP, "10.9.200.1:80"): {Service: "web", Endpoints: []netip.AddrPort{netip.MustParseAddrPort("10.9.1.1:8000")}}})
	const connections = 500
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range connections {
			exchangeBytes(t, "10.9.200.1:80", 100).Close()
			if i%100 == 0 {
				flush(t)
			}
		}
	}()
	var last api.Traffic
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		for _, now := range traffic(t, p) {
			if now.Connections < last.Connections || now.Sent < last.Sent || now.Received < last.Received {
				t.Fatalf("%+v after %+v", now, last)
			}
			last = now
		}
	}
	if last.Connections != connections || last.Sent < 100*connections || last.Received < 100*connections {
		t.Errorf("%+v, want %d connections with 100 bytes each way", last, connections)
	}
}

// Refusals by this network namespace itself, as on the way through the gateway.
func TestFlows_Refusals(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	open(t) // any rule of NAT has the kernel keep its list
	f, err := WatchRefusals()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	echoes(t, "10.9.200.1:80")
	if err := f.Name(proxy.Table{front(proxy.TCP, "10.9.200.1:80"): {Service: "web"}, front(proxy.TCP, "10.9.200.2:80"): {Service: "none"}}); err != nil {
		t.Fatal(err)
	}
	exchangeBytes(t, "10.9.200.1:80", 100).Close()
	for range 5 {
		reach("tcp", "10.9.200.2:80")
		reach("tcp", "10.9.200.2:81")
	}
	got, err := f.Counts()
	if want := "none:80/TCP invalid AddrPort: 0 connections, 5 errors, 0k sent, 0k received\n"; err != nil || printed(got) != want {
		t.Errorf("%v, %s", err, printed(got))
	}
}

func TestCommon(t *testing.T) {
	for _, c := range []struct {
		fronts []string
		want   string
	}{
		{nil, "invalid Prefix"}, {[]string{"10.9.200.1:80"}, "10.9.200.1/32"}, {[]string{"10.9.200.1:80", "10.9.200.1:81"}, "10.9.200.1/32"},
		{[]string{"10.9.200.1:80", "10.9.200.2:80"}, "10.9.200.0/30"}, {[]string{"10.9.200.2:80", "10.9.129.2:80"}, "10.9.128.0/17"}, {[]string{"1.0.0.1:1", "200.0.0.1:1"}, "0.0.0.0/0"},
	} {
		names := map[proxy.Front]string{}
		for _, a := range c.fronts {
			names[front(proxy.TCP, a)] = "s"
		}
		for range 5 { // maps have any order
			if got := common(names).String(); got != c.want {
				t.Errorf("%v: %s, want %s", slices.Sorted(slices.Values(c.fronts)), got, c.want)
			}
		}
	}
}
