package compiler

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// project writes a definition that depends on a file of every kind.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	extract(t, dir, txtar.Parse([]byte(`
-- cue.mod/module.cue --
module: "shop.example@v0"
language: version: "v0.17.0"
-- lib/lib.cue --
package lib

image: "x"
-- unrelated/u.cue --
package unrelated
-- team.cue --
package shop

app: labels: team: "blue"
-- deploy/app.cue --
@extern(embed)

package shop

import "shop.example/lib"

params: level: string | *"info"

app: {
	name: "shop"
	pods: web: containers: main: {image: lib.image, env: L: value: params.level}
	configMaps: pages: data: "index.html": _ @embed(file=pages/index.html,type=text)
	secrets: db: keys: password: file: "keys/db.txt"
}
-- deploy/notes_test.cue --
package shop
-- deploy/pages/index.html --
hello
-- values.yaml --
level: debug
`)))
	return dir
}

var wantInputs = []string{
	".", "cue.mod/module.cue", "deploy", "deploy/app.cue", "deploy/pages/index.html",
	"keys/db.txt", "lib", "lib/lib.cue", "team.cue", "values.yaml",
}

func paths(inputs []Input) (all []string) {
	for _, in := range inputs {
		all = append(all, in.Path)
	}
	return all
}

func relative(t *testing.T, dir string, inputs []Input) []string {
	t.Helper()
	var rel []string
	for _, in := range paths(inputs) {
		if !filepath.IsAbs(in) {
			t.Errorf("input %s is not absolute", in)
		}
		r, err := filepath.Rel(dir, in)
		if err != nil {
			t.Fatal(err)
		}
		rel = append(rel, filepath.ToSlash(r))
	}
	return rel
}

func TestCompile_InputsAreAllThatTheResultDependsOn(t *testing.T) {
	dir := project(t)
	opts := Options{Dir: filepath.Join(dir, "deploy"), ValueFiles: []string{filepath.Join(dir, "values.yaml")}, CacheDir: newCache(t)}
	r, err := Compile(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if r.Root != dir {
		t.Errorf("root is %s, want %s", r.Root, dir)
	}
	if got := relative(t, dir, r.Inputs); !slices.Equal(got, wantInputs) {
		t.Errorf("inputs are\n%s\nwant\n%s", got, wantInputs)
	}
}

func TestCompile_InputsSayWhyTheyCount(t *testing.T) {
	dir := project(t)
	extract(t, dir, txtar.Parse([]byte(`
-- deploy/more.cue --
@extern(embed)

package shop

#missing: _ @embed(file=pages/gone.html,type=text)
#conf: _ @embed(glob=conf/*/x.yaml,allowEmptyGlob)
-- deploy/conf/a/x.yaml --
a: 1
-- deploy/conf/b/y.yaml --
a: 1
`)))
	_, err := Compile(t.Context(), Options{Dir: filepath.Join(dir, "deploy"), ValueFiles: []string{filepath.Join(dir, "values.yaml")}, CacheDir: newCache(t)})
	var bad *Error
	if !errors.As(err, &bad) {
		t.Fatalf("got %v, want a mistake", err)
	}
	got := map[string]bool{}
	for _, in := range bad.Inputs {
		rel, _ := filepath.Rel(dir, in.Path)
		if in.Names {
			rel += "/*"
		}
		got[filepath.ToSlash(rel)+": "+strings.ReplaceAll(in.Why, dir+"/", "")] = true
	}
	for _, want := range []string{
		"cue.mod/module.cue: the module",
		"deploy: a CUE file in it may come to count",
		"deploy/app.cue: CUE file",
		"deploy/pages/index.html: embedded at deploy/app.cue:12:43",
		"deploy/pages/gone.html: embedded at deploy/more.cue:5:13",
		"deploy/conf/*: where what is embedded at deploy/more.cue:6:10 is looked for",
		"deploy/conf/a/x.yaml: embedded at deploy/more.cue:6:10",
	} {
		if !got[want] {
			t.Errorf("no %q in %v", want, got)
		}
	}
}

// TestCompile_InputsOfABrokenDefinition breaks the definition in each stage:
// whatever a fix would change has to be watched.
func TestCompile_InputsOfABrokenDefinition(t *testing.T) {
	for name, text := range map[string]string{
		"syntax":   "package shop\n\napp: {\n",
		"schema":   "package shop\n\napp: replica: 2\n",
		"conflict": "package shop\n\napp: name: \"other\"\n",
		"import":   "package shop\n\nimport \"shop.example/gone\"\n\nx: gone.y\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t)
			broken := filepath.Join(dir, "deploy", "broken.cue")
			if err := os.WriteFile(broken, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := Compile(t.Context(), Options{Dir: filepath.Join(dir, "deploy"), CacheDir: newCache(t)})
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want mistakes", err)
			}
			got := relative(t, dir, bad.Inputs)
			for _, want := range []string{".", "cue.mod/module.cue", "deploy", "deploy/app.cue", "deploy/broken.cue", "team.cue"} {
				if !slices.Contains(got, want) {
					t.Errorf("inputs lack %s: %s", want, got)
				}
			}
		})
	}
}

func TestCompile_RefusesAnEmbeddedLinkOutOfTheModule(t *testing.T) {
	dir, outside := project(t), filepath.Join(t.TempDir(), "secret.html")
	if err := os.WriteFile(outside, []byte("secret"), 0o666); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(dir, "deploy", "pages", "index.html")
	if err := os.Remove(page); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, page); err != nil {
		t.Fatal(err)
	}
	_, err := Compile(t.Context(), Options{Dir: filepath.Join(dir, "deploy"), CacheDir: newCache(t)})
	if err == nil || !strings.Contains(err.Error(), "outside the module") || !strings.Contains(err.Error(), "app.cue:12:") {
		t.Errorf("got %v, want a refusal at app.cue:12", err)
	}
}

func TestCompile_AllowsAnEmbeddedLinkWithinTheModule(t *testing.T) {
	dir := project(t)
	page := filepath.Join(dir, "deploy", "pages", "index.html")
	if err := os.Rename(page, filepath.Join(dir, "real.html")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../real.html", page); err != nil {
		t.Fatal(err)
	}
	r, err := Compile(t.Context(), Options{Dir: filepath.Join(dir, "deploy"), CacheDir: newCache(t)})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.App.ConfigMap("pages").Data["index.html"]; got != "hello\n" {
		t.Errorf("embedded %q", got)
	}
	if got := relative(t, dir, r.Inputs); !slices.Contains(got, "real.html") {
		t.Errorf("inputs lack the link's target: %s", got)
	}
}
