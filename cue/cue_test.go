package schema

import (
	"io/fs"
	"strings"
	"testing"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/mod/module"
)

func TestVersion(t *testing.T) {
	if _, err := module.NewVersion(Module, Version()); err != nil {
		t.Errorf("CUE does not accept the version: %v", err)
	}
	if got := Release(Version()); got != release {
		t.Errorf("Release(%s) = %s, want %s", Version(), got, release)
	}
	if got := Release("v1.2.3"); got != "v1.2.3" {
		t.Errorf("Release(v1.2.3) = %s", got)
	}
	if strings.HasSuffix(release, devSuffix) && Version() == release {
		t.Error("two states of a development version would share one cache entry")
	}
}

// forEachFile parses every CUE file of the module.
func forEachFile(t *testing.T, f func(path string, data []byte, file *ast.File)) {
	t.Helper()
	count := 0
	err := fs.WalkDir(Files(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Files(), path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(path, data, parser.ParseComments)
		if err != nil {
			return err
		}
		count++
		f(path, data, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 5 {
		t.Fatalf("only %d files found", count)
	}
}

func TestFiles_AreFormatted(t *testing.T) {
	forEachFile(t, func(path string, data []byte, _ *ast.File) {
		if got, err := format.Source(data); err != nil || string(got) != string(data) {
			t.Errorf("%s is not as cue fmt writes it (%v)", path, err)
		}
	})
}

// TestFiles_EveryFieldHasAComment: editors and cuepod explain show them, and the
// compiler says with those of plain values what is allowed.
func TestFiles_EveryFieldHasAComment(t *testing.T) {
	fields := 0
	forEachFile(t, func(path string, _ []byte, file *ast.File) {
		if !strings.HasPrefix(path, "core/") {
			return
		}
		ast.Walk(file, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok {
				return true
			}
			name, _, err := ast.LabelName(field.Label)
			if err != nil {
				return true // the pattern of a map
			}
			fields++
			if len(ast.Comments(field)) == 0 {
				t.Errorf("%s: %s has no comment", field.Pos(), name)
			}
			return true
		}, nil)
	})
	if fields < 100 {
		t.Fatalf("only %d fields found", fields)
	}
}
