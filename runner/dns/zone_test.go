package dns

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/cuepod/cuepod/runner/agent/api"
)

func testZone() *Zone {
	headless := func(name string, pods ...string) api.Service {
		p := api.ServicePort{Name: "redis", Port: 6379, Protocol: "TCP"}
		for i, pod := range pods {
			p.Backends = append(p.Backends, api.Backend{Pod: pod, Hostname: pod, IP: fmt.Sprintf("10.1.2.%d", 10+i), Port: 6380})
		}
		return api.Service{Name: name, Headless: true, Ports: []api.ServicePort{p}}
	}
	return NewZone("shop", []api.Service{
		{Name: "web", VIP: "10.1.2.130", Ports: []api.ServicePort{
			{Name: "http", Port: 80, Protocol: "TCP"}, {Name: "dns", Port: 53, Protocol: "UDP"}, {Port: 81, Protocol: "TCP"}}},
		{Name: "six", VIP: "fd00::130"},
		headless("db", "db-0", "db-1", "db-2"),
		headless("empty"),
	})
}

// ask makes a query. edns is the payload size offered; 0 means no EDNS.
func ask(t testing.TB, name string, typ dnsmessage.Type, edns int) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 3, RecursionDesired: true})
	must(t, b.StartQuestions())
	must(t, b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}))
	if edns > 0 {
		must(t, b.StartAdditionals())
		var h dnsmessage.ResourceHeader
		must(t, h.SetEDNS0(edns, 0, false))
		must(t, b.OPTResource(h, dnsmessage.OPTResource{}))
	}
	msg, err := b.Finish()
	must(t, err)
	return msg
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// text prints an answer on one line: code and flags, then each record.
func text(t testing.TB, msg []byte) string {
	t.Helper()
	var m dnsmessage.Message
	must(t, m.Unpack(msg))
	out := []string{strings.TrimPrefix(m.RCode.String(), "RCode")}
	if m.Truncated {
		out = append(out, "cut")
	}
	section := func(mark string, rs []dnsmessage.Resource) {
		var lines []string
		for _, r := range rs {
			lines = append(lines, mark+record(r))
		}
		slices.Sort(lines)
		out = append(out, lines...)
	}
	section("", m.Answers)
	section("!", m.Authorities)
	section("+", m.Additionals)
	return strings.Join(out, " ")
}

func record(r dnsmessage.Resource) string {
	switch b := r.Body.(type) {
	case *dnsmessage.AResource:
		return fmt.Sprintf("A=%d.%d.%d.%d", b.A[0], b.A[1], b.A[2], b.A[3])
	case *dnsmessage.AAAAResource:
		return fmt.Sprintf("AAAA=%x", b.AAAA)
	case *dnsmessage.SRVResource:
		return fmt.Sprintf("SRV=%d:%s", b.Port, b.Target)
	case *dnsmessage.PTRResource:
		return "PTR=" + b.PTR.String()
	case *dnsmessage.TXTResource:
		return "TXT=" + strings.Join(b.TXT, "")
	case *dnsmessage.SOAResource:
		return "SOA"
	case *dnsmessage.NSResource:
		return "NS=" + b.NS.String()
	case *dnsmessage.OPTResource:
		return fmt.Sprintf("OPT=%d", r.Header.Class)
	}
	return "?"
}

// conformance:S109 S110 S112 S113 S114
func TestZone_Answers(t *testing.T) {
	const s = ".shop.svc.cluster.local."
	for _, c := range []struct {
		name string
		typ  dnsmessage.Type
		want string
	}{
		{"web" + s, dnsmessage.TypeA, "Success A=10.1.2.130"},
		{"WeB.Shop.SVC.cluster.LOCAL.", dnsmessage.TypeA, "Success A=10.1.2.130"},
		{"web" + s, dnsmessage.TypeAAAA, "Success !SOA"},
		{"web" + s, dnsmessage.TypeMX, "Success !SOA"},
		{"six" + s, dnsmessage.TypeAAAA, "Success AAAA=fd000000000000000000000000000130"},
		{"six" + s, dnsmessage.TypeA, "Success !SOA"},
		{"_http._tcp.web" + s, dnsmessage.TypeSRV, "Success SRV=80:web" + s + " +A=10.1.2.130"},
		{"_dns._udp.web" + s, dnsmessage.TypeSRV, "Success SRV=53:web" + s + " +A=10.1.2.130"},
		{"_dns._tcp.web" + s, dnsmessage.TypeSRV, "NameError !SOA"},
		{"_http._tcp.web" + s, dnsmessage.TypeA, "Success !SOA"},
		{"_tcp.web" + s, dnsmessage.TypeA, "Success !SOA"},
		{"130.2.1.10.in-addr.arpa.", dnsmessage.TypePTR, "Success PTR=web" + s},
		{"db" + s, dnsmessage.TypeA, "Success A=10.1.2.10 A=10.1.2.11 A=10.1.2.12"},
		{"db-1.db" + s, dnsmessage.TypeA, "Success A=10.1.2.11"},
		{"11.2.1.10.in-addr.arpa.", dnsmessage.TypePTR, "Success PTR=db-1.db" + s},
		{"_redis._tcp.db" + s, dnsmessage.TypeSRV, "Success SRV=6380:db-0.db" + s + " SRV=6380:db-1.db" + s +
			" SRV=6380:db-2.db" + s + " +A=10.1.2.10 +A=10.1.2.11 +A=10.1.2.12"},
		{"empty" + s, dnsmessage.TypeA, "NameError !SOA"},
		{"nothere" + s, dnsmessage.TypeA, "NameError !SOA"},
		{"web.other.svc.cluster.local.", dnsmessage.TypeA, "NameError !SOA"},
		{"example.com.svc.cluster.local.", dnsmessage.TypeA, "NameError !SOA"},
		{"web.cluster.local.", dnsmessage.TypeA, "NameError !SOA"},
		{"shop.svc.cluster.local.", dnsmessage.TypeA, "Success !SOA"},
		{"cluster.local.", dnsmessage.TypeSOA, "Success SOA"},
		{"cluster.local.", dnsmessage.TypeNS, "Success NS=ns.dns.cluster.local."},
		{"dns-version.cluster.local.", dnsmessage.TypeTXT, "Success TXT=1.1.0"},
		{"10-1-2-99.shop.pod.cluster.local.", dnsmessage.TypeA, "Success A=10.1.2.99"},
		{"10-1-2.shop.pod.cluster.local.", dnsmessage.TypeA, "NameError !SOA"},
	} {
		answer, verdict := testZone().Answer(ask(t, c.name, c.typ, 0), true)
		if verdict != Answered {
			t.Errorf("%s %s: verdict %d", c.name, c.typ, verdict)
			continue
		}
		if got := text(t, answer); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.name, c.typ, got, c.want)
		}
	}
}

// conformance:S115
func TestZone_OtherNamesAreForwarded(t *testing.T) {
	for _, name := range []string{"example.com.", "web.", "local.", "notcluster.local.", "9.9.9.9.in-addr.arpa.", "."} {
		if _, verdict := testZone().Answer(ask(t, name, dnsmessage.TypeA, 0), true); verdict != Forward {
			t.Errorf("%s: verdict %d, want Forward", name, verdict)
		}
	}
}

func TestZone_NilAsksTheClientToComeBack(t *testing.T) {
	var z *Zone
	answer, verdict := z.Answer(ask(t, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 0), true)
	if got := text(t, answer); verdict != Answered || got != "ServerFailure" {
		t.Errorf("got %s, verdict %d", got, verdict)
	}
	if _, verdict := z.Answer(ask(t, "example.com.", dnsmessage.TypeA, 0), true); verdict != Forward {
		t.Errorf("verdict %d for a foreign name, want Forward", verdict)
	}
}

func TestZone_EDNS(t *testing.T) {
	answer, _ := testZone().Answer(ask(t, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 1400), true)
	if got, want := text(t, answer), "Success A=10.1.2.130 +OPT=1232"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	query := ask(t, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 1400)
	query[len(query)-5] = 1 // version 1, in the OPT record's TTL
	answer, _ = testZone().Answer(query, true)
	var m dnsmessage.Message
	must(t, m.Unpack(answer))
	if code := m.Additionals[0].Header.ExtendedRCode(m.RCode); code != 16 || len(m.Answers) != 0 {
		t.Errorf("unknown version: code %d with %d answers, want BADVERS (16)", code, len(m.Answers))
	}
}

// conformance:S115
func TestZone_LargeAnswersAreCutOverUDPOnly(t *testing.T) {
	p := api.ServicePort{Name: "p", Port: 80, Protocol: "TCP"}
	for i := range 60 {
		p.Backends = append(p.Backends, api.Backend{Pod: fmt.Sprintf("many-%d", i), Hostname: fmt.Sprintf("many-%d", i), IP: fmt.Sprintf("10.1.3.%d", i), Port: 80})
	}
	z := NewZone("shop", []api.Service{{Name: "many", Headless: true, Ports: []api.ServicePort{p}}})
	answer := func(edns int, udp bool) dnsmessage.Message {
		msg, _ := z.Answer(ask(t, "many.shop.svc.cluster.local.", dnsmessage.TypeA, edns), udp)
		var m dnsmessage.Message
		must(t, m.Unpack(msg))
		return m
	}
	if m := answer(0, true); !m.Truncated || len(m.Answers) != 0 {
		t.Errorf("without EDNS: truncated %v, %d answers", m.Truncated, len(m.Answers))
	}
	if m := answer(1232, true); m.Truncated || len(m.Answers) != 60 {
		t.Errorf("with EDNS 1232: truncated %v, %d answers", m.Truncated, len(m.Answers))
	}
	if m := answer(0, false); m.Truncated || len(m.Answers) != 60 {
		t.Errorf("over TCP: truncated %v, %d answers", m.Truncated, len(m.Answers))
	}
}

func TestZone_OrderTurnsWithTheQuery(t *testing.T) {
	first := map[string]bool{}
	for id := range 3 {
		q := ask(t, "db.shop.svc.cluster.local.", dnsmessage.TypeA, 0)
		q[1] = byte(id)
		answer, _ := testZone().Answer(q, true)
		var m dnsmessage.Message
		must(t, m.Unpack(answer))
		first[record(m.Answers[0])] = true
	}
	if len(first) != 3 {
		t.Errorf("three queries saw %d different first addresses, want 3", len(first))
	}
}

func TestZone_BrokenMessages(t *testing.T) {
	response := ask(t, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 0)
	response[2] |= 0x80
	for _, msg := range [][]byte{nil, {1, 2, 3}, response} {
		if answer, verdict := testZone().Answer(msg, true); verdict != Drop || answer != nil {
			t.Errorf("%x: verdict %d, want Drop", msg, verdict)
		}
	}
	notify := ask(t, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 0)
	notify[2] |= 4 << 3
	answer, _ := testZone().Answer(notify, true)
	if got := text(t, answer); got != "NotImplemented" {
		t.Errorf("opcode 4: got %s", got)
	}
	none := []byte{0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	answer, _ = testZone().Answer(none, true)
	if got := text(t, answer); got != "FormatError" {
		t.Errorf("no question: got %s", got)
	}
}

func FuzzZone_Answer(f *testing.F) {
	f.Add(ask(f, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 0))
	f.Add(ask(f, "_redis._tcp.db.shop.svc.cluster.local.", dnsmessage.TypeSRV, 1232))
	f.Add(ask(f, "130.2.1.10.in-addr.arpa.", dnsmessage.TypePTR, 0))
	f.Add(ask(f, "cluster.local.", dnsmessage.TypeALL, 0))
	z := testZone()
	f.Fuzz(func(t *testing.T, query []byte) {
		for _, udp := range []bool{true, false} {
			answer, verdict := z.Answer(query, udp)
			if verdict != Answered {
				if answer != nil {
					t.Fatalf("verdict %d with an answer", verdict)
				}
				continue
			}
			var m dnsmessage.Message
			if err := m.Unpack(answer); err != nil {
				t.Fatalf("the answer does not parse: %v", err)
			}
			if !m.Response || answer[0] != query[0] || answer[1] != query[1] {
				t.Fatal("the answer is not one to this query")
			}
			if udp && len(answer) > maxSize {
				t.Fatalf("%d bytes over UDP", len(answer))
			}
		}
	})
}

func BenchmarkZone_Answer(b *testing.B) {
	z := testZone()
	q := ask(b, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 0)
	for b.Loop() {
		z.Answer(q, true)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
}

// A pod has a name below the service that its subdomain is; any other is
// found by its address. Pods may share a name.
//
// conformance:S110
func TestZone_NamesOfPods(t *testing.T) {
	p := api.ServicePort{Name: "http", Port: 80, Protocol: "TCP", Backends: []api.Backend{
		{Pod: "web-0", IP: "10.1.2.10", Port: 80},
		{Pod: "api-0", IP: "10.1.2.11", Port: 80, Hostname: "Api"},
		{Pod: "api-1", IP: "10.1.2.12", Port: 80, Hostname: "Api"},
	}}
	z := NewZone("shop", []api.Service{{Name: "peers", Headless: true, Ports: []api.ServicePort{p}}})
	for name, want := range map[string]string{
		"10-1-2-10.peers.shop.svc.cluster.local.": "10.1.2.10",
		"api.peers.shop.svc.cluster.local.":       "10.1.2.11 10.1.2.12",
		"web-0.peers.shop.svc.cluster.local.":     "",
		"api-0.peers.shop.svc.cluster.local.":     "",
	} {
		n, ok := z.lookup(name)
		var got []string
		if ok {
			for _, ip := range n.addrs {
				got = append(got, ip.String())
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
