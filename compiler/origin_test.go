package compiler

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// TestExplain runs testdata/origin/*.txtar: the files of a definition, and in
// want.txt paths ("# path") with what Explain says of each. CUEPOD_UPDATE=1
// rewrites it.
func TestExplain(t *testing.T) {
	cases, err := filepath.Glob("testdata/origin/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	cacheDir := newCache(t)
	for _, path := range cases {
		file, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			extract(t, dir, archive)
			t.Chdir(dir)
			opts := parseOptions(t, archive.Comment)
			opts.CacheDir = cacheDir
			want, _ := find(archive, "want.txt")
			var got strings.Builder
			for line := range strings.Lines(want) {
				if path, ok := strings.CutPrefix(line, "# "); ok {
					path = strings.TrimSpace(path)
					got.WriteString("# " + path + "\n" + explained(t, opts, path))
				}
			}
			if os.Getenv("CUEPOD_UPDATE") != "" {
				update(t, file, archive, "want.txt", got.String())
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("want.txt differs (-want +got):\n%s", diff)
			}
		})
	}
}

// explained is what Explain says, as text.
func explained(t *testing.T, opts Options, path string) string {
	t.Helper()
	e, err := Explain(t.Context(), opts, path)
	var bad *Error
	if errors.As(err, &bad) {
		return bad.Error() + "\n"
	}
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s = %s%s\n", e.Path, e.Value, e.Problem)
	var list func(origins []Origin, indent string)
	list = func(origins []Origin, indent string) {
		for _, o := range origins {
			fmt.Fprintf(&b, "%s%s  %s\n", indent, o.Where, o.Text)
			if o.Pos.IsValid() && o.Pos.String() != o.Where {
				t.Errorf("%s and %s are not the same place", o.Pos, o.Where)
			}
			list(o.From, indent+"  ")
		}
	}
	list(e.Origins, "  ")
	return regexp.MustCompile(`(?m)cuepod\.dev/core/\w+\.cue:\d+:\d+  .*$`).ReplaceAllString(b.String(), "(the schema)") // which changes
}

func TestSplitPath(t *testing.T) {
	for path, want := range map[string][]string{
		"":                nil,
		"pods.web":        {"pods", "web"},
		"pods.a-b.x":      {"pods", "a-b", "x"},
		`data."a.b".c`:    {"data", "a.b", "c"},
		`data["a.b"].c`:   {"data", "a.b", "c"},
		`args[0]`:         {"args", "0"},
		`a[0][1].b`:       {"a", "0", "1", "b"},
		`m["/etc/x"]`:     {"m", "/etc/x"},
		`"quo\"te"`:       {`quo"te`},
		"containers[web]": {"containers", "web"},
	} {
		got, err := splitPath(path)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	for _, path := range []string{".", "a..b", "a.", `"a`, `a["b`, "a[0", ".a"} {
		if got, err := splitPath(path); err == nil {
			t.Errorf("%q is taken: %q", path, got)
		}
	}
}
