package compiler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"cuelang.org/go/cue/parser"
)

const (
	baseApp = "import \"cuepod.dev/core\"\n\napp: core.#App & {name: \"shop\"}\n"
	libApp  = "import \"shop.example/lib\"\n\napp: lib.#App & {name: \"shop\"}\n"
)

func pod(name string) string { return "app: pods: " + name + ": containers: main: image: \"x\"\n" }

// TestCache_WholeSectionsAreNoticed compiles a base with two pods in files of
// their own, then adds one. Where the base depends on the pods as a whole, the
// package does not qualify; where it is said that it does, the result is wrong.
func TestCache_WholeSectionsAreNoticed(t *testing.T) {
	cache := newCache(t)
	for _, tc := range []struct {
		name, base, lib string
		reason          string // why it does not qualify; "" when it does
		harmless        bool   // a wrong qualification changes nothing that can be seen here
	}{
		{name: "nothing", base: baseApp, harmless: true},
		{name: "a pattern", base: baseApp + "app: pods: [N=string]: labels: n: N\n", harmless: true},
		{name: "a definition of the package", base: "import \"cuepod.dev/core\"\n\n#P: core.#App & {pods: [_]: labels: {a: \"b\", ...}}\napp: #P & {name: \"shop\"}\n", harmless: true},
		{name: "an imported definition", base: libApp, lib: "#App: core.#App & {pods: [_]: labels: {a: \"b\", ...}}\n", harmless: true},
		{name: "the app by name", base: baseApp + "app: labels: n: \"\\(len(app.pods))\"\n", reason: "a reference to app"},
		{name: "a section by name", base: baseApp + "app: {\n\tpods: _\n\tlabels: n: \"\\(len(pods))\"\n}\n", reason: "a reference to pods"},
		{name: "a let", base: baseApp + "app: {\n\tpods: _\n\tlet P = pods\n\tlabels: n: \"\\(len(P))\"\n}\n", reason: "a reference to pods"},
		{name: "an alias of the app", base: baseApp + "X=app: labels: n: \"\\(len(X.pods))\"\n", reason: "a reference to app"},
		{name: "an alias of a section", base: baseApp + "app: {\n\tS=pods: _\n\tlabels: n: \"\\(len(S))\"\n}\n", reason: "a reference to pods"},
		{name: "an alias of a value", base: baseApp + "app: X={labels: n: \"\\(len(X.pods))\"}\n", reason: "an expression in what the app is made of"},
		{name: "a comprehension", base: baseApp + "app: annotations: {for n, _ in app.pods {\"\\(n)\": \"yes\"}}\n", reason: "a reference to app"},
		{name: "a validator", base: "import \"struct\"\n" + baseApp + "app: pods: struct.MaxFields(2)\n", reason: "an expression in what the app is made of"},
		{name: "a rule of matches", base: baseApp + "app: pods: matchN(0, [{a!: _, c!: _}])\n", reason: "an expression in what the app is made of"},
		{name: "a definition of the package that counts", base: "import \"cuepod.dev/core\"\n\n#P: core.#App & {pods: _, labels: n: \"\\(len(pods))\"}\napp: #P & {name: \"shop\"}\n", reason: "a reference to pods"},
		{name: "an imported definition that counts", base: libApp, lib: "#App: core.#App & {pods: _, labels: n: \"\\(len(pods))\"}\n", reason: "a reference to pods"},
		{name: "an imported definition with an alias", base: libApp, lib: "#App: core.#App & {S=pods: _, labels: n: \"\\(len(S))\"}\n", reason: "a reference to pods"},
		{name: "a disjunction", base: baseApp + "app: {labels: {x: \"y\"}} | {labels: {x: \"z\"}, name: \"other\"}\n", reason: "| in what the app is made of", harmless: true},
		{name: "a section only if it is there", base: baseApp + "app: ingresses?: web: rules: [{http: paths: [{path: \"/\", pathType: \"Prefix\", backend: service: {name: \"a\", port: number: 80}}]}]\n", reason: "a constraint on ingresses", harmless: true},
		{name: "a field that is there or not", base: baseApp + "app: pods: {\n\ta?: _\n\tof: {containers: main: image: \"x\", if a != _|_ {labels: of: \"a\"}}\n}\n", reason: "a field that orders entries"},
		{name: "an order by a field that is not there", base: baseApp + "app: pods: {\n\tb0?: _\n\taa: containers: main: image: \"x\"\n}\n", reason: "a field that orders entries"},
		{name: "an order by a hidden field", base: baseApp + "app: pods: {\n\t_b: 1\n\t\"0\": containers: main: image: \"x\"\n}\n", reason: "a field that orders entries", harmless: true},
		{name: "an entry that refers to another", base: baseApp + "app: pods: {\n\tx: containers: main: image: \"x\"\n\tof: containers: x.containers\n}\n", harmless: true},
		{name: "a pattern over all of the package", base: baseApp + "[string]: _\n", reason: "a field whose name is not written out", harmless: true},
		{name: "an embedding", base: baseApp + "{app: labels: a: \"b\"}\n", reason: "a declaration that may add to the app", harmless: true},
		{name: "a variable of the machine", base: baseApp + "host: string @tag(host,var=hostname)\n", reason: "@tag", harmless: true},
		{name: "a compose section", base: baseApp + "app: compose: \"x-a\": 1\n", reason: "a compose section", harmless: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			right := addAPod(t, tc.base, tc.lib, Options{CacheDir: cache, Cache: &Cache{}})
			if right.diff != "" {
				t.Errorf("with a cache (+) and without (-):\n%s", right.diff)
			}
			if tc.reason == "" && right.reason != "" || !strings.Contains(right.reason, tc.reason) {
				t.Errorf("it does not qualify for %q, want %q", right.reason, tc.reason)
			}
			if (right.parts > 0) != (tc.reason == "") {
				t.Errorf("%d compiles in part", right.parts)
			}
			if wrong := addAPod(t, tc.base, tc.lib, Options{CacheDir: cache, Cache: &Cache{qualify: everything}}); (wrong.diff == "") != tc.harmless {
				t.Errorf("said to qualify, it differs by %q", wrong.diff)
			}
		})
	}
}

// added is what is known when a pod came.
type added struct {
	diff, reason string
	parts        int
}

// addAPod compiles a package of a base and the pods a and b, and then with c.
func addAPod(t *testing.T, base, lib string, opts Options) added {
	t.Helper()
	opts.Dir = t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(opts.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	put("cue.mod/module.cue", "module: \"shop.example\"\nlanguage: version: \"v0.17.0\"\n")
	if lib != "" {
		put("lib/lib.cue", "package lib\n\nimport \"cuepod.dev/core\"\n\n"+lib)
	}
	put("base.cue", "package shop\n\n"+base)
	put("a.cue", "package shop\n\n"+pod("a"))
	put("b.cue", "package shop\n\n"+pod("b"))
	if _, err := Compile(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	out := added{reason: opts.Cache.reason}
	put("c.cue", "package shop\n\n"+pod("c"))
	cached, cachedErr := Compile(t.Context(), opts)
	out.parts = opts.Cache.parts
	opts.Cache = nil
	whole, wholeErr := Compile(t.Context(), opts)
	out.diff = gocmp.Diff(said(wholeErr), said(cachedErr)) + gocmp.Diff(whole, cached)
	return out
}

func TestLeafOf(t *testing.T) {
	for text, want := range map[string]string{
		pod("a"): "pods.a",
		"app: {pods: {a: {}, \"b-c\": {}}, services: a: {}}\n":                   "pods.a pods.b-c services.a",
		"// About it.\napp: pods: a: {}\n\napp: configMaps: b: {}\n":             "pods.a configMaps.b",
		"import \"strings\"\napp: pods: a: x: strings.ToUpper(\"a\")\n":          "pods.a",
		"import \"known.example/lib\"\napp: pods: a: lib.#Pod\n":                 "pods.a",
		"app: pods: a: {let X = 1, labels: x: X, y: labels.x, z: params.pods}\n": "pods.a",
		// No leaves:
		"import \"other.example/lib\"\napp: pods: a: lib.#Pod\n": "",
		"app: name: \"a\"\n":                    "",
		"app: pods: [string]: {}\n":             "",
		"app: pods: \"\\(x)\": {}\n":            "",
		"app: pods: a?: {}\n":                   "",
		"app: pods: X=a: {}\n":                  "",
		"app: pods: {if x {a: {}}}\n":           "",
		"app: pods: {a: {}, #B: {}}\n":          "",
		"app: pods: {a: {}, _b: {}}\n":          "",
		"app: pods: {let X = 1, a: x: X}\n":     "",
		"app: pods: x\n":                        "",
		"app: pods: {x, a: {}}\n":               "",
		"app: {pods: a: {}} & x\n":              "",
		"app: pods: a: x: app.pods.b\n":         "",
		"app: pods: {a: x: b, b: {}}\n":         "",
		"app: pods: a: x: pods.b\n":             "",
		"app: pods: a: x: services.b\n":         "",
		"app: pods: a: x: self.b\n":             "",
		"app: pods: a: x: string @tag(x)\n":     "",
		"app: pods: a: _ @embed(file=a.json)\n": "",
		"@if(prod)\n" + pod("a"):                "",
		"x: 1\n" + pod("a"):                     "",
		"if x {app: pods: a: {}}\n":             "",
		"{" + pod("a") + "}\n":                  "",
		"import \"strings\"\n":                  "",
	} {
		f, err := parser.ParseFile("a.cue", "package shop\n\n"+text, parser.ParseComments)
		if strings.HasPrefix(text, "@if") {
			f, err = parser.ParseFile("a.cue", "@if(prod)\n\npackage shop\n\n"+pod("a"), parser.ParseComments)
		}
		if err != nil {
			t.Fatal(err)
		}
		l, ok := leafOf(f, map[string]bool{"known.example/lib": true})
		var got []string
		for _, e := range l.entries {
			got = append(got, e.section+"."+e.name)
		}
		if strings.Join(got, " ") != want || ok != (want != "") {
			t.Errorf("%s: %v, %v; want %q", text, got, ok, want)
		}
	}
}
