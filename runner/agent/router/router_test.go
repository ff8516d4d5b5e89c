package router

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/targets/route"
)

// serve runs a router and returns its address.
func serve(t testing.TB, r *Router) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// endpoint runs a web server and returns its address.
func endpoint(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// table has services by name, each with its endpoints.
func table(service string, endpoints ...string) Table {
	return tableOf(nil, map[string][]string{service: endpoints})
}

func tableOf(rules []route.Rule, endpoints map[string][]string) Table {
	var services []api.Service
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		p := api.ServicePort{Port: 80, Protocol: "TCP", HTTP2: strings.HasPrefix(name, "h2")}
		for _, e := range endpoints[name] {
			addr := netip.MustParseAddrPort(e)
			p.Backends = append(p.Backends, api.Backend{IP: addr.Addr().String(), Port: int(addr.Port())})
		}
		services = append(services, api.Service{Name: name, Ports: []api.ServicePort{p}})
	}
	return NewTable("shop", services, rules)
}

// client is a web client that reaches every host at one address.
func client(t testing.TB, addr string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func get(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestNewTable(t *testing.T) {
	table := NewTable("Shop", []api.Service{
		{Name: "web", VIP: "10.1.2.130", Ports: []api.ServicePort{
			{Port: 53, Protocol: "UDP"},
			{Port: 80, Protocol: "TCP", Backends: []api.Backend{{Pod: "web-0", IP: "10.1.2.3", Port: 8080}, {Pod: "web-1", Port: 8080}}},
			{Port: 81, Protocol: "TCP", Backends: []api.Backend{{Pod: "web-0", IP: "10.1.2.3", Port: 8081}}}}},
		{Name: "dns", Ports: []api.ServicePort{{Port: 53, Protocol: "UDP"}}},
	}, nil)
	got := table.hosts
	if want := "map[web.shop.localhost:{web 80 [10.1.2.3:8080] false}]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, host := range []string{"web.shop.localhost", "WEB.shop.localhost:8080", "web.shop.localhost.", "web.shop.localhost.:80"} {
		if v := table.decide(question{scheme: "http", host: host, target: "/"}); v.Service != "web" || v.answer != nil {
			t.Errorf("%s is not found", host)
		}
	}
	for _, host := range []string{"", "web", "shop.localhost", "web.shop.localhost.evil.com", "x.web.shop.localhost"} {
		if v := table.decide(question{scheme: "http", host: host, target: "/"}); v.answer == nil || v.answer.code != 404 {
			t.Errorf("%s is found", host)
		}
	}
}

func TestRouter_EachRequestGoesWhereItsHostSays(t *testing.T) {
	agenttest.NoLeaks(t)
	r := New()
	r.Set(tableOf(nil, map[string][]string{
		"a":    {endpoint(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "a ", r.Host, " ", r.URL) })},
		"b":    {endpoint(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "b ", r.Host) })},
		"none": nil,
	}))
	addr := serve(t, r)
	// One connection, as a browser that reuses one would.
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, c := range []struct{ head, want string }{
		{"GET /x?y=1 HTTP/1.1\r\nHost: a.shop.localhost\r\n\r\n", "200 a a.shop.localhost /x?y=1"},
		{"GET / HTTP/1.1\r\nHost: B.shop.localhost:8080\r\n\r\n", "200 b B.shop.localhost:8080"},
		{"GET / HTTP/1.1\r\nHost: a.shop.localhost\r\n\r\nGET / HTTP/1.1\r\nHost: b.shop.localhost\r\n\r\n", "200 a a.shop.localhost /"},
		{"", "200 b b.shop.localhost"}, // the pipelined one
		{"GET http://b.shop.localhost/ HTTP/1.1\r\nHost: a.shop.localhost\r\n\r\n", "200 b b.shop.localhost"},
		{"GET / HTTP/1.1\r\nHost: none.shop.localhost\r\n\r\n", "503 Service none has no ready pod"},
	} {
		io.WriteString(conn, c.head)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%q: %v", c.head, err)
		}
		body, _ := io.ReadAll(res.Body)
		if got := fmt.Sprint(res.StatusCode, " ", string(body)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.head, got, c.want)
		}
	}
}

func TestRouter_UnknownHostListsWhatThereIs(t *testing.T) {
	r := New()
	r.Set(table("web", "127.0.0.1:1"))
	c := client(t, serve(t, r))
	code, body := get(t, c, "http://other.shop.localhost/")
	if code != 404 || !strings.Contains(body, "http://web.shop.localhost") || !strings.Contains(body, "other.shop.localhost") {
		t.Errorf("%d %s", code, body)
	}
	// A large body that nobody reads does not cost the client the answer.
	res, err := c.Post("http://other.shop.localhost/", "text/plain", strings.NewReader(strings.Repeat("x", 500_000)))
	if err != nil || res.StatusCode != 404 {
		t.Errorf("POST: %v, %v", res, err)
	}
	if err == nil {
		res.Body.Close()
	}
}

func TestRouter_BodiesBothWays(t *testing.T) {
	agenttest.NoLeaks(t)
	r := New()
	r.Set(table("web", endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex() // else the server throws the request's rest away
		w.Header().Set("Trailer", "X-Sum")
		n, err := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n, err))
	})))
	c := client(t, serve(t, r))
	big := strings.Repeat("0123456789abcdef", 20_000)
	for _, body := range []string{"", "x", big} {
		for _, chunked := range []bool{false, true} {
			for range 3 { // on one connection
				var in io.Reader = strings.NewReader(body)
				if chunked {
					in = io.MultiReader(in)
				}
				res, err := c.Post("http://web.shop.localhost/", "text/plain", in)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(got) != body || res.Trailer.Get("X-Sum") != fmt.Sprint(len(body), " <nil>") {
					t.Errorf("chunked %v: %d bytes of %d, %v, trailer %v", chunked, len(got), len(body), err, res.Trailer)
				}
			}
		}
	}
}

func TestRouter_HeadExpectAndForwardedFields(t *testing.T) {
	r := New()
	r.Set(table("web", endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s", r.Method, body, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Host"], r.Header["X-Forwarded-Proto"])
	})))
	c := client(t, serve(t, r))
	res, err := c.Head("http://web.shop.localhost/")
	if err != nil || res.StatusCode != 200 || res.ContentLength <= 0 {
		t.Fatalf("HEAD: %+v, %v", res, err)
	}
	res.Body.Close()
	req, _ := http.NewRequest("PUT", "http://web.shop.localhost/", strings.NewReader("body"))
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("X-Forwarded-For", "6.6.6.6")
	req.Header.Set("X-Forwarded-Host", "evil")
	res, err = c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, _ := io.ReadAll(res.Body); string(got) != "PUT body [127.0.0.1] [web.shop.localhost] [http]" {
		t.Errorf("got %q", got)
	}
}

func TestRouter_StreamsAtOnce(t *testing.T) {
	agenttest.NoLeaks(t)
	r := New()
	gone := make(chan struct{})
	r.Set(table("web", endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "first")
		w.(http.Flusher).Flush()
		<-r.Context().Done() // the client, once it has the first piece
		close(gone)
	})))
	c := client(t, serve(t, r))
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://web.shop.localhost/", nil)
	res, err := c.Do(req)
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
		t.Error("the endpoint did not learn that the client left")
	}
}

func TestRouter_Upgrade(t *testing.T) {
	agenttest.NoLeaks(t)
	r := New()
	r.Set(table("web", endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ")
		io.Copy(conn, rw)
	})))
	conn, err := net.Dial("tcp", serve(t, r))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nahead ")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%+v, %v", res, err)
	}
	for _, want := range []string{"early ", "ahead "} {
		got := make([]byte, 6)
		if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	io.WriteString(conn, "hello")
	conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(in); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRouter_NextEndpointAndPlainWords(t *testing.T) {
	r := New()
	good := endpoint(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	r.Set(table("web", dead.Addr().String(), good))
	c := client(t, serve(t, r))
	for range 10 {
		c.CloseIdleConnections()
		if code, body := get(t, c, "http://web.shop.localhost/"); code != 200 || body != "ok" {
			t.Fatalf("%d %s", code, body)
		}
	}
	r.Set(table("web", dead.Addr().String()))
	if code, body := get(t, c, "http://web.shop.localhost/"); code != 502 || !strings.Contains(body, "Service web: no pod takes the connection") {
		t.Errorf("%d %s", code, body)
	}
	mute := endpoint(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	r.Set(table("web", mute))
	if code, body := get(t, c, "http://web.shop.localhost/"); code != 502 || !strings.Contains(body, "without an answer") && !strings.Contains(body, "gave no answer") {
		t.Errorf("%d %s", code, body)
	}
}

func TestRouter_ACutAnswerDoesNotLookWhole(t *testing.T) {
	r := New()
	r.Set(table("web", endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})))
	res, err := client(t, serve(t, r)).Get("http://web.shop.localhost/")
	if err != nil {
		return // reset before the head was out: not whole either
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("got %q without an error", body)
	}
}

func TestRouter_ConnectionsAreReusedAndReplaced(t *testing.T) {
	agenttest.NoLeaks(t)
	r := New()
	var mu sync.Mutex
	conns := map[string]int{}
	h := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		conns[r.RemoteAddr]++
		fmt.Fprint(w, "ok")
	}
	s := httptest.NewServer(http.HandlerFunc(h))
	t.Cleanup(s.Close)
	r.Set(table("web", s.Listener.Addr().String()))
	c := client(t, serve(t, r))
	for range 5 {
		get(t, c, "http://web.shop.localhost/")
	}
	mu.Lock()
	if len(conns) != 1 {
		t.Errorf("five requests took %d connections to the endpoint, want 1", len(conns))
	}
	mu.Unlock()
	s.CloseClientConnections() // behind the router's back
	if code, _ := get(t, c, "http://web.shop.localhost/"); code != 200 {
		t.Errorf("after the endpoint closed the kept connection: %d", code)
	}
	// A request goes to a ready endpoint, not to the one it went to before.
	r.Set(table("web", endpoint(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "new") })))
	if _, body := get(t, c, "http://web.shop.localhost/"); body != "new" {
		t.Errorf("after the endpoint left: %q", body)
	}
}

func TestRouter_RefusesAmbiguousRequests(t *testing.T) {
	r := New()
	asked := false
	r.Set(table("web", endpoint(t, func(http.ResponseWriter, *http.Request) { asked = true })))
	addr := serve(t, r)
	for _, head := range []string{
		"POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nHost: other\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, head)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != 400 || asked {
			t.Errorf("%q: %+v, %v, reached the endpoint: %v", head, res, err, asked)
		}
		conn.Close()
	}
}

// BenchmarkRouter compares a keep-alive GET, direct and through the router,
// taken in turn, and reports the ratio.
func BenchmarkRouter(b *testing.B) {
	r := New()
	web := endpoint(b, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	r.Set(table("web", web))
	direct, routed := client(b, web), client(b, serve(b, r))
	var took [2]time.Duration
	for b.Loop() {
		for i, c := range []*http.Client{direct, routed} {
			start := time.Now()
			get(b, c, "http://web.shop.localhost/")
			took[i] += time.Since(start)
		}
	}
	b.ReportMetric(float64(took[0])/float64(took[1]), "rate/direct")
}
