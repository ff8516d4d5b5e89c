// Package docstest runs the commands that the documentation shows.
//
// In README.md and docs/*.md a fenced block that starts with "```sh" is run, in
// order, in a directory that holds a copy of examples/, with cuepod on the
// PATH. "```cue FILE" writes a file there first. Words after sh say more:
//
//	sh engine   needs an engine with the example's images; skipped without one
//	sh make     a command of the Makefile, which CI itself runs; not run here
//
// A "```text" block right after it is what the command prints, both streams;
// "..." stands for anything, and alone on a line for any lines.
package docstest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// limit is how long one block may take: a first start on a slow machine.
const limit = 5 * time.Minute

func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tool := buildTool(t)
	for _, page := range append([]string{"../../README.md"}, pages...) {
		source, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			runPage(t, tool, parse(string(source)))
		})
	}
}

// runPage runs the blocks of a page one after another: a later one builds on
// what an earlier one did.
func runPage(t *testing.T, tool string, blocks []block) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	shell := shell{dir: dir, path: filepath.Dir(tool)}
	if slices.ContainsFunc(blocks, func(b block) bool { return b.has("engine") }) && engineAnswers(t) {
		t.Cleanup(func() { shell.cleanUp(t) })
	}
	for _, b := range blocks {
		if b.has("make") || b.has("engine") && !engineAnswers(t) {
			t.Logf("line %d: not run (%s)", b.line, strings.Join(b.info, " "))
			continue
		}
		if b.has("cue") {
			if err := shell.write(b.info[1], b.script); err != nil {
				t.Fatalf("line %d: %v", b.line, err)
			}
			continue
		}
		out, err := shell.run(t.Context(), b.script)
		if err != nil {
			t.Fatalf("line %d: %v\n%s\n%s", b.line, err, b.script, out)
		}
		if b.output != "" && !pattern(b.output).MatchString(out) {
			t.Errorf("line %d: %s\nprints\n%s\nbut the page says\n%s", b.line, b.script, out, b.output)
		}
	}
}

// block is one runnable block of a page, or a file it writes.
type block struct {
	line   int      // of its fence, from 1
	info   []string // words of its fence: "sh", "engine"; "cue", FILE
	script string   // or the file's text
	output string   // of the text block after it; "" when there is none
}

func (b block) has(word string) bool { return slices.Contains(b.info, word) }

// parse gives the runnable blocks of a page.
func parse(source string) []block {
	var blocks []block
	inside, after := false, false // in a fence; right after a runnable block
	var current block
	for i, line := range strings.Split(source, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !inside:
			inside, current = true, block{line: i + 1, info: strings.Fields(fence)}
		case isFence:
			inside = false
			switch {
			case current.has("sh"):
				blocks, after = append(blocks, current), true
			case current.has("cue") && len(current.info) == 2:
				blocks = append(blocks, current)
			case current.has("text") && after:
				blocks[len(blocks)-1].output, after = current.script, false
			}
		case inside:
			current.script += line + "\n"
		case strings.TrimSpace(line) != "":
			after = false
		}
	}
	return blocks
}

// pattern is the expected output as an expression over the real one. Space at
// the ends of lines does not count.
func pattern(expected string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for line := range strings.Lines(expected) {
		line = strings.TrimRight(line, " \n")
		if line == "..." {
			b.WriteString(`(?:.*\n)*`)
			continue
		}
		parts := strings.Split(line, "...")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		b.WriteString(strings.Join(parts, `.*`) + `[ ]*\n`)
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

// shell runs scripts in a directory with cuepod first on the PATH.
type shell struct{ dir, path string }

func (s shell) write(name, text string) error {
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func (s shell) run(ctx context.Context, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+s.path+":"+os.Getenv("PATH"), "XDG_STATE_HOME="+filepath.Join(s.dir, "state"), "NO_COLOR=1")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second // a supervisor in the background may hold the streams
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done after %v", limit)
	}
	return out.String(), err
}

// cleanUp removes what a page that failed half-way left on the engine.
func (s shell) cleanUp(t *testing.T) {
	for _, app := range []string{"examples/guestbook"} {
		if out, err := s.run(context.WithoutCancel(t.Context()), "cuepod down --volumes "+app); err != nil {
			t.Errorf("clean up: %v\n%s", err, out)
		}
	}
}

// engineAnswers reports whether an engine is there. CUEPOD_REQUIRE_ENGINE=1
// makes its absence a failure.
func engineAnswers(t *testing.T) bool {
	t.Helper()
	err := exec.CommandContext(context.WithoutCancel(t.Context()), "docker", "image", "inspect", "redis:7.0", "guestbook-frontend:dev", "guestbook-digest:dev").Run()
	if err != nil && os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1" {
		t.Fatalf("no engine with the example's images: %v; `make images` puts them there", err)
	}
	return err == nil
}

// buildTool gives the path of the cuepod to test: $CUEPOD, or one built here.
func buildTool(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("CUEPOD"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "cuepod")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/cuepod")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // it is its own agent: that has to be static
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./cmd/cuepod: %v\n%s", err, out)
	}
	return path
}
