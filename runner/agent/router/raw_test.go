package router

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/net/http2/hpack"

	"github.com/cuepod/cuepod/runner/agent/http2"
)

// rawRequest is a connection's beginning with one request, of any length.
func rawRequest(length, body string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/"}, {":authority", "web.shop.localhost"}, {"content-length", length}} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	frame := func(kind, flags byte, stream uint32, payload []byte) []byte {
		b := []byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags}
		return append(binary.BigEndian.AppendUint32(b, stream), payload...)
	}
	out := append([]byte(http2.Preface), frame(4, 0, 0, nil)...)
	out = append(out, frame(1, 4, 1, block.Bytes())...)
	return append(out, frame(0, 1, 1, []byte(body))...)
}
