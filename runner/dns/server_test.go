package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
)

// startServer serves a zone and returns the address; it ends with the test.
func startServer(t *testing.T, s *Server) string {
	t.Helper()
	udp, tcp, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, udp, tcp) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return tcp.Addr().String()
}

// resolver asks the server at addr and nobody else.
func resolver(addr string, network string) *net.Resolver {
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, asked, _ string) (net.Conn, error) {
		if network == "" {
			network = asked
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
}

func TestServer_AnswersARealResolver(t *testing.T) {
	agenttest.NoLeaks(t)
	s := NewServer()
	s.SetZone(testZone)
	addr := startServer(t, s)
	for _, network := range []string{"udp", "tcp"} {
		r := resolver(addr, network)
		if got, err := r.LookupHost(t.Context(), "web.shop.svc.cluster.local."); err != nil || strings.Join(got, " ") != "10.1.2.130" {
			t.Errorf("%s: %v, %v", network, got, err)
		}
		if _, got, err := r.LookupSRV(t.Context(), "redis", "tcp", "db.shop.svc.cluster.local."); err != nil || len(got) != 3 {
			t.Errorf("%s: SRV %v, %v", network, got, err)
		}
		if got, err := r.LookupAddr(t.Context(), "10.1.2.130"); err != nil || got[0] != "web.shop.svc.cluster.local." {
			t.Errorf("%s: PTR %v, %v", network, got, err)
		}
		var dnsErr *net.DNSError
		if _, err := r.LookupHost(t.Context(), "nothere.shop.svc.cluster.local."); !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
			t.Errorf("%s: %v, want not found", network, err)
		}
	}
}

func TestServer_ForwardsOtherNames(t *testing.T) {
	agenttest.NoLeaks(t)
	// A server of ours stands in for the engine's: it answers the zone's names,
	// which a server with no zone of its own but another one's takes as foreign.
	upstream := NewServer()
	upstream.SetZone(testZone)
	s := NewServer(startServer(t, upstream))
	addr := startServer(t, s)
	query := ask(t, "130.2.1.10.in-addr.arpa.", dnsmessage.TypePTR, 0)
	for _, network := range []string{"udp", "tcp"} {
		if got := text(t, exchange(t, addr, network, query)); got != "Success PTR=web.shop.svc.cluster.local." {
			t.Errorf("%s: %s", network, got)
		}
	}
	// The zone's own names go nowhere, also while there is no zone.
	if got := text(t, exchange(t, addr, "udp", ask(t, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 0))); got != "ServerFailure" {
		t.Errorf("without a zone: %s", got)
	}
}

func TestServer_WithoutUpstreamSaysSo(t *testing.T) {
	agenttest.NoLeaks(t)
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, upstream := range [][]string{nil, {gone.LocalAddr().String()}} {
		addr := startServer(t, NewServer(upstream...))
		for _, network := range []string{"udp", "tcp"} {
			if got := text(t, exchange(t, addr, network, ask(t, "example.com.", dnsmessage.TypeA, 0))); got != "ServerFailure" {
				t.Errorf("upstream %v over %s: %s", upstream, network, got)
			}
		}
	}
}

func TestServer_RefusesWhatIsOverTheBound(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // hears and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := NewServer(silent.LocalAddr().String())
	addr := startServer(t, s)
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query := ask(t, "example.com.", dnsmessage.TypeA, 0)
	agenttest.Eventually(t, func() error {
		conn.Write(query)
		if len(s.slots) < maxForwards {
			return errors.New("slots are free")
		}
		return nil
	})
	if got := text(t, exchange(t, addr, "udp", query)); got != "ServerFailure" {
		t.Errorf("got %s", got)
	}
	s.SetZone(testZone) // our own names do not suffer
	if got := text(t, exchange(t, addr, "udp", ask(t, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 0))); got != "Success A=10.1.2.130" {
		t.Errorf("got %s", got)
	}
}

// exchange asks once.
func exchange(t *testing.T, addr, network string, query []byte) []byte {
	t.Helper()
	s := NewServer(addr)
	s.slots <- struct{}{}
	answer, err := s.exchange(t.Context(), network, query)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
