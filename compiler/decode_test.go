package compiler

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// TestCompile_OutlineAgreesWithSchema compiles every case twice: as Compile
// does first, with the outline of the schema and the decoder's own checks, and
// with the whole schema. The two may never disagree about what is right, nor
// about what it means.
func TestCompile_OutlineAgreesWithSchema(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	cache := newCache(t)
	accepted, refused := 0, 0
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			extract(t, dir, archive)
			t.Chdir(dir)
			opts := parseOptions(t, archive.Comment)
			opts.CacheDir = cache
			switch agree(t, opts) {
			case true:
				accepted++
			default:
				refused++
			}
		})
	}
	if accepted < 20 || refused < 400 {
		t.Errorf("%d accepted and %d refused: too few to prove anything", accepted, refused)
	}
}

// agree compiles with the outline and with the schema, and reports whether both
// accept.
func agree(t *testing.T, opts Options) bool {
	t.Helper()
	fast, fastErr := compileWith(t.Context(), opts, true)
	slow, slowErr := compileWith(t.Context(), opts, false)
	var look *unfitError
	switch {
	case errors.As(fastErr, &look) && slowErr == nil:
		t.Errorf("the decoder refuses what the schema takes: %v", fastErr)
	case errors.As(fastErr, &look):
	case fmt.Sprint(fastErr) != fmt.Sprint(slowErr):
		t.Errorf("with the outline: %v\nwith the schema: %v", fastErr, slowErr)
	case fastErr == nil:
		if diff := cmp.Diff(slow, fast); diff != "" {
			t.Errorf("the model differs (-schema +outline):\n%s", diff)
		}
		return true
	}
	return false
}
