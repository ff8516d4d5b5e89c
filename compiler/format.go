package compiler

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"github.com/cuepod/cuepod/compiler/app"
)

// Format gives a CUE file in CUE's standard format, as cue fmt does. file is its
// name, for positions. An error is an *Error: a mistake of syntax, or a comment
// that the formatter would not keep in its place.
//
// CUE's formatter may move a comment beside an arm of a disjunction to another
// arm, and even write a file that no longer parses (cue v0.17.1). So what it
// made is parsed and compared with what it was made from.
func Format(file string, src []byte) ([]byte, error) {
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "" // positions are as file is then
	}
	p := &places{cwd: cwd}
	before, err := parser.ParseFile(file, src, parser.ParseComments)
	if err != nil {
		return nil, newError(p.translateFile(file, err))
	}
	out, err := format.Node(before)
	if err != nil {
		return nil, newError(p.translateFile(file, err))
	}
	// Formatting moves positions in the tree that it is given.
	if before, err = parser.ParseFile(file, src, parser.ParseComments); err != nil {
		return nil, newError(p.translateFile(file, err))
	}
	if pos, ok := p.damage(before, file, out); ok {
		return nil, newError([]Diagnostic{{
			Pos:     pos,
			Message: "CUE's formatter would not keep this in its place: the file stays as it is",
			Hint:    "write a comment on a line of its own, above what it is about",
		}})
	}
	return out, nil
}

// damage compares a file with its formatted text, and gives the first place in
// the file that the text does not keep.
func (p *places) damage(before *ast.File, file string, formatted []byte) (pos app.Pos, found bool) {
	was := outline(before)
	show := func(at token.Pos) app.Pos {
		return app.Pos{File: p.show(file), Line: at.Line(), Column: at.Column()}
	}
	after, err := parser.ParseFile(file, formatted, parser.ParseComments)
	if err != nil {
		return show(suspect(before)), true
	}
	is := outline(after)
	for i, w := range was {
		if i >= len(is) || is[i].text != w.text {
			return show(w.pos), true
		}
	}
	if len(is) > len(was) {
		return show(before.Pos()), true
	}
	return app.Pos{}, shape(before) != shape(after)
}

// piece is a comment, or a leaf of the syntax tree.
type piece struct {
	pos  token.Pos
	text string
}

// outline is the file's comments and leaves in the order in which they are
// written: what formatting must not change.
func outline(file *ast.File) []piece {
	var out []piece
	ast.Walk(file, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.Comment:
			out = append(out, piece{x.Pos(), strings.TrimSpace(x.Text)})
		case *ast.Ident:
			out = append(out, piece{x.Pos(), x.Name})
		case *ast.BasicLit:
			out = append(out, piece{x.Pos(), value(x)})
		case *ast.Attribute:
			out = append(out, piece{x.Pos(), x.Text})
		}
		return true
	}, nil)
	slices.SortStableFunc(out, func(a, b piece) int { return cmp.Compare(a.pos.Offset(), b.pos.Offset()) })
	return out
}

// value is what a literal means: the formatter may choose other quotes, and it
// indents a text of several lines with the field that it belongs to.
func value(lit *ast.BasicLit) string {
	if text, err := literal.Unquote(lit.Value); err == nil {
		return text
	}
	lines := strings.Split(lit.Value, "\n") // a number, or a piece of an interpolation
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], " \t")
	}
	return strings.Join(lines, "\n")
}

// shape is the syntax tree without positions and comments.
func shape(file *ast.File) string {
	var b strings.Builder
	before := func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.CommentGroup, *ast.Comment:
			return false
		case *ast.Field:
			fmt.Fprintf(&b, "(%T %v", n, x.Constraint)
		case *ast.BinaryExpr:
			fmt.Fprintf(&b, "(%T %v", n, x.Op)
		case *ast.UnaryExpr:
			fmt.Fprintf(&b, "(%T %v", n, x.Op)
		default:
			fmt.Fprintf(&b, "(%T", n)
		}
		return true
	}
	ast.Walk(file, before, func(ast.Node) { b.WriteByte(')') })
	return b.String()
}

// suspect is the first comment within a disjunction, which is what the formatter
// is known to stumble over, or else the file's beginning.
func suspect(file *ast.File) token.Pos {
	var comments []token.Pos
	depth := 0 // of disjunctions
	ast.Walk(file, func(n ast.Node) bool {
		if isDisjunction(n) {
			depth++
		}
		if _, ok := n.(*ast.Comment); ok && depth > 0 {
			comments = append(comments, n.Pos())
		}
		return true
	}, func(n ast.Node) {
		if isDisjunction(n) {
			depth--
		}
	})
	if len(comments) == 0 {
		return file.Pos()
	}
	return slices.MinFunc(comments, func(a, b token.Pos) int { return cmp.Compare(a.Offset(), b.Offset()) })
}

func isDisjunction(n ast.Node) bool {
	b, ok := n.(*ast.BinaryExpr)
	return ok && b.Op == token.OR
}
