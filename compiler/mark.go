package compiler

import (
	"path/filepath"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"github.com/cuepod/cuepod/compiler/app"
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
}

func (m *mark) field(name string) *mark {
	if m == nil {
		return nil
	}
	return m.fields[name]
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
	return root
}

// decls adds the fields of a struct. With conditional it also looks into
// comprehensions.
func (m *mark) decls(decls []ast.Decl, conditional bool) {
	for _, decl := range decls {
		switch d := decl.(type) {
		case *ast.Field:
			name, _, err := ast.LabelName(d.Label)
			if err != nil {
				continue // a pattern, or a name that evaluation makes
			}
			child := m.fields[name]
			if child == nil {
				child = &mark{pos: d.Pos()}
				if m.fields == nil {
					m.fields = map[string]*mark{}
				}
				m.fields[name] = child
			}
			child.expr(d.Value, conditional)
		case *ast.EmbedDecl:
			m.expr(d.Expr, conditional)
		case *ast.Comprehension:
			if conditional {
				m.expr(d.Value, conditional)
			}
		}
	}
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
		}
	}
}
