package dns

import (
	"fmt"
	"net/netip"
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
	alias := func(name, of string) api.Service { return api.Service{Name: name, ExternalName: of} }
	return NewZone("shop", []api.Service{
		{Name: "web", VIP: "10.1.2.130", Ports: []api.ServicePort{
			{Name: "http", Port: 80, Protocol: "TCP", Backends: []api.Backend{{Pod: "web-0", IP: "10.1.2.20", Port: 8080}}},
			{Name: "dns", Port: 53, Protocol: "UDP"}, {Port: 81, Protocol: "TCP"}}},
		{Name: "six", VIP: "fd00::130"},
		{Name: "plain", Headless: true, Backends: []api.Backend{{Pod: "plain-0", IP: "10.1.2.30"}}},
		alias("inner", "web.shop.svc.cluster.local"),
		alias("chain", "inner.shop.svc.cluster.local."),
		alias("loop-a", "loop-b.shop.svc.cluster.local"),
		alias("loop-b", "loop-a.shop.svc.cluster.local"),
		alias("self", "x.self.shop.svc.cluster.local"),
		alias("nowhere", "nothere.shop.svc.cluster.local"),
		alias("outer", "Example.com"),
		headless("db", "db-0", "db-1", "db-2"),
		headless("empty"),
	}, netip.MustParseAddr("127.0.0.1"))
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
		return fmt.Sprintf("SRV=%d:%d:%s", b.Weight, b.Port, b.Target)
	case *dnsmessage.CNAMEResource:
		return "CNAME=" + b.CNAME.String()
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

// conformance:S109 S110 S111 S112 S113 S114
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
		{"web" + s, dnsmessage.TypeTXT, "Success !SOA"},
		{"web" + s, dnsmessage.TypeALL, "Success !SOA"}, // RFC 8482: no need to tell all
		{"web" + s, 65280, "Success !SOA"},
		{"nothere" + s, 65280, "NameError !SOA"},
		{"web" + s, typeAXFR, "Refused"},
		{"six" + s, dnsmessage.TypeAAAA, "Success AAAA=fd000000000000000000000000000130"},
		{"six" + s, dnsmessage.TypeA, "Success !SOA"},
		{"_http._tcp.web" + s, dnsmessage.TypeSRV, "Success SRV=100:80:web" + s + " +A=10.1.2.130"},
		{"_dns._udp.web" + s, dnsmessage.TypeSRV, "Success SRV=100:53:web" + s + " +A=10.1.2.130"},
		{"web" + s, dnsmessage.TypeSRV, "Success SRV=33:53:web" + s + " SRV=33:80:web" + s + " SRV=33:81:web" + s + " +A=10.1.2.130"},
		{"_dns._tcp.web" + s, dnsmessage.TypeSRV, "NameError !SOA"},
		{"_http._tcp.web" + s, dnsmessage.TypeA, "Success A=10.1.2.130"},
		{"_tcp.web" + s, dnsmessage.TypeA, "NameError !SOA"},
		{"10-1-2-20.web" + s, dnsmessage.TypeA, "Success A=10.1.2.20"}, // an endpoint
		{"10-1-2-21.web" + s, dnsmessage.TypeA, "NameError !SOA"},
		{"130.2.1.10.in-addr.arpa.", dnsmessage.TypePTR, "Success PTR=web" + s},
		{"20.2.1.10.in-addr.arpa.", dnsmessage.TypePTR, "Success PTR=10-1-2-20.web" + s},
		{"db" + s, dnsmessage.TypeA, "Success A=10.1.2.10 A=10.1.2.11 A=10.1.2.12"},
		{"db-1.db" + s, dnsmessage.TypeA, "Success A=10.1.2.11"},
		{"11.2.1.10.in-addr.arpa.", dnsmessage.TypePTR, "Success PTR=db-1.db" + s},
		{"_redis._tcp.db" + s, dnsmessage.TypeSRV, "Success SRV=33:6380:db-0.db" + s + " SRV=33:6380:db-1.db" + s +
			" SRV=33:6380:db-2.db" + s + " +A=10.1.2.10 +A=10.1.2.11 +A=10.1.2.12"},
		{"plain" + s, dnsmessage.TypeA, "Success A=10.1.2.30"}, // headless, no ports
		{"plain" + s, dnsmessage.TypeSRV, "Success !SOA"},
		{"empty" + s, dnsmessage.TypeA, "NameError !SOA"},
		{"nothere" + s, dnsmessage.TypeA, "NameError !SOA"},
		{"web.other.svc.cluster.local.", dnsmessage.TypeA, "NameError !SOA"},
		{"example.com.svc.cluster.local.", dnsmessage.TypeA, "NameError !SOA"},
		{"web.cluster.local.", dnsmessage.TypeA, "NameError !SOA"},
		{"too.many.labels.web" + s, dnsmessage.TypeA, "NameError !SOA"},
		{"shop.svc.cluster.local.", dnsmessage.TypeA, "Success !SOA"},
		{"cluster.local.", dnsmessage.TypeSOA, "Success SOA"},
		{"cluster.local.", dnsmessage.TypeNS, "Success NS=ns.dns.cluster.local. +A=127.0.0.1"},
		{"CLUSTER.local.", dnsmessage.TypeNS, "Success NS=ns.dns.CLUSTER.local. +A=127.0.0.1"},
		{"ns.dns.cluster.local.", dnsmessage.TypeA, "Success A=127.0.0.1"},
		{"ns.dns.cluster.local.", dnsmessage.TypeAAAA, "Success !SOA"},
		{"dns-version.cluster.local.", dnsmessage.TypeTXT, "Success TXT=1.1.0"},
		{"10-1-2-99.shop.pod.cluster.local.", dnsmessage.TypeA, "Success A=10.1.2.99"},
		{"fd00--7.shop.pod.cluster.local.", dnsmessage.TypeAAAA, "Success AAAA=fd000000000000000000000000000007"},
		{"10-1-2.shop.pod.cluster.local.", dnsmessage.TypeA, "NameError !SOA"},
		{"10-1-2-99.other.pod.cluster.local.", dnsmessage.TypeA, "NameError !SOA"},
		{"inner" + s, dnsmessage.TypeA, "Success A=10.1.2.130 CNAME=web" + s},
		{"inner" + s, dnsmessage.TypeAAAA, "Success !SOA"},
		{"inner" + s, dnsmessage.TypeCNAME, "Success CNAME=web" + s},
		{"inner" + s, dnsmessage.TypeTXT, "Success !SOA"},
		{"inner" + s, dnsmessage.TypeSRV, "Success !SOA"},
		{"_http._tcp.inner" + s, dnsmessage.TypeSRV, "NameError !SOA"},
		{"chain" + s, dnsmessage.TypeA, "Success A=10.1.2.130 CNAME=inner" + s + " CNAME=web" + s},
		{"loop-a" + s, dnsmessage.TypeA, "Success !SOA"},
		{"self" + s, dnsmessage.TypeA, "Success !SOA"},
		{"nowhere" + s, dnsmessage.TypeA, "Success !SOA"},
		{"outer" + s, dnsmessage.TypeCNAME, "Success CNAME=Example.com."},
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
	for _, name := range []string{"example.com.", "web.", "local.", "notcluster.local.", "9.9.9.9.in-addr.arpa.", "130.2.1.10.in-addr.arpa.", "."} {
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
	if got, want := text(t, answer), "Success A=10.1.2.130 +OPT=1400"; got != want {
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
	// What fits is there all the same: musl before 1.2.4 never asks over TCP.
	if m := answer(0, true); !m.Truncated || len(m.Answers) != 29 {
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
	for name, want := range map[string]Verdict{"web.shop.svc.cluster.local.": Answered, "version.bind.": Forward, "130.2.1.10.in-addr.arpa.": Forward} {
		chaos := ask(t, name, dnsmessage.TypeTXT, 0)
		chaos[len(chaos)-1] = 3
		answer, verdict := testZone().Answer(chaos, true)
		if verdict != want || verdict == Answered && text(t, answer) != "Refused" {
			t.Errorf("%s in class CH: %x, verdict %d, want %d", name, answer, verdict, want)
		}
	}
}

func FuzzZone_Answer(f *testing.F) {
	f.Add(ask(f, "web.shop.svc.cluster.local.", dnsmessage.TypeA, 0))
	f.Add(ask(f, "_redis._tcp.db.shop.svc.cluster.local.", dnsmessage.TypeSRV, 1232))
	f.Add(ask(f, "130.2.1.10.in-addr.arpa.", dnsmessage.TypePTR, 0))
	f.Add(ask(f, "cluster.local.", dnsmessage.TypeALL, 0))
	f.Add(ask(f, "outer.shop.svc.cluster.local.", dnsmessage.TypeA, 4096))
	f.Add(ask(f, "CHAIN.shop.svc.cluster.local.", dnsmessage.TypeAAAA, 512))
	f.Add([]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01")) // a name that points at itself
	z := testZone()
	f.Fuzz(func(t *testing.T, query []byte) {
		for _, udp := range []bool{true, false} {
			answer, verdict := z.Answer(query, udp)
			if verdict == Chase {
				if _, again := z.Answer(answer, udp); again != Forward {
					t.Fatalf("what is chased is ours: verdict %d", again)
				}
				answer = z.Complete(query, query, udp)
			} else if verdict != Answered {
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
			if udp && len(answer) > maxSize { // the client says what it takes, TestZone_LargeAnswersAreCutOverUDPOnly
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
		"10-1-2-10.peers.shop.svc.cluster.local.": "Success A=10.1.2.10",
		"api.peers.shop.svc.cluster.local.":       "Success A=10.1.2.11 A=10.1.2.12",
		"web-0.peers.shop.svc.cluster.local.":     "NameError !SOA",
		"api-0.peers.shop.svc.cluster.local.":     "NameError !SOA",
	} {
		answer, _ := z.Answer(ask(t, name, dnsmessage.TypeA, 0), true)
		if got := text(t, answer); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// A name for one outside the zone is completed with what the name server for
// those says, or stands alone.
//
// conformance:S106 S111
func TestZone_AliasOutOfTheZone(t *testing.T) {
	z := testZone()
	query := ask(t, "outer.shop.svc.cluster.local.", dnsmessage.TypeA, 1232)
	asked, verdict := z.Answer(query, true)
	if verdict != Chase {
		t.Fatalf("verdict %d, want Chase", verdict)
	}
	var m dnsmessage.Message
	must(t, m.Unpack(asked))
	if q := m.Questions[0]; q.Name.String() != "Example.com." || q.Type != dnsmessage.TypeA || len(m.Additionals) != 1 || !m.RecursionDesired {
		t.Errorf("asks %v", m)
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 3, Response: true})
	b.EnableCompression()
	must(t, b.StartQuestions())
	must(t, b.Question(m.Questions[0]))
	must(t, b.StartAnswers())
	h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 99}
	must(t, b.CNAMEResource(h, dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("www.Example.com.")}))
	h.Name = dnsmessage.MustNewName("www.Example.com.")
	must(t, b.AResource(h, dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}))
	upstream, err := b.Finish()
	must(t, err)
	if got, want := text(t, z.Complete(query, upstream, true)), "Success A=192.0.2.1 CNAME=Example.com. CNAME=www.Example.com. +OPT=1232"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, nothing := range [][]byte{nil, {1, 2}, upstream[:20], Failure(asked)} {
		if got, want := text(t, z.Complete(query, nothing, true)), "Success CNAME=Example.com. +OPT=1232"; got != want {
			t.Errorf("of %x: got %s, want %s", nothing, got, want)
		}
	}
}
