package compiler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/modregistrytest"
	"golang.org/x/tools/txtar"

	schema "github.com/cuepod/cuepod/cue"
)

// platformModule is what a platform team publishes, made with an older
// development version of the schema.
const platformModule = `
-- platform.example_v0.1.0/cue.mod/module.cue --
module: "platform.example@v0"
language: version: "v0.17.0"
source: kind: "self"
deps: "cuepod.dev@v0": v: "SCHEMA"
-- platform.example_v0.1.0/platform.cue --
package platform

import "cuepod.dev/core"

#App: core.#App & {
	labels: "platform.example/team": string
	pods: [_]: terminationGracePeriodSeconds: int | *5
}
`

// shop is an app on that platform. deps are further lines of its module file.
func shop(t *testing.T, deps string) string {
	t.Helper()
	dir := t.TempDir()
	extract(t, dir, txtar.Parse([]byte(`
-- cue.mod/module.cue --
module: "shop.example@v0"
language: version: "v0.17.0"
deps: "platform.example@v0": v: "v0.1.0"
`+deps+`
-- app.cue --
package shop

import "platform.example/platform"

app: platform.#App & {
	name: "shop"
	labels: "platform.example/team": "blue"
	pods: web: containers: main: image: "x"
}
`)))
	text, err := os.ReadFile(filepath.Join(dir, "app.cue"))
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "platform.example/platform\"", "platform.example@v0:platform\"", 1))
	if err := os.WriteFile(filepath.Join(dir, "app.cue"), text, 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve publishes the platform's module and points CUE at it.
func serve(t *testing.T, version string) {
	t.Helper()
	archive := txtar.Parse([]byte(strings.ReplaceAll(platformModule, "SCHEMA", version)))
	// The registry wants the dependencies of what it serves: a stand-in, which
	// nothing may come to read.
	archive.Files = append(archive.Files,
		txtar.File{Name: "cuepod.dev_" + version + "/cue.mod/module.cue", Data: []byte("module: \"cuepod.dev@v0\"\nlanguage: version: \"v0.17.0\"\nsource: kind: \"self\"\n")},
		txtar.File{Name: "cuepod.dev_" + version + "/core/core.cue", Data: []byte("package core\n\n#App: error(\"the stand-in was read\")\n")})
	files, err := txtar.FS(archive)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := modregistrytest.New(files, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	t.Setenv("CUE_REGISTRY", registry.Host()+"+insecure")
	t.Setenv("CUE_CACHE_DIR", newCache(t))
}

func TestCompile_ModuleFromARegistrySharesTheEmbeddedSchema(t *testing.T) {
	older := schema.Release(schema.Version()) + ".h000000000000"
	for name, deps := range map[string]string{
		"the app does not ask for the schema": "",
		"the app asks for another one":        "deps: \"cuepod.dev@v0\": v: \"" + older + "\"",
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, older)
			r, err := Compile(t.Context(), Options{Dir: shop(t, deps)})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.App.Pods[0].TerminationGracePeriodSeconds; got != 5 {
				t.Errorf("grace period %d, want the platform's 5", got)
			}
			for _, in := range r.Inputs {
				if strings.Contains(in.Path, "platform.example") {
					t.Errorf("a module in the cache never changes, yet it is an input: %s", in.Path)
				}
			}
		})
	}
}

func TestCompile_ModuleFromARegistryThatNeedsANewerSchema(t *testing.T) {
	serve(t, "v0.9.0")
	_, err := Compile(t.Context(), Options{Dir: shop(t, "")})
	if err == nil || !strings.Contains(err.Error(), "needs cuepod.dev@v0 v0.9.0") {
		t.Errorf("got %v, want that the schema is too old", err)
	}
}

func TestModuleFile_OurDependencyIsAddedBesideOthers(t *testing.T) {
	dir := shop(t, "")
	s, err := openSource(dir, newCache(t), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	data, err := s.moduleFile()
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.Parse(data, "module.cue")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Deps) != 2 || f.Deps[schema.Module].Version != schema.Version() || f.Deps["platform.example@v0"].Version != "v0.1.0" {
		t.Errorf("dependencies are wrong:\n%s", data)
	}
}
