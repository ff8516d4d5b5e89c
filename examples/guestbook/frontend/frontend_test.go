package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cuepod/cuepod/examples/guestbook/internal/journal"
	"github.com/cuepod/cuepod/examples/internal/resp"
)

func TestGuestbook_AnEntrySignedIsShown(t *testing.T) {
	web, redis := newGuestbook(t)
	body := post(t, web, "Ada", "<b>hello</b> & goodbye")
	if !strings.Contains(body, "&lt;b&gt;hello&lt;/b&gt; &amp; goodbye") {
		t.Errorf("the page does not show the entry, escaped:\n%s", body)
	}
	for _, want := range []string{"Ada", "frontend-0", "Friends of redis", "Welcome", "1 following"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	var entries []entry
	if err := json.Unmarshal([]byte(get(t, web, "/entries")), &entries); err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name != "Ada" || entries[0].Pod != "frontend-0" {
		t.Errorf("entries %+v", entries)
	}
	if !redis.saw("WAIT 1 500") {
		t.Error("the write did not wait for the follower")
	}
}

func TestGuestbook_ShowsTheNewestAsManyAsSet(t *testing.T) {
	web, _ := newGuestbook(t)
	for i := range 4 {
		post(t, web, "", fmt.Sprintf("line %d", i))
	}
	body := get(t, web, "/")
	if strings.Contains(body, "line 0") || !strings.Contains(body, "line 1") || !strings.Contains(body, "line 3") {
		t.Errorf("want the newest three lines:\n%s", body)
	}
	if !strings.Contains(body, "somebody") {
		t.Error("an entry without a name has nobody to its name")
	}
}

func TestSign_RefusesWhatDoesNotFit(t *testing.T) {
	web, redis := newGuestbook(t)
	for name, form := range map[string]url.Values{
		"empty":        {"message": {"  "}},
		"long message": {"message": {strings.Repeat("é", maxMessage+1)}},
		"long name":    {"message": {"x"}, "name": {strings.Repeat("n", maxName+1)}},
		"long form":    {"message": {strings.Repeat("x", maxForm+1)}},
	} {
		resp, err := http.PostForm(web.URL+"/entries", form)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %s", name, resp.Status)
		}
	}
	if redis.saw("LPUSH") {
		t.Error("a refused entry was written")
	}
}

func TestReady_FollowsRedis(t *testing.T) {
	web, redis := newGuestbook(t)
	if status := statusOf(t, web, "/readyz"); status != http.StatusOK {
		t.Errorf("with redis: %d", status)
	}
	redis.stop()
	if status := statusOf(t, web, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("without redis: %d", status)
	}
	if status := statusOf(t, web, "/"); status != http.StatusBadGateway {
		t.Errorf("page without redis: %d", status)
	}
	if status := statusOf(t, web, "/healthz"); status != http.StatusOK {
		t.Errorf("the server itself lives, but: %d", status)
	}
}

func TestJournal_HoldsVisitsButNoProbes(t *testing.T) {
	web, _ := newGuestbook(t)
	get(t, web, "/")
	get(t, web, "/healthz")
	get(t, web, "/stats")
	entries, err := journal.Read(web.dir)
	if err != nil || len(entries) != 1 || entries[0].Path != "/" || entries[0].Status != http.StatusOK {
		t.Errorf("journal %+v, %v", entries, err)
	}
}

func TestPage_ShowsTheDigest(t *testing.T) {
	web, _ := newGuestbook(t)
	if strings.Contains(get(t, web, "/"), "digest") {
		t.Error("a digest is shown before there is one")
	}
	if err := journal.WriteSummary(web.dir, journal.Summary{Requests: 4321, Uptime: 90 * time.Second}); err != nil {
		t.Fatal(err)
	}
	body := get(t, web, "/")
	if !strings.Contains(body, "4321 requests") || !strings.Contains(body, "1m30s") {
		t.Errorf("the digest is not shown:\n%s", body)
	}
}

func TestWait_ReturnsOnceRedisAnswers(t *testing.T) {
	redis := newRedis(t, "s3cret")
	if err := wait(t.Context(), redis.addr, "s3cret", time.Millisecond); err != nil {
		t.Fatal(err)
	}
	redis.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := wait(ctx, redis.addr, "s3cret", time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without redis: got %v", err)
	}
}

func TestRun_UnknownCommand(t *testing.T) {
	for _, args := range [][]string{nil, {"server"}, {"wait"}} {
		if err := run(t.Context(), args, os.Getenv); err == nil || !strings.Contains(err.Error(), "usage") {
			t.Errorf("%q: got %v", args, err)
		}
	}
}

// guestbook is a web server on a redis of its own.
type guestbook struct {
	*httptest.Server
	dir string
}

func newGuestbook(t *testing.T) (guestbook, *redisServer) {
	t.Helper()
	redis := newRedis(t, "s3cret")
	dir := t.TempDir()
	file := filepath.Join(dir, "settings.json")
	if err := os.WriteFile(file, []byte(`{"title": "Friends of redis", "entries": 3}`), 0o644); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(newHandler(config{
		Pod: "frontend-0", Greeting: "Welcome", Leader: redis.addr, Follower: redis.addr,
		Password: "s3cret", Settings: file, Dir: dir,
	}))
	t.Cleanup(web.Close)
	return guestbook{web, dir}, redis
}

func get(t *testing.T, web guestbook, path string) string {
	t.Helper()
	resp, err := http.Get(web.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	return bodyOf(t, resp)
}

func post(t *testing.T, web guestbook, name, message string) string {
	t.Helper()
	resp, err := http.PostForm(web.URL+"/entries", url.Values{"name": {name}, "message": {message}})
	if err != nil {
		t.Fatal(err)
	}
	return bodyOf(t, resp)
}

func bodyOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", resp.Request.URL, resp.Status, err, body)
	}
	return string(body)
}

func statusOf(t *testing.T, web guestbook, path string) int {
	t.Helper()
	resp, err := http.Get(web.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// redisServer is a redis in memory with the commands the guestbook uses.
type redisServer struct {
	addr     string
	password string
	stop     func()

	mu       sync.Mutex
	list     []string // newest first
	commands []string
}

func newRedis(t *testing.T, password string) *redisServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{addr: l.Addr().String(), password: password}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.serve(conn) })
		}
	})
	s.stop = sync.OnceFunc(func() { l.Close(); conns.Wait() })
	t.Cleanup(s.stop)
	return s
}

func (s *redisServer) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	known := false
	for {
		command, err := resp.Read(r)
		if err != nil {
			return
		}
		args := command.Texts()
		reply := "-NOAUTH Authentication required.\r\n"
		switch {
		case args[0] == "AUTH" && args[1] == s.password:
			known, reply = true, "+OK\r\n"
		case known:
			reply = s.answer(args)
		}
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
	}
}

func (s *redisServer) answer(args []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, strings.Join(args, " "))
	switch args[0] {
	case "PING":
		return "+PONG\r\n"
	case "LPUSH":
		s.list = append([]string{args[2]}, s.list...)
		return fmt.Sprintf(":%d\r\n", len(s.list))
	case "LTRIM":
		return "+OK\r\n"
	case "WAIT":
		return ":1\r\n"
	case "ROLE":
		return "*3\r\n$6\r\nmaster\r\n:14\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n$2\r\n14\r\n"
	case "LRANGE":
		var last int
		fmt.Sscan(args[3], &last)
		shown := s.list[:min(last+1, len(s.list))]
		reply := fmt.Sprintf("*%d\r\n", len(shown))
		for _, text := range shown {
			reply += fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
		}
		return reply
	}
	return "-ERR unknown command\r\n"
}

// saw reports whether a command that starts like this came in.
func (s *redisServer) saw(prefix string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, command := range s.commands {
		if strings.HasPrefix(command, prefix) {
			return true
		}
	}
	return false
}
