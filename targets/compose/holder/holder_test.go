package holder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRun_RefusesBadUsage(t *testing.T) {
	for _, args := range [][]string{
		nil, {"sing"},
		{"hold", "--forward"}, {"hold", "--forward=80=90"}, {"hold", "--forward=sctp/80=90"}, {"hold", "--forward=tcp/0=90"},
		{"hold", "--forward=tcp/80=:90"}, {"hold", "--forward=tcp/80=web:"}, {"hold", "80"},
		{"check"}, {"check", "--timeout=1s"}, {"check", "--timeout=x", "tcp://:1"}, {"check", "ftp://:1"}, {"check", "tcp://x"}, {"check", "--header=x", "http://:1"},
		{"fill", "--dir="}, {"fill", "--files=a=b"}, {"fill", "--files=a:0644"}, {"fill", "--files=a=b:9"}, {"fill", "x"},
		{"fill", "--mode=:0700"}, {"fill", "--dir=a", "--mode=:9"}, {"fill", "--dir=a", "--mode=name:0700"}, {"fill", "--dir=a", "--decode=name"},
		{"fill", "--files=a=b:0644", "--decode="}, {"fill", "--dir=a", "--group=x"}, {"fill", "--dir=a", "--owner=1"},
	} {
		if err := run(t.Context(), args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, want usage", args, err)
		}
	}
}

// startForward forwards a free port of localhost, with these addresses behind
// every name, and returns where it listens.
func startForward(t *testing.T, protocol, name string, target int, addresses ...string) string {
	t.Helper()
	f := forward{protocol: protocol, port: freePort(t, protocol), name: name, target: target}
	w := &forwarder{
		log:    io.Discard,
		own:    func() (string, error) { return "127.0.0.1", nil },
		lookup: func(context.Context, string) ([]string, error) { return slices.Clone(addresses), nil },
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); w.wait() })
	if err := w.start(ctx, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", f.port)
}

func freePort(t *testing.T, protocol string) int {
	t.Helper()
	if protocol == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).Port
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// echoTCP answers what it was sent, after the client's end, with its name in
// front.
func echoTCP(t *testing.T, at, name string) int {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Skipf("cannot listen on %s: %v", at, err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				data, _ := io.ReadAll(c)
				fmt.Fprintf(c, "%s:%s", name, data)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func ask(t *testing.T, address, text string) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	data, err := io.ReadAll(c)
	return string(data), err
}

func TestForward_TCPKeepsHalfCloseAndOrder(t *testing.T) {
	address := startForward(t, "tcp", "", echoTCP(t, "127.0.0.1:0", "a"))
	long := strings.Repeat("0123456789", 100_000)
	if got, err := ask(t, address, long); err != nil || got != "a:"+long {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestForward_TakesTurnsAndSkipsTheDead(t *testing.T) {
	port := echoTCP(t, "127.0.0.1:0", "one")
	echoTCP(t, fmt.Sprintf("127.0.0.2:%d", port), "two")
	address := startForward(t, "tcp", "web", port, "127.0.0.3", "127.0.0.2", "127.0.0.1") // nobody listens on the first
	seen := map[string]int{}
	for range 30 {
		got, err := ask(t, address, "")
		if err != nil {
			t.Fatal(err)
		}
		seen[got]++
	}
	if seen["one:"] < 5 || seen["two:"] < 5 || seen["one:"]+seen["two:"] != 30 {
		t.Errorf("connections: %v", seen)
	}
}

func TestForward_ResetsWhenNobodyAnswers(t *testing.T) {
	address := startForward(t, "tcp", "", freePort(t, "tcp"))
	if got, err := ask(t, address, "x"); err == nil {
		t.Errorf("got %q and a clean end, want a reset", got)
	}
}

func TestForward_UDPAnswersFindTheirClient(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buffer := make([]byte, 100)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			server.WriteTo(append([]byte("re: "), buffer[:n]...), from)
		}
	}()
	address := startForward(t, "udp", "", server.LocalAddr().(*net.UDPAddr).Port)
	for i := range 3 {
		c, err := net.Dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		text := fmt.Sprint("client ", i)
		for range 2 {
			io.WriteString(c, text)
			buffer := make([]byte, 100)
			if n, err := c.Read(buffer); err != nil || string(buffer[:n]) != "re: "+text {
				t.Errorf("got %q, %v", buffer[:n], err)
			}
		}
	}
}

func TestForward_PortTakenIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = new(forwarder).start(t.Context(), forward{protocol: "tcp", port: l.Addr().(*net.TCPAddr).Port, target: 1})
	if err == nil || !strings.Contains(err.Error(), "forward of port") {
		t.Errorf("got %v", err)
	}
}

func TestHold_EndsWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- run(ctx, []string{"hold"}, io.Discard) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// verdict runs check for a server's URL with options in front of the path.
func verdict(t *testing.T, serverURL, path string, options ...string) error {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	checks, err := parseChecks(append(append([]string{"--timeout=10s"}, options...), u.Scheme+"://:"+u.Port()+path))
	if err != nil {
		t.Fatal(err)
	}
	return runChecks(t.Context(), "127.0.0.1", checks)
}

func webHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/down", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/here-down", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/down", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.invalid/down", http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "web.example" || r.Header.Get("X-Probe") != "a:b" || r.UserAgent() != "kube-probe/1.37" || r.Header.Get("Accept") != "*/*" || r.FormValue("q") != "1" {
			w.WriteHeader(400)
		}
	})
	return mux
}

func TestCheck_HTTP(t *testing.T) {
	server := httptest.NewServer(webHandler())
	defer server.Close()
	for path, want := range map[string]string{
		"/ok": "", "/down": "status 503", "/absent": "status 404", "/here": "", "/here-down": "status 503", "/away": "", "/loop": "redirects",
	} {
		err := verdict(t, server.URL, path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if err := verdict(t, server.URL, "/headers?q=1", "--header=Host:web.example", "--header=X-Probe:a:b"); err != nil {
		t.Error(err)
	}
	if err := verdict(t, server.URL, "/headers?q=1", "--header=Host:web.example"); err == nil {
		t.Error("a request without the header passes")
	}
	if err := verdict(t, server.URL, "/slow", "--timeout=50ms"); err == nil {
		t.Error("a server that does not answer passes")
	}
	secure := httptest.NewTLSServer(webHandler())
	defer secure.Close()
	if err := verdict(t, secure.URL, "/ok"); err != nil {
		t.Error(err)
	}
	if err := verdict(t, secure.URL, "/down"); err == nil {
		t.Error("https: 503 passes")
	}
}

func TestCheck_TCP(t *testing.T) {
	open, closed := echoTCP(t, "127.0.0.1:0", "a"), freePort(t, "tcp")
	if err := verdict(t, fmt.Sprintf("tcp://x:%d", open), ""); err != nil {
		t.Error(err)
	}
	if err := verdict(t, fmt.Sprintf("tcp://x:%d", closed), ""); err == nil {
		t.Error("a closed port passes")
	}
	checks, err := parseChecks([]string{fmt.Sprintf("tcp://:%d", open), fmt.Sprintf("tcp://:%d", closed)})
	if err != nil {
		t.Fatal(err)
	}
	if err := runChecks(t.Context(), "127.0.0.1", checks); err == nil || strings.Contains(err.Error(), fmt.Sprint(open)+":") {
		t.Errorf("one of two fails: got %v", err)
	}
}

// healthServer is the standard library's HTTP/2 server with a health service.
func healthServer(t *testing.T, secure bool) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		name := ""
		if len(body) > 7 {
			name = string(body[7:])
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		status := map[string]byte{"": 1, "shop": 1, "cart": 2}[name]
		if r.URL.Path != "/grpc.health.v1.Health/Check" || status == 0 {
			w.Header().Set("Grpc-Status", "5")
			return
		}
		w.Write(binary.BigEndian.AppendUint32([]byte{0}, 2))
		w.Write([]byte{1 << 3, status})
		w.Header().Set("Grpc-Status", "0")
	}))
	t.Cleanup(server.Close)
	if secure {
		server.EnableHTTP2 = true
		server.StartTLS()
		return strings.Replace(server.URL, "https://", "grpcs://", 1)
	}
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	return strings.Replace(server.URL, "http://", "grpc://", 1)
}

func TestCheck_GRPC(t *testing.T) {
	plain, secure := healthServer(t, false), healthServer(t, true)
	for _, server := range []string{plain, secure} {
		for service, want := range map[string]string{"": "", "/shop": "", "/cart": "status is 2", "/absent": "no such service"} {
			err := verdict(t, server, service)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s%s: got %v, want %q", server, service, err, want)
			}
		}
	}
	if err := verdict(t, strings.Replace(secure, "grpcs", "grpc", 1), ""); err == nil {
		t.Error("a server of TLS passes without it")
	}
	if err := verdict(t, strings.Replace(httptest.NewServer(webHandler()).URL, "http", "grpc", 1), ""); err == nil {
		t.Error("a server that speaks no HTTP/2 passes")
	}
}

func TestFill(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, data string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	filler := []string{"fill", "--dir=" + at("empty/sub"), "--dir=" + at("used"), "--files=" + at("in") + "=" + at("out") + ":0440", "--files=" + at("nothing") + "=" + at("none") + ":0644"}
	for _, d := range []string{"out", "none"} {
		if err := os.Mkdir(at(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("used/file", "x")
	write("in/a.conf", "one")
	write("in/sub/b.conf", "two")
	if err := run(t.Context(), filler, io.Discard); err != nil {
		t.Fatal(err)
	}
	mode := func(name string) os.FileMode {
		t.Helper()
		info, err := os.Stat(at(name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if mode("empty/sub") != 0o777 || mode("used") != 0o755 || mode("out/a.conf") != 0o440 || mode("out/sub/b.conf") != 0o440 {
		t.Errorf("modes %o %o %o %o", mode("empty/sub"), mode("used"), mode("out/a.conf"), mode("out/sub/b.conf"))
	}

	before, err := os.Stat(at("out/sub/b.conf"))
	if err != nil {
		t.Fatal(err)
	}
	write("in/a.conf", "changed")
	write("out/stale", "x")
	if err := run(t.Context(), filler, io.Discard); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(at("out/a.conf")); err != nil || !bytes.Equal(data, []byte("changed")) {
		t.Errorf("a.conf is %q, %v", data, err)
	}
	if _, err := os.Stat(at("out/stale")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone from the source stays: %v", err)
	}
	after, err := os.Stat(at("out/sub/b.conf"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("an unchanged file was replaced: %v", err)
	}
}

// A URL with a host asks there, and not at the pod's own address.
func TestCheck_AsksTheHostOfTheURL(t *testing.T) {
	open := echoTCP(t, "127.0.0.1:0", "a")
	for u, ok := range map[string]bool{fmt.Sprintf("tcp://127.0.0.1:%d", open): true, fmt.Sprintf("tcp://:%d", open): false} {
		checks, err := parseChecks([]string{"--timeout=100ms", u})
		if err != nil {
			t.Fatal(err)
		}
		if err := runChecks(t.Context(), "127.254.254.254", checks); ok != (err == nil) {
			t.Errorf("%s: got %v", u, err)
		}
	}
}

// Single files have their own mode and may come in base64; a group gets what
// the kubelet gives to a pod's.
func TestFill_Options(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, data := range map[string]string{"in/plain": "eA==", "in/sub/coded": "AP8=", "used/file": "x"} {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	group := os.Getgid() // one that anybody may give to
	filler := []string{
		"fill", "--files=" + at("in") + "=" + at("out") + ":0600", "--mode=sub/coded:0400", "--decode=sub/coded", fmt.Sprintf("--group=%d", group),
		"--dir=" + at("sticky"), "--mode=:1770",
		"--dir=" + at("used"), fmt.Sprintf("--group=%d", group),
	}
	for range 2 { // the second time finds what the first made
		if err := run(t.Context(), filler, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"out/plain": "eA==", "out/sub/coded": "\x00\xff"} {
		if got, err := os.ReadFile(at(name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"out/plain": "-rw-r-----", "out/sub/coded": "-r--r-----", "out/sub": "dgrwxr-xr-x",
		"sticky": "dtrwxrwx---", "used": "dgrwxrwxr-x", "used/file": "-rw-rw----",
	} {
		if info, err := os.Stat(at(name)); err != nil || info.Mode().String() != want {
			t.Errorf("%s is %v, %v, want %s", name, info.Mode(), err, want)
		}
	}
	if err := os.WriteFile(at("in/sub/coded"), []byte("no base64"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), filler, io.Discard); err == nil {
		t.Error("a file that is not in base64 is taken")
	}
}
