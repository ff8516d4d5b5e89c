package http2

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/http1"
)

// clear is HTTP/2 without TLS, as the standard library speaks it.
func clearProtocols() *http.Protocols {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &p
}

// listen serves connections with handle and returns the address.
func listen(t *testing.T, handle func(*Stream)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				Serve(conn, bufio.NewReader(conn), handle)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func standardClient(t *testing.T) *http.Client {
	tr := &http.Transport{Protocols: clearProtocols()}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// echo gives back head, body and trailers.
func echo(s *Stream) {
	head, err := s.Head()
	if err != nil {
		return
	}
	if s.WriteHead(http1.Fields{{Name: ":status", Value: "200"}, {Name: "x-path", Value: head.Get(":path")}, {Name: "trailer", Value: "x-sum"}}, false) != nil {
		return
	}
	n, err := io.Copy(s, s)
	if err != nil {
		return
	}
	_ = s.End(http1.Fields{{Name: "x-sum", Value: fmt.Sprint(n)}, {Name: "x-got", Value: s.Trailer().Get("x-sent")}})
}

func TestServe_TheStandardClient(t *testing.T) {
	addr := listen(t, echo)
	client := standardClient(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			body := bytes.Repeat([]byte(fmt.Sprintf("%07d\n", i)), 200_000) // 1.6 MB: many windows
			req, _ := http.NewRequest("POST", "http://"+addr+fmt.Sprintf("/a/%d?b", i), io.NopCloser(bytes.NewReader(body)))
			req.Trailer = http.Header{"X-Sent": {"yes"}}
			res, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if res.Header.Get("x-path") != fmt.Sprintf("/a/%d?b", i) || res.Trailer.Get("x-sum") != fmt.Sprint(len(body)) || res.Trailer.Get("x-got") != "yes" {
				t.Errorf("head %v, trailer %v", res.Header, res.Trailer)
			}
		})
	}
	wg.Wait()
}

func TestServe_AClientThatLeavesEndsItsStreamAlone(t *testing.T) {
	left := make(chan error, 1)
	addr := listen(t, func(s *Stream) {
		head, _ := s.Head()
		_ = s.WriteHead(http1.Fields{{Name: ":status", Value: "200"}}, false)
		if head.Get(":path") == "/ends" {
			_ = s.End(nil)
			return
		}
		_, _ = s.Write([]byte("first"))
		_, err := s.Read(make([]byte, 1))
		left <- err
	})
	client := standardClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/stays", r)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%q, %v: a stream is not held back", first, err)
	}
	cancel()
	res.Body.Close()
	select {
	case err := <-left:
		if !errors.Is(err, Cancel) {
			t.Errorf("the handler sees %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the handler waits for a client that left")
	}
	if res, err := client.Get("http://" + addr + "/ends"); err != nil || res.StatusCode != 200 {
		t.Errorf("another request on the connection: %v", err)
	}
}

func TestDial_TheStandardServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Protocols: clearProtocols(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(103)
		w.Header().Set("Trailer", "X-Sum")
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n)+r.Trailer.Get("x-sent"))
	})}
	go func() { _ = server.Serve(ln) }()
	defer server.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := Dial(conn)
	defer c.Wait()
	defer c.Close()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { exchange(t, c) })
	}
	wg.Wait()
}

func exchange(t *testing.T, c *Conn) {
	s, err := c.Open(http1.Fields{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"},
		{Name: ":authority", Value: "web"}, {Name: "trailer", Value: "x-sent"}, {Name: "x-long", Value: strings.Repeat("y", 40_000)}}, false)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	body := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		_, _ = s.Write(body)
		_ = s.End(http1.Fields{{Name: "x-sent", Value: "!"}})
	}()
	var codes []string
	for len(codes) == 0 || codes[len(codes)-1] == "103" {
		head, err := s.Head()
		if err != nil {
			t.Error(err)
			return
		}
		codes = append(codes, head.Get(":status"))
	}
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, body) || fmt.Sprint(codes) != "[103 200]" || s.Trailer().Get("x-sum") != "1000000!" {
		t.Errorf("got %d bytes, %v, codes %v, trailer %v", len(got), err, codes, s.Trailer())
	}
}

func TestValidRequest(t *testing.T) {
	good := http1.Fields{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}, {Name: ":authority", Value: "a:80"}}
	if !validRequest(append(good[:4:4], http1.Field{Name: "te", Value: "trailers"})) {
		t.Error("a plain request is refused")
	}
	for _, bad := range []http1.Field{
		{Name: "connection", Value: "close"}, {Name: "transfer-encoding", Value: "chunked"}, {Name: "X-Upper", Value: "a"},
		{Name: "x", Value: "a\r\nb: c"}, {Name: "x y", Value: ""}, {Name: ":path", Value: "/b"}, {Name: ":unknown", Value: ""}, {Name: "te", Value: "gzip"},
	} {
		if validRequest(append(good[:4:4], bad)) {
			t.Errorf("%q: %q is taken", bad.Name, bad.Value)
		}
	}
	for i, value := range []string{"CONNECT", "ftp", "/a b", "a@b"} {
		f := append(http1.Fields{}, good...)
		f[i].Value = value
		if validRequest(f) {
			t.Errorf("%s is taken as %s", value, f[i].Name)
		}
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x01\x05\x00\x00\x00\x01\x82"))
	f.Fuzz(func(t *testing.T, frames []byte) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		go func() {
			_, _ = theirs.Write(append([]byte(Preface), frames...))
			theirs.Close()
		}()
		Serve(ours, bufio.NewReader(ours), echo)
		ours.Close()
	})
}
