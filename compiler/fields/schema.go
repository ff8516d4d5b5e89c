package fields

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	core "github.com/cuepod/cuepod/cue"
)

// schema is the definitions of the package core, by name with "#".
type schema struct {
	definitions map[string]*definition
}

type definition struct {
	doc  string
	expr ast.Expr
}

// parseSchema reads the embedded schema. It panics when that is broken: the
// program was built wrong.
func parseSchema() *schema {
	s := &schema{definitions: map[string]*definition{}}
	names, err := fs.Glob(core.Files(), path.Base(core.Core)+"/*.cue")
	if err != nil || len(names) == 0 {
		panic(fmt.Sprintf("fields: the embedded schema has no files: %v", err))
	}
	// What is generated comes behind what it adds to.
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(strings.Count(a, "_gen."), strings.Count(b, "_gen."))
	})
	for _, name := range names {
		data, err := fs.ReadFile(core.Files(), name)
		if err != nil {
			panic("fields: " + err.Error())
		}
		file, err := parser.ParseFile(name, data, parser.ParseComments)
		if err != nil {
			panic("fields: " + err.Error())
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.Field); ok {
				s.define(labelName(f.Label), comment(f), f.Value)
			}
		}
	}
	return s
}

// define adds a definition, or what another file has of it.
func (s *schema) define(name, doc string, value ast.Expr) {
	if first := s.definitions[name]; first != nil {
		first.expr = &ast.BinaryExpr{X: first.expr, Op: token.AND, Y: value}
		return
	}
	s.definitions[name] = &definition{doc, value}
}

// labelName is the name of a field, or "" for a pattern.
func labelName(label ast.Label) string {
	name, _, err := ast.LabelName(label)
	if err != nil {
		return ""
	}
	return name
}

// comment is the comment above a field as paragraphs.
func comment(f *ast.Field) string {
	var text []string
	for _, group := range ast.Comments(f) {
		if group.Doc {
			text = append(text, strings.TrimSpace(group.Text()))
		}
	}
	return strings.Join(text, "\n\n")
}

// definition is what an expression that is only a name stands for.
func (s *schema) definition(e ast.Expr) (name string, def *definition) {
	id, ok := e.(*ast.Ident)
	if !ok {
		return "", nil
	}
	return strings.TrimPrefix(id.Name, "#"), s.definitions[id.Name]
}

// members are the fields of a struct type, those of what it embeds and of both
// sides of an & included; none for any other type.
func (s *schema) members(e ast.Expr) []node {
	switch x := e.(type) {
	case *ast.Ident:
		if _, def := s.definition(x); def != nil {
			return s.members(def.expr)
		}
	case *ast.BinaryExpr:
		if x.Op == token.AND {
			return append(s.members(x.X), s.members(x.Y)...)
		}
	case *ast.StructLit:
		var out []node
		for _, decl := range x.Elts {
			switch d := decl.(type) {
			case *ast.EmbedDecl:
				out = append(out, s.members(d.Expr)...)
			case *ast.Field:
				if name := labelName(d.Label); name != "" {
					out = append(out, node{name: name, required: d.Constraint == token.NOT, doc: comment(d), typ: d.Value})
				}
			}
		}
		return out
	}
	return nil
}

func (s *schema) isStruct(e ast.Expr) bool { return len(s.members(e)) > 0 }

// isOpen reports whether a struct takes any fields and names none.
func (s *schema) isOpen(e ast.Expr) bool {
	if _, def := s.definition(e); def != nil {
		return s.isOpen(def.expr)
	}
	lit, ok := e.(*ast.StructLit)
	if !ok || len(lit.Elts) != 1 {
		return false
	}
	_, ok = lit.Elts[0].(*ast.Ellipsis)
	return ok
}

// mapOf gives the types of keys and values of a map.
func (s *schema) mapOf(e ast.Expr) (key, value ast.Expr, ok bool) {
	if _, def := s.definition(e); def != nil {
		return s.mapOf(def.expr)
	}
	lit, ok := e.(*ast.StructLit)
	if !ok || len(lit.Elts) != 1 {
		return nil, nil, false
	}
	f, ok := lit.Elts[0].(*ast.Field)
	if !ok {
		return nil, nil, false
	}
	pattern, ok := f.Label.(*ast.ListLit)
	if !ok || len(pattern.Elts) != 1 {
		return nil, nil, false
	}
	return pattern.Elts[0], f.Value, true
}

// listOf gives the type of a list's items.
func (s *schema) listOf(e ast.Expr) (item ast.Expr, ok bool) {
	if _, def := s.definition(e); def != nil {
		return s.listOf(def.expr)
	}
	lit, ok := e.(*ast.ListLit)
	if !ok || len(lit.Elts) != 1 {
		return nil, false
	}
	rest, ok := lit.Elts[0].(*ast.Ellipsis)
	if !ok || rest.Type == nil {
		return nil, false
	}
	return rest.Type, true
}

// item is the type of a map's values or a list's items, or e itself.
func (s *schema) item(e ast.Expr) ast.Expr {
	if _, value, ok := s.mapOf(e); ok {
		return s.item(value)
	}
	if item, ok := s.listOf(e); ok {
		return s.item(item)
	}
	return e
}

// typeName names a type for a person.
func (s *schema) typeName(e ast.Expr) string {
	if _, value, ok := s.mapOf(e); ok {
		return "map of " + s.typeName(value)
	}
	if item, ok := s.listOf(e); ok {
		return "list of " + s.typeName(item)
	}
	name, def := s.definition(e)
	switch {
	case s.isOpen(e):
		return "any fields"
	case def != nil && s.isStruct(e):
		return name
	case def != nil:
		return s.typeName(def.expr)
	case s.isStruct(e):
		return "struct"
	}
	if kinds := s.kinds(e); len(kinds) > 0 {
		return strings.Join(kinds, " | ")
	}
	return source(e)
}

// kinds are the kinds of value that a type of plain values allows, and the
// values themselves where it lists them.
func (s *schema) kinds(e ast.Expr) []string {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return s.kinds(x.X)
	case *ast.Ident:
		if _, def := s.definition(x); def != nil {
			return s.kinds(def.expr)
		}
		return []string{x.Name}
	case *ast.BasicLit:
		return []string{x.Value}
	case *ast.UnaryExpr: // =~"..", !="", >0: a number is said by the int beside it
		if lit, ok := x.X.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			return []string{"string"}
		}
		return nil
	case *ast.BinaryExpr:
		left, right := s.kinds(x.X), s.kinds(x.Y)
		if x.Op == token.OR {
			return slices.Compact(append(left, right...))
		}
		if len(left) > 0 {
			return left
		}
		return right
	}
	return nil
}

// allowed is the comment above the definition of a plain value, which by the
// schema's rule says what is allowed.
func (s *schema) allowed(e ast.Expr) string {
	if _, def := s.definition(e); def != nil && !s.isStruct(e) && !s.isOpen(e) {
		return strings.Join(strings.Fields(def.doc), " ")
	}
	return ""
}

func source(e ast.Expr) string {
	text, err := format.Node(e)
	if err != nil {
		panic("fields: the embedded schema cannot be printed: " + err.Error())
	}
	return string(text)
}
