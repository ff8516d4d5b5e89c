// Package resp speaks RESP2, the protocol of redis, as far as the examples
// need it: one connection, one command at a time.
//
// See https://redis.io/docs/latest/develop/reference/protocol-spec/.
package resp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Limits on what a server may make us allocate.
const (
	maxBulk  = 1 << 20 // bytes; an entry is far smaller
	maxArray = 1 << 16 // elements
	maxDepth = 8       // of arrays in arrays; ROLE needs three
)

// timeout bounds one connection when the context has no earlier deadline: a
// page that takes longer than this is as good as failed.
const timeout = 5 * time.Second

// Value is one reply. Text holds a string, Int an integer, Array the elements
// of an array; Null is a missing string or array.
type Value struct {
	Text  string
	Int   int64
	Array []Value
	Null  bool
}

// Texts gives the Text of each element.
func (v Value) Texts() []string {
	texts := make([]string, 0, len(v.Array))
	for _, e := range v.Array {
		texts = append(texts, e.Text)
	}
	return texts
}

// ServerError is an error reply, such as "NOAUTH Authentication required.".
// The connection stays usable.
type ServerError string

func (e ServerError) Error() string { return string(e) }

// Conn is a connection to one server. It is not safe for concurrent use.
type Conn struct {
	conn net.Conn
	r    *bufio.Reader
}

// Dial connects to addr (host:port) and authenticates unless password is
// empty. The connection lives at most until ctx's deadline, or five seconds.
func Dial(ctx context.Context, addr, password string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("redis at %s: %w", addr, err)
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &Conn{conn: conn, r: bufio.NewReader(conn)}
	if password == "" {
		return c, nil
	}
	if _, err := c.Do("AUTH", password); err != nil {
		return nil, errors.Join(fmt.Errorf("redis at %s: %w", addr, err), c.Close())
	}
	return c, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Do sends one command and reads its reply. An error reply is a ServerError.
func (c *Conn) Do(args ...string) (Value, error) {
	if _, err := c.conn.Write(appendCommand(nil, args)); err != nil {
		return Value{}, err
	}
	return Read(c.r)
}

// Read reads one value: a reply, or a command, which is an array of strings.
func Read(r *bufio.Reader) (Value, error) { return readValue(r, 0) }

// appendCommand writes a command as an array of bulk strings.
func appendCommand(b []byte, args []string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

func readValue(r *bufio.Reader, depth int) (Value, error) {
	line, err := readLine(r)
	if err != nil {
		return Value{}, err
	}
	rest := line[1:]
	switch line[0] {
	case '+':
		return Value{Text: rest}, nil
	case '-':
		return Value{}, ServerError(rest)
	case ':':
		n, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return Value{}, fmt.Errorf("redis reply: integer %q: %w", rest, err)
		}
		return Value{Int: n}, nil
	case '$':
		return readBulk(r, rest)
	case '*':
		return readArray(r, rest, depth)
	}
	return Value{}, fmt.Errorf("redis reply: unknown type %q", line[0])
}

// readLine reads up to CRLF and drops it. A line is never empty.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n') // bounded by the reader's buffer
	if err != nil {
		return "", fmt.Errorf("redis reply: %w", err)
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return "", fmt.Errorf("redis reply: bad line %q", line)
	}
	return string(line[:len(line)-2]), nil
}

func readBulk(r *bufio.Reader, length string) (Value, error) {
	n, err := parseLength(length, maxBulk)
	if err != nil || n < 0 {
		return Value{Null: true}, err
	}
	buf := make([]byte, n+2)
	if _, err := io.ReadFull(r, buf); err != nil {
		return Value{}, fmt.Errorf("redis reply: %w", err)
	}
	if string(buf[n:]) != "\r\n" {
		return Value{}, errors.New("redis reply: string without an end")
	}
	return Value{Text: string(buf[:n])}, nil
}

func readArray(r *bufio.Reader, length string, depth int) (Value, error) {
	if depth == maxDepth {
		return Value{}, errors.New("redis reply: arrays too deep")
	}
	n, err := parseLength(length, maxArray)
	if err != nil || n < 0 {
		return Value{Null: true}, err
	}
	v := Value{}
	for range n {
		e, err := readValue(r, depth+1)
		if err != nil {
			return Value{}, err
		}
		v.Array = append(v.Array, e)
	}
	return v, nil
}

// parseLength reads a length; -1 stands for a missing value.
func parseLength(s string, limit int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < -1 || n > limit {
		return 0, fmt.Errorf("redis reply: bad length %q", s)
	}
	return n, nil
}
