package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Reply is an answer, or that there was none, in comparable words: records are a
// set, and the question is one of the words.
type Reply struct {
	Head       string // code and flags
	Truncated  bool
	Code       int
	Sections   [4][]string // question, answer, authority, additional; sorted
	Unreadable string
}

// String is all of it.
func (r Reply) String() string {
	if r.Unreadable != "" {
		return r.Unreadable
	}
	var b strings.Builder
	b.WriteString(r.Head)
	for i, mark := range []string{"?", "=", "!", "+"} {
		for _, line := range r.Sections[i] {
			b.WriteString("\n    " + mark + " " + line)
		}
	}
	return b.String()
}

// patience is how long a server may take for an answer. Both always give one, so
// it costs nothing where all is well.
const patience = 10 * time.Second

// ask asks one server.
func ask(addr string, q Query) (Reply, error) {
	conn, err := net.DialTimeout(q.Network, addr, patience)
	if err != nil {
		return Reply{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return Reply{}, err
	}
	msg := q.Bytes
	if q.Network == "tcp" {
		msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	}
	if _, err := conn.Write(msg); err != nil {
		return Reply{}, err
	}
	buf := make([]byte, dns.MaxMsgSize)
	if q.Network == "tcp" {
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return Reply{}, err
		}
		buf = buf[:binary.BigEndian.Uint16(buf)]
		if _, err := io.ReadFull(conn, buf); err != nil {
			return Reply{}, err
		}
	} else {
		n, err := conn.Read(buf)
		if err != nil {
			return Reply{}, err
		}
		buf = buf[:n]
	}
	if len(buf) < 12 || !slices.Equal(buf[:2], q.Bytes[:2]) {
		return Reply{}, errors.New("an answer to something else")
	}
	return read(buf), nil
}

func read(msg []byte) Reply {
	var m dns.Msg
	if err := m.Unpack(msg); err != nil {
		return Reply{Unreadable: err.Error()}
	}
	r := Reply{Truncated: m.Truncated, Code: m.Rcode}
	r.Head = fmt.Sprintf("%s %s aa=%t tc=%t rd=%t ra=%t ad=%t cd=%t", dns.OpcodeToString[m.Opcode], dns.RcodeToString[m.Rcode],
		m.Authoritative, m.Truncated, m.RecursionDesired, m.RecursionAvailable, m.AuthenticatedData, m.CheckingDisabled)
	for _, q := range m.Question {
		r.Sections[0] = append(r.Sections[0], fmt.Sprintf("%s %s %s", q.Name, dns.Class(q.Qclass), dns.Type(q.Qtype)))
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if soa, ok := rr.(*dns.SOA); ok && soa.Hdr.Ttl == 5 {
				soa.Serial = 0 // see differences
			}
			r.Sections[i+1] = append(r.Sections[i+1], strings.ReplaceAll(rr.String(), "\t", " "))
		}
		slices.Sort(r.Sections[i+1])
	}
	return r
}
