package compiler

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cuelang.org/go/cue"
	"golang.org/x/tools/txtar"
)

// fixture is the directory of a case in testdata.
func fixture(tb testing.TB, name string) string {
	tb.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	for _, f := range archive.Files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f.Name)), 0o777); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o666); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func TestCompile_IsDeterministicAndSafeForConcurrentUse(t *testing.T) {
	for _, name := range []string{"full", "many-mistakes", "comprehensions"} {
		opts := Options{Dir: fixture(t, name), CacheDir: newCache(t)}
		var mu sync.Mutex
		seen := map[string]bool{}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					text := outcome(t.Context(), t, opts)
					mu.Lock()
					seen[text] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(seen) != 1 {
			t.Errorf("%s: %d different outcomes", name, len(seen))
		}
	}
}

// outcome is everything a compile returns, as text.
func outcome(ctx context.Context, t *testing.T, opts Options) string {
	r, err := Compile(ctx, opts)
	var bad *Error
	var shown any = r
	if errors.As(err, &bad) {
		shown = bad
	} else if err != nil {
		t.Error(err)
	}
	data, err := json.Marshal(shown)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// TestSchema_SaysInWordsWhatEveryScalarAllows guards the messages: a constraint
// without a comment on a definition would be shown as CUE.
func TestSchema_SaysInWordsWhatEveryScalarAllows(t *testing.T) {
	s, err := openSource(fixture(t, "minimal"), newCache(t), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := s.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.build(); err != nil {
		t.Fatal(err)
	}
	g := newDiagnoser(&s.places, s.core())
	checkWords(t, g, s.core().LookupPath(cue.ParsePath("#App")), "app")
}

func checkWords(t *testing.T, g *diagnoser, schema cue.Value, path string) {
	t.Helper()
	switch schema.IncompleteKind() {
	case cue.ListKind:
		checkWords(t, g, schema.LookupPath(cue.MakePath(cue.AnyIndex)), path+"[]")
	case cue.StructKind:
		if keys, ok := keyPattern(schema); ok {
			checkWords(t, g, keys, path+" (its keys)")
			checkWords(t, g, schema.LookupPath(anyKey()), path+".*")
			return
		}
		for _, name := range fieldNames(schema) {
			checkWords(t, g, schema.LookupPath(cue.MakePath(cue.Str(name).Optional())), path+"."+name)
		}
	default:
		plain := show(schema) == kindCUE(schema) || len(options(schema)) > 0
		if words := g.wants(schema); !plain && strings.ContainsAny(words, "=~&<>|") {
			t.Errorf("%s: %s is said as %s", path, show(schema), words)
		}
	}
}

func TestCompile_ErrorsThatAreNotTheDefinitions(t *testing.T) {
	cache := newCache(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	dir := fixture(t, "minimal")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		opts Options
		want string
	}{
		"missing directory":  {t.Context(), Options{Dir: filepath.Join(dir, "gone")}, "no such file"},
		"file":               {t.Context(), Options{Dir: file}, "name the directory"},
		"missing value file": {t.Context(), Options{Dir: dir, ValueFiles: []string{"gone.yaml"}}, "value file"},
		"cancelled":          {cancelled, Options{Dir: dir}, "context canceled"},
	} {
		c.opts.CacheDir = cache
		_, err := Compile(c.ctx, c.opts)
		var bad *Error
		if err == nil || errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q that is no *Error", name, err, c.want)
		}
	}
}

// TestCompile_AfterAChangeSeesTheNewFiles guards against any cache of results.
func TestCompile_AfterAChangeSeesTheNewFiles(t *testing.T) {
	dir := fixture(t, "minimal")
	opts := Options{Dir: dir, CacheDir: newCache(t)}
	for _, image := range []string{"a:1", "b:2"} {
		text := "package a\n\napp: {name: \"shop\", pods: web: containers: main: image: \"" + image + "\"}\n"
		if err := os.WriteFile(filepath.Join(dir, "a.cue"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		r, err := Compile(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.App.Pods[0].Containers[0].Image; got != image {
			t.Errorf("image %s, want %s", got, image)
		}
	}
}

// FuzzCompile wants an app or mistakes for any text, each at a place in it, and
// never a panic.
func FuzzCompile(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range cases {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if filepath.Ext(file.Name) == ".cue" {
				f.Add(string(file.Data))
			}
		}
	}
	cache, dir := newCache(f), f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(dir, "app.cue"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Compile(t.Context(), Options{Dir: dir, CacheDir: cache})
		var bad *Error
		if err != nil && !errors.As(err, &bad) {
			t.Errorf("not a mistake in the definition: %v", err)
		}
		if bad != nil && (len(bad.Diagnostics) == 0 || bad.Error() == "") {
			t.Errorf("an error without a mistake: %#v", bad)
		}
		if bad == nil {
			return
		}
		for _, d := range bad.Diagnostics {
			if !d.Pos.IsValid() {
				t.Errorf("no position: %s", d)
			}
		}
	})
}

func TestCompile_WithoutAPlaceForTheModuleCacheSaysWhatToSet(t *testing.T) {
	for _, name := range []string{"CUE_CACHE_DIR", "XDG_CACHE_HOME", "HOME"} {
		t.Setenv(name, "")
	}
	_, err := Compile(t.Context(), Options{Dir: fixture(t, "minimal")})
	if err == nil || !strings.Contains(err.Error(), "set CUE_CACHE_DIR") {
		t.Errorf("got %v, want what to set", err)
	}
}
