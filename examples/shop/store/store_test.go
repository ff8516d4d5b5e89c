package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What the shop does with PostgreSQL and Redis is tested with the real ones, on an
// engine.

func TestRun_Usage(t *testing.T) {
	for _, args := range [][]string{nil, {"sell"}, {"serve", "now"}} {
		if err := run(t.Context(), args, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "usage") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestUntilDone(t *testing.T) {
	tries := 0
	err := untilDone(t.Context(), time.Microsecond, func(context.Context) error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := untilDone(ended, time.Hour, func(context.Context) error { return errors.New("no") }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// TestHandler_WithoutItsServers: the page says so, and who asks for readiness
// learns it.
func TestHandler_WithoutItsServers(t *testing.T) {
	nobody := &store{queue: "127.0.0.1:1"}
	nobody.database.Addr = "127.0.0.1:1"
	h := newHandler(nobody, "Shop")
	ask := func(method, path string, form url.Values) int {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for _, tc := range []struct {
		method, path string
		form         url.Values
		want         int
	}{
		{http.MethodGet, "/healthz", nil, http.StatusOK},
		{http.MethodGet, "/ready", nil, http.StatusServiceUnavailable},
		{http.MethodGet, "/", nil, http.StatusServiceUnavailable},
		{http.MethodGet, "/orders", nil, http.StatusServiceUnavailable},
		{http.MethodPost, "/orders", url.Values{"item": {"tea"}}, http.StatusServiceUnavailable},
		{http.MethodPost, "/orders", url.Values{"item": {"  "}}, http.StatusBadRequest},
		{http.MethodPost, "/orders", url.Values{"item": {strings.Repeat("x", 101)}}, http.StatusBadRequest},
		{http.MethodGet, "/else", nil, http.StatusNotFound},
	} {
		if got := ask(tc.method, tc.path, tc.form); got != tc.want {
			t.Errorf("%s %s %v: %d, want %d", tc.method, tc.path, tc.form, got, tc.want)
		}
	}
}
