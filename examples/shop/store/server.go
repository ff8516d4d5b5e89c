package main

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"log"
	"net/http"
	"strings"
)

//go:embed page.html
var pageText string

// longest is how many bytes the name of an item may have.
const longest = 100

// handler answers what visitors and probes ask.
type handler struct {
	store *store
	title string
	page  *template.Template
}

func newHandler(s *store, title string) http.Handler {
	h := &handler{store: s, title: title, page: template.Must(template.New("page").Parse(pageText))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.show)
	mux.HandleFunc("GET /orders", h.list)
	mux.HandleFunc("POST /orders", h.order)
	mux.HandleFunc("GET /ready", h.ready)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	return mux
}

// view is what the page and the list show.
type view struct {
	Title  string  `json:"title"`
	Report string  `json:"report"` // of the report's last run; "" before the first
	Orders []order `json:"orders"`
}

func (h *handler) view(w http.ResponseWriter, r *http.Request) (view, bool) {
	orders, err := h.store.latest(r.Context())
	if err != nil {
		h.fail(w, err)
		return view{}, false
	}
	report, err := h.store.published(r.Context())
	if err != nil {
		h.fail(w, err)
		return view{}, false
	}
	return view{Title: h.title, Report: report, Orders: orders}, true
}

func (h *handler) show(w http.ResponseWriter, r *http.Request) {
	v, ok := h.view(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := h.page.Execute(w, v); err != nil {
		log.Printf("page: %v", err)
	}
}

func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	v, ok := h.view(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Printf("list: %v", err)
	}
}

func (h *handler) order(w http.ResponseWriter, r *http.Request) {
	item := strings.TrimSpace(r.PostFormValue("item"))
	if item == "" || len(item) > longest || strings.ContainsRune(item, 0) {
		http.Error(w, "an order names an item, in at most 100 bytes", http.StatusBadRequest)
		return
	}
	if err := h.store.add(r.Context(), item); err != nil {
		h.fail(w, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	if err := h.store.ready(r.Context()); err != nil {
		h.fail(w, err)
	}
}

// fail tells visitors that it is not their fault, and the log whose it is.
func (h *handler) fail(w http.ResponseWriter, err error) {
	log.Print(err)
	http.Error(w, "the shop is closed for a moment", http.StatusServiceUnavailable)
}
