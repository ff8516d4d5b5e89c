package schema

import (
	"io/fs"
	"slices"
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
		if strings.HasPrefix(path, "core/") {
			fields += wantComments(t, file)
		}
	})
	if fields < 100 {
		t.Fatalf("only %d fields found", fields)
	}
}

// TestFiles_EveryParameterHasAComment: of components, people read the params and
// the outputs, which are definitions of their own.
func TestFiles_EveryParameterHasAComment(t *testing.T) {
	fields := 0
	forEachFile(t, func(path string, _ []byte, file *ast.File) {
		if !strings.HasPrefix(path, "components/") {
			return
		}
		for _, decl := range file.Decls {
			field, ok := decl.(*ast.Field)
			if !ok {
				continue
			}
			name, _, _ := ast.LabelName(field.Label)
			if strings.HasPrefix(name, "#") && len(ast.Comments(field)) == 0 {
				t.Errorf("%s: %s has no comment", field.Pos(), name)
			}
			if body, ok := field.Value.(*ast.StructLit); ok && (strings.HasSuffix(name, "Params") || strings.HasSuffix(name, "Outputs")) {
				for _, part := range body.Elts {
					fields += wantComment(t, part)
				}
			}
		}
	})
	if fields < 50 {
		t.Fatalf("only %d parameters and outputs found", fields)
	}
}

// wantComments counts the fields of a file, each of which has to have a comment.
func wantComments(t *testing.T, file *ast.File) int {
	t.Helper()
	fields := 0
	ast.Walk(file, func(n ast.Node) bool {
		fields += wantComment(t, n)
		return true
	}, nil)
	return fields
}

// wantComment is 1 for a field, which has to have a comment, else 0.
func wantComment(t *testing.T, n ast.Node) int {
	t.Helper()
	field, ok := n.(*ast.Field)
	if !ok {
		return 0
	}
	name, _, err := ast.LabelName(field.Label)
	if err != nil {
		return 0 // the pattern of a map
	}
	if len(ast.Comments(field)) == 0 {
		t.Errorf("%s: %s has no comment", field.Pos(), name)
	}
	return 1
}

// TestOutline_HasTheComponents: the compiler evaluates with either module.
func TestOutline_HasTheComponents(t *testing.T) {
	want, err := fs.Glob(Files(), "components/*.cue")
	if err != nil || len(want) < 5 {
		t.Fatalf("the module has components %q, %v", want, err)
	}
	for _, path := range want {
		whole, err := fs.ReadFile(Files(), path)
		if err != nil {
			t.Fatal(err)
		}
		for _, wide := range []bool{false, true} {
			if got, err := fs.ReadFile(Outline(wide), path); err != nil || string(got) != string(whole) {
				t.Errorf("%s differs in the outline (wide: %t): %v", path, wide, err)
			}
		}
	}
	if len(slices.Compact([]string{contentHash(Files()), contentHash(Outline(false)), contentHash(Outline(true))})) != 3 {
		t.Error("an outline is the schema, or the other one")
	}
}
