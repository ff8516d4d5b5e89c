package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
)

func portOfURL(t testing.TB, s *httptest.Server) int {
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

func run(t testing.TB, ip string, p api.Probe) Outcome {
	t.Helper()
	if p.Timeout == 0 {
		p.Timeout = 20
	}
	return Do(t.Context(), ip, p)
}

func expect(t *testing.T, what string, got Outcome, want Result, message string) {
	t.Helper()
	if got.Result != want || !strings.Contains(got.Message, message) || message == "" && got.Message != "" {
		t.Errorf("%s: got %v %q, want %v %q", what, got.Result, got.Message, want, message)
	}
}

// conformance:S36
func TestDo_HTTPStatus(t *testing.T) {
	agenttest.NoLeaks(t)
	port := portOfURL(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.URL.Query().Get("code"), &code)
		w.WriteHeader(code)
	})))
	for code, want := range map[int]Result{200: Success, 204: Success, 299: Success, 302: Success, 304: Success, 399: Success, 400: Failure, 404: Failure, 500: Failure} {
		o := run(t, "127.0.0.1", api.Probe{HTTP: &api.HTTPProbe{Port: port, Path: fmt.Sprint("/x?code=", code), Scheme: "HTTP"}})
		message := ""
		if want == Failure {
			message = fmt.Sprintf("GET http://127.0.0.1:%d/x?code=%d: status %d", port, code, code)
		}
		expect(t, fmt.Sprint(code), o, want, message)
	}
}

// conformance:S36
func TestDo_HTTPRequest(t *testing.T) {
	var got *http.Request
	port := portOfURL(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r })))
	ask := func(path string, headers ...[2]string) *http.Request {
		t.Helper()
		expect(t, path, run(t, "127.0.0.1", api.Probe{HTTP: &api.HTTPProbe{Port: port, Path: path, Scheme: "HTTP", Headers: headers}}), Success, "")
		return got
	}
	r := ask("/health?deep=1")
	if r.URL.String() != "/health?deep=1" || r.UserAgent() != "kube-probe/1.37" || r.Header.Get("Accept") != "*/*" || !r.Close {
		t.Errorf("got %s %v close %v", r.URL, r.Header, r.Close)
	}
	r = ask("health", [2]string{"Host", "shop.example"}, [2]string{"X-A", "1"}, [2]string{"X-A", "2"}, [2]string{"user-agent", "me"}, [2]string{"Accept", ""})
	_, accept := r.Header["Accept"]
	if r.URL.Path != "/health" || r.Host != "shop.example" || fmt.Sprint(r.Header["X-A"]) != "[1 2]" || r.UserAgent() != "me" || accept {
		t.Errorf("got %s %s %v", r.URL, r.Host, r.Header)
	}
	// Whatever the path says, the pod is asked and nobody else.
	if r = ask("//example.com/x"); r.URL.Path != "/x" {
		t.Errorf("got %s", r.URL)
	}
}

// conformance:S36
func TestDo_HTTPRedirects(t *testing.T) {
	port := portOfURL(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/bad", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
		case "/bad":
			w.WriteHeader(500)
		}
	})))
	ask := func(path string) Outcome {
		return run(t, "127.0.0.1", api.Probe{HTTP: &api.HTTPProbe{Port: port, Path: path, Scheme: "HTTP"}})
	}
	expect(t, "to another host", ask("/away"), Success, "another host")
	expect(t, "within the host", ask("/here"), Failure, "/bad: status 500")
	expect(t, "without end", ask("/loop"), Failure, "stopped after 10 redirects")
}

// conformance:S36
func TestDo_HTTPSDoesNotVerify(t *testing.T) {
	port := portOfURL(t, httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	expect(t, "HTTPS", run(t, "127.0.0.1", api.Probe{HTTP: &api.HTTPProbe{Port: port, Path: "/", Scheme: "HTTPS"}}), Success, "")
	plain := run(t, "127.0.0.1", api.Probe{HTTP: &api.HTTPProbe{Port: port, Path: "/", Scheme: "HTTP"}})
	expect(t, "HTTP to a TLS port", plain, Failure, "status 400")
}

func TestDo_TimeoutAndRefusal(t *testing.T) {
	agenttest.NoLeaks(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port // takes connections and says nothing
	for name, p := range map[string]api.Probe{
		"HTTP":  {HTTP: &api.HTTPProbe{Port: port, Path: "/", Scheme: "HTTP"}},
		"HTTPS": {HTTP: &api.HTTPProbe{Port: port, Path: "/", Scheme: "HTTPS"}},
		"gRPC":  {GRPC: &api.GRPCProbe{Port: port}},
	} {
		p.Timeout = 1
		expect(t, name, run(t, "127.0.0.1", p), Failure, "no answer within 1s")
	}
	ln.Close()
	for name, p := range map[string]api.Probe{
		"HTTP": {HTTP: &api.HTTPProbe{Port: port, Path: "/", Scheme: "HTTP"}},
		"TCP":  {TCP: &api.TCPProbe{Port: port}},
		"gRPC": {GRPC: &api.GRPCProbe{Port: port}},
	} {
		expect(t, name, run(t, "127.0.0.1", p), Failure, "connection refused")
	}
	if o := run(t, "127.0.0.1", api.Probe{}); o.Result != Unknown {
		t.Errorf("an exec probe: %v, want Unknown", o.Result)
	}
}

// conformance:S37 S39
//
//conformance:negative S37
func TestDo_TCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := api.Probe{TCP: &api.TCPProbe{Port: ln.Addr().(*net.TCPAddr).Port}}
	expect(t, "the address it listens on", run(t, "127.0.0.1", p), Success, "")
	// The negative twin: a server on one address is not there on the pod's.
	expect(t, "another address", run(t, "127.0.0.2", p), Failure, "connection refused")
}

// healthServer is grpc.health.v1.Health over the standard library's HTTP/2.
func healthServer(t *testing.T, handle func(w http.ResponseWriter, service string)) int {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/grpc.health.v1.Health/Check" || r.Method != "POST" || r.Header.Get("Content-Type") != "application/grpc" || len(body) < 5 {
			t.Errorf("asked %s %s %v %x", r.Method, r.URL, r.Header, body)
			return
		}
		service := ""
		if len(body) > 7 {
			service = string(body[7:])
		}
		w.Header().Set("Content-Type", "application/grpc")
		handle(w, service)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	return portOfURL(t, s)
}

// answerStatus sends a HealthCheckResponse and the trailer of success.
func answerStatus(w http.ResponseWriter, status byte) {
	msg := []byte{}
	if status != 0 {
		msg = []byte{1 << 3, status}
	}
	w.Header().Set("Trailer", "Grpc-Status")
	w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg))), msg...))
	w.Header().Set("Grpc-Status", "0")
}

// conformance:S40
func TestDo_GRPC(t *testing.T) {
	agenttest.NoLeaks(t)
	port := healthServer(t, func(w http.ResponseWriter, service string) {
		switch service {
		case "", "shop.Cart":
			answerStatus(w, 1)
		case "down":
			answerStatus(w, 2)
		case "unknown":
			answerStatus(w, 0)
		case "missing":
			w.Header().Set("Grpc-Status", "5")
		case "unimplemented":
			w.Header().Set("Grpc-Status", "12")
		case "broken":
			w.Header().Set("Grpc-Status", "13")
			w.Header().Set("Grpc-Message", "out of luck")
		case "http":
			w.WriteHeader(503)
		}
	})
	for service, want := range map[string]string{
		"":              "",
		"shop.Cart":     "",
		"down":          "health status 2, want SERVING",
		"unknown":       "health status 0, want SERVING",
		"missing":       `knows no service "missing"`,
		"unimplemented": "does not implement grpc.health.v1.Health",
		"broken":        "status 13: out of luck",
		"http":          "HTTP status 503",
	} {
		result := Success
		if want != "" {
			result = Failure
		}
		expect(t, service, run(t, "127.0.0.1", api.Probe{GRPC: &api.GRPCProbe{Port: port, Service: service}}), result, want)
	}
	web := portOfURL(t, httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	expect(t, "an HTTP/1 server", run(t, "127.0.0.1", api.Probe{GRPC: &api.GRPCProbe{Port: web}}), Failure, "gRPC: ")
}

func TestDo_EndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	done := make(chan Outcome)
	go func() {
		done <- Do(ctx, "127.0.0.1", api.Probe{Timeout: 3600, HTTP: &api.HTTPProbe{Port: ln.Addr().(*net.TCPAddr).Port, Path: "/", Scheme: "HTTP"}})
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("still at it")
	}
}

// FuzzCall feeds the gRPC client whatever a server may say.
func FuzzCall(f *testing.F) {
	f.Add(appendFrame(nil, frameSettings, 0, 0, nil))
	f.Add(appendFrame(nil, frameHeaders, flagEndHeaders|flagEndStream, 1, []byte{0x88}))
	f.Add(appendFrame(nil, frameData, flagEndStream|flagPadded, 1, []byte{2, 0, 0, 0, 0, 0, 9, 9}))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newCall(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(string(data)), io.Discard})
		if c.read() == nil {
			c.outcome("x")
		}
	})
}

// An answer that breaks off says nothing, however often the probe is tried.
//
// conformance:S33 S36
func TestDo_WhatCannotBeCarriedOutIsTriedThreeTimes(t *testing.T) {
	tries := 0
	port := portOfURL(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries++
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "the beginning")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})))
	o := run(t, "127.0.0.1", api.Probe{HTTP: &api.HTTPProbe{Port: port, Path: "/", Scheme: "HTTP"}})
	if o.Result != Unknown || tries != Tries {
		t.Errorf("got %v %q after %d tries", o.Result, o.Message, tries)
	}
	large := portOfURL(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 3*maxBody))
	})))
	expect(t, "an answer that is longer than what is read", run(t, "127.0.0.1", api.Probe{HTTP: &api.HTTPProbe{Port: large, Path: "/", Scheme: "HTTP"}}), Success, "")
}

// conformance:S36 S37
func TestDo_AskAnotherHost(t *testing.T) {
	port := portOfURL(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})))
	expect(t, "HTTP", run(t, "127.0.0.2", api.Probe{HTTP: &api.HTTPProbe{Host: "127.0.0.1", Port: port, Path: "/", Scheme: "HTTP"}}), Success, "")
	expect(t, "TCP", run(t, "127.0.0.2", api.Probe{TCP: &api.TCPProbe{Host: "127.0.0.1", Port: port}}), Success, "")
	expect(t, "HTTP at the pod", run(t, "127.0.0.2", api.Probe{HTTP: &api.HTTPProbe{Port: port, Path: "/", Scheme: "HTTP"}}), Failure, "connection refused")
}
