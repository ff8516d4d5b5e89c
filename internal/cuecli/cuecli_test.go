package cuecli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// cuePackage is the cue command.
const cuePackage = "cuelang.org/go/cmd/cue"

// mainModule is where the main module is.
const mainModule = "../.."

// bench is a place to work: both commands, and a home with an empty cache.
type bench struct {
	t           *testing.T
	cue, cuepod string
	env         []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	bin, home := t.TempDir(), t.TempDir()
	b := &bench{t: t, cue: filepath.Join(bin, "cue"), cuepod: filepath.Join(bin, "cuepod")}
	build(t, ".", b.cue, cuePackage)
	build(t, mainModule, b.cuepod, "./cmd/cuepod")
	// The registry cannot be reached: whatever is not in the cache is missing.
	b.env = []string{"HOME=" + home, "CUE_CACHE_DIR=" + filepath.Join(home, "cache"), "CUE_REGISTRY=127.0.0.1:1+insecure"}
	t.Cleanup(func() { writable(t, home) })
	return b
}

func build(t *testing.T, dir, output, pkg string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", output, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
}

// writable makes the directories of CUE's cache removable: CUE makes them
// read-only.
func writable(t *testing.T, dir string) {
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// run runs a command in a directory and gives its standard output, and both
// outputs together.
func (b *bench) run(dir, program string, args ...string) (stdout []byte, all string, err error) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), program, args...)
	cmd.Dir, cmd.Env = dir, b.env
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.Bytes(), out.String() + errOut.String(), err
}

// ok wants success.
func (b *bench) ok(dir, program string, args ...string) []byte {
	b.t.Helper()
	out, all, err := b.run(dir, program, args...)
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, all)
	}
	return out
}

// fails wants failure, and what the person is told.
func (b *bench) fails(dir, program string, args ...string) string {
	b.t.Helper()
	_, all, err := b.run(dir, program, args...)
	if err == nil {
		b.t.Fatalf("%s %s: it succeeded\n%s", filepath.Base(program), strings.Join(args, " "), all)
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// edit replaces text that has to be there.
func edit(t *testing.T, path, old, text string) {
	t.Helper()
	before := read(t, path)
	if strings.Count(before, old) != 1 {
		t.Fatalf("%s does not have %q once", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(before, old, text, 1)), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestCUE_WorksOnAnInitialisedModule(t *testing.T) {
	b := newBench(t)
	dir := filepath.Join(t.TempDir(), "shop")
	b.ok(".", b.cuepod, "init", dir)
	b.fails(dir, b.cue, "vet", "-c", ".") // the schema is nowhere yet
	b.ok(dir, b.cuepod, "vet")

	b.ok(dir, b.cue, "vet", "-c", ".")
	b.ok(dir, b.cue, "vet", "-c", "-t", "environment=prod", ".")

	before := read(t, filepath.Join(dir, "app.cue"))
	b.ok(dir, b.cue, "fmt", "--check", ".")
	b.ok(dir, b.cue, "fmt", ".")
	if after := read(t, filepath.Join(dir, "app.cue")); after != before {
		t.Errorf("cue fmt changed the definition to\n%s", after)
	}

	var exported struct {
		App struct {
			Name string
			Pods map[string]struct{ Replicas int }
		}
	}
	if err := json.Unmarshal(b.ok(dir, b.cue, "export", "-t", "prod", "."), &exported); err != nil {
		t.Fatal(err)
	}
	if got := exported.App; got.Name != "shop" || got.Pods["web"].Replicas != 3 {
		t.Errorf("cue export gave %+v, want the app shop with 3 replicas of web", got)
	}
}

func TestCUE_RefusesWhatTheSchemaRefuses(t *testing.T) {
	b := newBench(t)
	dir := filepath.Join(t.TempDir(), "shop")
	b.ok(".", b.cuepod, "init", dir)
	b.ok(dir, b.cuepod, "vet")
	file := filepath.Join(dir, "app.cue")
	good := read(t, file)
	for name, tc := range map[string]struct{ old, text, want string }{
		"an unknown field": {"image: params.image", "imag: params.image", "imag: field not allowed"},
		"a wrong type":     {"containerPort: 80", `containerPort: "80"`, "containerPort"},
		"out of range":     {"containerPort: 80", "containerPort: 80000", "containerPort"},
		"a parameter":      {`image: string | *"nginx:1.29"`, `image: string & 1`, "params.image"},
	} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t = t
			if err := os.WriteFile(file, []byte(good), 0o666); err != nil {
				t.Fatal(err)
			}
			edit(t, file, tc.old, tc.text)
			line := lineOf(read(t, file), tc.text)
			told := b.fails(dir, b.cue, "vet", "-c", ".")
			if !strings.Contains(told, tc.want) || !strings.Contains(told, "./app.cue:"+line+":") {
				t.Errorf("cue vet does not tell of %q in line %s:\n%s", tc.want, line, told)
			}
			if told := b.fails(dir, b.cuepod, "vet"); !strings.Contains("\n"+told, "\napp.cue:"+line+":") {
				t.Errorf("cuepod vet does not tell of line %s:\n%s", line, told)
			}
		})
	}
}

// lineOf is the number of the line that has text.
func lineOf(file, text string) string {
	before, _, _ := strings.Cut(file, text)
	return strconv.Itoa(1 + strings.Count(before, "\n"))
}

// TestCUE_WorksOnTheExamples has definitions that say more than the first one.
// Their modules leave the schema to the cuepod that compiles them; here they ask
// for it as an initialised module does.
func TestCUE_WorksOnTheExamples(t *testing.T) {
	b := newBench(t)
	first := filepath.Join(t.TempDir(), "first")
	b.ok(".", b.cuepod, "init", first)
	_, dep, ok := strings.Cut(read(t, filepath.Join(first, "cue.mod", "module.cue")), "\ndeps:")
	if !ok {
		t.Fatal("an initialised module asks for nothing")
	}
	modules, err := filepath.Glob(filepath.Join(mainModule, "examples", "*", "cue.mod", "module.cue"))
	if err != nil || len(modules) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, module := range modules {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Dir(filepath.Dir(module)))); err != nil {
			t.Fatal(err)
		}
		text := read(t, module) + "\ndeps:" + dep
		if err := os.WriteFile(filepath.Join(dir, "cue.mod", "module.cue"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		b.ok(dir, b.cuepod, "vet", "./...")
		b.ok(dir, b.cue, "vet", "-c", "./...")
		b.ok(dir, b.cue, "export", "./...")
	}
}

// TestVersion keeps the command the same as the library that cuepod has.
func TestVersion(t *testing.T) {
	version := func(dir string) string {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "cuelang.org/go")
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list in %s: %v", dir, err)
		}
		return string(out)
	}
	if here, there := version("."), version(mainModule); here != there {
		t.Errorf("the cue command is %sthe library is %s", here, there)
	}
}
