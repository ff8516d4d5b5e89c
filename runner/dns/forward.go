package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

const (
	// forwardTimeout is how long all upstream servers together may think.
	// Resolvers ask again after five seconds, so an answer later than that helps
	// nobody.
	forwardTimeout = 5 * time.Second
	// serverTimeout is how long one of several may think before the next is asked.
	serverTimeout = 2 * time.Second
)

// forward is a query for which upstream is needed.
type forward struct {
	zone    *Zone
	query   []byte
	chase   []byte // what to ask instead, when the verdict is Chase
	verdict Verdict
	network string // that the client came over
}

// forward asks upstream, and frees the slot. It always has an answer: SERVFAIL
// at worst.
func (s *Server) forward(ctx context.Context, f forward) []byte {
	defer func() { <-s.slots }()
	if f.verdict == Chase {
		answer, _ := s.exchange(ctx, f.network, f.chase) // none leaves the alias, as in CoreDNS
		return f.zone.Complete(f.query, answer, f.network == "udp")
	}
	answer, err := s.exchange(ctx, f.network, f.query)
	if err != nil {
		return Failure(f.query)
	}
	return answer
}

// exchange asks one server after the other.
func (s *Server) exchange(ctx context.Context, network string, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	err := errors.New("no upstream name server")
	for i, server := range s.upstream {
		timeout := serverTimeout
		if i == len(s.upstream)-1 {
			timeout = forwardTimeout // what is left of it
		}
		var answer []byte
		if answer, err = askServer(ctx, network, server, query, timeout); err == nil {
			return answer, nil
		}
	}
	return nil, err
}

// askServer asks one server. One that takes no connections is asked by datagram: an
// answer that is too long for one says so.
func askServer(ctx context.Context, network, server string, query []byte, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil && network == "tcp" && ctx.Err() == nil {
		network = "udp"
		conn, err = new(net.Dialer).DialContext(ctx, network, server)
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if network == "tcp" {
		if err := writeTCP(conn, query); err != nil {
			return nil, err
		}
		answer, err := readTCP(conn)
		if err == nil && !answers(answer, query) {
			err = errors.New("not an answer to the query")
		}
		return answer, err
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, maxSize)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if answers(buf[:n], query) {
			return buf[:n], nil
		}
	}
}

// answers reports whether a message answers a query: the socket is connected, so
// it is from the server; its ID and its question have to be the query's too.
func answers(msg, query []byte) bool {
	if len(msg) < headerSize || msg[2]&(bitResponse>>8) == 0 || [2]byte(msg[:2]) != [2]byte(query[:2]) {
		return false
	}
	if binary.BigEndian.Uint16(msg[4:]) == 0 {
		return true // some refuse without saying what
	}
	asked, _, ok := readName(query, headerSize)
	got, _, okGot := readName(msg, headerSize)
	return ok && okGot && asked.lower() == got.lower()
}

// readTCP reads one message with its length before it (RFC 1035 4.2.2).
func readTCP(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}

func writeTCP(w io.Writer, msg []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
	return err
}
