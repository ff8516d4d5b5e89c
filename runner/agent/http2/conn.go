// Package http2 speaks HTTP/2 (RFC 9113), both as a server and as a client, as
// far as a router needs it: heads, bodies, trailers and flow control, without
// push, priorities and the upgrade from HTTP/1.
//
// It is small because net/http is not: that would make the agent's binary, which
// every pod runs, a third larger. What a head may hold is what HTTP/1 can carry,
// so that nothing can hide in a message that is passed on in the other protocol.
package http2

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/cuepod/cuepod/runner/agent/http1"
)

// Preface is what a client's connection begins with.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	maxFrame   = 16 << 10  // of what is sent to us: the least a peer may count on
	maxBlock   = 64 << 10  // a head, packed and unpacked
	maxStreams = 256       // that a client may have open
	maxControl = 256 << 10 // bytes of frames that wait to be sent: a peer that makes more of them reads nothing
	window     = 256 << 10 // of each stream: what we hold for a slow reader at most
	// connWindow is returned as it is used: streams do not wait for each other.
	connWindow    = 4 << 20
	initialWindow = 65535 // before any settings
	// idleTimeout is how long a connection is kept without a stream.
	idleTimeout = 3 * time.Minute
)

// Codes of errors.
const (
	NoError          Code = 0
	ProtocolError    Code = 1
	InternalError    Code = 2
	FlowControlError Code = 3
	StreamClosed     Code = 5
	FrameSizeError   Code = 6
	RefusedStream    Code = 7
	Cancel           Code = 8
	CompressionError Code = 9
	EnhanceYourCalm  Code = 11
	HTTP11Required   Code = 13
)

// Code is why a stream or a connection was ended.
type Code uint32

func (c Code) Error() string { return fmt.Sprintf("HTTP/2 error %d", uint32(c)) }

// ErrRefused is wrapped by the error of a request that the peer has not begun
// with, and that can be sent again elsewhere.
var ErrRefused = errors.New("the endpoint takes no more requests on this connection")

const (
	frameData, frameHeaders, framePriority, frameReset, frameSettings   = 0, 1, 2, 3, 4
	framePush, framePing, frameGoAway, frameWindowUpdate, frameContinue = 5, 6, 7, 8, 9

	flagAck, flagEndStream, flagEndHeaders, flagPadded, flagPriority = 1, 1, 4, 8, 32

	settingPush, settingStreams, settingWindow, settingFrame, settingHeaders = 2, 3, 4, 5, 6
)

// Conn is one connection. Its methods are safe for concurrent use.
type Conn struct {
	conn   net.Conn
	in     *bufio.Reader
	client bool
	handle func(*Stream) // server only
	wg     sync.WaitGroup

	wmu   sync.Mutex // of writes: a frame, or a whole head, at a time
	out   *bufio.Writer
	enc   *hpack.Encoder
	block bytes.Buffer

	mu      sync.Mutex // of what follows, and of the streams
	changed *sync.Cond
	streams map[uint32]*Stream
	last    uint32 // the latest stream, of whoever opens them
	send    int64  // what may be sent on the connection
	recv    int64  // what may be received
	initial int64  // what may be sent on a new stream
	frame   int    // the largest payload that may be sent
	most    uint32 // streams that the peer takes at a time
	control []byte // frames that the reader has to answer with: it never waits for the peer to read
	leaving bool   // the peer takes no new streams
	err     error  // why the connection is over
}

func newConn(conn net.Conn, in *bufio.Reader, client bool) *Conn {
	c := &Conn{
		conn: conn, in: in, client: client, out: bufio.NewWriterSize(conn, maxFrame+9), streams: map[uint32]*Stream{},
		send: initialWindow, recv: connWindow, initial: initialWindow, frame: maxFrame, most: maxStreams,
	}
	c.changed = sync.NewCond(&c.mu)
	c.enc = hpack.NewEncoder(&c.block)
	c.enc.SetMaxDynamicTableSize(0) // so that it does not matter how large a table the peer keeps
	return c
}

// Serve takes requests until the connection ends, calls handle for each on a
// goroutine of its own, and waits for them. in has the client's preface yet to
// give.
func Serve(conn net.Conn, in *bufio.Reader, handle func(*Stream)) {
	preface := make([]byte, len(Preface))
	if _, err := io.ReadFull(in, preface); err != nil || string(preface) != Preface {
		return
	}
	c := newConn(conn, in, false)
	c.handle = handle
	c.begin("", setting(settingStreams, maxStreams))
	c.read()
	c.wg.Wait()
}

// Dial begins a client's connection over conn.
func Dial(conn net.Conn) *Conn {
	c := newConn(conn, bufio.NewReaderSize(conn, maxFrame), true)
	c.begin(Preface, setting(settingPush, 0))
	c.wg.Go(c.read)
	return c
}

func setting(id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, id), value)
}

// begin sends what comes before anything else, and starts the writer of answers.
func (c *Conn) begin(preface string, first []byte) {
	settings := append(first, setting(settingWindow, window)...)
	settings = append(settings, setting(settingHeaders, maxBlock)...)
	c.mu.Lock()
	c.push(frameSettings, 0, 0, settings)
	c.push(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, connWindow-initialWindow))
	frames := c.control
	c.control = nil
	c.mu.Unlock()
	_, _ = c.out.WriteString(preface) // a broken connection ends the reader
	_, _ = c.out.Write(frames)
	_ = c.out.Flush()
	c.wg.Go(c.writeControl)
}

// push adds a frame to those that wait to be sent. c.mu is held.
func (c *Conn) push(kind, flags byte, stream uint32, payload []byte) {
	c.control = appendHeader(c.control, kind, flags, stream, len(payload))
	c.control = append(c.control, payload...)
	c.changed.Broadcast()
}

func appendHeader(b []byte, kind, flags byte, stream uint32, length int) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(b, stream)
}

// writeControl sends what waits until the connection is over.
func (c *Conn) writeControl() {
	for {
		c.mu.Lock()
		for len(c.control) == 0 && c.err == nil {
			c.changed.Wait()
		}
		frames, over := c.control, c.err != nil
		c.control = nil
		c.mu.Unlock()
		if len(frames) > 0 {
			c.wmu.Lock()
			_, _ = c.out.Write(frames) // a broken connection ends the reader
			_ = c.out.Flush()
			c.wmu.Unlock()
		}
		if over {
			c.conn.Close()
			return
		}
	}
}

// Close ends the connection and its streams at once. It does not wait.
func (c *Conn) Close() {
	c.fail(net.ErrClosed)
	c.conn.Close()
}

// Wait waits until all that belongs to the connection has ended.
func (c *Conn) Wait() { c.wg.Wait() }

// fail ends everything for a reason.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	var code Code
	if errors.As(err, &code) {
		last := c.last
		if c.client {
			last = 0
		}
		c.push(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), uint32(code)))
	}
	c.err = err
	for _, s := range c.streams {
		s.fail(err)
	}
	c.changed.Broadcast()
}

// read takes frames until the connection ends.
func (c *Conn) read() {
	dec := hpack.NewDecoder(4096, nil)
	dec.SetMaxStringLength(maxBlock)
	for {
		kind, flags, id, payload, err := c.readFrame()
		if err == nil {
			err = c.take(dec, kind, flags, id, payload)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// readFrame waits for a frame. A connection that nobody uses is not waited for.
func (c *Conn) readFrame() (kind, flags byte, stream uint32, payload []byte, err error) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(idleTimeout)) // fails when the connection is gone, as the read will
		if _, err = c.in.Peek(9); err == nil {
			break
		}
		c.mu.Lock()
		busy := len(c.streams) > 0
		c.mu.Unlock()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && busy:
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = NoError
		}
		return 0, 0, 0, nil, err
	}
	var head [9]byte
	_, _ = io.ReadFull(c.in, head[:]) // was peeked
	length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	if length > maxFrame {
		return 0, 0, 0, nil, FrameSizeError
	}
	payload = make([]byte, length)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return 0, 0, 0, nil, err
	}
	return head[3], head[4], binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1), payload, nil
}

// take does what a frame says. An error ends the connection.
func (c *Conn) take(dec *hpack.Decoder, kind, flags byte, id uint32, payload []byte) error {
	switch kind {
	case frameHeaders:
		return c.takeHeaders(dec, flags, id, payload)
	case frameContinue, framePush:
		return ProtocolError // continuations are read with their head, and nobody may push
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.control) > maxControl {
		return EnhanceYourCalm
	}
	switch kind {
	case frameData:
		return c.takeData(flags, id, payload)
	case frameReset:
		return c.takeReset(id, payload)
	case frameSettings:
		return c.takeSettings(flags, id, payload)
	case framePing:
		if len(payload) != 8 || id != 0 {
			return FrameSizeError
		}
		if flags&flagAck == 0 {
			c.push(framePing, flagAck, 0, payload)
		}
	case frameGoAway:
		return c.takeGoAway(id, payload)
	case frameWindowUpdate:
		return c.takeWindow(id, payload)
	}
	return nil // others have no meaning for us
}

// unpad takes the padding off.
func unpad(flags byte, payload []byte) ([]byte, error) {
	if flags&flagPadded == 0 {
		return payload, nil
	}
	if len(payload) == 0 || int(payload[0]) >= len(payload) {
		return nil, ProtocolError
	}
	return payload[1 : len(payload)-int(payload[0])], nil
}

// idle reports whether a stream has not been opened yet. c.mu is held.
func (c *Conn) idle(id uint32) bool {
	return id == 0 || id > c.last || id%2 == 0
}

func (c *Conn) takeData(flags byte, id uint32, payload []byte) error {
	data, err := unpad(flags, payload)
	if err != nil || c.idle(id) {
		return ProtocolError
	}
	if c.recv -= int64(len(payload)); c.recv < 0 {
		return FlowControlError
	}
	if c.recv < connWindow/2 {
		c.push(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(connWindow-c.recv)))
		c.recv = connWindow
	}
	s := c.streams[id]
	if s == nil {
		return nil // it has ended here already
	}
	if !s.headed || s.ended {
		return StreamClosed
	}
	if s.recv -= int64(len(payload)); s.recv < 0 {
		return FlowControlError
	}
	s.data = append(s.data, data...)
	s.taken(len(payload) - len(data))
	s.ended = flags&flagEndStream != 0
	c.changed.Broadcast()
	return nil
}

func (c *Conn) takeReset(id uint32, payload []byte) error {
	if len(payload) != 4 {
		return FrameSizeError
	}
	if c.idle(id) {
		return ProtocolError
	}
	if s := c.streams[id]; s != nil {
		code := Code(binary.BigEndian.Uint32(payload))
		var err error = code
		switch {
		case code == RefusedStream:
			err = fmt.Errorf("%w: %w", ErrRefused, code)
		case code == NoError && s.ended: // the answer is whole: it only wants no more of the request
			s.sent = true
			s.noMore = true
			c.changed.Broadcast()
			return nil
		}
		s.fail(err)
		c.changed.Broadcast()
	}
	return nil
}

func (c *Conn) takeSettings(flags byte, id uint32, payload []byte) error {
	switch {
	case id != 0:
		return ProtocolError
	case flags&flagAck != 0:
		return nil
	case len(payload)%6 != 0:
		return FrameSizeError
	}
	for ; len(payload) > 0; payload = payload[6:] {
		value := binary.BigEndian.Uint32(payload[2:])
		switch binary.BigEndian.Uint16(payload) {
		case settingStreams:
			c.most = value
		case settingFrame:
			if value < maxFrame || value > 1<<24-1 {
				return ProtocolError
			}
			// No larger ones than before: streams would wait longer for each other.
		case settingWindow:
			if value > 1<<31-1 {
				return FlowControlError
			}
			for _, s := range c.streams {
				s.send += int64(value) - c.initial
			}
			c.initial = int64(value)
		}
	}
	c.push(frameSettings, flagAck, 0, nil)
	return nil
}

func (c *Conn) takeGoAway(id uint32, payload []byte) error {
	if id != 0 || len(payload) < 8 {
		return ProtocolError
	}
	c.leaving = true
	last := binary.BigEndian.Uint32(payload) & (1<<31 - 1)
	for n, s := range c.streams {
		if c.client && n > last {
			s.fail(ErrRefused)
		}
	}
	c.changed.Broadcast()
	return nil
}

func (c *Conn) takeWindow(id uint32, payload []byte) error {
	if len(payload) != 4 {
		return FrameSizeError
	}
	more := int64(binary.BigEndian.Uint32(payload) & (1<<31 - 1))
	if more == 0 {
		return ProtocolError
	}
	if id == 0 {
		if c.send += more; c.send > 1<<31-1 {
			return FlowControlError
		}
	} else if s := c.streams[id]; s != nil {
		if s.send += more; s.send > 1<<31-1 {
			return FlowControlError
		}
	} else if c.idle(id) {
		return ProtocolError
	}
	c.changed.Broadcast()
	return nil
}

// takeHeaders reads the rest of a head, and opens a stream for a request.
func (c *Conn) takeHeaders(dec *hpack.Decoder, flags byte, id uint32, payload []byte) error {
	block, err := unpad(flags, payload)
	if err != nil {
		return err
	}
	if flags&flagPriority != 0 {
		if len(block) < 5 {
			return FrameSizeError
		}
		block = block[5:]
	}
	block = bytes.Clone(block)
	for end := flags & flagEndHeaders; end == 0; {
		kind, more, next, payload, err := c.readFrame()
		if err != nil {
			return err
		}
		if kind != frameContinue || next != id || len(block)+len(payload) > maxBlock {
			return ProtocolError
		}
		block = append(block, payload...)
		end = more & flagEndHeaders
	}
	fields, err := decode(dec, block)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		err := s.takeFields(fields, flags&flagEndStream != 0)
		c.changed.Broadcast()
		return err
	}
	if id == 0 || id%2 == 0 || c.client && id > c.last {
		return ProtocolError
	}
	if c.client || id <= c.last {
		return nil // it has ended here already
	}
	return c.open(id, fields, flags&flagEndStream != 0)
}

// open begins a request of a client. c.mu is held.
func (c *Conn) open(id uint32, fields http1.Fields, end bool) error {
	c.last = id
	if len(c.streams) >= maxStreams {
		c.push(frameReset, 0, id, binary.BigEndian.AppendUint32(nil, uint32(RefusedStream)))
		return nil
	}
	s := c.newStream(id)
	if err := s.takeFields(fields, end); err != nil {
		return err
	}
	c.wg.Go(func() {
		defer s.Close()
		c.handle(s)
	})
	return nil
}

func (c *Conn) newStream(id uint32) *Stream {
	s := &Stream{conn: c, id: id, send: c.initial, recv: window}
	c.streams[id] = s
	return s
}

// decode unpacks a head, within bounds.
func decode(dec *hpack.Decoder, block []byte) (http1.Fields, error) {
	var fields http1.Fields
	size := 0
	dec.SetEmitFunc(func(f hpack.HeaderField) {
		if size += len(f.Name) + len(f.Value) + 32; size <= maxBlock {
			fields = append(fields, http1.Field{Name: f.Name, Value: f.Value})
		}
	})
	if _, err := dec.Write(block); err != nil {
		return nil, CompressionError
	}
	if err := dec.Close(); err != nil {
		return nil, CompressionError
	}
	if size > maxBlock {
		return nil, EnhanceYourCalm
	}
	return fields, nil
}
