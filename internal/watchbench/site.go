package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tool runs apps and follows their edits.
type tool interface {
	name() string
	// manifest is the name and the text of the file that says what runs; the text
	// is "" where the tool cannot do it.
	manifest(kind string) (name, text string)
	start(ctx context.Context, s *site) error
	// follow is what a user does beside the save of the edit.
	follow(ctx context.Context, s *site) error
	stop(ctx context.Context, s *site) error
}

// site is the app of one tool for one kind of edit.
type site struct {
	kind
	tool  tool
	dir   string
	port  int // of the host, where the witness answers
	calls *home
	edits int
	up    *background // what follows the files, nil where nothing does
}

// open writes the site's files and starts its app.
func (b *bench) open(ctx context.Context, t tool, k kind) (s *site, err error) {
	s = &site{kind: k, tool: t, dir: filepath.Join(b.work, k.name+"-"+t.name())}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if s.calls, err = listen(); err != nil {
		return nil, err
	}
	manifest, text := t.manifest(k.name)
	files := map[string]string{manifest: text, "cue.mod/module.cue": "module: \"bench.example@v0\"\nlanguage: version: \"v0.17.0\"\n"}
	maps.Copy(files, k.files)
	first := s.next()
	for name, text := range files {
		files[name] = s.fill(text, first)
	}
	err = errors.Join(writeFiles(s.dir, files), copyProgram(filepath.Join(b.work, "witness"), filepath.Join(s.dir, "context", "witness")))
	if err != nil {
		return s, err
	}
	limited, cancel := context.WithTimeout(ctx, patience+k.start)
	defer cancel()
	return s, t.start(limited, s)
}

// app is what the site's app is called, and everything that the tool makes of it.
func (s *site) app() string { return app + "-" + s.kind.name }

func (s *site) fill(text, value string) string {
	return strings.NewReplacer("@APP@", s.app(), "@IMAGE@", image, "@VALUE@", value,
		"@PORT@", strconv.Itoa(s.port), "@HOME@", strconv.Itoa(s.calls.port)).Replace(text)
}

// next is a value that no edit of any site has had. A number of replicas is
// what it is.
func (s *site) next() string {
	s.edits++
	if s.ask == "" {
		return strconv.Itoa(2 - s.edits%2) // 1, 2, 1, 2
	}
	return fmt.Sprintf("%s-%d", s.tool.name(), s.edits)
}

// save edits the file.
func (s *site) save(value string) error {
	name, text := s.tool.manifest(s.kind.name)
	if s.edited != "" {
		name, text = s.edited, s.files[s.edited]
	}
	return os.WriteFile(filepath.Join(s.dir, name), []byte(s.fill(text, value)), 0o644)
}

// edit makes one edit and gives the time from its save until the new behaviour
// answers.
func (s *site) edit(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	value := s.next()
	s.calls.forget()
	begin := time.Now()
	if err := s.save(value); err != nil {
		return 0, err
	}
	followed := make(chan error, 1)
	go func() {
		err := s.tool.follow(ctx, s)
		if err != nil {
			cancel()
		}
		followed <- err
	}()
	second, err := s.answers(ctx, value)
	took := time.Since(begin)
	err = errors.Join(<-followed, err)
	if err == nil && s.ask == "" {
		err = s.back(ctx, second)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w%s", s.tool.name(), err, s.up.tail())
	}
	return took, wait(ctx, rest)
}

// answers waits until a witness answers with value, or a second one at all, whose
// address it gives.
func (s *site) answers(ctx context.Context, value string) (second string, err error) {
	if s.ask != "" {
		return "", poll(ctx, func() bool {
			got, err := get(ctx, fmt.Sprintf("127.0.0.1:%d", s.port), s.ask)
			return err == nil && got == value
		})
	}
	select {
	case second = <-s.calls.from:
	case <-ctx.Done():
		return "", fmt.Errorf("no second container answers: %w", ctx.Err())
	}
	return second, poll(ctx, func() bool { _, err := get(ctx, second+":8080", "/env"); return err == nil })
}

// back takes the second replica away again.
func (s *site) back(ctx context.Context, second string) error {
	if err := s.save(s.next()); err != nil {
		return err
	}
	if err := s.tool.follow(ctx, s); err != nil {
		return err
	}
	return poll(ctx, func() bool { _, err := get(ctx, second+":8080", "/env"); return err != nil })
}

// close takes the app down, also after a failure.
func (s *site) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.calls.server.Close()
	return s.tool.stop(ctx, s)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// poll asks every few milliseconds.
func poll(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the new behaviour does not answer: %w", ctx.Err())
		case <-time.After(3 * time.Millisecond):
		}
	}
	return nil
}

// get asks on a connection of its own, and not for long: one that leads nowhere
// must not keep the next one from being tried.
func get(ctx context.Context, address, path string) (string, error) {
	client := http.Client{Timeout: 250 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(data), err
}

// home hears from witnesses that have begun to listen.
type home struct {
	port   int
	from   chan string // addresses
	server *http.Server
}

func listen() (*home, error) {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		return nil, err
	}
	h := &home{port: listener.Addr().(*net.TCPAddr).Port, from: make(chan string, 16)}
	h.server = &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
			select {
			case h.from <- host:
			default: // nobody waits
			}
		}
	})}
	go h.server.Serve(listener) // until it is closed
	return h, nil
}

func (h *home) forget() {
	for len(h.from) > 0 {
		<-h.from
	}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
