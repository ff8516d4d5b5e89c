package examples_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/testtool"
)

// TestStarter is the first quarter of an hour with cuepod: what `cuepod init`
// writes runs as it is, and follows the edit that it invites to.
func TestStarter(t *testing.T) {
	requireEngine(t)
	requireImages(t, "nginx:1.29")
	tool := testtool.Cuepod(t)
	parent, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "hello")
	run(t, time.Minute, tool, "init", dir)
	downAtEnd(t, tool, dir)
	run(t, startLimit, tool, "up", "-d", "--wait", dir)
	site := guestbookAt{address: firstURL(t, run(t, time.Minute, tool, "ps", "-o", "json", dir))}
	shows := func(text string) {
		t.Helper()
		poll(t, time.Minute, "the page shows "+text, func() error {
			page, err := site.page(t.Context())
			if err == nil && !strings.Contains(page, text) {
				err = errors.New("it shows " + page)
			}
			return err
		})
	}
	shows("Hello from hello in dev")
	path := filepath.Join(dir, "app.cue")
	definition, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(definition), "Hello from", "Changed in", 1)
	if changed == string(definition) {
		t.Fatal("the starter has no text to change")
	}
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	shows("Changed in hello in dev")
}

// firstURL gives host:port of the first URL of `ps -o json`.
func firstURL(t *testing.T, status string) string {
	t.Helper()
	var s appStatus
	if err := json.Unmarshal([]byte(status), &s); err != nil {
		t.Fatalf("ps -o json: %v\n%s", err, status)
	}
	for _, service := range s.Services {
		for _, url := range service.URLs {
			return strings.TrimPrefix(url, "http://")
		}
	}
	t.Fatalf("no URL: %s", status)
	return ""
}
