package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/mod/modcache"
	"sigs.k8s.io/yaml"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/kubernetes"
	"github.com/cuepod/cuepod/targets/oracle/allfields"
)

// k8s.io/api keeps an object of every kind in which every field is set. Each
// becomes a definition, the definition becomes manifests, and every field comes
// out with its value, but for those in the table of what a definition does not
// have.
func TestAllFields_NoneIsLost(t *testing.T) {
	objects, err := allfields.Objects()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for name, object := range objects {
		t.Run(name, func(t *testing.T) {
			definition := allfields.Convert(object)
			for _, problem := range definition.Problems {
				t.Error(problem)
			}
			got := find(t, renderDefinition(t, definition.App), object["kind"].(string))
			for _, lost := range missing(object, got, "") {
				t.Errorf("lost: %s", lost)
			}
			if definition.Fields < 5 {
				t.Errorf("only %d fields were compared", definition.Fields)
			}
			for _, field := range definition.Dropped {
				used[field] = true
			}
		})
	}
	for field := range allfields.Absent() {
		if !used[field] {
			t.Errorf("no object has %s: remove it from the table", field)
		}
	}
}

// The proof would see a loss: a field that is taken from the manifests is told.
func TestAllFields_SeesALoss(t *testing.T) {
	want := map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": 1.0, "d": "x"}}}, "e": true}
	for text, expected := range map[string][]string{
		`{"a":{"b":[{"c":1,"d":"x","more":2}]},"e":true}`: nil,
		`{"a":{"b":[{"c":1}]},"e":true}`:                  {"a.b.0.d"},
		`{"a":{"b":[]},"e":false}`:                        {"a.b", "e"},
		`{"a":{},"e":true}`:                               {"a.b"},
	} {
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, m := range missing(want, got, "") {
			path, _, _ := strings.Cut(m, ":")
			paths = append(paths, path)
		}
		if !slices.Equal(paths, expected) {
			t.Errorf("%s: missing %q, want %q", text, paths, expected)
		}
	}
}

// renderDefinition compiles the fields of an app and renders it before its
// rules are checked: an object with every field breaks many.
func renderDefinition(t *testing.T, fields map[string]any) []byte {
	t.Helper()
	text := "package x\n\nimport \"cuepod.dev/core\"\n\napp: core.#App & " + allfields.CUE(fields) + "\n"
	dir := t.TempDir()
	module := "module: \"example.com/x@v0\"\nlanguage: version: \"v0.13.0\"\n"
	if err := os.MkdirAll(filepath.Join(dir, "cue.mod"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cue.mod", "module.cue"), []byte(module), 0o666); err != nil {
		t.Fatal(err)
	}
	var model *app.App
	_, err := compiler.Compile(context.Background(), compiler.Options{Dir: dir, Input: []byte(text), CacheDir: cacheDir(t), Decoded: func(a *app.App) { model = a }})
	if model == nil {
		t.Fatalf("the definition does not fit the schema: %v\n%s", err, text)
	}
	out, err := kubernetes.Render(model, kubernetes.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return out.Files[0].Data
}

// cacheDir is a module cache that is removed with the test, although CUE makes
// its directories read-only.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := modcache.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// find decodes the only object of a kind, strictly.
func find(t *testing.T, manifests []byte, kind string) map[string]any {
	t.Helper()
	var found map[string]any
	for _, doc := range split(manifests) {
		if _, _, err := decode(doc); err != nil {
			t.Errorf("%v\n%s", err, doc)
		}
		var object map[string]any
		if err := yaml.Unmarshal(doc, &object); err != nil {
			t.Fatal(err)
		}
		if object["kind"] == kind {
			found = object
		}
	}
	if found == nil {
		t.Fatalf("there is no %s:\n%s", kind, manifests)
	}
	return found
}

// missing lists the paths of want that got has not, or not with that value.
// Lists are in order.
func missing(want, got any, path string) []string {
	at := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	var out []string
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: %v", path, got)}
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			if _, ok := g[name]; !ok {
				out = append(out, fmt.Sprintf("%s: it is not there, want %v", at(name), w[name]))
				continue
			}
			out = append(out, missing(w[name], g[name], at(name))...)
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s: %v, want %v", path, got, want)}
		}
		for i := range w {
			out = append(out, missing(w[i], g[i], at(fmt.Sprint(i)))...)
		}
		return out
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s: %v, want %v", path, got, want)}
	}
	return nil
}
