package http2

import (
	"encoding/binary"
	"io"

	"github.com/cuepod/cuepod/runner/agent/http1"
)

// Stream is one request and its response. One goroutine may read and another
// write at a time; Reset may be called by anybody.
type Stream struct {
	conn *Conn
	id   uint32

	// All below are conn.mu's.
	heads   []http1.Fields // received before the body and not read yet
	headed  bool           // the head of the message itself is in
	trailer http1.Fields
	data    []byte // received and not read yet
	unpaid  int    // bytes read, for which the peer may send others
	recv    int64  // what the peer may send
	send    int64  // what we may send
	ended   bool   // the peer has sent everything
	sent    bool   // we have
	noMore  bool   // the peer wants no more of what we send
	err     error
	onFail  func()
}

// fail ends the stream for a reason. conn.mu is held.
func (s *Stream) fail(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	if s.onFail != nil {
		go s.onFail()
	}
}

// OnFail has f called, on a goroutine of its own, when the stream ends before
// its time, also if it already has.
func (s *Stream) OnFail(f func()) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.onFail = f
	if s.err != nil {
		go f()
	}
}

// takeFields takes a head or the trailers. conn.mu is held. An error ends the
// connection; a stream that is malformed is reset alone.
func (s *Stream) takeFields(fields http1.Fields, end bool) error {
	switch {
	case s.ended:
		return StreamClosed
	case s.headed:
		if !end || !validTrailer(fields) {
			s.reset(ProtocolError)
			return nil
		}
		s.trailer = fields
	default:
		if !s.conn.client && !validRequest(fields) || s.conn.client && !validResponse(fields) {
			s.reset(ProtocolError)
			return nil
		}
		s.heads = append(s.heads, fields)
		s.headed = !s.conn.client || !interim(fields)
	}
	s.ended = end
	return nil
}

// interim reports whether a response's head is not the last: 100, 103.
func interim(f http1.Fields) bool {
	status := f.Get(":status")
	return len(status) == 3 && status[0] == '1'
}

// taken says that the stream has done with n bytes. conn.mu is held.
func (s *Stream) taken(n int) {
	if s.unpaid += n; s.unpaid >= window/2 && !s.ended {
		s.conn.push(frameWindowUpdate, 0, s.id, binary.BigEndian.AppendUint32(nil, uint32(s.unpaid)))
		s.recv += int64(s.unpaid)
		s.unpaid = 0
	}
}

// Head waits for the next head: of the request, or of a response, before which
// there may be interim ones. Names are in lower case, those with a colon first.
func (s *Stream) Head() (http1.Fields, error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	for len(s.heads) == 0 {
		switch {
		case s.err != nil:
			return nil, s.err
		case s.ended:
			return nil, io.ErrUnexpectedEOF
		}
		s.conn.changed.Wait()
	}
	head := s.heads[0]
	s.heads = s.heads[1:]
	return head, nil
}

// Read reads the body.
func (s *Stream) Read(p []byte) (int, error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	for len(s.data) == 0 {
		switch {
		case s.ended && s.headed:
			return 0, io.EOF
		case s.err != nil:
			return 0, s.err
		}
		s.conn.changed.Wait()
	}
	n := copy(p, s.data)
	if s.data = s.data[n:]; len(s.data) == 0 {
		s.data = nil
	}
	s.taken(n)
	return n, nil
}

// None reports whether nothing follows the head, as far as that is known.
func (s *Stream) None() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.ended && len(s.data) == 0 && len(s.trailer) == 0
}

// Trailer is what follows the body, once Read has given io.EOF.
func (s *Stream) Trailer() http1.Fields {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.trailer
}

// Open begins a request; end says that it has no body. It fails with ErrRefused
// when the peer takes no more.
func (c *Conn) Open(head http1.Fields, end bool) (*Stream, error) {
	c.wmu.Lock() // streams are opened in the order of their numbers
	defer c.wmu.Unlock()
	c.mu.Lock()
	if c.err != nil || c.leaving || uint32(len(c.streams)) >= c.most || c.last >= 1<<30 {
		defer c.mu.Unlock()
		return nil, ErrRefused
	}
	if c.last == 0 {
		c.last = 1
	} else {
		c.last += 2
	}
	s := c.newStream(c.last)
	s.sent = end
	c.mu.Unlock()
	if err := c.writeHead(s.id, head, end); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// WriteHead sends a head, or with end the trailers or the head of a message
// without a body.
func (s *Stream) WriteHead(head http1.Fields, end bool) error {
	s.conn.wmu.Lock()
	defer s.conn.wmu.Unlock()
	s.conn.mu.Lock()
	err := s.err
	if err == nil && end {
		s.sent = true
	}
	s.conn.mu.Unlock()
	if err != nil {
		return err
	}
	return s.conn.writeHead(s.id, head, end)
}

// writeHead writes a head as one; c.wmu is held.
func (c *Conn) writeHead(id uint32, head http1.Fields, end bool) error {
	c.block.Reset()
	for _, f := range head {
		_ = c.enc.WriteField(fieldOf(f)) // a buffer takes everything
	}
	kind, flags := byte(frameHeaders), byte(0)
	if end {
		flags = flagEndStream
	}
	for block := c.block.Bytes(); ; {
		piece := block[:min(len(block), maxFrame)]
		if block = block[len(piece):]; len(block) == 0 {
			flags |= flagEndHeaders
		}
		if err := c.writeFrame(kind, flags, id, piece); err != nil {
			return err
		}
		if len(block) == 0 {
			return c.out.Flush()
		}
		kind, flags = frameContinue, 0
	}
}

func (c *Conn) writeFrame(kind, flags byte, id uint32, payload []byte) error {
	if _, err := c.out.Write(appendHeader(nil, kind, flags, id, len(payload))); err != nil {
		return err
	}
	_, err := c.out.Write(payload)
	return err
}

// Write sends a piece of the body, as fast as the peer takes it.
func (s *Stream) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := s.reserve(len(p) - done)
		if err != nil {
			return done, err
		}
		if n == 0 { // the peer wants no more, which is no error
			return len(p), nil
		}
		if err := s.writeData(p[done:done+n], 0); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// reserve waits until some of n bytes may be sent.
func (s *Stream) reserve(n int) (int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case s.noMore:
			return 0, nil
		case s.err != nil:
			return 0, s.err
		}
		if may := min(int64(n), s.send, c.send, int64(c.frame)); may > 0 {
			s.send -= may
			c.send -= may
			return int(may), nil
		}
		c.changed.Wait()
	}
}

func (s *Stream) writeData(p []byte, flags byte) error {
	s.conn.wmu.Lock()
	defer s.conn.wmu.Unlock()
	if err := s.conn.writeFrame(frameData, flags, s.id, p); err != nil {
		return err
	}
	return s.conn.out.Flush()
}

// End says that everything is sent, with trailers if there are some.
func (s *Stream) End(trailer http1.Fields) error {
	if len(trailer) > 0 {
		return s.WriteHead(trailer, true)
	}
	s.conn.mu.Lock()
	err, sent := s.err, s.sent
	if err == nil {
		s.sent = true
	}
	s.conn.mu.Unlock()
	if err != nil || sent {
		return err
	}
	return s.writeData(nil, flagEndStream)
}

// Reset ends the stream before its time.
func (s *Stream) Reset(code Code) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.reset(code)
}

func (s *Stream) reset(code Code) {
	if s.err == nil && s.conn.err == nil && !(s.ended && s.sent) {
		s.conn.push(frameReset, 0, s.id, binary.BigEndian.AppendUint32(nil, uint32(code)))
	}
	s.fail(code)
	s.conn.changed.Broadcast()
}

// Close lets the stream go. What is not whole is reset: a server that has
// answered wants no more of the request, anything else was not wanted.
func (s *Stream) Close() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	code := Cancel
	if !s.conn.client {
		code = InternalError
		if s.sent {
			code = NoError
		}
	}
	s.reset(code)
	delete(s.conn.streams, s.id)
}
