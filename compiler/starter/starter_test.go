package starter_test

import (
	"os"
	"path/filepath"
	"testing"

	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/mod/modcache"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/starter"
)

func write(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	for path, data := range starter.Files(name) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func newCache(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := modcache.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFiles_CompileInEveryEnvironment(t *testing.T) {
	dir, cache := write(t, "My Shop"), newCache(t)
	for env, replicas := range map[string]int{"": 1, "dev": 1, "prod": 3} {
		r, err := compiler.Compile(t.Context(), compiler.Options{Dir: dir, Env: env, CacheDir: cache})
		if err != nil {
			t.Fatalf("--env %q: %v", env, err)
		}
		if r.App.Name != "my-shop" || r.App.Pods[0].Replicas != replicas {
			t.Errorf("--env %q: app %s with %d replicas, want my-shop with %d", env, r.App.Name, r.App.Pods[0].Replicas, replicas)
		}
	}
}

// TestFiles_PlainCUEVetsThemAfterOneCompile loads the starter as the cue
// command does: with the default registry, which is out of reach here, behind
// the cache that a compile has filled.
func TestFiles_PlainCUEVetsThemAfterOneCompile(t *testing.T) {
	dir, cache := write(t, "shop"), newCache(t)
	env := []string{"CUE_CACHE_DIR=" + cache, "CUE_REGISTRY=127.0.0.1:1+insecure", "HOME=" + dir}
	vet := func() error {
		inst := load.Instances([]string{"."}, &load.Config{Dir: dir, Env: env})[0]
		if inst.Err != nil {
			return inst.Err
		}
		return cuecontext.New().BuildInstance(inst).Validate()
	}
	if vet() == nil {
		t.Fatal("the schema was found before anything put it there")
	}
	if _, err := compiler.Compile(t.Context(), compiler.Options{Dir: dir, CacheDir: cache}); err != nil {
		t.Fatal(err)
	}
	if err := vet(); err != nil {
		t.Error(err)
	}
}

func TestFiles_AreFormatted(t *testing.T) {
	for path, data := range starter.Files("shop") {
		if got, err := format.Source(data); err != nil || string(got) != string(data) {
			t.Errorf("%s is not as cue fmt writes it (%v):\n%s", path, err, got)
		}
	}
}

func TestName(t *testing.T) {
	for text, want := range map[string]string{
		"shop": "shop", "My Shop!": "my-shop", "--": "app", "": "app", "3d": "3d", "a__b": "a-b", "Größe": "gr-e",
		"x123456789012345678901234567890123456789012345678901234567890123456789": "x12345678901234567890123456789012345678901234567890123456789012",
	} {
		if got := starter.Name(text); got != want {
			t.Errorf("Name(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestFiles_NameThatStartsWithADigit(t *testing.T) {
	if _, err := compiler.Compile(t.Context(), compiler.Options{Dir: write(t, "3d"), CacheDir: newCache(t)}); err != nil {
		t.Error(err)
	}
}
