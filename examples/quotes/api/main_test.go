package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAPI(t *testing.T) {
	h := handler("one\tA\n\ntwo\n", "nobody")
	for _, tc := range []struct {
		path string
		code int
		body string
	}{
		{"/quotes", http.StatusOK, `[{"text":"one","author":"A"},{"text":"two","author":"nobody"}]`},
		{"/quotes/2", http.StatusOK, `{"text":"two","author":"nobody"}`},
		{"/quotes/0", http.StatusNotFound, "404 page not found"},
		{"/quotes/3", http.StatusNotFound, "404 page not found"},
		{"/quotes/x", http.StatusNotFound, "404 page not found"},
		{"/healthz", http.StatusNoContent, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tc.path, nil))
		if got := strings.TrimSpace(w.Body.String()); w.Code != tc.code || got != tc.body {
			t.Errorf("%s: %d %q", tc.path, w.Code, got)
		}
	}
}

func TestQuotes_ThatComeWithIt(t *testing.T) {
	for _, q := range quotes(text, "unknown") {
		if q.Text == "" || q.Author == "" {
			t.Errorf("%+v", q)
		}
	}
}
