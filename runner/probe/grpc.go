package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"golang.org/x/net/http2/hpack"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// The gRPC health check is one call with a message of one field each way, on a
// connection of its own. It is written out here by hand, frame by frame (RFC
// 9113), because the libraries would weigh more than the rest of the agent.

// Frame types and flags of HTTP/2, and the stream the call uses.
const (
	frameData, frameHeaders, frameReset, frameSettings = 0, 1, 3, 4
	framePing, frameGoAway, frameContinuation          = 6, 7, 9

	flagAck, flagEndStream, flagEndHeaders, flagPadded, flagPriority = 1, 1, 4, 8, 32

	healthStream = 1
	// maxFrame is the largest frame a peer may send to one that announced no
	// other size.
	maxFrame = 16 << 10
)

// serving is the one status of grpc.health.v1 that means success.
const serving = 1

func doGRPC(ctx context.Context, ip string, p *api.GRPCProbe) Outcome {
	conn, done, err := dial(ctx, ip, p.Port)
	if err != nil {
		return fail("%v", err)
	}
	defer done()
	authority := net.JoinHostPort(ip, strconv.Itoa(p.Port))
	if _, err := conn.Write(healthCall(authority, p.Service)); err != nil {
		return fail("gRPC: %v", err)
	}
	call := newCall(conn)
	if err := call.read(); err != nil {
		return fail("gRPC: %v", err)
	}
	return call.outcome(p.Service)
}

// healthCall is everything the client has to say: preface, settings, and the
// call's headers and message.
func healthCall(authority, service string) []byte {
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/grpc.health.v1.Health/Check"}, {":authority", authority},
		{"content-type", "application/grpc"}, {"user-agent", userAgent}, {"te", "trailers"},
	} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // a bytes.Buffer takes everything
	}
	var msg []byte
	if service != "" {
		msg = binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(service))) // field 1, a string
		msg = append(msg, service...)
	}
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg))) // not compressed, length
	body = append(body, msg...)

	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = appendFrame(out, frameSettings, 0, 0, nil)
	out = appendFrame(out, frameHeaders, flagEndHeaders, healthStream, head.Bytes())
	return appendFrame(out, frameData, flagEndStream, healthStream, body)
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// call is the answer as it comes in.
type call struct {
	conn    io.ReadWriter
	decoder *hpack.Decoder
	status  string // of HTTP
	code    string // of gRPC
	message string
	body    []byte
}

func newCall(conn io.ReadWriter) *call {
	c := &call{conn: conn}
	c.decoder = hpack.NewDecoder(4096, c.field) // the table size of a peer that announced no other
	return c
}

func (c *call) field(f hpack.HeaderField) {
	switch f.Name {
	case ":status":
		c.status = f.Value
	case "grpc-status":
		c.code = f.Value
	case "grpc-message":
		c.message = f.Value
	}
}

// read takes frames until the server ends the stream.
func (c *call) read() error {
	ending := false
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.conn, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the server closed the connection: it may not speak HTTP/2 without TLS")
			}
			return err
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if size > maxFrame {
			return fmt.Errorf("the server does not speak HTTP/2: a frame of %d bytes", size)
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(c.conn, payload); err != nil {
			return err
		}
		stream := binary.BigEndian.Uint32(head[5:]) & 0x7fffffff
		done, err := c.frame(head[3], head[4], stream, payload, &ending)
		if done || err != nil {
			return err
		}
	}
}

// frame takes one frame; ending is set between the headers that end the stream
// and their last continuation.
func (c *call) frame(kind, flags byte, stream uint32, payload []byte, ending *bool) (done bool, err error) {
	switch {
	case kind == frameSettings && flags&flagAck == 0:
		_, err = c.conn.Write(appendFrame(nil, frameSettings, flagAck, 0, nil))
	case kind == framePing && flags&flagAck == 0:
		_, err = c.conn.Write(appendFrame(nil, framePing, flagAck, 0, payload))
	case kind == frameGoAway && len(payload) >= 4 && binary.BigEndian.Uint32(payload) < healthStream:
		return false, errors.New("the server refused the call and ended the connection")
	case stream != healthStream:
	case kind == frameReset:
		return false, errors.New("the server reset the call")
	case kind == frameData:
		payload, err = unpad(payload, flags)
		if c.body = append(c.body, payload...); len(c.body) > maxFrame {
			return false, errors.New("the answer is too long for a health status")
		}
		return flags&flagEndStream != 0, err
	case kind == frameHeaders, kind == frameContinuation:
		if kind == frameHeaders {
			*ending = flags&flagEndStream != 0
			if payload, err = unpad(payload, flags); err != nil {
				return false, err
			}
			if flags&flagPriority != 0 {
				payload = payload[min(5, len(payload)):]
			}
		}
		if _, err := c.decoder.Write(payload); err != nil {
			return false, err
		}
		return *ending && flags&flagEndHeaders != 0, nil
	}
	return false, err
}

func unpad(payload []byte, flags byte) ([]byte, error) {
	if flags&flagPadded == 0 {
		return payload, nil
	}
	if len(payload) == 0 || int(payload[0]) >= len(payload) {
		return nil, errors.New("broken padding")
	}
	return payload[1 : len(payload)-int(payload[0])], nil
}

// outcome reads the answer.
func (c *call) outcome(service string) Outcome {
	switch {
	case c.status != "200":
		return fail("gRPC: HTTP status %s", c.status)
	case c.code == "12":
		return fail("gRPC: the server does not implement grpc.health.v1.Health")
	case c.code == "5":
		return fail("gRPC: the server knows no service %q", service)
	case c.code != "0" && c.code != "":
		return fail("gRPC: status %s: %s", c.code, c.message)
	case len(c.body) < 5 || c.body[0] != 0:
		return fail("gRPC: no health status in the answer")
	}
	if status := healthStatus(c.body[5:]); status != serving {
		return fail("gRPC: health status %d, want SERVING", status)
	}
	return Outcome{Result: Success}
}

// healthStatus reads field 1 of a HealthCheckResponse, an enum; 0, UNKNOWN, when
// it is absent or unreadable.
func healthStatus(msg []byte) uint64 {
	var status uint64
	for len(msg) > 0 {
		tag, n := binary.Uvarint(msg)
		if n <= 0 || tag != 1<<3 {
			return status // the only field there is
		}
		value, m := binary.Uvarint(msg[n:])
		if m <= 0 {
			return 0
		}
		status, msg = value, msg[n+m:]
	}
	return status
}
