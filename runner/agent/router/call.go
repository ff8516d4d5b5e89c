package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/cuepod/cuepod/runner/agent/http1"
	"github.com/cuepod/cuepod/runner/agent/http2"
	"github.com/cuepod/cuepod/runner/proxy"
)

// call is one request to an endpoint, whatever it speaks. The body is written,
// the response's head and body are read, by one goroutine each.
type call interface {
	io.Writer
	// end says that the request is whole.
	end(trailer http1.Fields) error
	// head gives the response's heads: interim ones, then the last.
	head() (*http1.Response, error)
	io.Reader // of the response's body, after the last head
	trailer() http1.Fields
	answered(code int) // counts the response
	close()
}

// hop are the fields that are about a connection and not about the message.
var hop = [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "TE", "HTTP2-Settings"}

// endToEnd are the fields but those of the connection, by RFC 9110 7.6.1.
func endToEnd(f http1.Fields) http1.Fields {
	names := hop[:]
	for _, list := range f.Values("Connection") {
		for name := range strings.SplitSeq(list, ",") {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return f.Without(names...)
}

// plainCall is a request in HTTP/1.
type plainCall struct {
	b       *backend
	method  string
	framing http1.Body // of the request
	left    int64
	in      *http1.Reader
}

// newPlainCall sends a head that came in HTTP/2. Without a length a body is sent
// in chunks.
func newPlainCall(b *backend, req *http1.Request, none bool) (*plainCall, error) {
	c := &plainCall{b: b, method: req.Method}
	head := http1.Request{Method: req.Method, Target: req.Target, Minor: 1, Fields: endToEnd(req.Fields)}
	var err error
	if c.framing, err = head.Body(); err != nil {
		return nil, err
	}
	if !none && c.framing.None() && head.Fields.Get("Content-Length") == "" {
		c.framing = http1.Body{Chunked: true}
		head.Fields = append(head.Fields, http1.Field{Name: "Transfer-Encoding", Value: "chunked"})
	}
	c.left = c.framing.Length
	if _, err := b.out.Write(head.Bytes()); err != nil {
		return nil, err
	}
	return c, b.out.Flush()
}

// errLength is a body that is longer or shorter than its head says. Nothing of it
// may reach the endpoint as another request.
var errLength = errors.New("the body is not as long as its head says")

func (c *plainCall) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.framing.Chunked {
		fmt.Fprintf(c.b.out, "%x\r\n", len(p))
		_, _ = c.b.out.Write(p)
		_, _ = c.b.out.WriteString("\r\n")
		return len(p), c.b.out.Flush()
	}
	if c.left -= int64(len(p)); c.left < 0 {
		return 0, errLength
	}
	if _, err := c.b.out.Write(p); err != nil {
		return 0, err
	}
	return len(p), c.b.out.Flush()
}

func (c *plainCall) end(trailer http1.Fields) error {
	if c.left > 0 {
		return errLength
	}
	if !c.framing.Chunked {
		return nil
	}
	_, _ = c.b.out.WriteString("0\r\n")
	_, _ = c.b.out.Write(endToEnd(trailer).Bytes())
	return c.b.out.Flush()
}

func (c *plainCall) head() (*http1.Response, error) {
	res, err := http1.ReadResponse(c.b.in)
	if err != nil {
		return nil, err
	}
	if res.Code == 101 {
		return nil, errors.New("it switches to a protocol that nobody asked for")
	}
	body, err := res.Body(c.method)
	if err != nil {
		return nil, err
	}
	c.in = body.Reader(c.b.in)
	res.Fields = endToEnd(res.Fields)
	return res, nil
}

func (c *plainCall) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *plainCall) trailer() http1.Fields { return c.in.Trailer() }

func (c *plainCall) answered(code int) { c.b.meter.Answered(code) }

func (c *plainCall) close() { c.b.Close() }

// streamCall is a request in HTTP/2.
type streamCall struct {
	*http2.Stream
	meter *proxy.Meter
}

// newStreamCall sends the head of a request.
func newStreamCall(conn shared, req *http1.Request, none bool) (*streamCall, error) {
	head := http1.Fields{
		{Name: ":method", Value: req.Method}, {Name: ":scheme", Value: "http"},
		{Name: ":path", Value: origin(req.Target)}, {Name: ":authority", Value: req.Host()},
	}
	head = append(head, endToEnd(req.Fields).Without("Host")...)
	if req.Fields.Has("TE", "trailers") {
		head = append(head, http1.Field{Name: "te", Value: "trailers"})
	}
	s, err := conn.Open(head, none)
	if err != nil {
		return nil, err
	}
	return &streamCall{s, conn.meter}, nil
}

func (c *streamCall) end(trailer http1.Fields) error { return c.End(endToEnd(trailer)) }

func (c *streamCall) head() (*http1.Response, error) {
	fields, err := c.Head()
	if err != nil {
		return nil, err
	}
	code, err := strconv.Atoi(fields.Get(":status"))
	if err != nil {
		return nil, fmt.Errorf("status %q", fields.Get(":status"))
	}
	return &http1.Response{Minor: 1, Code: code, Fields: fields.Without(":status")}, nil
}

func (c *streamCall) trailer() http1.Fields { return c.Trailer() }

func (c *streamCall) answered(code int) { c.meter.Answered(code) }

func (c *streamCall) close() { c.Close() }

// shared is a connection in HTTP/2 to an endpoint.
type shared struct {
	*http2.Conn
	meter *proxy.Meter
}

// callers are the connections in HTTP/2 to endpoints, which the requests of one
// client share. Those in HTTP/1 are made for each request.
type callers struct {
	mu    sync.Mutex
	conns map[string]shared // by endpoint; those that take no more are forgotten
	all   []shared
}

// close ends all connections and waits for them.
func (k *callers) close() {
	k.mu.Lock()
	all := k.all
	k.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
	for _, c := range all {
		c.Wait()
	}
}

// call begins a request to a ready endpoint.
func (s *session) call(ctx context.Context, v *verdict, req *http1.Request, none bool) (call, error) {
	if v.HTTP2 {
		return s.stream(ctx, v, req, none)
	}
	b, err := s.dial(ctx, v.Route)
	if err != nil {
		return nil, err
	}
	c, err := newPlainCall(b, req, none)
	if err != nil {
		b.Close()
		return nil, err
	}
	return c, nil
}

// stream begins a request on a connection that is there, or on a new one when
// the endpoint takes no more on it. Requests go to all endpoints in turn.
func (s *session) stream(ctx context.Context, v *verdict, req *http1.Request, none bool) (call, error) {
	k := &s.calls
	for _, i := range rand.Perm(len(v.Endpoints)) {
		endpoint := v.Endpoints[i]
		k.mu.Lock()
		conn, known := k.conns[endpoint]
		k.mu.Unlock()
		if !known {
			continue
		}
		c, err := newStreamCall(conn, req, none)
		if err == nil {
			return c, nil
		}
		k.mu.Lock()
		delete(k.conns, endpoint)
		k.mu.Unlock()
	}
	b, err := s.dial(ctx, v.Route)
	if err != nil {
		return nil, err
	}
	conn := shared{http2.Dial(b.Conn), b.meter}
	k.mu.Lock()
	if k.conns == nil {
		k.conns = map[string]shared{}
	}
	k.conns[b.endpoint] = conn
	k.all = append(k.all, conn)
	k.mu.Unlock()
	return newStreamCall(conn, req, none)
}
