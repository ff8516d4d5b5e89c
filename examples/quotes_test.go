package examples_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/testtool"
)

func TestQuotes_Goldens(t *testing.T) {
	tool := testtool.Cuepod(t)
	for _, g := range []goldenCompile{
		{"quotes", "kubernetes.yaml", []string{"--target", "kubernetes"}},
		{"quotes", "kubernetes-prod.yaml", []string{"--target", "kubernetes", "--env", "prod"}},
		{"quotes", "compose.yaml", []string{"--target", "compose"}},
		{"quotes", "docker.json", []string{"--target", "docker"}},
	} {
		t.Run(g.golden, func(t *testing.T) { g.check(t, tool, "quotes/golden") })
	}
}

func TestQuotes_IsFormatted(t *testing.T) { wantFormatted(t, "quotes/*.cue") }

const quotesPort = "127.0.0.1:30095"

// TestQuotes_Up: the program is compiled and answers; what is embedded and what is
// Go follows an edit; what does not compile leaves what answers; down leaves
// nothing.
func TestQuotes_Up(t *testing.T) {
	requireEngine(t)
	requirePortFree(t, quotesPort)
	tool := testtool.Cuepod(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS("quotes")); err != nil {
		t.Fatal(err)
	}
	downAtEnd(t, tool, dir)
	run(t, startLimit, tool, "up", "-d", "--wait", dir)
	readStatus(t, run(t, time.Minute, tool, "ps", "-o", "json", dir)).wantReady(t, "api-0")
	wantQuote(t, "Save, and it runs.", "anonymous")

	edit := func(name, from, to string) {
		t.Helper()
		name = filepath.Join(dir, "api", name)
		before, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		after := strings.Replace(string(before), from, to, 1)
		if after == string(before) {
			t.Fatalf("%s has no %q", name, from)
		}
		if err := os.WriteFile(name, []byte(after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("quotes.txt", "it runs", "it has run")
	wantQuote(t, "Save, and it has run.", "anonymous")
	edit("main.go", "answer(w, all[n-1])", "answer(w, all[n])")
	edit("main.go", "answer(w, all[n])", "answer(w, quote{strings.ToUpper(all[n-1].Text), all[n-1].Author})")
	wantQuote(t, "SAVE, AND IT HAS RUN.", "anonymous")
	edit("main.go", "strings.ToUpper", "strings.ToUpperr")
	edit("quotes.txt", "has run", "runs")
	wantQuote(t, "SAVE, AND IT HAS RUN.", "anonymous")
	edit("main.go", "strings.ToUpperr", "strings.ToLower")
	wantQuote(t, "save, and it runs.", "anonymous")

	run(t, startLimit, tool, "down", "--volumes", dir)
	if objects := left(t, "dev.cuepod.root="+dir); len(objects) > 0 {
		t.Errorf("down --volumes left %q", objects)
	}
}

// wantQuote asks for the third quote until it is as it should be.
func wantQuote(t *testing.T, text, author string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}
	poll(t, time.Minute, "the API says "+text, func() error {
		resp, err := client.Get("http://" + quotesPort + "/quotes/3")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		var got struct{ Text, Author string }
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		if got.Text != text || got.Author != author {
			return fmt.Errorf("it says %s", body)
		}
		return nil
	})
}
