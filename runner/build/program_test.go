package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// programFiles are a Go module: a program that uses a package and a page.
func programFiles() map[string]string {
	return map[string]string{
		"go.mod":               "module example.com/shop\n\ngo 1.24\n",
		"cmd/api/main.go":      "package main\n\nimport (\n\t_ \"embed\"\n\n\t\"example.com/shop/greet\"\n)\n\n//go:embed web\nvar pages embedded\n\nfunc main() { println(greet.Hello) }\n",
		"cmd/api/pages.go":     "package main\n\nimport \"embed\"\n\ntype embedded = embed.FS\n",
		"cmd/api/main_test.go": "package main\n",
		"cmd/api/win.go":       "//go:build windows\n\npackage main\n",
		"cmd/api/web/in/x.txt": "page",
		"cmd/other/main.go":    "package main\n\nfunc main() {}\n",
		"greet/greet.go":       "package greet\n\nconst Hello = \"hello\"\n",
		"README.md":            "",
	}
}

var apiBuild = docker.Build{Go: "./cmd/api", Name: "api:1"}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// goCalls puts a go command on the PATH that writes down how it is called.
func goCalls(t *testing.T) (calls func() []string) {
	t.Helper()
	real, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs go: ", err)
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	script := fmt.Sprintf("#!/bin/sh\necho \"$1\" >>%s\nexec %s \"$@\"\n", log, real)
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return func() []string {
		data, _ := os.ReadFile(log)
		_ = os.Remove(log)
		return strings.Fields(string(data))
	}
}

// Exactly what the program is compiled from is watched, and what could add to it.
func TestReadProgram_Inputs(t *testing.T) {
	root := tree(t, programFiles())
	s := read(t, root, apiBuild)
	var got []string
	for _, in := range s.Inputs {
		rel, err := filepath.Rel(root, in.Path)
		if err != nil || in.Why == "" {
			t.Fatal(in, err)
		}
		if in.Kind == watch.Names {
			rel += names
		}
		got = append(got, rel)
	}
	want := []string{
		"cmd/api/*", "cmd/api/main.go", "cmd/api/pages.go", "cmd/api/web/*", "cmd/api/web/in/*", "cmd/api/web/in/x.txt", "cmd/api/win.go",
		"go.mod", "go.sum", "greet/*", "greet/greet.go",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReadProgram_HashFollowsWhatDecides(t *testing.T) {
	first := read(t, tree(t, programFiles()), apiBuild)
	if again := read(t, tree(t, programFiles()), apiBuild); again.Hash != first.Hash || len(first.Hash) != 12 {
		t.Errorf("hashes %q and %q of equal programs in two places", first.Hash, again.Hash)
	}
	for what, tc := range map[string]struct {
		name, text string
		build      docker.Build
		same       bool
	}{
		"the program":                {name: "cmd/api/main.go", text: "package main\n\nfunc main() {}\n"},
		"a package of it":            {name: "greet/greet.go", text: "package greet\n\nconst Hello = \"hi\"\n"},
		"a file more":                {name: "greet/more.go", text: "package greet\n"},
		"an embedded file":           {name: "cmd/api/web/in/x.txt", text: "another"},
		"an embedded file more":      {name: "cmd/api/web/in/deep/y.txt", text: "page"},
		"go.mod":                     {name: "go.mod", text: "module example.com/shop\n\ngo 1.23\n"},
		"tags":                       {build: docker.Build{Tags: []string{"x"}}},
		"ldflags":                    {build: docker.Build{LDFlags: []string{"-s"}}},
		"the platform":               {build: docker.Build{Platform: "linux/s390x"}},
		"the name":                   {build: docker.Build{Name: "api:2"}},
		"a file beside":              {name: "README.md", text: "more", same: true},
		"a test":                     {name: "cmd/api/main_test.go", text: "package main\n\nvar x = 1\n", same: true},
		"a file for another system":  {name: "cmd/api/win.go", text: "//go:build windows\n\npackage main\n\nvar x = 1\n", same: true},
		"another program":            {name: "cmd/other/main.go", text: "package main\n", same: true},
		"what the linker is told by": {build: docker.Build{LDFlags: []string{"-s", "-w"}}, same: true},
	} {
		root := tree(t, programFiles())
		if tc.name != "" {
			write(t, root, tc.name, tc.text)
		}
		b := tc.build
		b.Go = apiBuild.Go
		if b.Name == "" {
			b.Name = apiBuild.Name
		}
		if got := read(t, root, b).Hash; (got == first.Hash) != tc.same {
			t.Errorf("%s: hash %q, before %q", what, got, first.Hash)
		}
	}
}

// Go is asked again only when its answer may be another.
func TestReadProgram_AsksGoOnlyWhenItsAnswerMayChange(t *testing.T) {
	calls := goCalls(t)
	root := tree(t, programFiles())
	var cache Cache
	hash := func(what, wantCalls string) string {
		t.Helper()
		s, err := Read(t.Context(), root, &apiBuild, Options{Cache: &cache})
		if err != nil {
			t.Fatal(what, ": ", err)
		}
		if got := strings.Join(calls(), " "); got != wantCalls {
			t.Errorf("%s: asked %q, want %q", what, got, wantCalls)
		}
		return s.Hash
	}
	asked := "env list"
	seen := map[string]string{hash("at first", asked): "at first"}
	next := func(what, wantCalls, name, text string) {
		t.Helper()
		write(t, root, name, text)
		h := hash(what, wantCalls)
		if before, ok := seen[h]; ok {
			t.Errorf("%s: the hash of %s", what, before)
		}
		seen[h] = what
	}
	next("another body", "", "greet/greet.go", "package greet\n\nconst Hello = \"hi\"\n")
	next("an import", asked, "greet/greet.go", "package greet\n\nimport _ \"example.com/shop/more\"\n\nconst Hello = \"hi\"\n")
	next("what it was missing", asked, "more/more.go", "package more\n")
	next("its body", "", "more/more.go", "package more\n\nvar X = 1\n")
	next("a new embedded file", asked, "cmd/api/web/in/z.txt", "page")
	next("its content", "", "cmd/api/web/in/z.txt", "another")
	next("broken", asked, "greet/greet.go", "package greet\n\nconst Hello = \n{")
	next("repaired", "", "greet/greet.go", "package greet\n\nconst Hello = \"there\"\n")
	hash("nothing", "")
}

func TestReadProgram_Errors(t *testing.T) {
	for what, tc := range map[string]struct {
		files map[string]string
		build docker.Build
		words string
	}{
		"no such directory":  {programFiles(), docker.Build{Go: "./cmd/none"}, "go ./cmd/none: no such file"},
		"no Go files":        {map[string]string{"go.mod": "module x\n", "cmd/api/x": ""}, apiBuild, "no Go files"},
		"a library":          {programFiles(), docker.Build{Go: "./greet"}, "package greet, which is no program"},
		"no go.mod":          {map[string]string{"cmd/api/main.go": "package main\n"}, apiBuild, "`go mod init`"},
		"go.mod is broken":   {map[string]string{"go.mod": "modul x\n", "cmd/api/main.go": "package main\n"}, apiBuild, "go.mod:1: unknown directive: modul"},
		"it leads out":       {map[string]string{"go.mod": "module x\n", "cmd/api": "-> " + t.TempDir()}, apiBuild, "leads out of the module"},
		"a module of others": {map[string]string{"go.mod": "module x\n", "cmd/api/main.go": "package main\n"}, docker.Build{Go: "./../x"}, "leads out of the module"},
	} {
		s, err := Read(t.Context(), tree(t, tc.files), &tc.build, Options{})
		if err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %v", what, err)
		}
		if len(s.Inputs) == 0 {
			t.Errorf("%s: nothing to watch for the fix", what)
		}
	}
	t.Setenv("PATH", t.TempDir())
	_, err := Read(t.Context(), tree(t, programFiles()), &apiBuild, Options{})
	if err == nil || !strings.Contains(err.Error(), "no go command on the PATH; install Go") || !strings.Contains(err.Error(), "build: context") {
		t.Errorf("without Go: %v", err)
	}
}

// A module may be nested in the app's, or begin above it.
func TestReadProgram_WhereverTheModuleBegins(t *testing.T) {
	files := map[string]string{}
	for name, text := range programFiles() {
		files["services/shop/"+name] = text
	}
	root := tree(t, files)
	nested := read(t, root, docker.Build{Go: "./services/shop/cmd/api", Name: "api:1"})
	above := read(t, filepath.Join(root, "services/shop/cmd"), docker.Build{Go: "./api", Name: "api:1"})
	if nested.Hash != above.Hash || nested.Path() != "/app/api" || !slices.ContainsFunc(above.Inputs, func(in watch.Input) bool { return in.Path == filepath.Join(root, "services/shop/greet/greet.go") }) {
		t.Errorf("nested %q, above %q; %s; %q", nested.Hash, above.Hash, nested.Path(), above.Inputs)
	}
}

func TestCompile_EqualSourceEqualImage(t *testing.T) {
	image := func(text string) string {
		root := tree(t, programFiles())
		write(t, root, "greet/greet.go", text)
		s := read(t, root, apiBuild)
		binary, err := s.Compile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		img := s.Image(binary, nil, "api:1")
		if got := img.Config.Entrypoint; len(got) != 1 || got[0] != "/app/api" || img.Config.User != "65532:65532" {
			t.Errorf("config %+v", img.Config)
		}
		return img.ID()
	}
	first := image(programFiles()["greet/greet.go"])
	if again := image(programFiles()["greet/greet.go"]); again != first {
		t.Errorf("image %s in one place, %s in another", first, again)
	}
	if image("package greet\n\nconst Hello = \"hi\"\n") == first {
		t.Error("another program has the same image")
	}
}

func TestCompile_ErrorsNameTheGoFile(t *testing.T) {
	for what, tc := range map[string]struct {
		name, text     string
		where, message string
		output         string
	}{
		"in a package": {"greet/greet.go", "package greet\n\nconst Hello = nothing\n", "greet/greet.go:3:15", "undefined: nothing", ""},
		"in the program": {
			"cmd/api/pages.go", "package main\n\nimport \"embed\"\n\ntype embedded = embed.FS\n\nvar a int = \"\"\nvar b string = 1\n",
			"cmd/api/pages.go:7:13", `cannot use "" (untyped string constant) as int value in variable declaration`, "cmd/api/pages.go:8:16",
		},
		"of syntax":           {"greet/greet.go", "package greet\n\nfunc {\n", "greet/greet.go:3:6", "syntax error: unexpected {, expected name or (", ""},
		"a missing package":   {"greet/greet.go", "package greet\n\nimport _ \"example.com/shop/none\"\n\nconst Hello = \"\"\n", "greet/greet.go:3:8", "example.com/shop/none", ""},
		"at the end, of none": {"cmd/api/main.go", "package main\n", "", "function main is undeclared", ""},
	} {
		root := tree(t, programFiles())
		write(t, root, tc.name, tc.text)
		_, err := read(t, root, apiBuild).Compile(t.Context())
		var fault *engine.BuildError
		if !errors.As(err, &fault) || fault.Where != tc.where || !strings.Contains(fault.Message+fault.Output, tc.message) || !strings.Contains(fault.Output, tc.output) {
			t.Errorf("%s: %+v", what, err)
		}
		if fault != nil && fault.Step != "go build ./cmd/api" {
			t.Errorf("%s: step %q", what, fault.Step)
		}
	}
}

// A cancelled build leaves no compiler behind.
func TestCompile_CancelStopsTheCompilersToo(t *testing.T) {
	s := read(t, tree(t, programFiles()), apiBuild)
	dir := t.TempDir()
	pid := filepath.Join(dir, "pid")
	script := "#!/bin/sh\nsleep 1000 & echo $! >" + pid + ".new; mv " + pid + ".new " + pid + "\nwait\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := s.Compile(ctx); done <- err }()
	child := ""
	poll(t, func() bool {
		data, _ := os.ReadFile(pid)
		child = strings.TrimSpace(string(data))
		return child != ""
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	poll(t, func() bool {
		state, err := os.ReadFile("/proc/" + child + "/stat")
		return err != nil || strings.Contains(string(state), ") Z ")
	})
}

// poll waits for a condition.
func poll(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come about")
		}
	}
}

// Sources of one base differ in nothing but the program.
func TestSource_Base(t *testing.T) {
	files := programFiles()
	one := read(t, tree(t, files), apiBuild)
	files["greet/greet.go"] = "package greet\n\nconst Hello = \"hi\"\n"
	two := read(t, tree(t, files), apiBuild)
	if one.Hash == two.Hash || one.Base() == "" || one.Base() != two.Base() {
		t.Errorf("bases %q and %q: the programs differ, and nothing else", one.Base(), two.Base())
	}
	for what, b := range map[string]docker.Build{
		"another program":  {Go: "./cmd/other", Name: "api:1"},
		"another platform": {Go: "./cmd/api", Name: "api:1", Platform: "linux/s390x"},
	} {
		if one.Base() == read(t, tree(t, files), b).Base() {
			t.Errorf("%s counts as the same", what)
		}
	}
	files["Dockerfile"] = "FROM scratch\n"
	if base := read(t, tree(t, files), docker.Build{Context: "."}).Base(); base != "" {
		t.Errorf("a context has the base %q of a program", base)
	}
}
