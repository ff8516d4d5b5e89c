package postgres

import (
	"encoding/binary"
	"errors"
	"strings"
)

// packet is a message to the server in the making. The first one of a connection
// has no kind.
type packet struct {
	kind byte
	body []byte
}

func message(kind byte) packet { return packet{kind: kind} }

func (p packet) raw(s string) packet {
	p.body = append(p.body, s...)
	return p
}

// text is a string that ends with a zero byte.
func (p packet) text(s string) packet { return p.raw(s + "\x00") }

func (p packet) int16(n int) packet {
	p.body = binary.BigEndian.AppendUint16(p.body, uint16(n))
	return p
}

func (p packet) int32(n int) packet {
	p.body = binary.BigEndian.AppendUint32(p.body, uint32(n))
	return p
}

// framed is the packet as it goes over the wire.
func (p packet) framed() []byte {
	var out []byte
	if p.kind != 0 {
		out = append(out, p.kind)
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(p.body)+4))
	return append(out, p.body...)
}

var errShort = errors.New("postgres: a message ends too early")

// readRow reads the values of a row.
func readRow(body []byte) ([]string, error) {
	if len(body) < 2 {
		return nil, errShort
	}
	row := make([]string, binary.BigEndian.Uint16(body))
	body = body[2:]
	for i := range row {
		if len(body) < 4 {
			return nil, errShort
		}
		size := int(int32(binary.BigEndian.Uint32(body)))
		body = body[4:]
		if size < 0 {
			continue // null
		}
		if len(body) < size {
			return nil, errShort
		}
		row[i], body = string(body[:size]), body[size:]
	}
	return row, nil
}

// readError reads the fields of an error, each a letter and a text.
func readError(body []byte) error {
	e := &ServerError{Message: "an error without a message"}
	for field := range strings.SplitSeq(string(body), "\x00") {
		switch {
		case strings.HasPrefix(field, "C"):
			e.Code = field[1:]
		case strings.HasPrefix(field, "M"):
			e.Message = field[1:]
		}
	}
	return e
}
