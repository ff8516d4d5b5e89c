package targets_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cuelang.org/go/mod/modcache"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/compose"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

// renderers are the targets that the goldens show side by side.
var renderers = []struct {
	name   string
	render func(*app.App) (targets.Output, error)
}{
	{"kubernetes", func(a *app.App) (targets.Output, error) { return kubernetes.Render(a, kubernetes.Options{}) }},
	{"compose", func(a *app.App) (targets.Output, error) { return compose.Render(a, compose.Options{}) }},
	{"docker", renderDocker},
}

func renderDocker(a *app.App) (targets.Output, error) {
	state, findings, err := docker.Render(a, docker.Options{})
	if err != nil {
		return targets.Output{}, err
	}
	data, err := json.MarshalIndent(state, "", "  ")
	return targets.Output{Files: []targets.File{{Name: "docker.json", Data: append(data, '\n')}}, Findings: findings}, err
}

// Each txtar file of testdata is one behaviour: app.cue is the definition, the
// rest is what each target makes of it. With CUEPOD_UPDATE=1 the test writes the
// rest.
func TestGolden(t *testing.T) {
	for _, path := range goldens(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, a := readGolden(t, path)
			want := txtar.Format(archive)
			archive.Files = archive.Files[:1]
			for _, r := range renderers {
				archive.Files = append(archive.Files, sections(r.name, a, r.render)...)
			}
			got := txtar.Format(archive)
			if os.Getenv("CUEPOD_UPDATE") != "" {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs (CUEPOD_UPDATE=1 updates):\n%s", diff)
			}
		})
	}
}

// sections are the files and findings of one target, or its error.
func sections(name string, a *app.App, render func(*app.App) (targets.Output, error)) []txtar.File {
	out, err := render(a)
	if err != nil {
		return []txtar.File{{Name: name + "/error", Data: []byte(err.Error() + "\n")}}
	}
	var files []txtar.File
	for _, f := range out.Files {
		files = append(files, txtar.File{Name: name + "/" + f.Name, Data: f.Data})
	}
	var b bytes.Buffer
	for _, f := range out.Findings {
		fmt.Fprintf(&b, "%s: %s\n", f.Level, f)
	}
	if b.Len() > 0 {
		files = append(files, txtar.File{Name: name + "/findings", Data: b.Bytes()})
	}
	return files
}

func goldens(tb testing.TB) []string {
	tb.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no goldens: %v", err)
	}
	for i, path := range paths {
		if paths[i], err = filepath.Abs(path); err != nil {
			tb.Fatal(err)
		}
	}
	return paths
}

func readGolden(tb testing.TB, path string) (*txtar.Archive, *app.App) {
	tb.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if len(archive.Files) == 0 || archive.Files[0].Name != "app.cue" {
		tb.Fatalf("%s: the first file is not app.cue", path)
	}
	return archive, compile(tb, archive.Files[0].Data)
}

// compile gives the model of a definition. A definition that breaks a rule
// beyond the schema will do: what a target makes of it is its own matter.
func compile(tb testing.TB, text []byte) *app.App {
	tb.Helper()
	dir := tb.TempDir()
	tb.Chdir(dir)
	var a *app.App
	_, err := compiler.Compile(tb.Context(), compiler.Options{
		Dir: dir, Input: text, CacheDir: moduleCache(tb),
		Decoded: func(model *app.App) { a = model },
	})
	if a == nil {
		tb.Fatalf("the definition does not fit the schema: %v", err)
	}
	return a
}

// moduleCache is a module cache. Its directories are read-only, which TempDir's
// own clean-up cannot remove.
func moduleCache(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	tb.Cleanup(func() {
		if err := modcache.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// Equal apps give equal bytes, whatever the order of Go's maps.
func TestRender_IsDeterministic(t *testing.T) {
	for _, path := range goldens(t) {
		_, a := readGolden(t, path)
		for _, r := range renderers {
			want := sections(r.name, a, r.render)
			for range 20 {
				if got := sections(r.name, a, r.render); !reflect.DeepEqual(got, want) {
					t.Fatalf("%s %s: %s", path, r.name, cmp.Diff(want, got))
				}
			}
		}
	}
}
