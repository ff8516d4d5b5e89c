// Package sockfault stands between a program and the container engine, as a
// proxy on a Unix socket, and makes what passes go wrong by rule: answers come
// late, broken or never, and the program is killed before or after its n-th
// request. The program under test has no code for it; it only has another
// DOCKER_HOST.
package sockfault

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"sync"
	"time"
)

// Proxy passes requests on to an engine. Its methods are safe for concurrent use.
type Proxy struct {
	engine string
	server *http.Server
	client *http.Transport
	over   chan struct{}
	served sync.WaitGroup

	mu    sync.Mutex // of what follows
	rules []Rule
	seen  []int // requests that matched, by rule
	log   []Request
}

// Request is one that the proxy heard.
type Request struct {
	Method, Path string // without the API's version
	Fault        Action // what met it; "" is nothing
	PID          int    // of the client; 0 where the system does not tell
}

// Start listens on a new socket and passes on to the engine at another.
func Start(socket, engine string) (*Proxy, error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	p := &Proxy{engine: engine, over: make(chan struct{})}
	p.client = &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: p.dial}
	p.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, clientKey{}, clientPID(c))
		},
	}
	p.served.Go(func() { _ = p.server.Serve(l) }) // it ends with Close
	return p, nil
}

type clientKey struct{}

func (p *Proxy) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", p.engine)
}

// Close breaks all connections and waits for the listener's end.
func (p *Proxy) Close() error {
	close(p.over)
	err := p.server.Close()
	p.served.Wait()
	return err
}

// Set replaces the rules, and counts and logs from here.
func (p *Proxy) Set(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.seen, p.log = rules, make([]int, len(rules)), nil
}

// Requests are those heard since Set.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.log...)
}

// Met reports whether a fault has met a request since Set.
func (p *Proxy) Met() bool {
	for _, r := range p.Requests() {
		if r.Fault != "" {
			return true
		}
	}
	return false
}

var version = regexp.MustCompile(`^/v1\.[0-9]+`)

// hear logs a request and gives the rule that meets it, if one does.
func (p *Proxy) hear(r *http.Request) (Rule, int) {
	at := Request{Method: r.Method, Path: version.ReplaceAllString(r.URL.Path, "")}
	at.PID, _ = r.Context().Value(clientKey{}).(int)
	p.mu.Lock()
	defer p.mu.Unlock()
	var met Rule
	for i, rule := range p.rules {
		if !rule.matches(at.Method, at.Path) {
			continue
		}
		p.seen[i]++
		if met.Action == "" && (rule.Nth == 0 || rule.Nth == p.seen[i]) {
			met = rule
		}
	}
	at.Fault = met.Action
	p.log = append(p.log, at)
	return met, at.PID
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rule, pid := p.hear(r)
	switch rule.Action {
	case Delay:
		if !p.pause(r.Context(), rule.Delay) {
			return
		}
	case Hang:
		p.pause(r.Context(), 24*time.Hour)
		panic(http.ErrAbortHandler)
	case Status:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(rule.Status)
		fmt.Fprintf(w, "{\"message\":\"a fault of the test: %s\"}\n", http.StatusText(rule.Status))
		return
	case Reset:
		panic(http.ErrAbortHandler)
	case KillBefore:
		kill(pid)
		panic(http.ErrAbortHandler)
	}
	if r.Header.Get("Upgrade") != "" {
		p.splice(w, r, rule, pid)
		return
	}
	p.forward(w, r, rule, pid)
}

// pause reports whether it was long enough and somebody still listens.
func (p *Proxy) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-p.over:
	}
	return false
}

// forward passes a request on and its answer back as it comes.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, rule Rule, pid int) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if rule.Action == KillAfter || rule.Action == Lose {
		// What the engine began it is to end, whatever becomes of the client.
		ctx = context.WithoutCancel(ctx)
	}
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", "engine", ""
	resp, err := p.client.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler) // as the engine broke it
	}
	defer resp.Body.Close()
	if rule.Action == KillAfter || rule.Action == Lose {
		if !endless(r) {
			_, _ = io.Copy(io.Discard, resp.Body)
		}
		if rule.Action == KillAfter {
			kill(pid)
		}
		panic(http.ErrAbortHandler)
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	if rule.Action != "" {
		w.Header().Del("Content-Length") // it may not be true
	}
	w.WriteHeader(resp.StatusCode)
	flush(w)
	if err := answer(w, resp.Body, rule); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// endless reports whether an answer may go on for ever.
func endless(r *http.Request) bool {
	return version.ReplaceAllString(r.URL.Path, "") == "/events" || r.URL.Query().Get("follow") == "1"
}

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

var errCut = errors.New("cut off")

// answer copies a body, piece by piece, as the rule has it.
func answer(w http.ResponseWriter, body io.Reader, rule Rule) error {
	if rule.Action == Duplicate || rule.Action == Drop {
		return lines(w, body, rule.Action)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 && rule.Action == Truncate {
			_, _ = w.Write(buf[:n/2])
			flush(w)
			return errCut
		}
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		flush(w)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func lines(w http.ResponseWriter, body io.Reader, a Action) error {
	in := bufio.NewReader(body)
	for n := 0; ; n++ {
		line, err := in.ReadBytes('\n')
		switch {
		case len(line) == 0 || a == Drop && n > 0:
		case a == Duplicate:
			line = append(line, line...)
			fallthrough
		default:
			if _, werr := w.Write(line); werr != nil {
				return werr
			}
			flush(w)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// splice joins both connections: after the engine's answer they are a stream.
func (p *Proxy) splice(w http.ResponseWriter, r *http.Request, rule Rule, pid int) {
	engine, err := p.dial(r.Context(), "", "")
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer engine.Close()
	// What follows the body, which is small, belongs to the stream.
	body, err := io.ReadAll(io.LimitReader(r.Body, max(r.ContentLength, 0)))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	head := r.Clone(r.Context())
	head.Body, head.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if err := head.Write(engine); err != nil {
		panic(http.ErrAbortHandler)
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		panic("sockfault: a server's connection can be hijacked")
	}
	client, ahead, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	if rule.Action == KillAfter || rule.Action == Lose || rule.Action == Truncate {
		first := make([]byte, 4<<10)
		n, _ := engine.Read(first)
		switch rule.Action {
		case KillAfter:
			kill(pid)
		case Truncate:
			_, _ = client.Write(first[:n/2])
		}
		return
	}
	p.join(client, ahead.Reader, engine)
}

// join copies both ways until the engine ends it, the client is gone or the
// proxy is over. A client that only says no more, still listens.
func (p *Proxy) join(client net.Conn, ahead io.Reader, engine net.Conn) {
	said, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(said)
		_, _ = io.Copy(engine, ahead)
		closeWrite(engine)
	}()
	go func() {
		defer close(heard)
		_, _ = io.Copy(client, engine)
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for silent := false; ; {
		select {
		case <-heard:
			return
		case <-p.over:
			return
		case <-said:
			said, silent = nil, true
		case <-tick.C:
			if silent && gone(client) {
				return
			}
		}
	}
}

func closeWrite(c net.Conn) {
	if u, ok := c.(*net.UnixConn); ok {
		_ = u.CloseWrite()
	}
}

// kill ends a client as the system's out-of-memory killer would.
func kill(pid int) {
	if pid <= 1 || pid == os.Getpid() {
		return
	}
	if process, err := os.FindProcess(pid); err == nil {
		_ = process.Kill()
	}
}
