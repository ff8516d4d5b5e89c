package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSign_WaitsUntilThePageShowsTheLine(t *testing.T) {
	var lines []string
	late := 2 // pages that still lack the line
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			lines = append(lines, r.FormValue("message"))
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		if late--; late < 0 {
			fmt.Fprint(w, lines)
		}
	}))
	defer web.Close()
	if err := sign(t.Context(), "hello", web.URL+"/"); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1 || late >= 0 {
		t.Errorf("wrote %q, stopped %d pages early", lines, late+1)
	}
}

func TestSign_Fails(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "redis is away", http.StatusBadGateway)
	}))
	defer refusing.Close()
	if err := sign(t.Context(), "x", refusing.URL); err == nil || !strings.Contains(err.Error(), "redis is away") {
		t.Errorf("got %v, want the server's words", err)
	}
	forgetful := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer forgetful.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := sign(ctx, "x", forgetful.URL); err == nil {
		t.Error("a line that never shows is no success")
	}
}
