// Package examples_test proves that the examples compile to what is written
// beside them, and that they run.
package examples_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/internal/testtool"
	"github.com/cuepod/cuepod/targets/compose"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

// goldens are the example's outputs by target, as `cuepod compile` prints them.
var goldens = map[string]string{
	"kubernetes": "kubernetes.yaml",
	"compose":    "compose.yaml",
	"docker":     "docker.json",
}

// TestGuestbook_Goldens compares what the command prints with the files beside
// the example. CUEPOD_UPDATE=1 rewrites them.
func TestGuestbook_Goldens(t *testing.T) {
	tool := testtool.Cuepod(t)
	for target, name := range goldens {
		t.Run(target, func(t *testing.T) {
			goldenCompile{"guestbook", name, []string{"--target", target}}.check(t, tool, filepath.Join("guestbook", "golden"))
		})
	}
}

// TestGuestbook_EveryCompileGivesTheSameBytes would catch the order of a map.
func TestGuestbook_EveryCompileGivesTheSameBytes(t *testing.T) {
	cache := t.TempDir()
	first := render(t, cache)
	for range 49 {
		for target, again := range render(t, cache) {
			if !bytes.Equal(first[target], again) {
				t.Fatalf("%s: two compiles differ\n%s", target, diff(t, write(t, first[target]), string(again)))
			}
		}
	}
}

// TestGuestbook_EnvironmentsAndParams changes what the example lets one change.
func TestGuestbook_EnvironmentsAndParams(t *testing.T) {
	opts := compiler.Options{Dir: "guestbook", Env: "prod", Set: []string{"title=Prod's \"own\""}, CacheDir: t.TempDir()}
	result, err := compiler.Compile(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	app := result.App
	if n := app.Pod("frontend").Replicas; n != 4 {
		t.Errorf("prod has %d frontends, want 4", n)
	}
	if key := app.Secret("redis").Keys[0]; !key.External || key.Generate != nil {
		t.Errorf("prod's password comes from %+v, want from outside", key)
	}
	var settings struct{ Title string }
	if err := json.Unmarshal([]byte(app.ConfigMap("guestbook").Data["settings.json"]), &settings); err != nil || settings.Title != `Prod's "own"` {
		t.Errorf("settings %+v, %v", settings, err)
	}
}

// render compiles the guestbook and renders it for every target.
func render(t *testing.T, cache string) map[string][]byte {
	t.Helper()
	result, err := compiler.Compile(t.Context(), compiler.Options{Dir: "guestbook", CacheDir: cache})
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kubernetes.Render(result.App, kubernetes.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := compose.Render(result.App, compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	state, findings, err := docker.Render(result.App, docker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"kubernetes": asJSON(t, cluster),
		"compose":    asJSON(t, file),
		"docker":     asJSON(t, []any{state, findings}),
	}
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, data []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "first")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// diff shows where text differs from a file, as git does.
func diff(t *testing.T, file, text string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "diff", "--no-index", "--", file, write(t, []byte(text)))
	out, _ := cmd.Output() // exits 1 when they differ
	return string(out)
}

// TestGuestbook_IsFormatted: an example is what people copy.
func TestGuestbook_IsFormatted(t *testing.T) {
	files, err := filepath.Glob("guestbook/*.cue")
	if err != nil || len(files) == 0 {
		t.Fatalf("no definition: %v", err)
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
			t.Errorf("%s: run cuepod fmt examples/guestbook", file)
		}
	}
}
