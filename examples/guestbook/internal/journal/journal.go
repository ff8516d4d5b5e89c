// Package journal is what the guestbook's two containers share: the web server
// appends its requests to a journal in a common directory, the digest reads it
// and leaves a summary there that the web server shows.
package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	journalFile = "journal.jsonl"
	summaryFile = "summary.json"
	// maxSize is when a journal starts anew, in bytes: the volume holds 16 MiB,
	// and the digest reads the whole file each time.
	maxSize = 1 << 20
)

// Entry is one request.
type Entry struct {
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Status int       `json:"status"`
}

// Stats is what the web server tells about itself on /stats.
type Stats struct {
	Pod     string    `json:"pod"`
	Started time.Time `json:"started"`
	Signed  int64     `json:"signed"` // entries this server wrote
}

// Summary is what the digest makes of the journal and the stats.
type Summary struct {
	At       time.Time     `json:"at"`
	Pod      string        `json:"pod"`
	Requests int           `json:"requests"` // in the journal
	Failed   int           `json:"failed"`   // of them with a status of 400 or more
	Signed   int64         `json:"signed"`
	Uptime   time.Duration `json:"uptime"` // nanoseconds
}

// Summarize makes the summary of a journal as of now.
func Summarize(entries []Entry, stats Stats, now time.Time) Summary {
	s := Summary{At: now, Pod: stats.Pod, Requests: len(entries), Signed: stats.Signed, Uptime: now.Sub(stats.Started)}
	for _, e := range entries {
		if e.Status >= 400 {
			s.Failed++
		}
	}
	return s
}

// Writer appends to the journal of a directory. It is safe for concurrent use
// by one process.
type Writer struct {
	dir string

	mu sync.Mutex // one line is written at a time
}

// NewWriter gives the writer of dir, which must exist.
func NewWriter(dir string) *Writer { return &Writer{dir: dir} }

// Append adds one entry. A full journal starts anew.
func (w *Writer) Append(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	path := filepath.Join(w.dir, journalFile)
	flags := os.O_APPEND | os.O_CREATE | os.O_WRONLY
	if info, err := os.Stat(path); err == nil && info.Size() >= maxSize {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// Read gives the entries of the journal in dir, none when there is no journal
// yet. A last line that is still being written is left out.
func Read(dir string) ([]Entry, error) {
	f, err := os.Open(filepath.Join(dir, journalFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var entries []Entry
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			if lines.Scan() {
				return nil, fmt.Errorf("journal: entry %d: %w", len(entries)+1, err)
			}
			break
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
}

// WriteSummary replaces the summary in dir at once: a reader sees the old one
// or the new one.
func WriteSummary(dir string, s Summary) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	next := filepath.Join(dir, summaryFile+".next")
	if err := os.WriteFile(next, data, 0o644); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, summaryFile))
}

// ReadSummary gives the summary in dir; ok is false when there is none yet.
func ReadSummary(dir string) (s Summary, ok bool, err error) {
	data, err := os.ReadFile(filepath.Join(dir, summaryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, false, fmt.Errorf("summary: %w", err)
	}
	return s, true, nil
}
