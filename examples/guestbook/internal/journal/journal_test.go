package journal

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAppend_ConcurrentEntriesAreAllReadBack(t *testing.T) {
	dir := t.TempDir()
	w := NewWriter(dir)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := w.Append(Entry{Method: "GET", Path: "/", Status: 200}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	entries, err := Read(dir)
	if err != nil || len(entries) != 50 {
		t.Fatalf("read %d entries, %v; want 50", len(entries), err)
	}
}

func TestAppend_FullJournalStartsAnew(t *testing.T) {
	dir := t.TempDir()
	full := strings.Repeat("x", maxSize)
	if err := os.WriteFile(filepath.Join(dir, journalFile), []byte(full), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := NewWriter(dir).Append(Entry{Path: "/new"}); err != nil {
		t.Fatal(err)
	}
	entries, err := Read(dir)
	if err != nil || len(entries) != 1 || entries[0].Path != "/new" {
		t.Errorf("got %+v, %v; want only the new entry", entries, err)
	}
}

func TestRead(t *testing.T) {
	for name, tc := range map[string]struct {
		content string
		entries int
		fails   bool
	}{
		"empty":               {"", 0, false},
		"unfinished last":     {`{"path":"/a"}` + "\n" + `{"pa`, 1, false},
		"broken in the midst": {`{"pa` + "\n" + `{"path":"/a"}` + "\n", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, journalFile), []byte(tc.content), 0o644); err != nil {
				t.Fatal(err)
			}
			entries, err := Read(dir)
			if (err != nil) != tc.fails || len(entries) != tc.entries {
				t.Errorf("got %d entries, %v", len(entries), err)
			}
		})
	}
	if entries, err := Read(t.TempDir()); err != nil || entries != nil {
		t.Errorf("without a journal: got %v, %v; want nothing", entries, err)
	}
}

func TestSummary_IsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	if _, ok, err := ReadSummary(dir); ok || err != nil {
		t.Fatalf("before the first summary: ok %v, %v", ok, err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := Summarize(
		[]Entry{{Status: 200}, {Status: 303}, {Status: 502}},
		Stats{Pod: "frontend-0", Started: now.Add(-time.Minute), Signed: 1}, now)
	if want.Requests != 3 || want.Failed != 1 || want.Uptime != time.Minute || want.Signed != 1 || want.Pod != "frontend-0" {
		t.Errorf("summary %+v", want)
	}
	if err := WriteSummary(dir, want); err != nil {
		t.Fatal(err)
	}
	got, ok, err := ReadSummary(dir)
	if err != nil || !ok || got != want {
		t.Errorf("got %+v, %v, %v; want %+v", got, ok, err, want)
	}
}
