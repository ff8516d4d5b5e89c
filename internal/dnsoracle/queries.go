package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Query is one question, as bytes, and how it is asked.
type Query struct {
	Network string // udp or tcp
	Bytes   []byte
	Text    string // for people
}

var types = []uint16{
	dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeSRV, dns.TypeSRV, dns.TypePTR, dns.TypeCNAME,
	dns.TypeTXT, dns.TypeMX, dns.TypeNS, dns.TypeSOA, dns.TypeANY, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeCAA, dns.TypeDS,
	dns.TypeNAPTR, dns.TypeNULL, dns.TypeAXFR, dns.TypeIXFR, 65280,
}

// newQuery makes a question about the table, or about something near to it.
func newQuery(r *rand.Rand, t *Table) Query {
	name, typ := newName(r, t), pick(r, types...)
	if strings.HasSuffix(strings.ToLower(name), ".arpa.") && r.IntN(3) > 0 {
		typ = dns.TypePTR
	}
	if strings.HasPrefix(name, "dns-version") && r.IntN(2) == 0 {
		typ = dns.TypeTXT
	}
	if foreign(name) && (typ == dns.TypeAXFR || typ == dns.TypeIXFR) {
		typ = dns.TypeA // the upstream server's affair
	}
	if r.IntN(4) == 0 {
		name = mixCase(r, name)
	}
	m := new(dns.Msg)
	m.Id = uint16(r.Uint32())
	m.RecursionDesired = r.IntN(8) > 0
	m.CheckingDisabled = r.IntN(10) == 0
	m.AuthenticatedData = r.IntN(10) == 0
	m.Question = []dns.Question{{Name: name, Qtype: typ, Qclass: dns.ClassINET}}
	if r.IntN(25) == 0 {
		m.Question[0].Qclass = pick(r, uint16(dns.ClassCHAOS), dns.ClassANY, dns.ClassHESIOD, dns.ClassNONE, 77)
	}
	if r.IntN(3) == 0 {
		addEDNS(r, m)
	}
	if r.IntN(60) == 0 {
		m.Opcode = pick(r, dns.OpcodeNotify, dns.OpcodeUpdate, dns.OpcodeStatus, dns.OpcodeIQuery)
	}
	q := Query{Network: "udp"}
	if r.IntN(5) == 0 {
		q.Network = "tcp"
	}
	q.Text = describe(q.Network, m)
	q.Bytes, _ = m.Pack()
	if r.IntN(40) == 0 {
		q.damage(r)
	}
	return q
}

func addEDNS(r *rand.Rand, m *dns.Msg) {
	m.SetEdns0(pick(r, uint16(0), 512, 1232, 1232, 4096, 65535), r.IntN(3) == 0)
	o := m.IsEdns0()
	switch r.IntN(8) {
	case 0:
		o.SetVersion(1)
	case 1:
		o.Option = append(o.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac1223344556"})
	case 2:
		o.SetZ(0x4001)
	}
	if r.IntN(12) == 0 {
		m.Extra = append(m.Extra, dns.Copy(o))
	}
}

// damage makes a message that is none, or none that one expects.
func (q *Query) damage(r *rand.Rand) {
	kind := pick(r, "cut", "cut", "no question", "two questions", "answers", "authorities", "additionals", "header only")
	count := func(i int, n uint16) { binary.BigEndian.PutUint16(q.Bytes[4+2*i:], n) }
	switch kind {
	case "cut":
		q.Bytes = q.Bytes[:12+r.IntN(len(q.Bytes)-12)]
	case "no question":
		count(0, 0)
	case "two questions":
		count(0, 2)
	case "answers":
		count(1, 2)
	case "authorities":
		count(2, 2)
	case "additionals":
		count(3, 3)
	case "header only":
		q.Bytes = q.Bytes[:12]
	}
	q.Text += " (" + kind + ")"
}

func describe(network string, m *dns.Msg) string {
	q := m.Question[0]
	text := fmt.Sprintf("%s %s %s %s", network, q.Name, dns.Class(q.Qclass), dns.Type(q.Qtype))
	if m.Opcode != dns.OpcodeQuery {
		text += " " + dns.OpcodeToString[m.Opcode]
	}
	for _, e := range m.Extra {
		o := e.(*dns.OPT)
		text += fmt.Sprintf(" EDNS%d size %d do %t options %d", o.Version(), o.UDPSize(), o.Do(), len(o.Option))
	}
	return text
}

func foreign(name string) bool {
	name = strings.ToLower(name)
	for _, z := range []string{"cluster.local.", "in-addr.arpa.", "ip6.arpa."} {
		if dns.IsSubDomain(z, name) {
			return false
		}
	}
	return true
}

func mixCase(r *rand.Rand, s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' && r.IntN(2) == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// newName makes a name that exists, or one that is near to such.
func newName(r *rand.Rand, t *Table) string {
	s := pick(r, t.services...)
	full := s.name + "." + namespace + ".svc.cluster.local."
	switch r.IntN(20) {
	case 0, 1, 2:
		return full
	case 3, 4:
		return portLabels(r, &s) + full
	case 5, 6, 7:
		return endpointLabel(r, &s) + "." + full
	case 8, 9, 10:
		return reverseName(r, t)
	case 11:
		return podName(r)
	case 12:
		return pick(r, "cluster.local.", "svc.cluster.local.", "pod.cluster.local.", namespace+".svc.cluster.local.", namespace+".pod.cluster.local.",
			"ns.dns.cluster.local.", "dns.cluster.local.", "dns-version.cluster.local.", "apex.dns.cluster.local.", "x.ns.dns.cluster.local.",
			"dns-version.svc.cluster.local.", "default.svc.cluster.local.", "kubernetes.default.svc.cluster.local.", "hostmaster.cluster.local.")
	case 13:
		return pick(r, "in-addr.arpa.", "ip6.arpa.", "10.in-addr.arpa.", "svc.in-addr.arpa.", "shop.svc.in-addr.arpa.", "dns-version.in-addr.arpa.", "ns.dns.in-addr.arpa.", "x.y.ip6.arpa.")
	case 14, 15:
		return pick(r, "example.com.", "nx.example.com.", "fail.example.com.", "alias.example.com.", "big.example.com.", "local.", ".", "com.",
			"notcluster.local.", "cluster.local.example.com.", full+"lan.", s.name+".", s.name+"."+namespace+".svc.")
	case 16:
		return pick(r, "*", "_", "any", "endpoint", strings.Repeat("x", 63), "a.b", `we\.b`, `\000`, `\255`, "-", "_http._tcp.x", "deep.er.and.deeper") + "." + full
	case 17:
		return "missing." + pick(r, namespace, "other", "default") + pick(r, ".svc", ".pod", ".xyz", "") + ".cluster.local."
	case 18:
		return pick(r, "web.", s.name+".", "*.", "x.y.") + pick(r, "cluster.local.", "svc.cluster.local.", "pod.cluster.local.", "other.svc.cluster.local.", "example.com."+namespace+".svc.cluster.local.")
	}
	return strings.Repeat("l.", 20+r.IntN(60)) + pick(r, full, "example.com.", "cluster.local.")
}

func portLabels(r *rand.Rand, s *service) string {
	name, protocol := pick(r, "http", "dns", "nope", ""), pick(r, "tcp", "udp", "sctp", "")
	if len(s.ports) > 0 && r.IntN(3) > 0 {
		p := pick(r, s.ports...)
		name, protocol = p.name, strings.ToLower(p.protocol)
	}
	label := func(text string) string {
		if text != "" && r.IntN(6) == 0 {
			return text + "." // CoreDNS wants no underscore
		}
		return "_" + text + "."
	}
	return label(name) + label(protocol)
}

func endpointLabel(r *rand.Rand, s *service) string {
	if len(s.pods) == 0 || r.IntN(5) == 0 {
		return pick(r, "shared", "10-1-0-10", "web-0", "_tcp", "nope")
	}
	p := pick(r, s.pods...)
	if p.hostname != "" && r.IntN(4) > 0 {
		return p.hostname
	}
	label := strings.NewReplacer(".", "-", ":", "-").Replace(p.ip)
	if strings.HasSuffix(label, "-") && r.IntN(2) == 0 {
		label += "0"
	}
	return label
}

func podName(r *rand.Rand) string {
	label := pick(r, "10-1-2-3", "10-1-2-300", "10-1-2", "1-2-3-4-5", "fd00--7", "fd00-1-2-3-4-5-6-7", "--1", "--ffff-102-304", "010-1-2-3", "x", "fd00--7-", "-", "1--2-3")
	return pick(r, "", "", "", "below.", "a.b.", "a.b.c.") + label + "." + pick(r, namespace, namespace, "other") + ".pod.cluster.local."
}

func reverseName(r *rand.Rand, t *Table) string {
	ip := fmt.Sprintf("10.1.%d.%d", r.IntN(4), r.IntN(256))
	if s := pick(r, t.services...); r.IntN(4) > 0 {
		if s.virtual != "" {
			ip = s.virtual
		}
		if len(s.pods) > 0 && r.IntN(2) == 0 {
			ip = pick(r, s.pods...).ip
		}
	}
	name, err := dns.ReverseAddr(netip.MustParseAddr(ip).String())
	if err != nil {
		panic(err)
	}
	switch r.IntN(12) {
	case 0:
		return "x." + name
	case 1:
		_, rest, _ := strings.Cut(name, ".")
		return rest
	}
	return name
}
