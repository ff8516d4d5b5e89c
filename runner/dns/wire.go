package dns

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// Types and codes of RFC 1035 and its successors, as far as they decide anything.
const (
	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typePTR   = 12
	typeTXT   = 16
	typeAAAA  = 28
	typeSRV   = 33
	typeOPT   = 41
	typeIXFR  = 251
	typeAXFR  = 252

	classIN = 1

	codeSuccess        = 0
	codeFormatError    = 1
	codeServerFailure  = 2
	codeNameError      = 3
	codeNotImplemented = 4
	codeRefused        = 5
	codeBadVersion     = 16 // its upper bits are in the OPT record
)

// Bits of a message's second word (RFC 1035 4.1.1).
const (
	bitResponse      = 1 << 15
	bitAuthoritative = 1 << 10
	bitTruncated     = 1 << 9
	bitRecursion     = 1 << 8 // desired
	bitNoChecking    = 1 << 4
	maskOpcode       = 15 << 11
)

const (
	headerSize = 12
	optSize    = 11  // bytes of an OPT record without options
	plainSize  = 512 // bytes a UDP answer may have without EDNS (RFC 1035 4.2.1)
	maxSize    = 65535
	maxName    = 255 // bytes of a name on the wire
	maxLabel   = 63
)

// name is a domain name as on the wire: each label with its length before it,
// a zero at the end. No byte in a label means anything, so none needs an escape,
// and lengths are below 'A', so a name is lowered as a whole.
type name string

// newName makes a name of a text whose labels have no dots in them. ok is false
// for one that is none.
func newName(text string) (n name, ok bool) {
	var b strings.Builder
	for label := range strings.SplitSeq(strings.TrimSuffix(text, "."), ".") {
		if len(label) == 0 || len(label) > maxLabel {
			return "", false
		}
		b.WriteByte(byte(len(label)))
		b.WriteString(label)
	}
	b.WriteByte(0)
	return name(b.String()), b.Len() <= maxName
}

func (n name) lower() name {
	for i := range len(n) {
		if 'A' <= n[i] && n[i] <= 'Z' {
			b := []byte(n)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return name(b)
		}
	}
	return n
}

// first cuts the first label off; the root has none.
func (n name) first() (label string, rest name, ok bool) {
	if len(n) == 0 || n[0] == 0 {
		return "", n, false
	}
	end := 1 + int(n[0])
	return string(n[1:end]), n[end:], true
}

// below reports whether n is zone or a name below it. Both are lower-case.
func (n name) below(zone name) bool {
	for len(n) > len(zone) {
		_, n, _ = n.first()
	}
	return n == zone
}

// String is the name as people write it.
func (n name) String() string {
	var b strings.Builder
	for label, rest, ok := n.first(); ok; label, rest, ok = rest.first() {
		b.WriteString(label)
		b.WriteByte('.')
	}
	if b.Len() == 0 {
		return "."
	}
	return b.String()
}

// readName reads a name, following pointers backwards, and returns where it ends.
func readName(msg []byte, off int) (n name, next int, ok bool) {
	var buf [maxName]byte
	size := 0
	next = -1
	for {
		if off >= len(msg) {
			return "", 0, false
		}
		length := int(msg[off])
		switch {
		case length == 0:
			if next < 0 {
				next = off + 1
			}
			return name(append(buf[:size:maxName], 0)), next, true
		case length&0xc0 == 0xc0:
			if off+1 >= len(msg) {
				return "", 0, false
			}
			to := int(binary.BigEndian.Uint16(msg[off:]) & 0x3fff)
			if next < 0 {
				next = off + 2
			}
			if to >= off { // only backwards, so it ends
				return "", 0, false
			}
			off = to
		case length > maxLabel || off+1+length > len(msg) || size+1+length >= maxName:
			return "", 0, false
		default:
			size += copy(buf[size:], msg[off:off+1+length])
			off += 1 + length
		}
	}
}

// query is a question with what matters of its surroundings.
type query struct {
	id, bits   uint16
	hasName    bool // the rest of the question is there too
	name       name // as asked
	lower      name
	typ, class uint16
	edns       *edns
}

// edns is what a client's OPT record says (RFC 6891).
type edns struct {
	size    uint16 // bytes of a datagram that the client takes
	version byte
	flags   uint16
}

// readQuery reads a message that is a query. What is broken after the question
// is told by broken.
func readQuery(msg []byte) (q query, broken bool) {
	q.id, q.bits = binary.BigEndian.Uint16(msg), binary.BigEndian.Uint16(msg[2:])
	count := func(i int) int { return int(binary.BigEndian.Uint16(msg[4+2*i:])) }
	// A request has one question. Answers and authorities come with NOTIFY and
	// IXFR, additional records are OPT and a signature: more is no request.
	if count(0) != 1 || count(1) > 1 || count(2) > 1 || count(3) > 2 {
		return q, true
	}
	n, off, ok := readName(msg, headerSize)
	if !ok || off+4 > len(msg) {
		return q, true
	}
	q.hasName, q.name, q.lower = true, n, n.lower()
	q.typ, q.class = binary.BigEndian.Uint16(msg[off:]), binary.BigEndian.Uint16(msg[off+2:])
	off += 4
	for i := range count(1) + count(2) + count(3) {
		if off == len(msg) {
			break // counts promise more than there is: nothing that we need
		}
		r, next, ok := readRR(msg, off)
		if !ok {
			return q, true
		}
		off = next
		if r.typ != typeOPT || i < count(1)+count(2) {
			continue
		}
		if q.edns != nil {
			return q, true // RFC 6891 6.1.1: more than one is an error
		}
		q.edns = &edns{size: r.class, version: byte(r.ttl >> 16), flags: uint16(r.ttl)}
	}
	return q, false
}

// limit is how many bytes the client takes.
func (q *query) limit(udp bool) int {
	switch {
	case !udp:
		return maxSize
	case q.edns == nil:
		return plainSize
	}
	return max(int(q.edns.size), plainSize)
}

// rr is one record. What its data is made of depends on the type.
type rr struct {
	owner  name
	typ    uint16
	class  uint16 // 0 is IN
	ttl    uint32
	ip     netip.Addr // A, AAAA
	target name       // CNAME, NS, PTR, SRV
	weight uint16     // SRV
	port   uint16     // SRV
	text   string     // TXT
	zone   name       // SOA: the zone's name
	data   []byte     // of any other type
}

// readRR reads a record of any type, and the name in a CNAME.
func readRR(msg []byte, off int) (r rr, next int, ok bool) {
	owner, off, ok := readName(msg, off)
	if !ok || off+10 > len(msg) {
		return rr{}, 0, false
	}
	r = rr{owner: owner, typ: binary.BigEndian.Uint16(msg[off:]), class: binary.BigEndian.Uint16(msg[off+2:]), ttl: binary.BigEndian.Uint32(msg[off+4:])}
	start := off + 10
	next = start + int(binary.BigEndian.Uint16(msg[off+8:]))
	if next > len(msg) {
		return rr{}, 0, false
	}
	r.data = msg[start:next]
	if r.typ == typeCNAME {
		var end int
		r.target, end, ok = readName(msg, start)
		return r, next, ok && end == next
	}
	return r, next, true
}

// message is an answer in the making.
type message struct {
	buf   []byte
	limit int
	names map[name]int // where names and their ends were written
}

// write makes an answer of records that go into one section after the other.
// What exceeds the limit is left out from there on, with the mark that says so.
func (q *query) write(code int, authoritative, udp bool, sections [3][]rr) []byte {
	m := message{buf: make([]byte, headerSize, plainSize), limit: q.limit(udp)}
	if q.hasName {
		m.buf = append(m.buf, q.name...)
		m.buf = binary.BigEndian.AppendUint16(m.buf, q.typ)
		m.buf = binary.BigEndian.AppendUint16(m.buf, q.class)
	}
	if q.edns != nil {
		m.limit -= optSize
	}
	var counts [3]uint16
	truncated := false
	for i, section := range sections {
		for j := 0; j < len(section) && !truncated; j++ {
			if truncated = !m.append(q, &section[j]); !truncated {
				counts[i]++
			}
		}
	}
	if q.edns != nil {
		m.appendOPT(q.edns, code)
		counts[2]++
	}
	bits := bitResponse | q.bits&(maskOpcode|bitRecursion|bitNoChecking) | uint16(code&15)
	if authoritative {
		bits |= bitAuthoritative
	}
	if truncated {
		bits |= bitTruncated
	}
	questions := uint16(0)
	if q.hasName {
		questions = 1
	}
	for i, word := range []uint16{q.id, bits, questions, counts[0], counts[1], counts[2]} {
		binary.BigEndian.PutUint16(m.buf[2*i:], word)
	}
	return m.buf
}

// append adds a record, unless it does not fit.
func (m *message) append(q *query, r *rr) bool {
	before := len(m.buf)
	m.name(q, r.owner)
	class := r.class
	if class == 0 {
		class = classIN
	}
	m.buf = binary.BigEndian.AppendUint16(m.buf, r.typ)
	m.buf = binary.BigEndian.AppendUint16(m.buf, class)
	m.buf = binary.BigEndian.AppendUint32(m.buf, r.ttl)
	m.buf = append(m.buf, 0, 0)
	start := len(m.buf)
	m.data(q, r)
	binary.BigEndian.PutUint16(m.buf[start-2:], uint16(len(m.buf)-start))
	if len(m.buf) > m.limit {
		m.buf = m.buf[:before]
		return false
	}
	return true
}

func (m *message) data(q *query, r *rr) {
	switch r.typ {
	case typeA, typeAAAA:
		if r.data != nil {
			m.buf = append(m.buf, r.data...)
			return
		}
		m.buf, _ = r.ip.AppendBinary(m.buf)
	case typeCNAME, typeNS, typePTR:
		m.name(q, r.target)
	case typeSRV:
		m.buf = append(m.buf, 0, 0) // priority
		m.buf = binary.BigEndian.AppendUint16(m.buf, r.weight)
		m.buf = binary.BigEndian.AppendUint16(m.buf, r.port)
		m.remember(q, r.target)
		m.buf = append(m.buf, r.target...) // RFC 2782: not compressed
	case typeTXT:
		m.buf = append(m.buf, byte(len(r.text)))
		m.buf = append(m.buf, r.text...)
	case typeSOA:
		m.name(q, soaPrimary+r.zone)
		m.name(q, soaMailbox+r.zone)
		for _, n := range []uint32{soaSerial, soaRefresh, soaRetry, soaExpire, ttl} {
			m.buf = binary.BigEndian.AppendUint32(m.buf, n)
		}
	default:
		m.buf = append(m.buf, r.data...)
	}
}

// name writes a name, as short as what is there already allows.
func (m *message) name(q *query, n name) {
	if q.hasName && n == q.name {
		m.buf = binary.BigEndian.AppendUint16(m.buf, 0xc000|headerSize)
		return
	}
	m.begin(q)
	for rest, at := n, len(m.buf); ; {
		if offset, ok := m.names[rest]; ok {
			m.buf = append(m.buf, n[:len(n)-len(rest)]...)
			m.buf = binary.BigEndian.AppendUint16(m.buf, uint16(0xc000|offset))
			return
		}
		_, next, ok := rest.first()
		if !ok {
			m.buf = append(m.buf, n...)
			return
		}
		m.note(rest, at)
		at += len(rest) - len(next)
		rest = next
	}
}

// remember notes a name that is about to be written in full.
func (m *message) remember(q *query, n name) {
	m.begin(q)
	at := len(m.buf)
	for _, rest, ok := n.first(); ok; _, rest, ok = n.first() {
		m.note(n, at)
		at += len(n) - len(rest)
		n = rest
	}
}

// note keeps where a name is; pointers reach 14 bits far.
func (m *message) note(n name, at int) {
	if _, ok := m.names[n]; !ok && at < 1<<14 {
		m.names[n] = at
	}
}

// begin starts the names with those of the question.
func (m *message) begin(q *query) {
	if m.names != nil {
		return
	}
	m.names = map[name]int{}
	if !q.hasName {
		return
	}
	at := headerSize
	n := q.name
	for _, rest, ok := n.first(); ok; _, rest, ok = n.first() {
		m.note(n, at)
		at += len(n) - len(rest)
		n = rest
	}
}

// appendOPT repeats the client's own offer, as CoreDNS does.
func (m *message) appendOPT(e *edns, code int) {
	size, flags := e.size, uint32(e.flags&0xff00)
	if code == codeBadVersion {
		size, flags = 0, codeBadVersion>>4<<24
	}
	m.buf = append(m.buf, 0) // the root
	m.buf = binary.BigEndian.AppendUint16(m.buf, typeOPT)
	m.buf = binary.BigEndian.AppendUint16(m.buf, size)
	m.buf = binary.BigEndian.AppendUint32(m.buf, flags)
	m.buf = append(m.buf, 0, 0)
}
