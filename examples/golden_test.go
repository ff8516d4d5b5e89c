package examples_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler"
)

// goldenCompile is one output of `cuepod compile` that is kept beside an example.
type goldenCompile struct {
	dir    string   // of the app
	golden string   // its file, relative to the directory of goldens
	args   []string // of compile
}

// check compares what the command prints with a file. CUEPOD_UPDATE=1 rewrites it.
func (g goldenCompile) check(t *testing.T, tool, goldens string) {
	t.Helper()
	got := run(t, time.Minute, tool, append(append([]string{"compile"}, g.args...), g.dir)...)
	golden := filepath.Join(goldens, g.golden)
	if os.Getenv("CUEPOD_UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what compile prints; if the change is meant, run `make golden`\n%s", golden, diff(t, golden, got))
	}
}

// wantFormatted checks definitions: an example is what people copy.
func wantFormatted(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no definition: %v", pattern, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		formatted, err := compiler.Format(file, src)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(src, formatted) {
			t.Errorf("%s: run cuepod fmt", file)
		}
	}
}
