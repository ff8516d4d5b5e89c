// Package internal_test holds what is true of the module as a whole.
package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cuepod/cuepod"

// Modules that a rule keeps out, by the reason they are kept out everywhere.
const (
	cueModule     = "cuelang.org/go"           // slow to start, and only one place may know its errors
	dockerClient  = "github.com/docker/docker" // frozen upstream: one adapter makes the move one package
	composeModule = "github.com/compose-spec"  // a large tree that only proves our Compose output in tests
	kubernetes    = "k8s.io"                   // would sit in every start-up
	cobraModule   = "github.com/spf13/cobra"   // commands live in cmd
	anyModule     = "any module"               // everything but the standard library and our own module
)

// rule says what the packages of a pattern may import. The first rule whose
// pattern matches a package holds for it.
type rule struct {
	packages  string   // path in the module; a last element "*" is one level, "..." any depth
	mayImport []string // of this module, directly; patterns like packages
	never     []string // import path prefixes that must not be reached, however far
	notDirect []string // packages it must not import itself
	notCalled []string // functions it must not call itself, as "time.Now"
	reason    string
}

var pureCore = []string{"net", "net/http", "os", "os/exec", "log", "log/slog"}

// rules is the table of the design: data goes one way, from the compiler
// through the targets to the runner, and cmd joins them.
func rules() []rule {
	return []rule{
		{
			packages: "compiler/app",
			never:    []string{anyModule}, notDirect: []string{"net", "os/exec"},
			reason: "the model is plain data that everything reads: nothing but the standard library",
		},
		{
			packages: "compiler/...", mayImport: []string{"compiler/...", "cue/...", "internal/cron"},
			never:  []string{dockerClient, composeModule, kubernetes, module + "/runner", module + "/targets"},
			reason: "CUE in, model out: what becomes of the model is not its business",
		},
		{
			packages: "cue/...",
			never:    []string{anyModule},
			reason:   "the embedded schema: published on its own",
		},
		{
			packages: "targets/route",
			never:    []string{anyModule}, notDirect: pureCore, notCalled: []string{"time.Now"},
			reason: "what the gateway routes by: the model's end and the agent's beginning",
		},
		{
			packages: "targets/docker", mayImport: []string{"compiler/app", "targets", "targets/route"},
			never:     []string{cueModule, dockerClient, composeModule, module + "/runner"},
			notDirect: pureCore, notCalled: []string{"time.Now"},
			reason: "a pure function of the model, which the runner compares with what it observes",
		},
		{
			packages: "targets/compose/holder",
			never:    []string{anyModule, module + "/runner"}, notDirect: []string{"net/http", "os/exec"},
			reason: "the program behind a Compose file's own services: loaded into every pod, so small and alone",
		},
		{
			packages: "targets/...", mayImport: []string{"compiler/app", "targets/..."},
			never:     []string{cueModule, dockerClient, module + "/runner"},
			notDirect: pureCore, notCalled: []string{"time.Now"},
			reason: "a target is a pure function of the model: equal input, equal bytes",
		},
		{
			packages: "internal/cron",
			never:    []string{anyModule}, notDirect: pureCore, notCalled: []string{"time.Now", "time.Sleep"},
			reason: "finds times from values; somebody else waits for them",
		},
		{
			packages: "internal/conformance/...", mayImport: []string{"internal/conformance/...", "internal/testtool"},
			never:  []string{anyModule},
			reason: "tables, marks and cases that see cuepod from outside alone, as a command",
		},
		{
			packages: "runner/reconcile", mayImport: []string{"targets/docker", "internal/cron"},
			never:     []string{cueModule, dockerClient, module + "/runner/engine"},
			notDirect: pureCore, notCalled: []string{"time.Now", "time.Sleep"},
			reason: "decides from values what to do and why; somebody else does it",
		},
		{
			packages: "runner/engine/dockerapi", mayImport: []string{"runner/engine"},
			never:  []string{cueModule, composeModule, module + "/compiler", module + "/targets"},
			reason: "the only place that speaks the engine's API",
		},
		{
			packages: "runner/engine/...", mayImport: []string{"runner/engine/..."},
			never:  []string{cueModule, dockerClient, module + "/compiler", module + "/targets"},
			reason: "the interface, the fake and the suite both must pass know no engine in particular",
		},
		{
			packages: "runner/agent/...", mayImport: []string{"runner/agent/...", "runner/archive", "runner/dns", "runner/proxy", "runner/probe", "targets/route"},
			never: []string{
				cueModule, dockerClient, composeModule, kubernetes, cobraModule, module + "/compiler",
				module + "/targets/docker", module + "/targets/compose", module + "/targets/kubernetes",
			},
			reason: "sits in every pod: it stays small and knows only its wire protocol",
		},
		{
			packages: "runner/dns", mayImport: []string{"runner/agent/api", "runner/agent/http1"},
			never:  []string{cueModule, dockerClient, kubernetes},
			reason: "part of the agent",
		},
		{
			packages: "runner/proxy", mayImport: []string{"runner/agent/api", "runner/agent/http1"},
			never:  []string{cueModule, dockerClient, kubernetes},
			reason: "part of the agent",
		},
		{
			packages: "runner/probe", mayImport: []string{"runner/agent/api", "runner/agent/http1"},
			never:  []string{cueModule, dockerClient, kubernetes},
			reason: "part of the agent",
		},
		{
			packages: "runner/ignore",
			never:    []string{cueModule, dockerClient}, notDirect: pureCore,
			reason: "tells names apart, and knows no files",
		},
		{
			packages: "runner/watch", mayImport: []string{"runner/ignore"},
			never:  []string{cueModule, dockerClient},
			reason: "knows files, not what is in them",
		},
		{
			packages: "runner/mirror", mayImport: []string{"runner/agent/api", "runner/ignore"},
			never:  []string{cueModule, dockerClient, kubernetes},
			reason: "knows directories and what an agent says, and no engine",
		},
		{
			packages: "runner/...", mayImport: []string{"runner/...", "targets/docker", "targets/route", "internal/cron"},
			never:  []string{cueModule, composeModule, kubernetes, cobraModule},
			reason: "runs a desired state: cmd injects the function that makes one",
		},
		{
			packages: "cmd/cuepod-agent", mayImport: []string{"runner/agent", "targets/compose/holder"},
			never:  []string{cueModule, dockerClient, composeModule, kubernetes, cobraModule},
			reason: "the agent, and the holder of Compose files: one binary for both",
		},
		{
			packages: "cmd/...", mayImport: []string{"..."},
			never:  []string{kubernetes},
			reason: "joins the parts, and is what every start has to load",
		},
		{
			packages: "examples/guestbook/...", mayImport: []string{"examples/guestbook/...", "examples/internal/..."},
			never:  []string{anyModule},
			reason: "an application, not a part of ours: small static images need no module",
		},
		{
			packages: "examples/shop/...", mayImport: []string{"examples/shop/...", "examples/internal/..."},
			never:  []string{anyModule},
			reason: "an application, as the guestbook is",
		},
		{
			packages: "examples/internal/...", mayImport: []string{"examples/internal/..."},
			never:  []string{anyModule},
			reason: "what the applications share",
		},
		{
			packages: "internal/sockfault",
			never:    []string{cueModule, dockerClient, composeModule, kubernetes, module + "/runner", module + "/compiler", module + "/targets"},
			reason:   "breaks what passes between a program and its engine: it knows HTTP and neither of both",
		},
		{
			packages: "internal/faultsweep", mayImport: []string{"internal/sockfault", "runner", "runner/engine", "runner/engine/...", "targets/docker"},
			never:  []string{cueModule, composeModule, kubernetes},
			reason: "drives the real cuepod against a real engine, from outside",
		},
		{
			packages: "internal/losstest", mayImport: []string{"internal/losstest/...", "compiler/app", "runner", "runner/agent/...", "runner/engine", "runner/engine/...", "runner/watch", "targets/docker"},
			never:  []string{cueModule, composeModule, kubernetes},
			reason: "changes an app on a real engine while clients ask it",
		},
		{
			packages: "internal/losstest/...", mayImport: []string{"internal/losstest/..."},
			never:  []string{anyModule},
			reason: "what runs in its containers: servers and clients that know nothing of us",
		},
		{
			packages: "internal/testtool",
			never:    []string{anyModule},
			reason:   "finds the tools that tests from outside run",
		},
		{
			packages: "internal/servicebench/...",
			never:    []string{anyModule},
			reason:   "measures pods as a person runs them: from outside",
		},
		{
			packages: "internal/dnsbench",
			never:    []string{cueModule, dockerClient, composeModule, kubernetes},
			reason:   "asks name servers as a pod does: from outside",
		},
		{
			packages: "internal/runnerbench/...",
			never:    []string{anyModule},
			reason:   "measures cuepod and docker as a person runs them: from outside",
		},
		{
			packages: "internal/watchbench/...",
			never:    []string{anyModule},
			reason:   "edits files and asks what runs, as a person does: from outside",
		},
	}
}

// onlyImporters names the one package that may import a module directly.
func onlyImporters() map[string][]string {
	return map[string][]string{
		cueModule:    {"compiler", "compiler/..."},
		dockerClient: {"runner/engine/dockerapi"},
		cobraModule:  {"cmd/..."},
	}
}

func TestLayers(t *testing.T) {
	packages := load(t)
	problems := check(rules(), packages)
	problems = append(problems, checkImporters(onlyImporters(), packages)...)
	for _, p := range packages {
		if r := ruleFor(rules(), p.ImportPath); r != nil {
			problems = append(problems, checkCalls(t, *r, p)...)
		}
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}

// TestLayers_RulesMatch keeps rules from outliving what they were about.
func TestLayers_RulesMatch(t *testing.T) {
	packages := load(t)
	for _, r := range rules() {
		if !slices.ContainsFunc(packages, func(p pkg) bool { return !p.Standard && matches(r.packages, p.ImportPath) }) {
			t.Errorf("rule %s matches no package", r.packages)
		}
		if r.reason == "" {
			t.Errorf("rule %s has no reason", r.packages)
		}
	}
}

func TestCheck_FindsEachKindOfBreach(t *testing.T) {
	own := func(p string) string { return module + "/" + p }
	packages := []pkg{
		{ImportPath: "os", Standard: true},
		{ImportPath: "heavy.example/lib"},
		{ImportPath: own("core"), Imports: []string{"os", own("shell")}, Deps: []string{"os", own("shell"), "heavy.example/lib"}},
		{ImportPath: own("shell"), Imports: []string{"heavy.example/lib"}, Deps: []string{"heavy.example/lib"}},
		{ImportPath: own("stray")},
	}
	table := []rule{
		{packages: "core", never: []string{"heavy.example"}, notDirect: []string{"os"}, reason: "pure"},
		{packages: "shell", reason: "free"},
	}
	want := []string{
		"core imports os itself (pure)",
		"core imports shell: core may import none of ours (pure)",
		"core reaches heavy.example/lib: core > shell > heavy.example/lib (pure)",
		"stray: no rule says what it may import",
	}
	if got := check(table, packages); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	table[0] = rule{packages: "core", mayImport: []string{"shell"}, reason: "free"}
	if got := check(table, packages[:4]); len(got) > 0 {
		t.Errorf("nothing is wrong, but: %q", got)
	}
}

func TestCheckImporters_FindsASecondImporter(t *testing.T) {
	packages := []pkg{
		{ImportPath: module + "/a", Imports: []string{"lib.example/x/y"}},
		{ImportPath: module + "/b", Imports: []string{"lib.example/x"}},
		{ImportPath: module + "/c", Imports: []string{"lib.example/xyz"}},
	}
	got := checkImporters(map[string][]string{"lib.example/x": {"a"}}, packages)
	want := []string{"b imports lib.example/x, which only a may"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCalls_FindsTheCallUnderAnyName(t *testing.T) {
	const source = `package p
import clock "time"
var later = clock.Now
func f() clock.Duration { return clock.Second }`
	got, err := uses("p.go", source, []string{"time.Now", "time.Sleep"})
	if err != nil || !slices.Equal(got, []string{"p.go:3: time.Now"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          bool
	}{
		{"a", "a", true}, {"a", "a/b", false}, {"a", "ab", false},
		{"a/*", "a/b", true}, {"a/*", "a/b/c", false}, {"a/*", "a", false},
		{"a/...", "a", true}, {"a/...", "a/b/c", true}, {"a/...", "ab", false},
		{"...", "a/b", true},
	} {
		if got := matches(tc.pattern, module+"/"+tc.path); got != tc.want {
			t.Errorf("matches(%q, %q) = %v", tc.pattern, tc.path, got)
		}
	}
}

// pkg is a package as `go list -json` tells it.
type pkg struct {
	ImportPath string
	Standard   bool
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func (p pkg) ours() bool {
	return p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/")
}

// load lists the module's packages and everything they depend on, by path.
func load(t *testing.T) []pkg {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "-json=ImportPath,Standard,Dir,GoFiles,Imports,Deps", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var packages []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 || !p.ours() { // a directory with tests only has no layer
			packages = append(packages, p)
		}
	}
	slices.SortFunc(packages, func(a, b pkg) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return packages
}

// check gives every breach of the table among our packages.
func check(table []rule, packages []pkg) []string {
	byPath := make(map[string]pkg, len(packages))
	for _, p := range packages {
		byPath[p.ImportPath] = p
	}
	var problems []string
	for _, p := range packages {
		if !p.ours() {
			continue
		}
		if r := ruleFor(table, p.ImportPath); r != nil {
			problems = append(problems, checkPackage(*r, p, byPath)...)
		} else {
			problems = append(problems, short(p.ImportPath)+": no rule says what it may import")
		}
	}
	return problems
}

func checkPackage(r rule, p pkg, byPath map[string]pkg) []string {
	var problems []string
	name := short(p.ImportPath)
	for _, imported := range p.Imports {
		if strings.HasPrefix(imported, module+"/") && !matchesAny(r.mayImport, imported) {
			allowed := strings.Join(r.mayImport, ", ")
			if allowed == "" {
				allowed = "none of ours"
			}
			problems = append(problems, fmt.Sprintf("%s imports %s: %s may import %s (%s)", name, short(imported), name, allowed, r.reason))
		}
		if slices.Contains(r.notDirect, imported) {
			problems = append(problems, fmt.Sprintf("%s imports %s itself (%s)", name, imported, r.reason))
		}
	}
	for _, forbidden := range r.never {
		i := slices.IndexFunc(p.Deps, func(dep string) bool { return reaches(forbidden, byPath[dep], dep) })
		if i >= 0 {
			way := strings.Join(chain(p.ImportPath, p.Deps[i], byPath), " > ")
			problems = append(problems, fmt.Sprintf("%s reaches %s: %s (%s)", name, short(p.Deps[i]), way, r.reason))
		}
	}
	return problems
}

// reaches reports whether a dependency is what a rule forbids: anyModule, or an
// import path with what is below it.
func reaches(forbidden string, p pkg, dep string) bool {
	if forbidden == anyModule {
		first, _, _ := strings.Cut(dep, "/")
		return !p.Standard && strings.Contains(first, ".") && dep != module && !strings.HasPrefix(dep, module+"/")
	}
	return under(forbidden, dep)
}

// chain is a shortest way of imports from one package to another.
func chain(from, to string, byPath map[string]pkg) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range byPath[queue[0]].Imports {
			if _, seen := before[next]; !seen {
				before[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	var way []string
	for at := to; at != ""; at = before[at] {
		way = append(way, short(at))
	}
	slices.Reverse(way)
	return way
}

// checkImporters gives our packages that import a module which others own.
func checkImporters(owners map[string][]string, packages []pkg) []string {
	var problems []string
	for _, p := range packages {
		for imported, patterns := range owners {
			i := slices.IndexFunc(p.Imports, func(path string) bool { return under(imported, path) })
			if p.ours() && i >= 0 && !matchesAny(patterns, p.ImportPath) {
				problems = append(problems, fmt.Sprintf("%s imports %s, which only %s may", short(p.ImportPath), p.Imports[i], strings.Join(patterns, ", ")))
			}
		}
	}
	slices.Sort(problems)
	return problems
}

func checkCalls(t *testing.T, r rule, p pkg) []string {
	t.Helper()
	if !p.ours() || len(r.notCalled) == 0 {
		return nil
	}
	var problems []string
	for _, file := range p.GoFiles {
		found, err := uses(filepath.Join(p.Dir, file), nil, r.notCalled)
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range found {
			problems = append(problems, fmt.Sprintf("%s (%s)", use, r.reason))
		}
	}
	return problems
}

// uses gives the places where a file names one of functions ("time.Now"),
// under whatever name it imports the package.
func uses(name string, source any, functions []string) ([]string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	imports := map[string]string{} // local name to path
	for _, spec := range file.Imports {
		p := strings.Trim(spec.Path.Value, `"`)
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		imports[local] = p
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok {
			if full := imports[x.Name] + "." + selector.Sel.Name; slices.Contains(functions, full) {
				found = append(found, fmt.Sprintf("%s:%d: %s", name, files.Position(selector.Pos()).Line, full))
			}
		}
		return true
	})
	return found, nil
}

func ruleFor(table []rule, importPath string) *rule {
	for i := range table {
		if matches(table[i].packages, importPath) {
			return &table[i]
		}
	}
	return nil
}

func matchesAny(patterns []string, importPath string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, importPath) })
}

// matches reports whether a package of ours fits a pattern.
func matches(pattern, importPath string) bool {
	p := short(importPath)
	if pattern == "..." {
		return true
	}
	if parent, ok := strings.CutSuffix(pattern, "/..."); ok {
		return under(parent, p)
	}
	ok, err := path.Match(pattern, p)
	return err == nil && ok
}

// under reports whether p is parent or below it.
func under(parent, p string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }

// short is the path within the module, or the whole path of somebody else's.
func short(importPath string) string { return strings.TrimPrefix(importPath, module+"/") }
