package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cuepod/cuepod/examples/guestbook/internal/journal"
)

func TestDigest_JoinsTheJournalAndTheStats(t *testing.T) {
	started := time.Now().Add(-time.Hour)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewEncoder(w).Encode(journal.Stats{Pod: "frontend-1", Started: started, Signed: 7}); err != nil {
			t.Error(err)
		}
	}))
	defer web.Close()
	dir := t.TempDir()
	if err := journal.NewWriter(dir).Append(journal.Entry{Status: 500}); err != nil {
		t.Fatal(err)
	}
	if err := digest(t.Context(), web.URL, dir); err != nil {
		t.Fatal(err)
	}
	s, ok, err := journal.ReadSummary(dir)
	if err != nil || !ok {
		t.Fatalf("no summary: %v", err)
	}
	if s.Pod != "frontend-1" || s.Signed != 7 || s.Requests != 1 || s.Failed != 1 || s.Uptime < time.Hour {
		t.Errorf("summary %+v", s)
	}
}

func TestDigest_WebServerInTroubleLeavesNoSummary(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	dir := t.TempDir()
	if err := digest(t.Context(), web.URL, dir); err == nil {
		t.Error("want an error")
	}
	if _, ok, _ := journal.ReadSummary(dir); ok {
		t.Error("a summary was written from nothing")
	}
}
