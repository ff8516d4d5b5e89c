// Package http1 reads the heads of HTTP/1 messages and carries their bodies,
// byte for byte, by their framing.
//
// It is what a router by host and a probe need and nothing else: net/http would
// make the agent's binary, which every pod runs, a quarter larger. What two
// readers could take differently (a request with two lengths, a folded line, a
// space before a colon) is refused, so that nothing can hide in it (RFC 9112,
// sections 5 and 6).
package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxHead is the largest head taken, in bytes: generous for cookies, and a
// bound on memory.
const maxHead = 64 << 10

// ErrHead is wrapped by every error about a head that cannot be accepted.
var ErrHead = errors.New("malformed HTTP message")

// Field is one header line.
type Field struct {
	Name, Value string
}

// Fields are header lines in their order.
type Fields []Field

// Get returns the first value of a name, "" when there is none.
func (f Fields) Get(name string) string {
	for _, field := range f {
		if strings.EqualFold(field.Name, name) {
			return field.Value
		}
	}
	return ""
}

// Values returns all values of a name.
func (f Fields) Values(name string) []string {
	var values []string
	for _, field := range f {
		if strings.EqualFold(field.Name, name) {
			values = append(values, field.Value)
		}
	}
	return values
}

// Has reports whether a comma-separated field holds a token, whatever its case.
func (f Fields) Has(name, token string) bool {
	for _, value := range f.Values(name) {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// Without returns the fields but those of the names.
func (f Fields) Without(names ...string) Fields {
	var kept Fields
next:
	for _, field := range f {
		for _, name := range names {
			if strings.EqualFold(field.Name, name) {
				continue next
			}
		}
		kept = append(kept, field)
	}
	return kept
}

func (f Fields) append(b []byte) []byte {
	for _, field := range f {
		b = append(b, field.Name...)
		b = append(b, ": "...)
		b = append(b, field.Value...)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// Request is the head of a request.
type Request struct {
	Method, Target string
	Minor          int // of HTTP/1.x
	Fields         Fields
}

// Bytes returns the fields as they go over the wire, with the empty line at their end.
func (f Fields) Bytes() []byte { return f.append(nil) }

// Bytes returns the head as it goes over the wire.
func (r *Request) Bytes() []byte {
	return r.Fields.append(fmt.Appendf(nil, "%s %s HTTP/1.%d\r\n", r.Method, r.Target, r.Minor))
}

// Host returns the host the request is for, with its port if it has one: that
// of an absolute target, or the Host field (RFC 9112 3.2.2).
func (r *Request) Host() string {
	if host := authority(r.Target); host != "" {
		return host
	}
	return r.Fields.Get("Host")
}

// Close reports whether the sender wants the connection closed afterwards.
func (r *Request) Close() bool { return closes(r.Minor, r.Fields) }

// Response is the head of a response.
type Response struct {
	Minor  int
	Code   int
	Reason string
	Fields Fields
}

// Bytes returns the head as it goes over the wire.
func (r *Response) Bytes() []byte {
	return r.Fields.append(fmt.Appendf(nil, "HTTP/1.%d %03d %s\r\n", r.Minor, r.Code, r.Reason))
}

// Close reports whether the sender will close the connection afterwards.
func (r *Response) Close() bool { return closes(r.Minor, r.Fields) }

func closes(minor int, f Fields) bool {
	return f.Has("Connection", "close") || minor == 0 && !f.Has("Connection", "keep-alive")
}

// ReadRequest reads the head of a request. io.EOF means that the connection
// ended where a request could have begun.
func ReadRequest(r *bufio.Reader) (*Request, error) {
	first, fields, err := readHead(r, true)
	if err != nil {
		return nil, err
	}
	method, rest, ok1 := strings.Cut(first, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	minor, ok3 := minorOf(version)
	if !ok1 || !ok2 || !ok3 || !IsToken(method) || !IsTarget(target) {
		return nil, fmt.Errorf("%w: request line %.80q", ErrHead, first)
	}
	if hosts := fields.Values("Host"); len(hosts) > 1 {
		return nil, fmt.Errorf("%w: more than one Host", ErrHead)
	}
	return &Request{method, target, minor, fields}, nil
}

// ReadResponse reads the head of a response.
func ReadResponse(r *bufio.Reader) (*Response, error) {
	first, fields, err := readHead(r, false)
	if err != nil {
		return nil, err
	}
	version, rest, _ := strings.Cut(first, " ")
	digits, reason, _ := strings.Cut(rest, " ")
	minor, ok := minorOf(version)
	code, err := strconv.Atoi(digits)
	if !ok || err != nil || len(digits) != 3 || code < 100 {
		return nil, fmt.Errorf("%w: status line %.80q", ErrHead, first)
	}
	return &Response{minor, code, reason, fields}, nil
}

func minorOf(version string) (int, bool) {
	switch version {
	case "HTTP/1.1":
		return 1, true
	case "HTTP/1.0":
		return 0, true
	}
	return 0, false
}

// readHead reads up to the empty line. Empty lines before a request are skipped
// (RFC 9112 2.2).
func readHead(r *bufio.Reader, skipEmpty bool) (first string, fields Fields, err error) {
	left := maxHead
	for {
		line, err := readLine(r, &left)
		if err != nil {
			return "", nil, err
		}
		if line != "" {
			first = line
			break
		}
		if !skipEmpty {
			return "", nil, fmt.Errorf("%w: empty first line", ErrHead)
		}
	}
	fields, err = readFields(r, &left)
	return first, fields, err
}

// readFields reads up to the empty line.
func readFields(r *bufio.Reader, left *int) (fields Fields, err error) {
	for {
		line, err := readLine(r, left)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if line == "" {
			return fields, nil
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !IsToken(name) || !IsValue(value) {
			return nil, fmt.Errorf("%w: header line %.80q", ErrHead, line)
		}
		fields = append(fields, Field{name, value})
	}
}

// readLine reads one line without its end, which may be a bare line feed.
func readLine(r *bufio.Reader, left *int) (string, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		if *left -= len(piece); *left < 0 {
			return "", fmt.Errorf("%w: the head is larger than %d KiB", ErrHead, maxHead>>10)
		}
		line = append(line, piece...)
		if err == nil {
			break
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return "", io.ErrUnexpectedEOF
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
	}
	line = line[:len(line)-1]
	return string(bytes.TrimSuffix(line, []byte{'\r'})), nil
}

// IsTarget reports whether s is a target that a server is asked for: a path, an
// absolute URL, or "*" (RFC 9112 3.2). CONNECT's, for proxies, is not.
func IsTarget(s string) bool {
	ok := s == "*" || strings.HasPrefix(s, "/") || authority(s) != ""
	return ok && !strings.ContainsFunc(s, isControl)
}

// authority returns the host, with its port if it has one, of an absolute
// target; "" for any other.
func authority(target string) string {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest[strings.LastIndex(rest, "@")+1:]
}

func isControl(r rune) bool { return r <= ' ' || r == 0x7f }

// IsValue reports whether s can be a field's value.
func IsValue(s string) bool { return !strings.ContainsFunc(s, isForbidden) }

func isForbidden(r rune) bool { return r == 0 || r == '\r' || r == '\n' }

// IsToken reports whether s is a token of RFC 9110 5.6.2.
func IsToken(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}
