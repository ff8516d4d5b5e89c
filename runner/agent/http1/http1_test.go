package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func reader(s string) *bufio.Reader { return bufio.NewReaderSize(strings.NewReader(s), 16) }

func TestReadRequest(t *testing.T) {
	r := reader("\r\nGET /a?b HTTP/1.1\r\nHost: web.shop.localhost:8080\r\nX-Long: " + strings.Repeat("x", 5000) +
		"\r\nConnection: keep-alive , Upgrade\nEmpty:\r\n\r\nrest")
	req, err := ReadRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	if req.Method != "GET" || req.Target != "/a?b" || req.Host() != "web.shop.localhost:8080" || len(req.Fields.Get("x-LONG")) != 5000 ||
		!req.Fields.Has("connection", "upgrade") || req.Close() || len(req.Fields) != 4 {
		t.Errorf("got %+v", req)
	}
	again, err := ReadRequest(bufio.NewReader(bytes.NewReader(req.Bytes())))
	if err != nil || fmt.Sprint(again) != fmt.Sprint(req) {
		t.Errorf("printed and read again: %+v, %v", again, err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "rest" {
		t.Errorf("left %q, want rest", rest)
	}
}

func TestReadRequest_Refuses(t *testing.T) {
	for what, head := range map[string]string{
		"no version":          "GET /\r\n\r\n",
		"HTTP/2":              "PRI * HTTP/2.0\r\n\r\n",
		"space in the target": "GET /a b HTTP/1.1\r\n\r\n",
		"odd method":          "G\"T / HTTP/1.1\r\n\r\n",
		"folded line":         "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"space before colon":  "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
		"no colon":            "GET / HTTP/1.1\r\nHost\r\n\r\n",
		"carriage return":     "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
		"two hosts":           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"too large":           "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", maxHead) + "\r\n\r\n",
	} {
		if req, err := ReadRequest(reader(head)); !errors.Is(err, ErrHead) {
			t.Errorf("%s: %+v, %v; want a malformed message", what, req, err)
		}
	}
	if _, err := ReadRequest(reader("")); err != io.EOF {
		t.Errorf("nothing: %v, want EOF", err)
	}
	if _, err := ReadRequest(reader("GET / HTTP/1.1\r\nHost: a\r\n")); err != io.ErrUnexpectedEOF {
		t.Errorf("half a head: %v, want unexpected EOF", err)
	}
}

func TestRequest_Framing(t *testing.T) {
	for _, c := range []struct {
		fields string
		want   Body
		bad    bool
	}{
		{"", Body{}, false},
		{"Content-Length: 5\r\n", Body{Length: 5}, false},
		{"Content-Length: 5\r\nContent-Length: 5\r\n", Body{Length: 5}, false},
		{"Transfer-Encoding: Chunked\r\n", Body{Chunked: true}, false},
		{"Content-Length: 5\r\nContent-Length: 6\r\n", Body{}, true},
		{"Content-Length: +5\r\n", Body{}, true},
		{"Content-Length: -5\r\n", Body{}, true},
		{"Content-Length: 5, 5\r\n", Body{}, true},
		{"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Body{}, true},
		{"Transfer-Encoding: gzip, chunked\r\n", Body{}, true},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", Body{}, true},
	} {
		req, err := ReadRequest(reader("POST / HTTP/1.1\r\n" + c.fields + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := req.Body(); got != c.want || (err != nil) != c.bad {
			t.Errorf("%q: %+v, %v; want %+v, error %v", c.fields, got, err, c.want, c.bad)
		}
	}
}

func TestResponse_Framing(t *testing.T) {
	for _, c := range []struct {
		method, head string
		want         Body
	}{
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Body{Length: 3}},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Body{}},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", Body{}},
		{"GET", "HTTP/1.1 204\r\n\r\n", Body{}},
		{"GET", "HTTP/1.0 200 OK\r\n\r\n", Body{ToEnd: true}},
	} {
		res, err := ReadResponse(reader(c.head))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := res.Body(c.method); err != nil || got != c.want {
			t.Errorf("%s %q: %+v, %v; want %+v", c.method, c.head, got, err, c.want)
		}
	}
	for _, head := range []string{"HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "SSH-2.0-x\r\n\r\n", "\r\n", "HTTP/1.1 099 X\r\n\r\n"} {
		if res, err := ReadResponse(reader(head)); err == nil {
			t.Errorf("%q: %+v, want an error", head, res)
		}
	}
}

func TestBody_CopyTakesExactlyTheBody(t *testing.T) {
	chunks := "5;ext=1\r\nhello\r\n1\r\n \r\n0\r\nTrailer: x\r\n\r\n"
	for _, c := range []struct {
		body      Body
		in, out   string
		fail      bool
		untouched string
	}{
		{Body{}, "next", "", false, "next"},
		{Body{Length: 5}, "hellonext", "hello", false, "next"},
		{Body{Length: 50}, "hello", "hello", true, ""},
		{Body{ToEnd: true}, "hello", "hello", false, ""},
		{Body{Chunked: true}, chunks + "next", chunks, false, "next"},
		{Body{Chunked: true}, "5\r\nhel", "5\r\nhel", true, ""},
		{Body{Chunked: true}, "5\r\nhello!\r\n", "", true, ""},
		{Body{Chunked: true}, "zz\r\n", "", true, ""},
		{Body{Chunked: true}, "-1\r\n", "", true, ""},
	} {
		var out bytes.Buffer
		in, w := reader(c.in), bufio.NewWriterSize(&out, 16)
		err := c.body.Copy(w, in)
		if (err != nil) != c.fail {
			t.Errorf("%+v of %q: error %v", c.body, c.in, err)
		}
		if c.fail {
			continue
		}
		rest, _ := io.ReadAll(in)
		if out.String() != c.out || string(rest) != c.untouched {
			t.Errorf("%+v of %q: carried %q, left %q", c.body, c.in, &out, rest)
		}
	}
}

// FuzzReadRequest holds us to the standard library: what we accept it accepts,
// with the same host and framing. Two readers that differ are how requests are
// smuggled.
func FuzzReadRequest(f *testing.F) {
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("POST http://u@b/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.0\nHost: a\nContent-Length: 3\n\nabc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, err := ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		body, err := ours.Body()
		if err != nil {
			return
		}
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(ours.Bytes())))
		if err != nil {
			return // stricter than we are: an endpoint refuses it
		}
		if std.Method != ours.Method || !strings.EqualFold(std.Host, ours.Host()) {
			t.Errorf("method %q host %q, the standard library has %q and %q", ours.Method, ours.Host(), std.Method, std.Host)
		}
		if chunked := len(std.TransferEncoding) > 0; chunked != body.Chunked || !chunked && std.ContentLength != body.Length {
			t.Errorf("body %+v, the standard library has %v, %d", body, std.TransferEncoding, std.ContentLength)
		}
	})
}
