package main

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	ours "github.com/cuepod/cuepod/runner/dns"
)

// startUpstream starts the server for all other names, over UDP and TCP. What it
// answers follows from the question.
func startUpstream() (addr string, stop func(), err error) {
	udp, tcp, err := ours.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		return "", nil, err
	}
	servers := []*dns.Server{
		{PacketConn: udp, Handler: dns.HandlerFunc(answerUpstream), UDPSize: dns.MaxMsgSize},
		{Listener: tcp, Handler: dns.HandlerFunc(answerUpstream), MaxTCPQueries: -1},
	}
	for _, s := range servers {
		go s.ActivateAndServe()
	}
	return udp.LocalAddr().String(), func() {
		for _, s := range servers {
			s.Shutdown()
		}
	}, nil
}

func answerUpstream(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	q := r.Question[0]
	name := strings.ToLower(q.Name)
	switch {
	case strings.HasPrefix(name, "nx"):
		m.Rcode = dns.RcodeNameError
		m.Ns = []dns.RR{record("example.com. 300 IN SOA ns.example.com. root.example.com. 7 1 2 3 4")}
	case strings.HasPrefix(name, "fail"):
		m.Rcode = dns.RcodeServerFailure
	case strings.HasPrefix(name, "alias"):
		m.Answer = append([]dns.RR{record(q.Name + " 77 IN CNAME target.Example.com.")}, records(q.Qtype, "target.Example.com.", 1)...)
	case strings.HasPrefix(name, "big"):
		m.Answer = records(q.Qtype, q.Name, 40)
	default:
		m.Answer = records(q.Qtype, q.Name, 2)
	}
	size := dns.MinMsgSize
	if o := r.IsEdns0(); o != nil {
		size = int(o.UDPSize())
		m.SetEdns0(o.UDPSize(), o.Do())
	}
	if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
		m.Truncate(size)
	}
	w.WriteMsg(m)
}

func records(typ uint16, name string, n int) (out []dns.RR) {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(name)))
	for i := range n {
		last := int(h.Sum32()%200) + i%50 + 1
		switch typ {
		case dns.TypeA:
			out = append(out, record(fmt.Sprintf("%s 60 IN A 192.0.2.%d", name, last)))
		case dns.TypeAAAA:
			out = append(out, record(fmt.Sprintf("%s 60 IN AAAA 2001:db8::%x", name, last)))
		case dns.TypePTR:
			out = append(out, record(fmt.Sprintf("%s 60 IN PTR host-%d.example.com.", name, last)))
		case dns.TypeTXT:
			out = append(out, record(fmt.Sprintf("%s 60 IN TXT \"text %d\"", name, last)))
		}
	}
	return out
}

func record(text string) dns.RR {
	r, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return r
}
