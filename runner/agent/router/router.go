package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cuepod/cuepod/runner/agent/http1"
	"github.com/cuepod/cuepod/runner/proxy"
)

const (
	// idleTimeout is how long a client may keep a connection without a request.
	idleTimeout = 3 * time.Minute
	// dialTimeout is how long one endpoint may take before the next is tried.
	dialTimeout = 2500 * time.Millisecond
	// reuseTimeout is how long a connection to an endpoint is kept for the
	// client's next request. Shorter than the keep-alive of common servers, so
	// that they seldom close it first.
	reuseTimeout = 3 * time.Second
	// lingerTimeout is how long a client may go on sending what nobody will
	// read before the connection is cut. Cutting at once would reset it, and the
	// client might lose the answer.
	lingerTimeout = time.Second
	// lingerBytes bounds what is read and thrown away meanwhile.
	lingerBytes = 1 << 20
	// bufferSize is that of each of the four buffers of an exchange, in bytes.
	bufferSize = 16 << 10
)

// Router serves a Table. All methods are safe for concurrent use.
type Router struct {
	table atomic.Pointer[Table]
	certs atomic.Pointer[certificates]
	tally proxy.Tally
}

// New makes a Router without routes.
func New() *Router {
	r := &Router{}
	r.Set(Table{})
	return r
}

// Set puts a table in force for the requests to come.
func (r *Router) Set(t Table) { r.table.Store(&t) }

// Traffic is what went to services since New, by connections to their endpoints.
// An answer of 500 and above is an error, too.
func (r *Router) Traffic() proxy.Counts { return r.tally.Counts() }

// meter counts for a client on the way to an endpoint of a route; "" is none.
func (s *session) meter(r Route, endpoint string) *proxy.Meter {
	client, _ := netip.ParseAddrPort(s.raw.RemoteAddr().String()) // anything else is nobody we know
	to, _ := netip.ParseAddrPort(endpoint)
	return s.router.tally.Meter(proxy.Edge{Client: client.Addr(), Service: r.Service, Protocol: proxy.TCP, Port: uint16(r.Port), Endpoint: to})
}

// Serve takes connections until ctx is done or the listener fails, closes the
// listener and the connections, and waits for them. It returns nil after ctx.
func (r *Router) Serve(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			wg.Go(func() { r.serve(ctx, conn) })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of file descriptors: let some go
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// peer is one end of a connection with its buffers.
type peer struct {
	net.Conn
	in  *bufio.Reader
	out *bufio.Writer
}

func newPeer(c net.Conn) *peer {
	return &peer{c, bufio.NewReaderSize(c, bufferSize), bufio.NewWriterSize(c, bufferSize)}
}

// backend is the connection to an endpoint that a client's requests share.
type backend struct {
	*peer
	raw      proxy.Stream // that is not counted
	meter    *proxy.Meter
	endpoint string
	used     time.Time // the end of the last request
}

// counted counts what is read and written.
type counted struct {
	net.Conn
	meter *proxy.Meter
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.meter.Received(n)
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.meter.Sent(n)
	return n, err
}

// session is one client's connection.
type session struct {
	router *Router
	ctx    context.Context // of Serve; the session does not outlive it
	raw    net.Conn        // under TLS, if that is spoken
	client *peer
	scheme string   // what the client speaks: http or https
	kept   *backend // for the next request; nil when there is none
	calls  callers

	watching chan struct{} // closed when watch has ended; nil without one
}

func (r *Router) serve(ctx context.Context, conn net.Conn) {
	s := &session{router: r, ctx: ctx, raw: conn, client: newPeer(conn), scheme: "http"}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer s.calls.close()
	defer s.drop()
	if !s.secure() {
		return
	}
	if s.speaksHTTP2() {
		s.serveHTTP2()
		return
	}
	for s.next() {
	}
}

// drop closes the connection kept for the next request.
func (s *session) drop() {
	if s.kept != nil {
		s.kept.Close()
		s.kept = nil
	}
}

// next serves one request and reports whether another may follow.
func (s *session) next() bool {
	if s.client.SetReadDeadline(time.Now().Add(idleTimeout)) != nil {
		return false
	}
	req, err := http1.ReadRequest(s.client.in)
	if err != nil {
		if errors.Is(err, http1.ErrHead) {
			s.refuse(err)
		}
		return false
	}
	body, err := req.Body()
	if err != nil {
		s.refuse(err)
		return false
	}
	if s.client.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	v := s.decide(req)
	if v.answer != nil {
		s.answer(v.answer)
		return false
	}
	ctx, cancel := v.limit(s.ctx)
	defer cancel()
	if v.HTTP2 {
		return s.translate(ctx, cancel, &v, req, body)
	}
	return s.exchange(ctx, cancel, &v, req, body)
}

// decide finds what becomes of a request, with the table in force.
func (s *session) decide(req *http1.Request) verdict {
	v := s.router.table.Load().decide(question{
		scheme: s.scheme, host: req.Host(), method: req.Method, target: origin(req.Target), header: req.Fields.Values, chance: rand.Uint64(),
	})
	if v.Service != "" && len(v.Endpoints) == 0 {
		s.meter(v.Route, "").Failed()
	}
	return v
}

// limit ends a request when its time is up.
func (v *verdict) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if v.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(v.timeout)*time.Millisecond)
}

// failed is the answer to a request that got none.
func (v *verdict) failed(ctx context.Context, err error) *page {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &page{code: 504, reason: "Gateway Timeout", text: fmt.Sprintf("Service %s gave no answer within %d ms, which is what its route allows.\n", v.Service, v.timeout)}
	}
	return &page{code: 502, reason: "Bad Gateway", text: fmt.Sprintf("Service %s: %v. The pod's log may say more: cuepod logs\n", v.Service, err)}
}

// exchange passes a request on and its response back.
func (s *session) exchange(ctx context.Context, cancel func(), v *verdict, req *http1.Request, body http1.Body) bool {
	if body.None() {
		s.watch(cancel)
	}
	defer s.unwatch()
	s.forwarded(req)
	v.prepare(req)
	b, res, err := s.ask(ctx, v.Route, req, body)
	if err != nil {
		s.answer(v.failed(ctx, err))
		return false
	}
	defer context.AfterFunc(ctx, func() { b.Close() })()
	// The request's body flows while the response may come already.
	sent := make(chan error, 1)
	go func() { sent <- body.Copy(b.out, s.client.in) }()
	again := s.pass(ctx, v, b, req, body, res)
	select {
	case err := <-sent:
		again = again && err == nil
	case <-time.After(lingerTimeout): // the endpoint has answered without reading everything
		again = false
		s.client.Close()
		b.Close()
		<-sent
	}
	if !again {
		b.Close()
		return false
	}
	b.used = time.Now()
	s.kept = b
	return true
}

// watch calls left when the client goes while its answer is awaited. What the
// client sends meanwhile stays in the buffer.
func (s *session) watch(left func()) {
	watching := make(chan struct{})
	s.watching = watching
	go func() {
		defer close(watching)
		if _, err := s.client.in.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			left()
		}
	}()
}

// unwatch ends watch, before anything else reads from the client.
func (s *session) unwatch() {
	if s.watching == nil {
		return
	}
	_ = s.client.SetReadDeadline(time.Unix(1, 0)) // fails when the client is gone, which ends the read, too
	<-s.watching
	s.watching = nil
	_ = s.client.SetReadDeadline(time.Time{})
}

// forwarded tells the endpoint whom the request is from.
func (s *session) forwarded(req *http1.Request) {
	client, _, _ := net.SplitHostPort(s.client.RemoteAddr().String())
	forwarded(req, client, s.scheme)
}

// ask sends the head to an endpoint, and for a request without a body waits for
// the response's. A kept connection may have been closed at the other end in
// the meantime: it is used for requests that can be repeated only.
func (s *session) ask(ctx context.Context, route Route, req *http1.Request, body http1.Body) (*backend, *http1.Response, error) {
	if kept := s.kept; kept != nil {
		s.kept = nil
		if body.None() && repeatable(req.Method) && slices.Contains(route.Endpoints, kept.endpoint) && time.Since(kept.used) < reuseTimeout {
			if res, err := kept.begin(ctx, req, body); err == nil {
				return kept, res, nil
			}
		}
		kept.Close()
	}
	b, err := s.dial(ctx, route)
	if err != nil {
		return nil, nil, err
	}
	res, err := b.begin(ctx, req, body)
	if err != nil {
		b.Close()
		b.unanswered(ctx)
		return nil, nil, fmt.Errorf("endpoint %s closed the connection without an answer (%w)", b.endpoint, err)
	}
	return b, res, nil
}

// unanswered counts a request that got no answer while its client was there.
func (b *backend) unanswered(ctx context.Context) {
	if ctx.Err() == nil {
		b.meter.Failed()
	}
}

func repeatable(method string) bool {
	return method == "GET" || method == "HEAD" || method == "OPTIONS"
}

// begin writes the head; without a body to send it reads the response's, too.
func (b *backend) begin(ctx context.Context, req *http1.Request, body http1.Body) (*http1.Response, error) {
	defer context.AfterFunc(ctx, func() { b.Close() })()
	if _, err := b.out.Write(req.Bytes()); err != nil {
		return nil, err
	}
	if err := b.out.Flush(); err != nil || !body.None() {
		return nil, err
	}
	return http1.ReadResponse(b.in)
}

// dial connects to a ready endpoint: any, and the next one when it refuses.
func (s *session) dial(ctx context.Context, r Route) (*backend, error) {
	var last error
	for _, i := range rand.Perm(len(r.Endpoints)) {
		endpoint := r.Endpoints[i]
		d := net.Dialer{Timeout: dialTimeout}
		conn, err := d.DialContext(ctx, "tcp", endpoint)
		if ctx.Err() != nil && err != nil {
			return nil, err // it was not the endpoint's fault
		}
		m := s.meter(r, endpoint)
		if err == nil {
			m.Connected()
			return &backend{peer: newPeer(counted{conn, m}), raw: conn.(*net.TCPConn), meter: m, endpoint: endpoint}, nil
		}
		m.Failed()
		last = err
	}
	return nil, fmt.Errorf("no pod takes the connection (%w)", last)
}

// pass passes the response back; res is its head if it was read already. It
// reports whether both connections are good for another request.
func (s *session) pass(ctx context.Context, v *verdict, b *backend, req *http1.Request, sending http1.Body, res *http1.Response) bool {
	for {
		if res == nil {
			var err error
			if res, err = http1.ReadResponse(b.in); err != nil {
				b.unanswered(ctx)
				s.answer(v.failed(ctx, fmt.Errorf("endpoint %s gave no answer (%w)", b.endpoint, err)))
				return false
			}
		}
		body, err := res.Body(req.Method)
		if err != nil {
			s.answer(v.failed(ctx, fmt.Errorf("endpoint %s gave no readable answer (%w)", b.endpoint, err)))
			return false
		}
		if res.Code >= 200 {
			v.finish(res)
			b.meter.Answered(res.Code)
		}
		if _, err := s.client.out.Write(res.Bytes()); err != nil {
			return false
		}
		switch {
		case res.Code == 101:
			if sending.None() { // else the body's reader is still at it: nothing known does this
				s.upgrade(b)
			}
			return false
		case res.Code < 200: // 100 Continue, 103 Early Hints: the answer is to come
			if s.client.out.Flush() != nil {
				return false
			}
			res = nil
			continue
		}
		if body.Copy(s.client.out, b.in) != nil {
			proxy.Reset(s.raw) // a cut answer must not look whole
			return false
		}
		return !body.ToEnd && !res.Close() && !req.Close()
	}
}

// upgrade makes the two connections one, with what was read ahead.
func (s *session) upgrade(b *backend) {
	if s.client.out.Flush() != nil {
		return
	}
	s.unwatch()
	if s.client.hand(b.peer) != nil || b.hand(s.client) != nil {
		return
	}
	proxy.Carry(s.client.Conn.(proxy.Stream), b.raw, b.meter)
}

// hand passes what was read ahead from p on to the other end.
func (p *peer) hand(to *peer) error {
	ahead, _ := p.in.Peek(p.in.Buffered()) // all there: cannot fail
	_, err := to.Conn.Write(ahead)
	return err
}

// refuse answers a request that cannot be read.
func (s *session) refuse(err error) {
	s.answer(&page{code: 400, reason: "Bad Request", text: "The request cannot be read: " + err.Error() + ".\n"})
}

// answer gives an answer of the router's own and ends the connection.
func (s *session) answer(p *page) {
	_ = s.client.SetWriteDeadline(time.Now().Add(dialTimeout))
	res := http1.Response{Minor: 1, Code: p.code, Reason: p.reason, Fields: append(p.fields(), http1.Field{Name: "Connection", Value: "close"})}
	_, _ = s.client.out.Write(res.Bytes())
	_, _ = s.client.out.WriteString(p.text)
	if s.client.out.Flush() == nil { // a client that is gone needs no page
		s.unwatch()
		s.linger()
	}
}

// fields are those of an answer of the router's own.
func (p *page) fields() http1.Fields {
	fields := http1.Fields{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Content-Length", Value: fmt.Sprint(len(p.text))},
		{Name: "Cache-Control", Value: "no-store"},
	}
	if p.location != "" {
		fields = append(fields, http1.Field{Name: "Location", Value: p.location})
	}
	return fields
}

// linger waits for the client to take what was sent, then closes.
func (s *session) linger() {
	if c, ok := s.client.Conn.(proxy.Stream); ok && c.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, c, lingerBytes)
	}
	s.client.Close()
}
