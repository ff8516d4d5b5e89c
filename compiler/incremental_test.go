package compiler

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestCache_AgreesWithAWholeCompile edits random packages: after each edit a
// compile with a cache gives what one without gives.
func TestCache_AgreesWithAWholeCompile(t *testing.T) {
	packages, edits := 4, 80
	if testing.Short() {
		packages, edits = 1, 40
	}
	seed := uint64(20261125)
	cache := newCache(t)
	parts, good, bad := 0, 0, 0
	for n := range packages {
		t.Logf("package %d of seed %d", n, seed)
		p := newRandomPackage(t, rand.New(rand.NewPCG(seed, uint64(n))), cache)
		for i := range edits {
			what := p.edit()
			diff, err := p.compare()
			if diff != "" {
				t.Fatalf("package %d, edit %d, %s: with a cache (+) and without (-):\n%s", n, i, what, diff)
			}
			if err != nil {
				bad++
			} else {
				good++
			}
		}
		parts += p.opts.Cache.parts
	}
	t.Logf("%d edits compiled, %d of them in part, and %d had mistakes", good, parts, bad)
	if parts < good/3 || bad == 0 {
		t.Errorf("too few for a proof: of %d edits without mistakes, %d compiled in part; %d with mistakes", good, parts, bad)
	}
}

// TestCache_TheComparisonNoticesAWrongQualification proves that the test above
// would fail if packages qualified that do not.
func TestCache_TheComparisonNoticesAWrongQualification(t *testing.T) {
	cache := newCache(t)
	for n := range uint64(6) {
		p := newRandomPackage(t, rand.New(rand.NewPCG(20261125, n)), cache)
		p.opts.Cache.qualify = everything
		for i := range 80 {
			what := p.edit()
			if diff, _ := p.compare(); diff != "" {
				t.Logf("noticed in package %d after edit %d, %s", n, i, what)
				return
			}
		}
	}
	t.Error("nothing was noticed")
}

// everything is a wrong qualification: no entry refers to any other.
func everything(q *qualifier) string {
	q.qualify()
	q.taken = map[string]bool{}
	return ""
}

// randomPackage is a definition of many files that is edited at random.
type randomPackage struct {
	t     *testing.T
	r     *rand.Rand
	dir   string
	opts  Options
	files map[string][]chunk // leaves and what looks like them, by name
	base  map[string]string  // further files by path
	extra map[string]string  // that come and go
	fixes []func()           // undo mistakes
	count int                // of names that were made
}

// chunk is a few declarations about one thing.
type chunk struct {
	name  string // of the pod
	style int
	rev   int
}

func newRandomPackage(t *testing.T, r *rand.Rand, cache string) *randomPackage {
	p := &randomPackage{
		t: t, r: r, dir: t.TempDir(), files: map[string][]chunk{}, extra: map[string]string{},
		base: map[string]string{
			"cue.mod/module.cue": "module: \"shop.example\"\nlanguage: version: \"v0.17.0\"\n",
			"conf/a.conf":        "a=1\n",
			"lib/lib.cue":        libText(0),
			"main.cue":           mainText(0),
			"patterns.cue":       patternsText(0),
		},
	}
	p.opts = Options{Dir: p.dir, CacheDir: cache, Cache: &Cache{}}
	for i := range 27 {
		c := p.newChunk()
		c.style = i % styles
		p.files[p.fileName()] = []chunk{c}
	}
	p.write()
	if diff, err := p.compare(); diff != "" || err != nil {
		t.Fatalf("the package as it was made: %v\n%s", err, diff)
	}
	return p
}

func mainText(rev int) string {
	return fmt.Sprintf(`package shop

import (
	"cuepod.dev/core"
	"shop.example/lib"
)

environment: *"dev" | "prod" @tag(environment,short=dev|prod)

// What can be chosen.
params: {
	// The version of the images.
	tag: string | *"v%d"
	replicas: int | *%d
}

_common: {restartPolicy: "Always"}
count: {dev: 1, prod: 3}[environment]
if environment == "prod" {
	level: "high"
}
level: *"low" | string

app: core.#App & lib.#Platform & {
	name: "shop"
	labels: grade: level
	pods: gateway: containers: main: image: "gateway:\(params.tag)"
}
`, rev, rev%3+1)
}

func libText(rev int) string {
	return fmt.Sprintf(`package lib

import "cuepod.dev/core"

#Platform: core.#App & {
	pods: [Name=string]: labels: {team: Name + "-%d", ...}
}
#Sidecar: core.#Container & {image: "sidecar:v%[1]d"}
`, rev)
}

func patternsText(rev int) string {
	return fmt.Sprintf(`package shop

app: pods: {
	[Name=string]: annotations: owner: "team-%d-\(Name)"
	for n in ["zeta", "alpha"] {
		"made-\(n)": containers: main: image: "made:v%[1]d"
	}
}
`, rev)
}

// styles is how many there are in text.
const styles = 12

// text is the declarations of a chunk. A file with several is one of all.
func (c chunk) text() (imports, body string) {
	n, rev := c.name, c.rev
	switch c.style {
	case 0: // the usual
		return "", fmt.Sprintf(`app: {
	pods: "%[1]s": containers: main: {image: "x:v%[2]d", ports: http: containerPort: 8080}
	services: "%[1]s": {pod: "%[1]s", ports: http: {port: 80, targetPort: "http"}}
	configMaps: "%[1]s": data: rev: "%[2]d"
}
`, n, rev)
	case 1: // several, not in order of their names
		return "", fmt.Sprintf(`app: pods: {
	"z-%[1]s": containers: main: image: "x:v%[2]d"
	"%[1]s": containers: main: image: "y:v%[2]d"
	"a-%[1]s": containers: main: image: "z:v%[2]d"
}
`, n, rev)
	case 2: // fields of the package
		return "", fmt.Sprintf("app: pods: \"%s\": _common & {kind: \"Deployment\", replicas: count + params.replicas, containers: main: image: \"x%d:\\(params.tag)\"}\n", n, rev)
	case 3: // an import of CUE's
		return "import \"strings\"\n", fmt.Sprintf("app: pods: \"%s\": containers: main: {image: \"x:v%d\", env: UP: value: strings.ToUpper(\"%[1]s\")}\n", n, rev)
	case 4: // an import of the module's
		return "import \"shop.example/lib\"\n", fmt.Sprintf("app: pods: \"%s\": containers: {main: image: \"x:v%d\", side: lib.#Sidecar}\n", n, rev)
	case 5: // names of its own
		return "", fmt.Sprintf("app: pods: \"%s\": {\n\tlet V = \"v%d\"\n\tcontainers: {for c in [\"a\", \"b\"] {\"\\(c)\": {image: \"x:\" + V, env: ME: value: c}}}\n}\n", n, rev)
	case 6: // objects, in order, and a secret
		return "", fmt.Sprintf(`app: objects: {
	"z-%[1]s": {apiVersion: "v1", kind: "ConfigMap", metadata: name: "z-%[1]s", data: rev: "%[2]d"}
	"a-%[1]s": {apiVersion: "v1", kind: "ConfigMap", metadata: name: "a-%[1]s"}
}
app: secrets: "%[1]s": keys: password: generate: length: 8 + %[2]d
`, n, rev)
	case 7: // a file that is read
		return "", fmt.Sprintf("app: configMaps: \"%s\": {files: \"a.conf\": \"conf/a.conf\", data: rev: \"%d\"}\n", n, rev)
	case 8: // one entry refers to another in its file
		return "", fmt.Sprintf("app: pods: {\n\tx%[1]s: containers: main: image: \"x:v%[2]d\"\n\t\"%[1]s\": {containers: x%[1]s.containers, labels: role: \"copy\"}\n}\n", strings.ReplaceAll(n, "-", ""), rev)
	case 9: // a field of the package beside
		return "", fmt.Sprintf("tag%[1]s: \"v%[2]d\"\napp: pods: %[1]s: containers: main: image: \"x:\\(tag%[1]s)\"\n", strings.ReplaceAll(n, "-", ""), rev)
	case 10: // a comprehension above the entries
		return "", fmt.Sprintf("app: pods: {for k in [\"b\", \"a\"] {\"\\(k)-%s\": containers: main: image: \"x:v%d\"}}\n", n, rev)
	default: // storage, and who uses it
		return "", fmt.Sprintf(`app: persistentVolumeClaims: "%[1]s": storage: "%[2]dGi"
app: pods: "%[1]s": {
	volumes: data: persistentVolumeClaim: claimName: "%[1]s"
	containers: main: {image: "x", volumeMounts: "/data": name: "data"}
}
`, n, rev+1)
	}
}

func (p *randomPackage) newChunk() chunk {
	p.count++
	return chunk{name: fmt.Sprintf("%c%d", 'a'+rune(p.r.IntN(26)), p.count), style: p.r.IntN(styles)}
}

func (p *randomPackage) fileName() string {
	p.count++
	return fmt.Sprintf("%c%d.cue", 'a'+rune(p.r.IntN(26)), p.count)
}

// write makes the directory what the package is.
func (p *randomPackage) write() {
	p.t.Helper()
	want := maps.Clone(p.base)
	maps.Copy(want, p.extra)
	for name, chunks := range p.files {
		imports, body := map[string]bool{}, ""
		for _, c := range chunks {
			i, b := c.text()
			imports[i] = true
			body += b
		}
		want[name] = "// A file.\n\npackage shop\n\n" + strings.Join(slices.Sorted(maps.Keys(imports)), "") + "\n" + body
	}
	old, err := filepath.Glob(filepath.Join(p.dir, "*.cue"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, path := range old {
		if _, ok := want[filepath.Base(path)]; !ok {
			if err := os.Remove(path); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	for name, text := range want {
		path := filepath.Join(p.dir, name)
		if err := cmp.Or(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// compare compiles with the cache and without. err is what both said.
func (p *randomPackage) compare() (diff string, err error) {
	p.t.Helper()
	plain := p.opts
	plain.Cache = nil
	cached, cachedErr := Compile(p.t.Context(), p.opts)
	whole, wholeErr := Compile(p.t.Context(), plain)
	if diff := gocmp.Diff(said(wholeErr), said(cachedErr)); diff != "" {
		return diff, wholeErr
	}
	return gocmp.Diff(whole, cached), wholeErr
}

// said is an error as values.
func said(err error) any {
	var bad *Error
	switch {
	case errors.As(err, &bad):
		return *bad
	case err != nil:
		return err.Error()
	}
	return nil
}

// pick chooses a file of chunks.
func (p *randomPackage) pick() string {
	names := slices.Sorted(maps.Keys(p.files))
	return names[p.r.IntN(len(names))]
}

// edit changes something and says what.
func (p *randomPackage) edit() string {
	defer p.write()
	if len(p.fixes) > 0 && p.r.IntN(3) == 0 {
		for _, fix := range p.fixes {
			fix()
		}
		p.fixes = nil
		return "files that came with trouble go"
	}
	name := p.pick()
	chunks := p.files[name]
	i := p.r.IntN(len(chunks))
	switch p.r.IntN(30) {
	case 0:
		p.files[p.fileName()] = []chunk{p.newChunk()}
		return "a file comes"
	case 1:
		delete(p.files, name)
		return name + " goes"
	case 2:
		chunks[i].name = p.newChunk().name
		return name + ": an entry gets another name"
	case 3:
		to := p.pick()
		if to == name {
			return "nothing"
		}
		p.files[to] = append(p.files[to], chunks[i])
		if p.files[name] = slices.Delete(chunks, i, i+1); len(p.files[name]) == 0 {
			delete(p.files, name)
		}
		return name + ": an entry moves to " + to
	case 4:
		to := p.fileName()
		p.files[to] = chunks
		delete(p.files, name)
		return name + " is now " + to
	case 5:
		p.base["main.cue"] = mainText(p.r.IntN(9))
		return "the base changes"
	case 6:
		p.base["patterns.cue"] = patternsText(p.r.IntN(9))
		return "the patterns change"
	case 7:
		p.base["lib/lib.cue"] = libText(p.r.IntN(9))
		return "the imported package changes"
	case 8:
		p.base["conf/a.conf"] = fmt.Sprint(p.r.IntN(9))
		return "a file that a ConfigMap reads changes"
	case 9:
		p.opts.Env = []string{"", "prod", "dev"}[p.r.IntN(3)]
		return "the environment is " + p.opts.Env
	case 10:
		p.opts.Set = [][]string{nil, {"tag=latest"}, {"replicas=3"}}[p.r.IntN(3)]
		return "parameters are " + fmt.Sprint(p.opts.Set)
	case 11, 12:
		return p.mistake(name)
	case 13, 14:
		return p.reference(chunks[i])
	case 15, 16:
		file := p.fileName()
		p.fixes = append(p.fixes, func() { delete(p.extra, file) })
		p.extra[file] = fmt.Sprintf("package shop\n\napp: pods: %q: annotations: second: \"%d\"\n", chunks[i].name, p.r.IntN(9))
		return file + " says more of an entry of " + name
	default:
		chunks[i].rev++
		return name + " changes"
	}
}

// mistake breaks something until the next fix.
func (p *randomPackage) mistake(name string) string {
	file := p.fileName()
	p.fixes = append(p.fixes, func() { delete(p.extra, file) })
	n := p.newChunk().name
	body := []string{
		"app: pods: \"%s\": {containers: main: image: \"x\", replicaz: 3}\n",
		"app: pods: \"%s\": containers: main: image: 7\n",
		"app: pods: \"%s\": containers: main: image: nowhere\n",
		"app: pods: \"%s\": {\n",
		"app: services: \"%s\": {pod: \"nobody\", ports: http: port: 80}\n",
		"import \"strings\"\n\napp: pods: \"%s\": containers: main: image: \"x\"\n",
	}[p.r.IntN(6)]
	p.extra[file] = "package shop\n\n" + fmt.Sprintf(body, n)
	return file + " comes with a mistake"
}

// reference adds what depends on entries elsewhere, until the next fix.
func (p *randomPackage) reference(c chunk) string {
	file := p.fileName()
	p.fixes = append(p.fixes, func() { delete(p.extra, file) })
	p.count++
	body := []string{
		"app: labels: pods: \"\\(len(app.pods))\"\n",
		"app: annotations: {for n, _ in app.pods {\"pod-\\(n)\": \"yes\"}}\n",
		"app: {\n\tlet P = pods\n\tannotations: names: \"\\(len(P))\"\n\tpods: _\n}\n",
		"X=app: annotations: aliased: \"\\(len(X.pods))\"\n",
		"app: configMaps: \"ref-%[2]d\": data: image: [for _, c in app.configMaps if c.data.rev != _|_ {c.data.rev}, \"none\"][0]\n",
		"app: pods: {\n\t%[1]s?: _\n\t\"of-%[2]d\": {containers: main: image: \"x\", if %[1]s != _|_ {labels: of: \"yes\"}}\n}\n",
		"app: pods: {\n\t%[1]s: annotations: more: \"%[2]d\"\n\t\"copy-%[2]d\": containers: %[1]s.containers\n}\n",
	}[p.r.IntN(7)]
	if strings.Contains(body, "%[") {
		body = fmt.Sprintf(body, c.name, p.count)
	}
	p.extra[file] = "package shop\n\n" + body
	return file + " comes and refers to " + c.name + " or all"
}

// A file that comes, changes or goes counts where a pattern of @embed matches it,
// in whatever file of the definition that is.
func TestCache_NoticesWhatAnEmbedMatches(t *testing.T) {
	const glob = ` @embed(glob=notes/*.txt,type=text,allowEmptyGlob)`
	files := map[string]string{
		"cue.mod/module.cue": "module: \"shop.example@v0\"\nlanguage: version: \"v0.17.0\"\n",
		"lib/lib.cue":        "package lib\n\nfound: {}\n",
		"app.cue":            "package shop\n\nimport \"shop.example/lib\"\n\n_found: {}\napp: {\n\tname: \"shop\"\n\tpods: of: {containers: main: image: \"x\", annotations: {for k, v in lib.found {(k): v}, for k, v in _found {(k): v}, more: \"x\"}}\n}\n",
		"web.cue":            "package shop\n\napp: pods: web: {containers: main: image: \"x\", annotations: {more: \"x\"}}\n",
		"db.cue":             "package shop\n\napp: configMaps: other: data: {more: \"x\"}\n",
	}
	for name, edit := range map[string]func(text string) string{
		"web.cue": func(s string) string { return strings.Replace(s, `{more: "x"}`, "_"+glob, 1) },
		"app.cue": func(s string) string { return strings.Replace(s, "_found: {}", "_found: _"+glob, 1) },
		"lib/lib.cue": func(s string) string {
			return strings.Replace(s, "found: {}", "found: _"+strings.Replace(glob, "notes", "more", 1), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				t.Helper()
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for name, text := range files {
				write(name, text)
			}
			write(name, "@extern(embed)\n\n"+edit(files[name]))
			in := "notes"
			if name == "lib/lib.cue" {
				in = "lib/more"
			}
			p := &randomPackage{t: t, opts: Options{Dir: dir, CacheDir: newCache(t), Cache: &Cache{}}}
			same := func(what string) {
				t.Helper()
				if diff, err := p.compare(); diff != "" || err != nil {
					t.Errorf("%s: %v\n%s", what, err, diff)
				}
			}
			same("at first")
			write(in+"/a.txt", "one")
			same("a file comes")
			write("db.cue", files["db.cue"]+"app: configMaps: other: data: n: \"1\"\n")
			same("another part changes")
			write(in+"/a.txt", "two")
			same("the file changes")
			if err := os.Remove(filepath.Join(dir, in, "a.txt")); err != nil {
				t.Fatal(err)
			}
			same("the file goes")
		})
	}
}
