// Package postgres speaks version 3 of PostgreSQL's protocol as far as the shop
// needs it: one connection, one statement at a time, values as text.
//
// See https://www.postgresql.org/docs/current/protocol.html.
package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// maxMessage bounds what a server may make us allocate: a row of the shop's is
// far smaller.
const maxMessage = 1 << 20 // bytes

// timeout bounds one connection when the context has no earlier deadline.
const timeout = 10 * time.Second

// protocol is version 3.0.
const protocol = 3 << 16

// Config says where the server is and who we are.
type Config struct {
	Addr     string // host:port
	Database string
	User     string
	Password string
}

// ServerError is what the server says of a statement. The connection stays
// usable.
type ServerError struct {
	Code    string // SQLSTATE
	Message string
}

func (e *ServerError) Error() string { return "postgres: " + e.Message + " (" + e.Code + ")" }

// Conn is a connection. It is not safe for concurrent use.
type Conn struct {
	conn net.Conn
	r    *bufio.Reader
}

// Dial connects and authenticates. The connection lives at most until ctx's
// deadline, or ten seconds.
func Dial(ctx context.Context, config Config) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", config.Addr)
	if err != nil {
		return nil, fmt.Errorf("postgres at %s: %w", config.Addr, err)
	}
	deadline, _ := ctx.Deadline()
	c := &Conn{conn: conn, r: bufio.NewReader(conn)}
	if err := errors.Join(conn.SetDeadline(deadline), c.start(config)); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres at %s: %w", config.Addr, err), conn.Close())
	}
	return c, nil
}

// Close ends the connection.
func (c *Conn) Close() error {
	return errors.Join(c.send(message('X')), c.conn.Close())
}

// Query runs one statement, in which $1 stands for the first of args, and gives
// its rows. A null is an empty text.
func (c *Conn) Query(statement string, args ...string) ([][]string, error) {
	parse := message('P').text("").text(statement).int16(0)
	bind := message('B').text("").text("").int16(0).int16(len(args))
	for _, arg := range args {
		bind = bind.int32(len(arg)).raw(arg)
	}
	bind = bind.int16(0)
	if err := c.send(parse, bind, message('E').text("").int32(0), message('S')); err != nil {
		return nil, err
	}
	var rows [][]string
	var failed error
	for {
		kind, body, err := c.receive()
		switch {
		case err != nil:
			return nil, err
		case kind == 'D':
			row, err := readRow(body)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		case kind == 'E':
			failed = readError(body)
		case kind == 'Z':
			return rows, failed
		}
	}
}

// start says who we are, answers the server's questions and waits until it is
// ready.
func (c *Conn) start(config Config) error {
	hello := packet{}.int32(protocol).text("user").text(config.User).text("database").text(config.Database).raw("\x00")
	if err := c.send(hello); err != nil {
		return err
	}
	var login *scram
	for {
		kind, body, err := c.receive()
		if err != nil {
			return err
		}
		switch kind {
		case 'E':
			return readError(body)
		case 'Z':
			return nil
		case 'R':
			if login, err = c.answer(login, body, config.Password); err != nil {
				return err
			}
		}
	}
}

// Kinds of what a server asks for, in the first bytes of 'R'.
const (
	authOK           = 0
	authSASL         = 10
	authSASLContinue = 11
	authSASLFinal    = 12
)

// answer takes one step of the login.
func (c *Conn) answer(login *scram, body []byte, password string) (*scram, error) {
	if len(body) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	kind, data := binary.BigEndian.Uint32(body), body[4:]
	if login == nil && (kind == authSASLContinue || kind == authSASLFinal) {
		return nil, errors.New("the server answers what nobody has said")
	}
	switch kind {
	case authOK:
		return login, nil
	case authSASL:
		login = newSCRAM(password)
		first := login.first()
		return login, c.send(message('p').text("SCRAM-SHA-256").int32(len(first)).raw(first))
	case authSASLContinue:
		final, err := login.final(string(data))
		if err != nil {
			return nil, err
		}
		return login, c.send(message('p').raw(final))
	case authSASLFinal:
		return login, login.verify(string(data))
	}
	return nil, fmt.Errorf("the server asks for a login of kind %d; this client knows SCRAM-SHA-256", kind)
}

// send writes packets at once.
func (c *Conn) send(packets ...packet) error {
	var all []byte
	for _, p := range packets {
		all = append(all, p.framed()...)
	}
	if _, err := c.conn.Write(all); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// receive reads one message.
func (c *Conn) receive() (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("postgres: %w", err)
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size < 4 || size > maxMessage {
		return 0, nil, fmt.Errorf("postgres: a message of %d bytes", size)
	}
	body = make([]byte, size-4)
	if _, err := io.ReadFull(c.r, body); err != nil {
		return 0, nil, fmt.Errorf("postgres: %w", err)
	}
	return head[0], body, nil
}
