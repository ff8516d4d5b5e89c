package conformance

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Mark says that a test proves items. It stands directly above a test function
// or a case of its table, as one line:
//
//	//conformance:S45 S46
//	//conformance:negative S37
//
// gofmt sets a space behind the slashes of the first form; both are read. In a
// case that is a txtar file the line is in the comment at the top, without
// slashes.
type Mark struct {
	Test     string // package and test, "runner/dns.TestZone_Answers", or the path of a txtar file
	Items    []int
	Negative bool // it fails where local runners are known to lie, see Place
	Line     string
}

var (
	markLine = regexp.MustCompile(`^(?://)?\s?conformance:\s?(negative\s+)?([sS]\d+(?:[ ,]+[sS]\d+)*)$`)
	markHint = regexp.MustCompile(`^(?://)?\s?conformance:`)
)

// parseMark reads a line; ok is false for one that is none.
func parseMark(line string) (m Mark, ok bool, err error) {
	line = strings.TrimSpace(line)
	if !markHint.MatchString(line) {
		return Mark{}, false, nil
	}
	parts := markLine.FindStringSubmatch(line)
	if parts == nil {
		return Mark{}, false, fmt.Errorf("%q is not conformance:S1 S2 or conformance:negative S1", line)
	}
	m.Negative = parts[1] != ""
	for _, word := range strings.FieldsFunc(parts[2], func(r rune) bool { return r == ' ' || r == ',' }) {
		n, err := strconv.Atoi(word[1:])
		if err != nil {
			return Mark{}, false, fmt.Errorf("%q: %w", line, err)
		}
		m.Items = append(m.Items, n)
	}
	return m, true, nil
}

// Marks collects the marks of all tests beneath root, by test. Every line that
// looks like a mark has to be one.
func Marks(root string) ([]Mark, error) {
	var out []Mark
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != root && (strings.HasPrefix(name, ".") || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		read := marksOfGo
		switch {
		case strings.HasSuffix(file, "_test.go"):
		case strings.HasSuffix(file, ".txtar"):
			read = marksOfArchive
		default:
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte("conformance:")) {
			return err
		}
		marks, err := read(filepath.ToSlash(rel), text)
		out = append(out, marks...)
		return err
	})
	slices.SortStableFunc(out, func(a, b Mark) int { return strings.Compare(a.Test, b.Test) })
	return out, err
}

func marksOfArchive(file string, text []byte) ([]Mark, error) {
	var out []Mark
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if strings.HasPrefix(line, "-- ") {
			break
		}
		m, ok, err := parseMark(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		if ok {
			m.Test, m.Line = file, fmt.Sprintf("%s:%d", file, n)
			out = append(out, m)
		}
	}
	return out, nil
}

func marksOfGo(file string, text []byte) ([]Mark, error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var out []Mark
	for _, group := range tree.Comments {
		for _, c := range group.List {
			m, ok, err := parseMark(c.Text)
			line := fmt.Sprintf("%s:%d", file, files.Position(c.Pos()).Line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			if !ok {
				continue
			}
			test := testAt(tree, group)
			if test == "" {
				return nil, fmt.Errorf("%s: no test is below the mark", line)
			}
			m.Test, m.Line = path.Dir(file)+"."+test, line
			out = append(out, m)
		}
	}
	return out, nil
}

// testAt is the test that a comment is above or in: the function, and the name
// of the case that begins on the next line, if a case begins with its name.
func testAt(tree *ast.File, group *ast.CommentGroup) string {
	for _, decl := range tree.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil {
			continue
		}
		switch {
		case f.Doc == group:
			return f.Name.Name
		case f.Body != nil && f.Body.Pos() < group.Pos() && group.End() < f.Body.End():
			if name := caseAt(f.Body, group.End()); name != "" {
				return f.Name.Name + "/" + name
			}
			return f.Name.Name
		}
	}
	return ""
}

// caseAt is the first string of the composite literal that follows a position.
func caseAt(body *ast.BlockStmt, pos token.Pos) (name string) {
	var at *ast.CompositeLit
	ast.Inspect(body, func(n ast.Node) bool {
		if lit, ok := n.(*ast.CompositeLit); ok && lit.Pos() > pos && (at == nil || lit.Pos() < at.Pos()) {
			at = lit
		}
		return true
	})
	if at == nil || len(at.Elts) == 0 {
		return ""
	}
	first := at.Elts[0]
	if kv, ok := first.(*ast.KeyValueExpr); ok {
		first = kv.Value
	}
	if lit, ok := first.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		name, _ = strconv.Unquote(lit.Value) // the parser has checked it
	}
	return strings.ReplaceAll(name, " ", "_")
}
