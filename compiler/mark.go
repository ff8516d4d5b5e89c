package compiler

import (
	"cmp"
	"path/filepath"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"github.com/cuepod/cuepod/compiler/app"
	schema "github.com/cuepod/cuepod/cue"
)

// mark is the place of a field that is written out in the package's files,
// with the fields below it. The tree of marks answers where a value was
// written without a look at the value: asking CUE evaluates every part of it
// once more, which doubles the cost of a compile.
//
// The tree lacks what comes from references, templates and imports. A nil mark
// is an empty one.
type mark struct {
	pos    token.Pos
	fields map[string]*mark
	// rest is the mark of all other fields, when only one place in the files can
	// make them: a field whose name evaluation makes, as in a comprehension.
	rest *mark
	// What takes rest away, here and below (open), below (pattern), here (vague):
	open    bool // a reference adds fields
	pattern bool // a pattern adds to fields
	vague   bool // a second place makes names
}

func (m *mark) field(name string) *mark {
	if m == nil {
		return nil
	}
	if f := m.fields[name]; f != nil {
		return f
	}
	return m.rest
}

// position is where the field is written; invalid for a nil mark.
func (m *mark) position() token.Pos {
	if m == nil {
		return token.NoPos
	}
	return m.pos
}

// position is where the user wrote v, whose mark is m: there, or else where CUE
// says, or else fallback.
func (p *places) position(v cue.Value, m *mark, fallback app.Pos) app.Pos {
	if pos := p.pos(m.position()); pos.IsValid() {
		return pos
	}
	if pos := p.pos(v.Pos()); pos.IsValid() {
		return pos
	}
	return p.of(v, fallback)
}

// markFiles makes the tree of a package. The first place of a field counts, and
// one under a condition only when there is no other.
func markFiles(files []*ast.File) *mark {
	root := &mark{}
	for _, conditional := range []bool{false, true} {
		for _, f := range files {
			if filepath.Base(f.Filename) == unifyFile {
				continue
			}
			root.decls(f.Decls, conditional)
		}
	}
	root.settle(false)
	return root
}

// settle drops each rest that is not the only place of its fields. With open, a
// reference further up may add fields here.
func (m *mark) settle(open bool) {
	if m == nil {
		return
	}
	open = open || m.open
	below := open || m.pattern
	m.rest.settle(below)
	for _, f := range m.fields {
		f.settle(below)
	}
	if open || m.vague {
		m.rest = nil
	}
}

// decls adds the fields of a struct. With conditional it also looks into
// comprehensions.
func (m *mark) decls(decls []ast.Decl, conditional bool) {
	for _, decl := range decls {
		switch d := decl.(type) {
		case *ast.Field:
			if child := m.child(d); child != nil {
				child.expr(d.Value, conditional)
			}
		case *ast.EmbedDecl:
			m.expr(d.Expr, conditional)
		case *ast.Comprehension:
			if conditional {
				m.expr(d.Value, conditional)
			}
		}
	}
}

// child is the mark of a field, made when it is the first of its name; nil when
// it has no place in the tree.
func (m *mark) child(d *ast.Field) *mark {
	if name, _, err := ast.LabelName(d.Label); err == nil {
		child := m.fields[name]
		if child == nil {
			child = &mark{pos: d.Pos()}
			if m.fields == nil {
				m.fields = map[string]*mark{}
			}
			m.fields[name] = child
		}
		return child
	}
	switch d.Label.(type) {
	case *ast.ListLit:
		m.pattern = true
		return nil
	case *ast.ParenExpr, *ast.Interpolation:
		if m.rest == nil {
			m.rest = &mark{pos: d.Pos()}
		}
		if m.rest.pos == d.Pos() {
			return m.rest
		}
	}
	m.vague = true
	return nil
}

// expr adds the fields that an expression spells out.
func (m *mark) expr(e ast.Expr, conditional bool) {
	switch x := e.(type) {
	case *ast.StructLit:
		m.decls(x.Elts, conditional)
	case *ast.ParenExpr:
		m.expr(x.X, conditional)
	case *ast.BinaryExpr:
		if x.Op == token.AND {
			m.expr(x.X, conditional)
			m.expr(x.Y, conditional)
		} else {
			m.open = true
		}
	case *ast.SelectorExpr:
		m.open = m.open || !fromSchema(x.X)
	default:
		m.open = true
	}
}

// fromSchema reports whether an expression is the schema's package, which has
// types and makes no fields.
func fromSchema(e ast.Expr) bool {
	ident, ok := e.(*ast.Ident)
	if !ok {
		return false
	}
	spec, ok := ident.Node.(*ast.ImportSpec)
	return ok && spec.Path.Value == `"`+schema.Core+`"`
}

// deepest is the last mark on a path that is written out, or m.
func (m *mark) deepest(path []string) *mark {
	for _, name := range path {
		child := m.field(name)
		if child == nil {
			break
		}
		m = child
	}
	return m
}

// find is the mark of the field whose path a message begins with, or nil when
// that field is not written out. A name in the path may be quoted and may hold
// dots. The path ends at ":"; the items of a list, and what is in them, are at
// the list, as there are no marks below.
func (m *mark) find(message string) *mark {
	if m == nil || message == "" {
		return nil
	}
	var found *mark
	for name, child := range m.fields {
		for _, form := range []string{name, strconv.Quote(name)} {
			rest, ok := strings.CutPrefix(message, form)
			if !ok || rest == "" {
				continue
			}
			switch rest[0] {
			case '.':
				found = cmp.Or(found, child.find(rest[1:]))
			case ':':
				found = cmp.Or(found, child)
			case '[':
				found = cmp.Or(found, child)
			}
		}
	}
	return found
}
