package compiler

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cuelang.org/go/mod/modcache"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	schema "github.com/cuepod/cuepod/cue"
)

// TestCompile runs testdata/*.txtar: the files of a definition, and the golden
// text of the error (want.err) or JSON of the app (want.json). Lines of the
// archive's comment of the form `key: value` are options (env, set, values,
// dir) or, with `mistakes`, how many mistakes there are when not one; the others
// say what the case is about. CUEPOD_UPDATE=1 rewrites the goldens.
func TestCompile(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	cacheDir := newCache(t)
	for _, path := range cases {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			runCase(t, path, cacheDir)
		})
	}
}

func runCase(t *testing.T, path, cacheDir string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	extract(t, dir, archive)
	t.Chdir(dir)
	opts := parseOptions(t, archive.Comment)
	opts.CacheDir = cacheDir
	result, err := Compile(t.Context(), opts)
	golden, got := "want.json", ""
	var bad *Error
	switch {
	case errors.As(err, &bad):
		golden, got = "want.err", bad.Error()+"\n"
		checkPositions(t, bad, dir)
		checkWording(t, bad)
		if want := mistakes(t, archive.Comment); len(bad.Diagnostics) != want {
			t.Errorf("%d mistakes are reported, and there are %d:\n%s", len(bad.Diagnostics), want, bad)
		}
	case err != nil:
		t.Fatalf("not a mistake in the definition: %v", err)
	default:
		got = toJSON(t, result)
	}
	got = strings.NewReplacer(dir, "$DIR", schema.Version(), "$VERSION").Replace(got)
	if os.Getenv("CUEPOD_UPDATE") != "" {
		update(t, path, archive, golden, got)
		return
	}
	want, ok := find(archive, golden)
	if !ok {
		t.Fatalf("no %s; got:\n%s", golden, got)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", golden, diff)
	}
}

// checkPositions wants every mistake at a line that the person can edit. What
// comes from a flag may have none when the definition has no place for it.
func checkPositions(t *testing.T, bad *Error, dir string) {
	t.Helper()
	if len(bad.Diagnostics) == 0 {
		t.Error("an error without a mistake")
	}
	for _, d := range bad.Diagnostics {
		if !d.Pos.IsValid() {
			if !strings.HasPrefix(d.Message, "--set ") && !strings.Contains(d.Message, "there are no CUE files") {
				t.Errorf("no position: %s", d)
			}
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, d.Pos.File)); err != nil {
			t.Errorf("position outside the user's files: %s", d)
		}
	}
}

// checkWording wants messages for people who never read CUE's manual.
func checkWording(t *testing.T, bad *Error) {
	t.Helper()
	jargon := []string{"empty disjunction", "incomplete value", "conflicting values", "mismatched types", "non-concrete",
		"field not allowed", "undefined field", "structural cycle", "_|_", "#", unifyFile}
	for _, d := range bad.Diagnostics {
		for _, word := range jargon {
			if strings.Contains(d.Message, word) {
				t.Errorf("%q is no word for people: %s", word, d)
			}
		}
	}
}

// mistakes is how many mistakes a case has: one, unless it says so.
func mistakes(t *testing.T, comment []byte) int {
	t.Helper()
	for line := range strings.Lines(string(comment)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "mistakes: "); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 1
}

// The corpus of broken definitions is large enough to say what the language's
// messages are like, and most cases have one mistake, so that a mistake which
// is reported twice is seen.
func TestCompile_CorpusOfBrokenDefinitions(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	broken, single := 0, 0
	for _, path := range cases {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := find(archive, "want.err"); !ok {
			continue
		}
		broken++
		if mistakes(t, archive.Comment) == 1 {
			single++
		}
	}
	if broken < 450 || single < 330 {
		t.Errorf("%d broken definitions, %d of them with one mistake; want at least 450 and 330", broken, single)
	}
}

func toJSON(t *testing.T, result *Result) string {
	t.Helper()
	var shown any = result.App
	if result.Params != nil {
		shown = map[string]any{"App": result.App, "Params": result.Params}
	}
	data, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(prune(tree)); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// prune drops what is empty and writes positions on one line, so that a golden
// shows what the case is about.
func prune(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		if file, ok := v["file"]; ok && v["line"] != nil {
			return fmt.Sprintf("%v:%v:%v", file, v["line"], v["column"])
		}
		for key, child := range v {
			if v[key] = prune(child); v[key] == nil {
				delete(v, key)
			}
		}
		if len(v) > 0 {
			return v
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
		if len(v) > 0 {
			return v
		}
	case string, float64, bool:
		if v != "" && v != 0.0 && v != false {
			return v
		}
	}
	return nil
}

func parseOptions(t *testing.T, comment []byte) Options {
	t.Helper()
	opts := Options{Dir: "."}
	for line := range strings.Lines(string(comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "env":
			opts.Env = value
		case "set":
			opts.Set = append(opts.Set, value)
		case "values":
			opts.ValueFiles = append(opts.ValueFiles, value)
		case "dir":
			opts.Dir = value
		}
	}
	return opts
}

func extract(t *testing.T, dir string, archive *txtar.Archive) {
	t.Helper()
	for _, f := range archive.Files {
		if strings.HasPrefix(f.Name, "want.") {
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func find(archive *txtar.Archive, name string) (string, bool) {
	for _, f := range archive.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

func update(t *testing.T, path string, archive *txtar.Archive, golden, got string) {
	t.Helper()
	var files []txtar.File
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "want.") {
			files = append(files, f)
		}
	}
	archive.Files = append(files, txtar.File{Name: golden, Data: []byte(got)})
	if err := os.WriteFile(path, txtar.Format(archive), 0o666); err != nil {
		t.Fatal(err)
	}
}

// newCache is a module cache that is removed with the test, although CUE makes
// its directories read-only.
func newCache(tb testing.TB) string {
	dir := tb.TempDir()
	tb.Cleanup(func() {
		if err := modcache.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}
