package dns

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	plainSize = 512  // bytes a UDP answer may have without EDNS (RFC 1035 4.2.1)
	ednsSize  = 1232 // bytes we say we take: fits every path without fragments
	maxSize   = 4096 // bytes of the largest UDP answer we send whatever is asked
	maxTCP    = 65535
)

// Verdict is what became of a query.
type Verdict int

const (
	Answered Verdict = iota // the bytes are the answer
	Forward                 // the name is not ours: ask the upstream server
	Drop                    // not a query: say nothing
)

// Answer answers one query. udp limits the answer to what the client takes in
// a datagram; what does not fit is cut and marked, so that the client comes
// back over TCP. The query is not kept. Any bytes are safe.
func (z *Zone) Answer(query []byte, udp bool) ([]byte, Verdict) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil, Drop
	}
	r := reply{header: h, limit: maxTCP}
	if udp {
		r.limit = plainSize
	}
	if h.OpCode != 0 {
		return r.failure(dnsmessage.RCodeNotImplemented), Answered
	}
	q, err := p.Question()
	if err != nil {
		return r.failure(dnsmessage.RCodeFormatError), Answered
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone {
		return r.failure(dnsmessage.RCodeFormatError), Answered
	}
	r.question = &q
	full := strings.ToLower(q.Name.String())
	pointers, pointer := z.pointersOf(full)
	if !inZone(full) && !pointer {
		return nil, Forward
	}
	if !r.readEDNS(&p, udp) {
		return r.failure(dnsmessage.RCodeFormatError), Answered
	}
	switch {
	case r.badVersion:
		return r.failure(dnsmessage.RCodeSuccess), Answered // the extended code says BADVERS
	case q.Class != dnsmessage.ClassINET && q.Class != dnsmessage.ClassANY:
		return r.failure(dnsmessage.RCodeRefused), Answered
	case z == nil:
		return r.failure(dnsmessage.RCodeServerFailure), Answered
	case pointer:
		return r.pointers(pointers), Answered
	}
	n, ok := z.lookup(full)
	return r.named(n, ok), Answered
}

// Failure answers a query with an error code and nothing else; nil when the
// bytes are no query.
func Failure(query []byte, code dnsmessage.RCode) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil
	}
	r := reply{header: h, limit: maxTCP}
	if q, err := p.Question(); err == nil {
		r.question = &q
	}
	return r.failure(code)
}

func (z *Zone) pointersOf(full string) ([]dnsmessage.Name, bool) {
	if z == nil {
		return nil, false
	}
	names, ok := z.pointers[full]
	return names, ok
}

// reply is one answer in the making.
type reply struct {
	header     dnsmessage.Header // of the query
	question   *dnsmessage.Question
	limit      int // bytes
	edns       bool
	badVersion bool
}

// readEDNS takes the client's wishes from its OPT record. It reports false when
// the query is broken.
func (r *reply) readEDNS(p *dnsmessage.Parser, udp bool) bool {
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return false
	}
	for {
		h, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			return true
		}
		if err != nil || p.SkipAdditional() != nil {
			return false
		}
		if h.Type != dnsmessage.TypeOPT {
			continue
		}
		if r.edns {
			return false // RFC 6891 6.1.1: more than one is an error
		}
		r.edns = true
		r.badVersion = h.TTL>>16&0xff != 0
		if udp {
			r.limit = min(max(int(h.Class), plainSize), maxSize)
		}
	}
}

// failure is an answer without records.
func (r *reply) failure(code dnsmessage.RCode) []byte {
	return r.build(code, false, nil)
}

func (r *reply) pointers(names []dnsmessage.Name) []byte {
	return r.build(dnsmessage.RCodeSuccess, true, func(b *dnsmessage.Builder) error {
		if err := b.StartAnswers(); err != nil {
			return err
		}
		if r.asks(dnsmessage.TypePTR) {
			for _, n := range names {
				if err := b.PTRResource(r.resource(), dnsmessage.PTRResource{PTR: n}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// named answers from an entry of the zone; with none it denies the name. An
// answer without records carries the SOA, so that the client knows how long
// the denial holds (RFC 2308).
func (r *reply) named(n *name, exists bool) []byte {
	if !exists {
		return r.build(dnsmessage.RCodeNameError, true, authority)
	}
	empty := true
	full := func(b *dnsmessage.Builder) error {
		var err error
		empty, err = r.answers(b, n)
		if err != nil {
			return err
		}
		if empty {
			return authority(b)
		}
		return r.additional(b, n)
	}
	return r.build(dnsmessage.RCodeSuccess, true, full)
}

func (r *reply) asks(t dnsmessage.Type) bool {
	return r.question.Type == t || r.question.Type == dnsmessage.TypeALL
}

func (r *reply) resource() dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: r.question.Name, Class: dnsmessage.ClassINET, TTL: ttl}
}

// answers writes the records asked for. Their order turns with the query's ID,
// so that clients that take the first address spread over all.
func (r *reply) answers(b *dnsmessage.Builder, n *name) (empty bool, err error) {
	if err := b.StartAnswers(); err != nil {
		return true, err
	}
	empty = true
	put := func(asked bool, record func() error) {
		if asked && err == nil {
			empty, err = false, record()
		}
	}
	turn := int(r.header.ID)
	for i := range n.addrs {
		ip := n.addrs[(i+turn)%len(n.addrs)]
		put(r.asks(addressType(ip)), func() error { return address(b, r.resource(), ip) })
	}
	for i := range n.srv {
		s := n.srv[(i+turn)%len(n.srv)]
		put(r.asks(dnsmessage.TypeSRV), func() error {
			return b.SRVResource(r.resource(), dnsmessage.SRVResource{Weight: 100, Port: s.port, Target: s.target})
		})
	}
	put(n.txt != "" && r.asks(dnsmessage.TypeTXT), func() error {
		return b.TXTResource(r.resource(), dnsmessage.TXTResource{TXT: []string{n.txt}})
	})
	put(n.ns && r.asks(dnsmessage.TypeSOA), func() error { return b.SOAResource(r.resource(), soa()) })
	put(n.ns && r.asks(dnsmessage.TypeNS), func() error {
		return b.NSResource(r.resource(), dnsmessage.NSResource{NS: dnsmessage.MustNewName(primaryName)})
	})
	return empty, err
}

// additional sends the addresses of SRV targets along.
func (r *reply) additional(b *dnsmessage.Builder, n *name) error {
	if !r.asks(dnsmessage.TypeSRV) || len(n.srv) == 0 {
		return nil
	}
	if err := b.StartAdditionals(); err != nil {
		return err
	}
	for _, s := range n.srv {
		for _, ip := range s.addrs {
			h := dnsmessage.ResourceHeader{Name: s.target, Class: dnsmessage.ClassINET, TTL: ttl}
			if err := address(b, h, ip); err != nil {
				return err
			}
		}
	}
	return nil
}

func addressType(ip netip.Addr) dnsmessage.Type {
	if ip.Is4() {
		return dnsmessage.TypeA
	}
	return dnsmessage.TypeAAAA
}

func address(b *dnsmessage.Builder, h dnsmessage.ResourceHeader, ip netip.Addr) error {
	if ip.Is4() {
		return b.AResource(h, dnsmessage.AResource{A: ip.As4()})
	}
	return b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: ip.As16()})
}

func authority(b *dnsmessage.Builder) error {
	if err := b.StartAuthorities(); err != nil {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(zoneName), Class: dnsmessage.ClassINET, TTL: ttl}
	return b.SOAResource(h, soa())
}

// soa has a fixed serial: nobody transfers this zone, and equal questions to
// equal zones get equal answers.
func soa() dnsmessage.SOAResource {
	return dnsmessage.SOAResource{
		NS:      dnsmessage.MustNewName(primaryName),
		MBox:    dnsmessage.MustNewName("hostmaster." + zoneName),
		Serial:  1,
		Refresh: 7200, Retry: 1800, Expire: 86400, MinTTL: ttl,
	}
}

// build writes the whole message. What exceeds the limit, or cannot be packed,
// becomes an empty answer with the truncation mark.
func (r *reply) build(code dnsmessage.RCode, ours bool, body func(*dnsmessage.Builder) error) []byte {
	h := dnsmessage.Header{
		ID:                 r.header.ID,
		Response:           true,
		OpCode:             r.header.OpCode,
		Authoritative:      ours,
		RecursionDesired:   r.header.RecursionDesired,
		RecursionAvailable: true,
		RCode:              code,
	}
	if msg, err := r.pack(h, body); err == nil && len(msg) <= r.limit {
		return msg
	}
	h.Truncated = true
	msg, err := r.pack(h, nil)
	if err != nil {
		return nil
	}
	return msg
}

func (r *reply) pack(h dnsmessage.Header, body func(*dnsmessage.Builder) error) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, plainSize), h)
	b.EnableCompression()
	if r.question != nil {
		if err := b.StartQuestions(); err != nil {
			return nil, err
		}
		if err := b.Question(*r.question); err != nil {
			return nil, err
		}
	}
	if body != nil {
		if err := body(&b); err != nil {
			return nil, err
		}
	}
	if r.edns {
		if err := r.packEDNS(&b); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

func (r *reply) packEDNS(b *dnsmessage.Builder) error {
	if err := b.StartAdditionals(); err != nil && err != dnsmessage.ErrSectionDone {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("."), Class: ednsSize}
	if r.badVersion {
		h.TTL = 1 << 24 // the upper bits of BADVERS, 16
	}
	return b.OPTResource(h, dnsmessage.OPTResource{})
}
