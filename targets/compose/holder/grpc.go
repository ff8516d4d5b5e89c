package holder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// HTTP/2 as far as one health check needs it (RFC 9113): frame types, flags
// and the one stream.
const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7

	flagAck        = 0x1 // of SETTINGS and PING
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8

	healthStream = 1
	maxFrame     = 1 << 14 // bytes: what we may send, and what a server may send unasked
)

// serving is HealthCheckResponse.SERVING of grpc.health.v1.
const serving = 1

// grpcHealth calls grpc.health.v1.Health/Check and succeeds on SERVING. The
// answer's message says all: headers need not be decoded, and an error comes
// without a message.
func grpcHealth(conn io.ReadWriter, service string) error {
	if err := sendHealthCheck(conn, service); err != nil {
		return err
	}
	var message []byte
	for {
		kind, flags, stream, payload, err := readFrame(conn)
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			err = writeFrame(conn, frameSettings, flagAck, 0, nil)
		case kind == framePing && flags&flagAck == 0:
			err = writeFrame(conn, framePing, flagAck, 0, payload)
		case kind == frameReset || kind == frameGoAway:
			return errors.New("the server refused the call")
		case kind == frameData && stream == healthStream:
			message = append(message, unpad(flags, payload)...)
		}
		if err != nil {
			return err
		}
		if (kind == frameData || kind == frameHeaders) && stream == healthStream && flags&flagEndStream != 0 {
			return healthStatus(message)
		}
		if len(message) > maxFrame {
			return errors.New("the answer is too long")
		}
	}
}

func sendHealthCheck(conn io.Writer, service string) error {
	if len(service) > 127 {
		return errors.New("the service's name is longer than 127 bytes")
	}
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		return err
	}
	var head []byte
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/grpc.health.v1.Health/Check"}, {":authority", "localhost"},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "kube-probe/1.37"},
	} { // literals that are not indexed, RFC 7541 section 6.2.2
		head = append(head, 0, byte(len(h[0])))
		head = append(head, h[0]...)
		head = append(head, byte(len(h[1])))
		head = append(head, h[1]...)
	}
	var request []byte // HealthCheckRequest{service = 1}
	if service != "" {
		request = append([]byte{1<<3 | 2, byte(len(service))}, service...)
	}
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(request))) // gRPC: not compressed, length
	return errors.Join(
		writeFrame(conn, frameSettings, 0, 0, nil),
		writeFrame(conn, frameHeaders, flagEndHeaders, healthStream, head),
		writeFrame(conn, frameData, flagEndStream, healthStream, append(body, request...)),
	)
}

func writeFrame(w io.Writer, kind, flags byte, stream uint32, payload []byte) error {
	frame := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	frame = binary.BigEndian.AppendUint32(frame, stream)
	_, err := w.Write(append(frame, payload...))
	return err
}

func readFrame(r io.Reader) (kind, flags byte, stream uint32, payload []byte, err error) {
	var head [9]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return
	}
	length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	if length > maxFrame {
		return 0, 0, 0, nil, fmt.Errorf("a frame of %d bytes", length)
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(r, payload)
	return head[3], head[4], binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1), payload, err
}

func unpad(flags byte, payload []byte) []byte {
	if flags&flagPadded == 0 || len(payload) == 0 {
		return payload
	}
	end := len(payload) - int(payload[0])
	if end < 1 {
		return nil
	}
	return payload[1:end]
}

// healthStatus reads HealthCheckResponse{status = 1} behind gRPC's five bytes.
func healthStatus(message []byte) error {
	if len(message) < 5 {
		return errors.New("the server knows no such service, or has no health service")
	}
	status := uint64(0)
	if body := message[5:]; len(body) > 1 && body[0] == 1<<3 {
		status, _ = binary.Uvarint(body[1:])
	}
	if status != serving {
		return fmt.Errorf("the service's status is %d, not SERVING", status)
	}
	return nil
}
