package router

import (
	"context"
	"errors"
	"io"

	"strconv"
	"time"

	"github.com/cuepod/cuepod/runner/agent/http1"
	"github.com/cuepod/cuepod/runner/agent/http2"
	"github.com/cuepod/cuepod/runner/proxy"
)

// reply is where a response goes, whatever the client speaks.
type reply interface {
	head(res *http1.Response) error
	io.Writer // of the body, sent at once
	end(trailer http1.Fields) error
	// page gives an answer of the router's own, before any head.
	page(p *page)
	// cut ends what has begun so that it does not look whole.
	cut()
}

// request is a request's body on its way to an endpoint.
type request struct {
	body    io.Reader // nil for none
	trailer func() http1.Fields
	stop    func() // ends reads of the body, and with it the client's request
}

// speaksHTTP2 looks whether a client begins as one does that speaks HTTP/2: no
// method of HTTP/1 is PRI.
func (s *session) speaksHTTP2() bool {
	if s.client.SetReadDeadline(time.Now().Add(idleTimeout)) != nil {
		return false
	}
	first, err := s.client.in.Peek(3)
	return err == nil && string(first) == http2.Preface[:3]
}

// serveHTTP2 serves a client that speaks HTTP/2.
func (s *session) serveHTTP2() {
	http2.Serve(s.client.Conn, s.client.in, s.serveStream)
}

// serveStream is one request in HTTP/2.
func (s *session) serveStream(stream *http2.Stream) {
	head, err := stream.Head()
	if err != nil {
		return
	}
	req := requestOf(head)
	out := &streamReply{stream, req.Method}
	v := s.decide(req)
	if v.answer != nil {
		out.page(v.answer)
		return
	}
	v.HTTP2 = v.HTTP2 || isGRPC(req)
	ctx, cancel := v.limit(s.ctx)
	defer cancel()
	stream.OnFail(cancel)
	in := request{trailer: stream.Trailer, stop: func() { stream.Reset(http2.NoError) }}
	if !stream.None() {
		in.body = stream
	}
	s.forwarded(req)
	v.prepare(req)
	s.relay(ctx, &v, req, in, out)
}

// isGRPC reports whether a request can be served in HTTP/2 alone.
func isGRPC(req *http1.Request) bool {
	const kind = "application/grpc"
	t := req.Fields.Get("Content-Type")
	return t == kind || len(t) > len(kind) && t[:len(kind)] == kind && (t[len(kind)] == '+' || t[len(kind)] == ';')
}

// requestOf is a request in HTTP/2 as it would have come in HTTP/1. Cookies,
// which may come in pieces, are joined (RFC 9113 8.2.3).
func requestOf(head http1.Fields) *http1.Request {
	host := head.Get(":authority")
	if host == "" {
		host = head.Get("Host")
	}
	req := &http1.Request{Method: head.Get(":method"), Target: head.Get(":path"), Minor: 1, Fields: http1.Fields{{Name: "Host", Value: host}}}
	cookie := ""
	for _, f := range head {
		switch {
		case f.Name[0] == ':' || f.Name == "host":
		case f.Name == "cookie" && cookie != "":
			cookie += "; " + f.Value
		case f.Name == "cookie":
			cookie = f.Value
		default:
			req.Fields = append(req.Fields, f)
		}
	}
	if cookie != "" {
		req.Fields = append(req.Fields, http1.Field{Name: "cookie", Value: cookie})
	}
	return req
}

// translate passes a request in HTTP/1 on to an endpoint that speaks HTTP/2.
func (s *session) translate(ctx context.Context, cancel func(), v *verdict, req *http1.Request, body http1.Body) bool {
	in := request{trailer: func() http1.Fields { return nil }, stop: func() { s.client.Close() }}
	if body.None() {
		s.watch(cancel)
	} else {
		r := body.Reader(s.client.in)
		in.body, in.trailer = r, r.Trailer
	}
	defer s.unwatch()
	if req.Fields.Has("Expect", "100-continue") {
		_, _ = s.client.out.WriteString("HTTP/1.1 100 Continue\r\n\r\n")
		_ = s.client.out.Flush() // a client that is gone is seen below
		req.Fields = req.Fields.Without("Expect")
	}
	s.forwarded(req)
	v.prepare(req)
	out := &plainReply{session: s, method: req.Method, minor: req.Minor}
	return s.relay(ctx, v, req, in, out) && !req.Close() && !out.toEnd
}

// relay carries a request to an endpoint and the response back. It reports
// whether both were whole.
func (s *session) relay(ctx context.Context, v *verdict, req *http1.Request, in request, out reply) bool {
	c, err := s.call(ctx, v, req, in.body == nil)
	if err != nil {
		out.page(v.failed(ctx, err))
		return false
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	sent := make(chan error, 1)
	go func() { sent <- send(c, in) }()
	if begun, err := receive(v, c, out); err != nil {
		c.close()
		if begun {
			out.cut()
		} else {
			if ctx.Err() == nil { // the client is still there
				c.answered(502)
			}
			out.page(v.failed(ctx, err))
		}
		in.stop()
		<-sent
		return false
	}
	select {
	case err := <-sent:
		return err == nil
	case <-time.After(lingerTimeout): // the endpoint has answered without reading everything
		in.stop()
		c.close()
		<-sent
		return false
	}
}

// send carries the request's body. A request that does not become whole ends the
// call; an endpoint that reads no more may have answered.
func send(c call, in request) error {
	if in.body == nil {
		return nil
	}
	buf := make([]byte, bufferSize)
	for {
		n, err := in.body.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return ended(c, err)
			}
		}
		switch {
		case err == io.EOF:
			return ended(c, c.end(in.trailer()))
		case err != nil:
			c.close()
			return err
		}
	}
}

func ended(c call, err error) error {
	if errors.Is(err, errLength) {
		c.close()
	}
	return err
}

// onlyWriter and onlyReader hide other methods, so that each piece passes at once.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// receive carries the response.
func receive(v *verdict, c call, out reply) (begun bool, err error) {
	for {
		res, err := c.head()
		if err != nil {
			return false, err
		}
		if res.Code >= 200 {
			v.finish(res)
			c.answered(res.Code)
			if err := out.head(res); err != nil {
				return true, err
			}
			break
		}
		if err := out.head(res); err != nil {
			return true, err
		}
	}
	if _, err := io.CopyBuffer(onlyWriter{out}, onlyReader{c}, make([]byte, bufferSize)); err != nil {
		return true, err
	}
	return true, out.end(c.trailer())
}

// streamReply answers in HTTP/2.
type streamReply struct {
	*http2.Stream
	method string
}

func (r *streamReply) head(res *http1.Response) error {
	return r.WriteHead(append(http1.Fields{{Name: ":status", Value: strconv.Itoa(res.Code)}}, endToEnd(res.Fields)...), false)
}

func (r *streamReply) end(trailer http1.Fields) error { return r.End(endToEnd(trailer)) }

func (r *streamReply) cut() { r.Reset(http2.InternalError) }

func (r *streamReply) page(p *page) {
	if r.head(&http1.Response{Code: p.code, Fields: p.fields()}) != nil {
		return
	}
	if r.method != "HEAD" {
		if _, err := io.WriteString(r, p.text); err != nil {
			return
		}
	}
	_ = r.End(nil) // a client that is gone needs no page
}

// plainReply answers in HTTP/1 with what came in HTTP/2.
type plainReply struct {
	*session
	method  string
	minor   int
	chunked bool
	left    int64 // of a body with a length
	toEnd   bool  // the body ends with the connection
}

func (r *plainReply) cut() { proxy.Reset(r.raw) }

func (r *plainReply) page(p *page) { r.answer(p) }

func (r *plainReply) head(res *http1.Response) error {
	fields := endToEnd(res.Fields)
	whole := fields.Get("Content-Length") != "" && (r.minor == 0 || fields.Get("Trailer") == "")
	if res.Code >= 200 && r.method != "HEAD" && res.Code != 204 && res.Code != 304 && !whole {
		fields = fields.Without("Content-Length") // which has no trailers in HTTP/1
		r.chunked, r.toEnd = r.minor > 0, r.minor == 0
		if r.chunked {
			fields = append(fields, http1.Field{Name: "Transfer-Encoding", Value: "chunked"})
		} else {
			fields = append(fields, http1.Field{Name: "Connection", Value: "close"})
		}
	}
	head := http1.Response{Minor: 1, Code: res.Code, Fields: fields}
	body, err := head.Body(r.method)
	if err != nil {
		return err
	}
	r.left = body.Length
	if _, err := r.client.out.Write(head.Bytes()); err != nil {
		return err
	}
	return r.client.out.Flush()
}

func (r *plainReply) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.left -= int64(len(p)); r.left < 0 && !r.chunked && !r.toEnd {
		return 0, errLength
	}
	if r.chunked {
		_, _ = r.client.out.WriteString(strconv.FormatInt(int64(len(p)), 16) + "\r\n")
	}
	_, _ = r.client.out.Write(p)
	if r.chunked {
		_, _ = r.client.out.WriteString("\r\n")
	}
	return len(p), r.client.out.Flush()
}

func (r *plainReply) end(trailer http1.Fields) error {
	switch {
	case !r.chunked && !r.toEnd && r.left > 0:
		return errLength
	case !r.chunked:
		return nil
	}
	_, _ = r.client.out.WriteString("0\r\n")
	_, _ = r.client.out.Write(endToEnd(trailer).Bytes())
	return r.client.out.Flush()
}
