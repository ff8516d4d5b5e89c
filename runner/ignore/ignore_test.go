package ignore_test

import (
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/ignore"
)

// The threads are those of people whose ignore files did something else in one
// place than in another.
//
//peers:3
func TestMatcher(t *testing.T) {
	for _, tc := range []struct {
		name, text        string
		out, in           string // names
		pruned, notPruned string // directories
	}{
		{name: "nothing", in: "a a/b .git", notPruned: "a"},
		{name: "a comment", text: "# a\n\n", in: "a"},
		{name: "a file", text: "a.log", out: "a.log", in: "src/a.log b.log"},
		{name: "a directory", text: "dist", out: "dist dist/x dist/a/b", in: "src/dist", pruned: "dist dist/a", notPruned: "src"},
		{name: "a directory with a slash", text: "/dist/", out: "dist dist/x", pruned: "dist"},
		{name: "anywhere", text: "**/*.log", out: "a.log a/b/c.log", in: "a/b", notPruned: "a"},
		{name: "but for one file", text: "dist\n!dist/keep/x", out: "dist dist/y dist/keep dist/other/z", in: "dist/keep/x", pruned: "dist/other", notPruned: "dist dist/keep"},
		{name: "but for a directory", text: "dist\n!dist/keep", out: "dist/y", in: "dist/keep dist/keep/x/y", pruned: "dist/other", notPruned: "dist"},
		{name: "a list of what is wanted (compose#12236)", text: "*\n!src\n!go.mod", out: "x .env docs docs/a", in: "src src/a/b go.mod", pruned: "docs", notPruned: "src"},
		{name: "wanted by a wildcard", text: "*\n!**/*.go", out: "docs/a.md", in: "docs/a.go", notPruned: "docs"},
		{name: "the last one decides", text: "!a\na", out: "a", in: "b"},
		{name: "and again", text: "*\n!src\nsrc/tmp", out: "src/tmp src/tmp/x", in: "src/x", pruned: "src/tmp"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := ignore.Read([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time from what is known
				for word, want := range map[string]bool{tc.out: true, tc.in: false} {
					for _, name := range strings.Fields(word) {
						if m.Excludes(name) != want {
							t.Errorf("excludes %s: %v", name, !want)
						}
					}
				}
				for word, want := range map[string]bool{tc.pruned: true, tc.notPruned: false} {
					for _, name := range strings.Fields(word) {
						if m.Prunes(name) != want {
							t.Errorf("prunes %s: %v", name, !want)
						}
					}
				}
			}
			if m.Excludes(".") || m.Prunes(".") {
				t.Error("the directory itself is left out")
			}
		})
	}
}

func TestRead_RefusesWhatMatchesNothing(t *testing.T) {
	for _, text := range []string{"a[", "!", "ok\n!b["} {
		if _, err := ignore.Read([]byte(text)); err == nil {
			t.Errorf("%q is a pattern", text)
		}
	}
}

func TestName(t *testing.T) {
	for name, want := range map[string]bool{
		".git": true, "node_modules": true, "app.cue~": true, ".#app.cue": true, "#app.cue#": true, ".app.cue.swp": true, "4913": true,
		"app.cue___jb_tmp___": true, ".goutputstream-X": true,
		"app.cue": false, "git": false, "#app.cue": false, "main.go": false, ".env": false,
	} {
		if ignore.Name(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
