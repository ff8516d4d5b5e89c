package router

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/targets/route"
)

// clearHTTP2 is HTTP/2 without TLS.
func clearHTTP2() *http.Protocols {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &p
}

// endpoint2 runs a server that speaks HTTP/2 alone.
func endpoint2(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = clearHTTP2()
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// client2 speaks HTTP/2 alone.
func client2(t testing.TB, addr string) *http.Client {
	c := client(t, addr)
	c.Transport.(*http.Transport).Protocols = clearHTTP2()
	return c
}

func to(service string, weight int) route.Backend {
	return route.Backend{Service: service, Port: 80, Weight: weight}
}

func TestRouter_RulesByHostPathAndHeader(t *testing.T) {
	agenttest.NoLeaks(t)
	say := func(word string) []string {
		return []string{endpoint(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Internal", "1")
			fmt.Fprint(w, word, " ", r.Host, r.URL, " ", r.Header.Get("X-From"), r.Header.Get("X-Secret"), " ", r.Header.Get("X-Forwarded-Host"))
		})}
	}
	r := New()
	r.Set(tableOf([]route.Rule{
		{Of: "ingress shop", Hosts: []string{"shop.example"}, Matches: []route.Match{{Path: "/"}}, Backends: []route.Backend{to("web", 1)}},
		{Of: "ingress shop", Hosts: []string{"shop.example"}, Matches: []route.Match{{Path: "/api"}}, Backends: []route.Backend{to("api", 1)}},
		{
			Of: "httpRoute canary", Hosts: []string{"shop.example"}, Matches: []route.Match{{Path: "/api", Headers: []route.Value{{Name: "X-Canary", Value: "yes"}}}},
			Filter: route.Filter{
				Request: route.Headers{Set: []route.Value{{Name: "X-From", Value: "gateway"}}, Remove: []string{"X-Secret"}},
				Path:    &route.Path{Value: "/v2"}, Host: "canary.internal",
				Response: route.Headers{Add: []route.Value{{Name: "X-By", Value: "gateway"}}, Remove: []string{"X-Internal"}},
			},
			Backends: []route.Backend{to("canary", 1)},
		},
		{Of: "ingress shop", Hosts: []string{"*.shop.example"}, Backends: []route.Backend{to("api", 1)}},
		{Of: "ingress only", Hosts: []string{"only.example"}, Matches: []route.Match{{Kind: route.Exact, Path: "/x"}}, Backends: []route.Backend{to("web", 1)}},
		{Of: "httpRoute moved", Hosts: []string{"moved.example"}, Filter: route.Filter{Redirect: &route.Redirect{Scheme: "https", Code: 301}}},
		{Of: "httpRoute lost", Hosts: []string{"lost.example"}, Backends: []route.Backend{to("nobody", 1)}},
	}, map[string][]string{"web": say("web"), "api": say("api"), "canary": say("canary")}))
	addr := serve(t, r)
	for _, c := range []*http.Client{client(t, addr), client2(t, addr)} {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, q := range []struct{ url, canary, want string }{
			{"http://shop.example/", "", "200 web shop.example/ theirs shop.example"},
			{"http://shop.example:8080/api/x?y", "", "200 api shop.example:8080/api/x?y theirs shop.example:8080"},
			{"http://shop.example/api/x?y", "yes", "200 canary canary.internal/v2/x?y gateway shop.example"},
			{"http://shop.example/apis", "yes", "200 web shop.example/apis theirs shop.example"},
			{"http://a.shop.example/", "", "200 api a.shop.example/ theirs a.shop.example"},
			{"http://shop.example.localhost/api", "", "200 api shop.example.localhost/api theirs shop.example.localhost"},
			{"http://web.shop.localhost/z", "", "200 web web.shop.localhost/z theirs web.shop.localhost"},
			{"http://only.example/x", "", "200 web only.example/x theirs only.example"},
			{"http://only.example:8080/y", "", "404 No service answers to \"only.example:8080\" at /y. There are:\n\n    http://api.shop.localhost:8080\n"},
			{"http://lost.example/", "", "500 httpRoute lost leads to nobody, port 80"},
			{"http://moved.example:8080/a?b", "", "301 https://moved.example/a?b"},
		} {
			req, _ := http.NewRequest("GET", q.url, nil)
			req.Header.Set("X-Secret", "theirs")
			if q.canary != "" {
				req.Header.Set("X-Canary", q.canary)
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if got := fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location"), string(body)); err != nil || !strings.HasPrefix(got, q.want) {
				t.Errorf("%s: got %q, %v; want %q", q.url, got, err, q.want)
			}
			if by := res.Header.Get("X-By") + res.Header.Get("X-Internal"); strings.Contains(q.want, "canary") && by != "gateway" || q.canary == "" && by == "gateway" {
				t.Errorf("%s: the response is from %q", q.url, by)
			}
		}
	}
}

func TestRouter_WeightsOnOneConnection(t *testing.T) {
	say := func(word string) []string {
		return []string{endpoint(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, word) })}
	}
	r := New()
	r.Set(tableOf([]route.Rule{{Hosts: []string{"shop.example"}, Backends: []route.Backend{to("a", 3), to("b", 1), to("c", 0)}}},
		map[string][]string{"a": say("a"), "b": say("b"), "c": say("c")}))
	c := client(t, serve(t, r))
	count := map[string]int{}
	for range 400 {
		_, body := get(t, c, "http://shop.example/")
		count[body]++
	}
	if count["a"] < 250 || count["b"] < 50 || count["c"] != 0 { // 300 and 100, by chance
		t.Errorf("got %v, want three to one", count)
	}
}

// Every pair of protocols carries heads, large bodies, trailers and interim
// answers.
func TestRouter_ProtocolsOfClientAndEndpoint(t *testing.T) {
	agenttest.NoLeaks(t)
	h := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if r.Method == "HEAD" {
			w.Header().Set("Content-Length", "7")
			return
		}
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Proto", r.Proto)
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		n, err := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n, err, r.Trailer.Get("X-Sent")))
	}
	r := New()
	r.Set(tableOf(nil, map[string][]string{"web": {endpoint(t, h)}, "h2": {endpoint2(t, h), endpoint2(t, h)}}))
	addr := serve(t, r)
	big := strings.Repeat("0123456789abcdef", 100_000)
	for name, c := range map[string]*http.Client{"HTTP/1.1": client(t, addr), "HTTP/2.0": client2(t, addr)} {
		for service, proto := range map[string]string{"web": "HTTP/1.1", "h2": "HTTP/2.0"} {
			url := "http://" + service + ".shop.localhost/"
			if res, err := c.Head(url); err != nil || res.ContentLength != 7 {
				t.Errorf("%s -> %s: HEAD %v, %v", name, service, res, err)
			}
			for _, body := range []string{"", "x", big} {
				for _, known := range []bool{true, false} {
					in := io.Reader(strings.NewReader(body))
					if !known {
						in = io.MultiReader(in)
					}
					req, _ := http.NewRequest("POST", url, in)
					sent := ""
					if !known {
						req.Trailer, sent = http.Header{"X-Sent": {"yes"}}, "yes"
					}
					res, err := c.Do(req)
					if err != nil {
						t.Fatalf("%s -> %s: %v", name, service, err)
					}
					got, err := io.ReadAll(res.Body)
					res.Body.Close()
					if want := fmt.Sprint(len(body), " <nil>") + sent; err != nil || string(got) != body || res.Trailer.Get("X-Sum") != want {
						t.Errorf("%s -> %s, %d bytes, length known %t: got %d bytes, %v, trailer %v, want %s", name, service, len(body), known, len(got), err, res.Trailer, want)
					}
					if res.Proto != name || res.Header.Get("X-Proto") != proto || len(res.Header["Set-Cookie"]) != 2 {
						t.Errorf("%s -> %s: %s, %v", name, service, res.Proto, res.Header)
					}
				}
			}
		}
	}
}

// What gRPC needs: calls in both directions at once, trailers right after the
// head, the deadline's reset.
func TestRouter_GRPC(t *testing.T) {
	agenttest.NoLeaks(t)
	gone := make(chan struct{})
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		if r.Header.Get("Te") != "trailers" || r.ProtoMajor != 2 {
			t.Errorf("te %q, %s", r.Header.Get("Te"), r.Proto)
		}
		switch r.URL.Path {
		case "/s/Fails":
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
			w.WriteHeader(200)
		case "/s/Waits":
			<-r.Context().Done()
			close(gone)
		default:
			w.(http.Flusher).Flush()
			in := bufio.NewReader(r.Body)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					break
				}
				fmt.Fprint(w, "got ", line)
				w.(http.Flusher).Flush()
			}
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		}
	}
	r := New()
	// The name of the port says nothing: the content type does.
	r.Set(tableOf(nil, map[string][]string{"web": {endpoint2(t, h), endpoint2(t, h)}}))
	c := client2(t, serve(t, r))
	call := func(ctx context.Context, method string, body io.Reader) (*http.Response, error) {
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://web.shop.localhost/s/"+method, body)
		req.Header.Set("Content-Type", "application/grpc+proto")
		req.Header.Set("Te", "trailers")
		return c.Do(req)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			pr, pw := io.Pipe()
			res, err := call(t.Context(), "Echo", pr)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			in := bufio.NewReader(res.Body)
			for i := range 20 {
				fmt.Fprintln(pw, i)
				if line, err := in.ReadString('\n'); err != nil || line != fmt.Sprintf("got %d\n", i) {
					t.Errorf("%q, %v", line, err)
				}
			}
			pw.Close()
			if _, err := io.ReadAll(in); err != nil || res.Trailer.Get("Grpc-Status") != "0" {
				t.Errorf("%v, trailer %v", err, res.Trailer)
			}
		})
	}
	wg.Wait()
	res, err := call(t.Context(), "Fails", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(res.Body)
	res.Body.Close()
	if res.Trailer.Get("Grpc-Status") != "5" {
		t.Errorf("trailer %v", res.Trailer)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := call(ctx, "Waits", strings.NewReader("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the deadline", err)
	}
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the endpoint did not learn that the client left")
	}
}

func TestRouter_HTTP2StreamsAtOnceAndTellsWhoLeft(t *testing.T) {
	agenttest.NoLeaks(t)
	r := New()
	gone := make(chan struct{}, 2)
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "first")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
	}
	r.Set(tableOf(nil, map[string][]string{"web": {endpoint(t, h)}, "h2": {endpoint2(t, h)}}))
	addr := serve(t, r)
	for _, c := range []struct {
		client *http.Client
		host   string
	}{{client2(t, addr), "web"}, {client2(t, addr), "h2"}, {client(t, addr), "h2"}} {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+c.host+".shop.localhost/", nil)
		res, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		cancel()
		res.Body.Close()
		select {
		case <-gone:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the endpoint did not learn that the client left", c.host)
		}
	}
}

func TestRouter_TimeoutOfARoute(t *testing.T) {
	agenttest.NoLeaks(t)
	wait := []string{endpoint(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
	r := New()
	r.Set(tableOf([]route.Rule{{Hosts: []string{"shop.example"}, Timeout: 30, Backends: []route.Backend{to("web", 1)}}}, map[string][]string{"web": wait}))
	addr := serve(t, r)
	for _, c := range []*http.Client{client(t, addr), client2(t, addr)} {
		if code, body := get(t, c, "http://shop.example/"); code != 504 || !strings.Contains(body, "30 ms") {
			t.Errorf("%d %s", code, body)
		}
	}
}

// An endpoint that answers in the middle of a body, as for one that is too
// large, is heard; and one that is cut does not look whole.
func TestRouter_HTTP2EarlyAndCutAnswers(t *testing.T) {
	agenttest.NoLeaks(t)
	r := New()
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(413)
	}
	r.Set(tableOf(nil, map[string][]string{"web": {endpoint(t, h)}, "h2": {endpoint2(t, h)}}))
	addr := serve(t, r)
	c := client2(t, addr)
	for _, host := range []string{"web", "h2"} {
		res, err := c.Post("http://"+host+".shop.localhost/", "text/plain", bytes.NewReader(make([]byte, 5<<20)))
		if err != nil || res.StatusCode != 413 {
			t.Errorf("%s: %v, %v", host, res, err)
		}
		if err == nil {
			res.Body.Close()
		}
		res, err = c.Get("http://" + host + ".shop.localhost/cut")
		if err != nil {
			continue
		}
		if body, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: got %q without an error", host, body)
		}
		res.Body.Close()
	}
}

// A client in HTTP/1 cannot be smuggled requests by one in HTTP/2.
func TestRouter_HTTP2LengthThatLies(t *testing.T) {
	seen := make(chan string, 10)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			data, _ := io.ReadAll(conn)
			seen <- string(data)
			conn.Close()
		}
	}()
	r := New()
	r.Set(table("web", ln.Addr().String()))
	conn, err := net.Dial("tcp", serve(t, r))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A head with content-length 3, and a body of 20 bytes.
	conn.Write(rawRequest("3", "abcGET /evil HTTP/1."))
	select {
	case data := <-seen:
		if strings.Contains(data, "evil") {
			t.Errorf("the endpoint got %q", data)
		}
	case <-time.After(20 * time.Second):
		t.Error("the endpoint's connection stays open")
	}
}
