package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cuepod/cuepod/examples/guestbook/internal/journal"
)

const (
	maxName    = 40  // characters
	maxMessage = 280 // characters
	maxForm    = 1 << 14
)

//go:embed page.html
var pageSource string

// config is what the server is told.
type config struct {
	Pod      string // this pod's name, shown on the page
	Greeting string
	Leader   string // host:port of the redis that takes writes
	Follower string // host:port of the redis that takes reads
	Password string // of both; "" for none
	Settings string // file with the settings, read on each request: it changes while we run
	Dir      string // shared with the digest
}

// settings is the file of the ConfigMap.
type settings struct {
	Title   string `json:"title"`
	Entries int    `json:"entries"` // how many the page shows
}

// readSettings falls back to plain words when there is no file, as when the
// program runs outside its pod.
func readSettings(path string) (settings, error) {
	s := settings{Title: "Guestbook", Entries: 20}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

// handler answers the guestbook's requests.
type handler struct {
	config
	page    *template.Template
	book    book
	journal *journal.Writer
	started time.Time
	signed  atomic.Int64
}

// newHandler makes the whole web server of a configuration.
func newHandler(c config) http.Handler {
	h := &handler{
		config:  c,
		page:    template.Must(template.New("page").Parse(pageSource)),
		book:    book{leader: c.Leader, follower: c.Follower, password: c.Password},
		journal: journal.NewWriter(c.Dir),
		started: time.Now(),
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", h.journaled(h.showPage))
	mux.Handle("GET /entries", h.journaled(h.listEntries))
	mux.Handle("POST /entries", h.journaled(h.sign))
	mux.HandleFunc("GET /stats", h.showStats)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", h.ready)
	return mux
}

// pageData is what page.html shows.
type pageData struct {
	Settings   settings
	Greeting   string
	Pod        string
	Leader     role
	Follower   role
	Entries    []entry
	Summary    *journal.Summary
	MaxName    int
	MaxMessage int
}

func (h *handler) showPage(w http.ResponseWriter, r *http.Request) {
	data, err := h.pageData(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
	if err := h.page.Execute(w, data); err != nil {
		log.Printf("page: %v", err)
	}
}

func (h *handler) pageData(ctx context.Context) (*pageData, error) {
	data := &pageData{Greeting: h.Greeting, Pod: h.Pod, MaxName: maxName, MaxMessage: maxMessage}
	var err error
	if data.Settings, err = readSettings(h.Settings); err != nil {
		return nil, err
	}
	if data.Entries, data.Follower, err = h.book.read(ctx, data.Settings.Entries); err != nil {
		return nil, err
	}
	if data.Leader, err = h.book.leaderRole(ctx); err != nil {
		return nil, err
	}
	summary, ok, err := journal.ReadSummary(h.Dir)
	if ok {
		data.Summary = &summary
	}
	return data, err
}

// listEntries gives the entries as JSON, newest first.
func (h *handler) listEntries(w http.ResponseWriter, r *http.Request) {
	s, err := readSettings(h.Settings)
	if err != nil {
		fail(w, err)
		return
	}
	entries, _, err := h.book.read(r.Context(), s.Entries)
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, entries)
}

// sign takes the form and shows the page again.
func (h *handler) sign(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	e := entry{
		Name:    strings.TrimSpace(r.FormValue("name")),
		Message: strings.TrimSpace(r.FormValue("message")),
		At:      time.Now().UTC().Truncate(time.Second),
		Pod:     h.Pod,
	}
	if e.Name == "" {
		e.Name = "somebody"
	}
	if problem := e.problem(); problem != "" {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	if err := h.book.write(r.Context(), e); err != nil {
		fail(w, err)
		return
	}
	h.signed.Add(1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// problem says what is wrong with an entry, or nothing.
func (e entry) problem() string {
	switch {
	case e.Message == "":
		return "the message is empty"
	case utf8.RuneCountInString(e.Message) > maxMessage:
		return "the message is too long"
	case utf8.RuneCountInString(e.Name) > maxName:
		return "the name is too long"
	}
	return ""
}

func (h *handler) showStats(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, journal.Stats{Pod: h.Pod, Started: h.started, Signed: h.signed.Load()})
}

// ready is true while both redis answer: a frontend without them would only
// show errors.
func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	for _, addr := range []string{h.Leader, h.Follower} {
		if err := ping(r.Context(), addr, h.Password); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	io.WriteString(w, "ready\n")
}

// journaled adds each request to the journal. A full disk must not take the
// page down, so a failure is only logged.
func (h *handler) journaled(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next(status, r)
		entry := journal.Entry{At: time.Now().UTC(), Method: r.Method, Path: r.URL.Path, Status: status.status}
		if err := h.journal.Append(entry); err != nil {
			log.Printf("journal: %v", err)
		}
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// fail answers for what lies behind us.
func fail(w http.ResponseWriter, err error) {
	log.Print(err)
	http.Error(w, err.Error(), http.StatusBadGateway)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Printf("response: %v", err)
	}
}
