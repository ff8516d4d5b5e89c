package sockfault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a server that counts what it does, with a stream and an endpoint
// that becomes a connection.
type engine struct{ done chan string }

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1.41/events":
		fmt.Fprint(w, "one\ntwo\n")
	case "/v1.41/containers/a/attach":
		body, _ := io.ReadAll(r.Body)
		c, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		fmt.Fprintf(c, "body %s\n", body)
		line, _ := buf.ReadString('\n')
		fmt.Fprintf(c, "heard %s", line)
		_, _ = io.Copy(io.Discard, buf)
		e.done <- "attach ended"
	default:
		e.done <- r.Method + " " + r.URL.Path
		fmt.Fprint(w, "0123456789")
	}
}

func start(t *testing.T) (*Proxy, *engine, string) {
	t.Helper()
	dir := t.TempDir()
	e := &engine{make(chan string, 100)}
	l, err := net.Listen("unix", filepath.Join(dir, "engine"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: e}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	socket := filepath.Join(dir, "proxy")
	p, err := Start(socket, filepath.Join(dir, "engine"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, e, socket
}

func clientOf(socket string) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
}

// ask gives "status body", or "broken" behind what came before.
func ask(t *testing.T, socket, method, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://engine/v1.41"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := clientOf(socket).Do(req)
	if err != nil {
		return "broken"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Sprintf("%d %s broken", resp.StatusCode, body)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

func TestProxy_FaultsMeetWhatTheirRuleMatches(t *testing.T) {
	p, e, socket := start(t)
	tests := []struct {
		rule, path string
		want       string
		reaches    bool // the engine
	}{
		{"delay 1ms", "/containers/a/start", "200 0123456789", true},
		{"POST /containers/*/start status 503", "/containers/a/start", "503 {\"message\":\"a fault of the test: Service Unavailable\"}\n", false},
		{"POST /containers/*/stop status 503", "/containers/a/start", "200 0123456789", true},
		{"* #2 reset", "/containers/a/start", "200 0123456789", true},
		{"* reset", "/containers/a/start", "broken", false},
		{"* lose", "/containers/a/start", "broken", true},
		{"truncate", "/containers/a/start", "200 01234 broken", true},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			rule, err := Parse(tt.rule)
			if err != nil {
				t.Fatal(err)
			}
			if rule.String() != tt.rule {
				t.Errorf("reads as %q", rule)
			}
			p.Set(rule)
			if got := ask(t, socket, "POST", tt.path); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if len(p.Requests()) != 1 {
				t.Errorf("heard %+v", p.Requests())
			}
			select {
			case what := <-e.done:
				if !tt.reaches {
					t.Errorf("the engine got %s", what)
				}
			default:
				if tt.reaches {
					t.Error("the engine got nothing")
				}
			}
		})
	}
}

func TestProxy_CountsRequests(t *testing.T) {
	p, _, socket := start(t)
	p.Set(Rule{Method: "*", Nth: 2, Action: Reset})
	for i, want := range []string{"200 0123456789", "broken", "200 0123456789"} {
		if got := ask(t, socket, "DELETE", "/volumes/a"); got != want {
			t.Errorf("request %d: %q, want %q", i+1, got, want)
		}
		ask(t, socket, "GET", "/volumes/a") // does not count
	}
	if !p.Met() {
		t.Error("nothing was met")
	}
}

func TestProxy_Events(t *testing.T) {
	p, _, socket := start(t)
	for action, want := range map[Action]string{Duplicate: "200 one\none\ntwo\ntwo\n", Drop: "200 one\n", "": "200 one\ntwo\n"} {
		p.Set()
		if action != "" {
			p.Set(Rule{Path: "/events", Action: action})
		}
		got := ask(t, socket, "GET", "/events")
		if got != want {
			t.Errorf("%s: %q, want %q", action, got, want)
		}
	}
}

func TestProxy_HangUntilTheClientGivesUp(t *testing.T) {
	p, _, socket := start(t)
	p.Set(Rule{Action: Hang})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://engine/v1.41/_ping", nil)
	if resp, err := clientOf(socket).Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("answer %v, error %v", resp, err)
	}
}

// A connection that becomes a stream passes both ways, body and all, and ends
// for the engine when the client is gone.
func TestProxy_Streams(t *testing.T) {
	_, e, socket := start(t)
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /v1.41/containers/a/attach HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 4\r\n\r\nbodyhello\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("response %v, error %v", resp, err)
	}
	for _, want := range []string{"body body\n", "heard hello\n"} {
		if got, err := in.ReadString('\n'); got != want {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
	}
	c.Close()
	select {
	case <-e.done:
	case <-time.After(20 * time.Second):
		t.Error("the engine still has the connection")
	}
}

// The client is this test again, in a process of its own.
func TestProxy_KillsTheClient(t *testing.T) {
	if socket := os.Getenv("SOCKFAULT_CLIENT"); socket != "" {
		fmt.Println(ask(t, socket, "POST", "/containers/a/start"))
		return
	}
	p, e, socket := start(t)
	for action, reaches := range map[Action]bool{KillBefore: false, KillAfter: true} {
		p.Set(Rule{Method: "*", Nth: 1, Action: action})
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy_KillsTheClient$")
		cmd.Env = append(os.Environ(), "SOCKFAULT_CLIENT="+socket)
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("%s: the client ended with %v", action, err)
		}
		select {
		case <-e.done:
			if !reaches {
				t.Errorf("%s: the engine got the request", action)
			}
		default:
			if reaches {
				t.Errorf("%s: the engine got nothing", action)
			}
		}
	}
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "no action",
		"GET /events":           "no action",
		"GET #x reset":          "not a number",
		"status":                "one argument",
		"status abc":            "invalid syntax",
		"delay 3":               "missing unit",
		"POST /a #2 reset soon": "what is soon?",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
