package main

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Difference is one that we keep. One that no longer occurs is to be removed.
type Difference struct {
	Name   string
	Reason string
	// is reports whether a query's two answers differ by this, and by nothing else.
	is func(c comparison) bool
}

// comparison is a query with both answers.
type comparison struct {
	query        Query
	ours, theirs Reply
}

// question is the first question of the query, as far as it can be read.
func (c comparison) question() (q dns.Question) {
	var m dns.Msg
	if m.Unpack(c.query.Bytes) == nil && len(m.Question) > 0 {
		q = m.Question[0]
	}
	return q
}

// Differences are all that there are but one. The serial of the SOA record is
// left out of every comparison: CoreDNS has the time of the last change in it,
// ours is fixed, and nobody transfers either zone.
func Differences() []Difference {
	return []Difference{
		{
			"classes other than IN",
			"all records are of class IN: REFUSED, and upstream for reverse names; CoreDNS, once it forwards, takes any class for IN",
			func(c comparison) bool {
				q := c.question()
				reverse := strings.HasSuffix(strings.ToLower(q.Name), ".arpa.")
				return q.Qclass != dns.ClassINET && q.Name != "" && !foreign(q.Name) && (reverse || c.ours.Code == dns.RcodeRefused)
			},
		},
		{
			"server names in mixed case",
			"names are case-insensitive (RFC 4343, S113); CoreDNS compares the zone's name byte by byte where it is asked for NS records and for the server's own name",
			func(c comparison) bool {
				name := c.question().Name
				lower := strings.ToLower(name)
				server := slices.Contains([]string{"cluster.local.", "in-addr.arpa.", "ip6.arpa."}, strings.TrimPrefix(lower, "ns.dns."))
				alias := strings.Contains(c.ours.String(), "CNAME ns.dns.cluster.local.") // found by the zone as asked, too
				return name != lower && (server || alias) && c.ours.Code == dns.RcodeSuccess
			},
		},
		{
			"NOTIFY",
			"there is no zone here that anybody could be told about: NOTIMP; CoreDNS answers as if it were a query",
			func(c comparison) bool {
				return int(binary.BigEndian.Uint16(c.query.Bytes[2:])>>11)&15 == dns.OpcodeNotify && c.ours.Code == dns.RcodeNotImplemented
			},
		},
		{
			"two OPT records",
			"RFC 6891 6.1.1 asks for FORMERR; CoreDNS takes the last one",
			func(c comparison) bool {
				var m dns.Msg
				if m.Unpack(c.query.Bytes) != nil {
					return false
				}
				n := 0
				for _, r := range m.Extra {
					if r.Header().Rrtype == dns.TypeOPT {
						n++
					}
				}
				return n > 1 && c.ours.Code == dns.RcodeFormatError
			},
		},
		{
			"a question cut off",
			"a query that promises a question and does not have all of it is broken: FORMERR; CoreDNS says SERVFAIL to none, and takes 0 for the type and the class that are missing",
			func(c comparison) bool {
				_, off, err := dns.UnpackDomainName(c.query.Bytes, 12)
				cut := len(c.query.Bytes) == 12 || err == nil && off+4 > len(c.query.Bytes)
				return cut && c.ours.Code == dns.RcodeFormatError
			},
		},
		{
			"labels before an IPv6 address",
			"such a reverse name is nobody's and goes upstream; CoreDNS does not look at up to three labels in front of the 32",
			func(c comparison) bool {
				q := c.question()
				name := strings.ToLower(q.Name)
				return q.Qtype == dns.TypePTR && strings.HasSuffix(name, ".ip6.arpa.") && dns.CountLabel(name) > 34
			},
		},
		{
			"AD in a rejection",
			"the bit says that the server has checked signatures (RFC 4035), which nobody did; CoreDNS sends a broken query's bits back",
			func(c comparison) bool {
				theirs := c.theirs
				theirs.Head = strings.Replace(theirs.Head, "ad=true", "ad=false", 1)
				rejected := c.ours.Code == dns.RcodeFormatError || c.ours.Code == dns.RcodeNotImplemented
				return rejected && c.ours.String() == theirs.String()
			},
		},
	}
}
