package dns

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
)

// Verdict is what became of a query.
type Verdict int

const (
	Answered Verdict = iota // the bytes are the answer
	Forward                 // the name is not ours: ask the upstream server
	Drop                    // not a query: say nothing
	// Chase says that a name of ours is another one for a name that is not: the
	// bytes are the query for it, and Complete makes the answer of both.
	Chase
)

// The SOA record, in seconds where not a name. Its serial is fixed: nobody
// transfers this zone, and equal questions to equal zones get equal answers.
const (
	soaPrimary = "\x02ns\x03dns"  // before the zone's name
	soaMailbox = "\x0ahostmaster" // the same
	soaSerial  = 1
	soaRefresh = 7200
	soaRetry   = 1800
	soaExpire  = 86400
)

// maxAliases is how long a chain of aliases gets, as in CoreDNS.
const maxAliases = 10

// Answer answers one query. udp limits the answer to what the client takes in
// a datagram; what does not fit is left out and the answer marked, so that the
// client comes back over TCP. The query is not kept. Any bytes are safe.
func (z *Zone) Answer(msg []byte, udp bool) ([]byte, Verdict) {
	if len(msg) < headerSize || msg[2]&(bitResponse>>8) != 0 {
		return nil, Drop
	}
	q, broken := readQuery(msg)
	if code, failed := q.failure(broken); failed {
		return q.write(code, false, udp, [3][]rr{}), Answered
	}
	in, ok := zoneOf(q.lower)
	if !ok {
		return nil, Forward
	}
	a, verdict := z.decide(&q, in)
	switch verdict {
	case Answered:
		return q.write(a.code, a.authoritative, udp, a.sections), Answered
	case Chase:
		return q.asking(a.chase), Chase
	}
	return nil, verdict
}

// Complete answers a query whose verdict is Chase. upstream is the answer to the
// bytes that came with it; nil when there is none, which leaves the alias alone.
func (z *Zone) Complete(msg, upstream []byte, udp bool) []byte {
	q, _ := readQuery(msg)
	in, _ := zoneOf(q.lower)
	a, _ := z.decide(&q, in)
	records, truncated := answersOf(upstream)
	a.sections[0] = append(a.sections[0], records...)
	out := q.write(a.code, true, udp, a.sections)
	if truncated {
		out[2] |= bitTruncated >> 8
	}
	return out
}

// Failure answers a query with SERVFAIL; nil when the bytes are no query.
func Failure(msg []byte) []byte {
	if len(msg) < headerSize || msg[2]&(bitResponse>>8) != 0 {
		return nil
	}
	q, _ := readQuery(msg)
	return q.write(codeServerFailure, false, true, [3][]rr{})
}

// failure is why a query is refused before its name is looked at.
func (q *query) failure(broken bool) (code int, failed bool) {
	switch {
	case q.bits&maskOpcode != 0:
		q.hasName, q.edns = false, nil
		return codeNotImplemented, true
	case broken:
		q.edns = nil
		return codeFormatError, true
	case q.edns != nil && q.edns.version != 0:
		return codeBadVersion, true
	}
	return 0, false
}

// asking is the same query about another name.
func (q *query) asking(n name) []byte {
	msg := binary.BigEndian.AppendUint16(nil, q.id)
	additional := uint16(0)
	if q.edns != nil {
		additional = 1
	}
	for _, word := range []uint16{q.bits, 1, 0, 0, additional} {
		msg = binary.BigEndian.AppendUint16(msg, word)
	}
	msg = append(msg, n...)
	msg = binary.BigEndian.AppendUint16(msg, q.typ)
	msg = binary.BigEndian.AppendUint16(msg, q.class)
	if q.edns != nil {
		m := message{buf: msg}
		m.appendOPT(q.edns, codeSuccess)
		msg = m.buf
	}
	return msg
}

// answersOf reads the addresses of an answer and the aliases on the way to them.
func answersOf(msg []byte) (records []rr, truncated bool) {
	if len(msg) < headerSize {
		return nil, false
	}
	truncated = msg[2]&(bitTruncated>>8) != 0
	_, off, ok := readName(msg, headerSize)
	if !ok || binary.BigEndian.Uint16(msg[4:]) != 1 {
		return nil, truncated
	}
	off += 4
	for range binary.BigEndian.Uint16(msg[6:]) {
		r, next, ok := readRR(msg, off)
		if !ok {
			break
		}
		off = next
		if r.typ == typeA || r.typ == typeAAAA || r.typ == typeCNAME {
			records = append(records, r)
		}
	}
	return records, truncated
}

// answer is what a query gets.
type answer struct {
	code          int
	authoritative bool
	sections      [3][]rr
	chase         name // when set, its addresses belong to the answer too
}

// decide answers a query about a name in one of our zones.
func (z *Zone) decide(q *query, in zone) (answer, Verdict) {
	switch {
	case in.reverse > 0 && (z == nil || q.class != classIN):
		return answer{}, Forward
	case z == nil:
		return answer{code: codeServerFailure}, Answered
	case q.typ == typeAXFR || q.typ == typeIXFR || q.class != classIN:
		return answer{code: codeRefused}, Answered
	}
	f := z.find(q, in)
	if !f.exists && in.reverse > 0 {
		return answer{}, Forward
	}
	a := answer{authoritative: true, sections: [3][]rr{f.records, nil, f.additional}, chase: f.chase}
	if !f.exists {
		a.code = codeNameError
	}
	if len(f.records) == 0 {
		// It carries the SOA, so that the client knows how long the denial holds
		// (RFC 2308).
		asked := f.zone
		a.sections = [3][]rr{1: {{owner: asked, typ: typeSOA, ttl: ttl, zone: asked}}}
	}
	if f.chase != "" {
		return a, Chase
	}
	return a, Answered
}

// finding is what a question about one of our names comes to.
type finding struct {
	zone       name // as asked
	path       path
	exists     bool
	records    []rr
	additional []rr
	chase      name
}

func (z *Zone) find(q *query, in zone) finding {
	f := finding{zone: q.name[len(q.name)-len(in.name):], path: pathOf(q.lower, in.name)}
	isServer := f.path.is("ns", "dns")
	switch q.typ {
	case typeSOA: // what it is asked of is no matter, as in CoreDNS
		f.exists = true
		if f.path.n == 0 {
			f.records = []rr{{owner: f.zone, typ: typeSOA, ttl: ttl, zone: f.zone}}
		}
	case typeTXT:
		z.text(q, &f, in)
	case typePTR:
		z.reverse(q, &f, in)
	case typeNS:
		if f.path.n == 0 {
			z.nameServers(q, &f)
			break
		}
		fallthrough
	default:
		places, exists := z.lookup(&f.path, in.reverse > 0)
		f.exists = exists || isServer
		switch q.typ {
		case typeA, typeAAAA:
			if isServer {
				f.records = z.serverAddresses(q.name, q.typ)
				break
			}
			z.addresses(q, &f, in, places)
		case typeSRV:
			f.services(q, places)
		case typeCNAME:
			if len(places) > 0 && places[0].alias != "" {
				f.records = []rr{{owner: q.name, typ: typeCNAME, ttl: ttl, target: places[0].alias}}
			}
		}
	}
	turn(f.records, q.id)
	return f
}

// turn changes the order of records with the query's ID, so that clients that
// take the first address spread over all. Aliases come first in any case.
func turn(records []rr, id uint16) {
	rest := records[len(records):]
	if i := slices.IndexFunc(records, func(r rr) bool { return r.typ != typeCNAME }); i >= 0 {
		rest = records[i:]
	}
	if n := len(rest); n > 1 {
		by := int(id) % n
		slices.Reverse(rest[:by])
		slices.Reverse(rest[by:])
		slices.Reverse(rest)
	}
}

// text tells the version of the specification. That any other name without
// records in it is denied, CoreDNS does so too.
func (z *Zone) text(q *query, f *finding, in zone) {
	if f.path.is("dns-version") {
		f.exists = true
		f.records = []rr{{owner: q.name, typ: typeTXT, ttl: versionTTL, text: specVersion}}
		return
	}
	places, _ := z.lookup(&f.path, in.reverse > 0)
	f.exists = len(places) > 0
}

// reverse finds the names of an address.
func (z *Zone) reverse(q *query, f *finding, in zone) {
	ip, ok := reverseAddr(q.lower, in)
	if in.reverse == 0 || !ok {
		_, f.exists = z.lookup(&f.path, in.reverse > 0)
		return
	}
	for _, n := range z.pointers[ip] {
		f.records = append(f.records, rr{owner: q.name, typ: typePTR, ttl: ttl, target: n})
	}
	f.exists = len(f.records) > 0
}

func (z *Zone) nameServers(q *query, f *finding) {
	f.exists = true
	if len(z.self) == 0 {
		return
	}
	server := soaPrimary + f.zone
	f.records = []rr{{owner: q.name, typ: typeNS, ttl: ttl, target: server}}
	f.additional = slices.Concat(z.serverAddresses(server, typeA), z.serverAddresses(server, typeAAAA))
}

func (z *Zone) serverAddresses(owner name, typ uint16) (out []rr) {
	for _, ip := range z.self {
		if addressType(ip) == typ {
			out = append(out, rr{owner: owner, typ: typ, ttl: ttl, ip: ip})
		}
	}
	return out
}

func addressType(ip netip.Addr) uint16 {
	if ip.Is4() {
		return typeA
	}
	return typeAAAA
}

// addresses follows aliases to the addresses of the type asked for. An alias
// that leads to none in our zone is not told, one that leads out of it is to be
// chased.
func (z *Zone) addresses(q *query, f *finding, in zone, places []place) {
	at := q.name
	var chain []rr
	for len(places) > 0 && places[0].alias != "" {
		alias := places[0].alias
		link := rr{owner: at, typ: typeCNAME, ttl: ttl, target: alias}
		known := slices.ContainsFunc(chain, func(r rr) bool {
			return r.owner.lower() == at.lower() && r.target.lower() == alias.lower()
		})
		if known || len(chain) > maxAliases || alias.lower().below(at.lower()) {
			return
		}
		chain = append(chain, link)
		if !alias.lower().below(in.name) {
			f.records, f.chase = chain, alias
			return
		}
		p := pathOf(alias.lower(), in.name)
		if at = alias; p.is("ns", "dns") {
			if servers := z.serverAddresses(at, q.typ); len(servers) > 0 {
				f.records = append(chain, servers...)
			}
			return
		}
		places, _ = z.lookup(&p, false)
	}
	var seen map[netip.Addr]bool // ports of one pod, and of one service, share an address
	if len(places) > 1 {
		seen = map[netip.Addr]bool{}
	}
	for _, p := range places {
		if addressType(p.ip) == q.typ && !seen[p.ip] {
			if seen != nil {
				seen[p.ip] = true
			}
			f.records = append(f.records, rr{owner: at, typ: q.typ, ttl: ttl, ip: p.ip})
		}
	}
	if len(f.records) > 0 {
		f.records = append(chain, f.records...)
	}
}

// services makes SRV records, with the addresses of their targets. All weigh
// the same.
func (f *finding) services(q *query, places []place) {
	if len(places) == 0 {
		return
	}
	weight := uint16(max(1, math.Floor(100/float64(100*len(places))*100)))
	type key struct {
		own  name
		port int
		ip   netip.Addr
	}
	seen := map[key]bool{}
	once := func(k key) bool {
		if seen[k] {
			return false
		}
		seen[k] = true
		return true
	}
	for _, p := range places {
		if p.alias != "" || p.port == noPort {
			continue
		}
		target := p.own + f.zone
		if once(key{own: p.own, port: p.port}) {
			f.records = append(f.records, rr{owner: q.name, typ: typeSRV, ttl: ttl, weight: weight, port: uint16(p.port), target: target})
		}
		if once(key{own: p.own, ip: p.ip}) {
			f.additional = append(f.additional, rr{owner: target, typ: addressType(p.ip), ttl: ttl, ip: p.ip})
		}
	}
}
