package cuecli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// server is CUE's language server, spoken to as an editor does.
type server struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Reader
	last int // number of the last request
}

func (b *bench) languageServer(dir string) *server {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), b.cue, "lsp", "serve")
	cmd.Dir, cmd.Env = dir, b.env
	in, err := cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() }) // an answer that never comes ends the reading
	b.t.Cleanup(func() {
		kill.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	return &server{t: b.t, in: in, out: bufio.NewReader(out)}
}

func (s *server) send(message map[string]any) {
	s.t.Helper()
	message["jsonrpc"] = "2.0"
	data, err := json.Marshal(message)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(s.in, "Content-Length: %d\r\n\r\n%s", len(data), data); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) notify(method string, params any) {
	s.send(map[string]any{"method": method, "params": params})
}

// ask sends a request and gives its result. What the server asks meanwhile is
// answered with nothing.
func (s *server) ask(method string, params any) json.RawMessage {
	s.t.Helper()
	s.last++
	s.send(map[string]any{"id": s.last, "method": method, "params": params})
	for {
		header, err := textproto.NewReader(s.out).ReadMIMEHeader()
		if err != nil {
			s.t.Fatalf("%s: %v", method, err)
		}
		size, err := strconv.Atoi(header.Get("Content-Length"))
		if err != nil {
			s.t.Fatal(err)
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(s.out, data); err != nil {
			s.t.Fatal(err)
		}
		var m struct {
			ID     any
			Method string
			Result json.RawMessage
			Error  json.RawMessage
		}
		if err := json.Unmarshal(data, &m); err != nil {
			s.t.Fatal(err)
		}
		switch {
		case m.Method != "" && m.ID != nil:
			s.send(map[string]any{"id": m.ID, "result": nil})
		case m.Method == "" && m.ID == float64(s.last):
			if m.Error != nil {
				s.t.Fatalf("%s: %s", method, m.Error)
			}
			return m.Result
		}
	}
}

// TestCUE_LanguageServerKnowsTheSchema asks where core.#App is defined, with no
// registry in reach.
func TestCUE_LanguageServerKnowsTheSchema(t *testing.T) {
	b := newBench(t)
	dir := filepath.Join(t.TempDir(), "shop")
	b.ok(".", b.cuepod, "init", dir)
	b.ok(dir, b.cuepod, "vet")
	path := filepath.Join(dir, "app.cue")
	text := read(t, path)
	uri := "file://" + path

	s := b.languageServer(dir)
	s.ask("initialize", map[string]any{
		"processId": nil, "rootUri": "file://" + dir,
		"workspaceFolders": []any{map[string]any{"uri": "file://" + dir, "name": "shop"}},
		"capabilities":     map[string]any{},
	})
	s.notify("initialized", map[string]any{})
	s.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "languageId": "cue", "version": 1, "text": text}})
	where := func(what string) string {
		before, _, ok := strings.Cut(text, what)
		if !ok {
			t.Fatalf("the starter has no %s", what)
		}
		line := strings.Count(before, "\n")
		column := len(before) - (strings.LastIndex(before, "\n") + 1) + len(what) - 1
		return string(s.ask("textDocument/definition", map[string]any{
			"textDocument": map[string]any{"uri": uri}, "position": map[string]any{"line": line, "character": column},
		}))
	}
	if got := where("core.#App"); !strings.Contains(got, "cuepod.dev@") || !strings.Contains(got, "core/app.cue") {
		t.Errorf("core.#App is at %s", got)
	}
}
