package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// schema is the definitions of the package core.
type schema struct {
	list []*definition // declared order
	apis map[string]*apiBinding
}

// definition is one definition: of a struct, of a map, or of a plain value.
type definition struct {
	name   string // without "#"
	doc    string
	value  ast.Expr // of a plain value; nil for a struct
	fields []*field
	keys   *pattern // of a map, besides its fields
	open   bool     // takes any further fields
	made   bool     // by this program, as a whole
}

// pattern is what the keys of a map must be, and its values.
type pattern struct {
	key  ast.Expr
	elem kind
}

// field is a field of a struct.
type field struct {
	name string
	doc  string
	mark token.Token // OPTION, NOT for required, ILLEGAL for one that is always there
	typ  kind
	made bool // by this program
}

// kind is the type of a field.
type kind struct {
	shape form
	key   ast.Expr // of a map
	expr  ast.Expr // of the value, of the items or of the values
}

type form int

const (
	one form = iota
	list
	dict
)

func (s *schema) find(name string) *definition {
	for _, d := range s.list {
		if d.name == name {
			return d
		}
	}
	return nil
}

func (d *definition) field(name string) *field {
	for _, f := range d.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (d *definition) isStruct() bool { return d.value == nil }

// ref is the definition that an expression names, or nil.
func (s *schema) ref(e ast.Expr) *definition {
	if id, ok := e.(*ast.Ident); ok {
		return s.find(strings.TrimPrefix(id.Name, "#"))
	}
	return nil
}

// readSchema reads the files of a directory that people wrote.
func readSchema(dir string) (*schema, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.cue"))
	if err != nil {
		return nil, err
	}
	s := &schema{}
	for _, name := range names {
		if strings.HasSuffix(name, "_gen.cue") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(name, data, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range f.Decls {
			fd, ok := decl.(*ast.Field)
			if !ok {
				continue
			}
			name, _, err := ast.LabelName(fd.Label)
			if err != nil || !strings.HasPrefix(name, "#") {
				return nil, fmt.Errorf("%v: not a definition", fd.Pos())
			}
			d, err := readDefinition(strings.TrimPrefix(name, "#"), fd)
			if err != nil {
				return nil, err
			}
			s.list = append(s.list, d)
		}
	}
	return s, nil
}

func readDefinition(name string, f *ast.Field) (*definition, error) {
	d := &definition{name: name, doc: comment(f)}
	lit, ok := f.Value.(*ast.StructLit)
	if !ok {
		d.value = f.Value
		return d, nil
	}
	for _, elt := range lit.Elts {
		switch x := elt.(type) {
		case *ast.Ellipsis:
			d.open = true
		case *ast.Field:
			if key, ok := patternKey(x); ok {
				typ, err := readKind(x.Value)
				if err != nil {
					return nil, err
				}
				d.keys = &pattern{key, typ}
				continue
			}
			name, _, err := ast.LabelName(x.Label)
			if err != nil {
				return nil, fmt.Errorf("%v: %w", x.Pos(), err)
			}
			typ, err := readKind(x.Value)
			if err != nil {
				return nil, err
			}
			d.fields = append(d.fields, &field{name: name, doc: comment(x), mark: x.Constraint, typ: typ})
		default:
			return nil, fmt.Errorf("%v: the generator does not know a %T in a definition", elt.Pos(), elt)
		}
	}
	return d, nil
}

func patternKey(f *ast.Field) (ast.Expr, bool) {
	l, ok := f.Label.(*ast.ListLit)
	if !ok || len(l.Elts) != 1 {
		return nil, false
	}
	return l.Elts[0], true
}

// readKind reads the type of a field: a plain one, [...T] or {[K]: T}.
func readKind(e ast.Expr) (kind, error) {
	switch x := e.(type) {
	case *ast.ListLit:
		if len(x.Elts) == 1 {
			if rest, ok := x.Elts[0].(*ast.Ellipsis); ok && rest.Type != nil {
				return kind{shape: list, expr: rest.Type}, nil
			}
		}
		return kind{}, fmt.Errorf("%v: the generator knows lists as [...T]", e.Pos())
	case *ast.StructLit:
		if len(x.Elts) == 1 {
			if f, ok := x.Elts[0].(*ast.Field); ok {
				if key, ok := patternKey(f); ok {
					return kind{shape: dict, key: key, expr: f.Value}, nil
				}
			}
		}
		if len(x.Elts) == 2 { // {name!: #Text, ...} of an object's metadata
			return kind{expr: ast.NewIdent("_")}, nil
		}
		return kind{}, fmt.Errorf("%v: give the struct a definition of its own", e.Pos())
	}
	return kind{expr: e}, nil
}

// comment is the comment above a field, as paragraphs.
func comment(f *ast.Field) string {
	var text []string
	for _, group := range ast.Comments(f) {
		if group.Doc {
			text = append(text, strings.TrimSpace(group.Text()))
		}
	}
	return strings.Join(text, "\n\n")
}

func source(e ast.Expr) string {
	b, err := format.Node(e)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// plain says what a plain value is.
type plain struct {
	kind     string // string, int, bool, bytes, quantity, portRef, countOrPercent
	pattern  string // of a string: a regular expression, or ""
	notEmpty bool   // of a string
	values   []string
	min, max int64 // of an int, when limited
	limited  bool
	only     string // of a bool: "true" when nothing else is allowed
}

// plain resolves an expression of plain values; ok is false for a struct.
func (s *schema) plain(e ast.Expr) (p plain, ok bool) {
	switch x := e.(type) {
	case *ast.Ident:
		switch x.Name {
		case "string", "int", "bool", "bytes":
			return plain{kind: x.Name}, true
		case "true", "false":
			return plain{kind: "bool", only: x.Name}, true
		case "#PortRef":
			return plain{kind: "portRef"}, true
		case "#CountOrPercent":
			return plain{kind: "countOrPercent"}, true
		}
		d := s.ref(x)
		if d == nil || d.isStruct() {
			return plain{}, false
		}
		p, ok := s.plain(d.value)
		if x.Name == "#Quantity" {
			p.kind = "quantity"
		}
		return p, ok
	case *ast.BasicLit:
		switch x.Kind {
		case token.STRING:
			text, _ := strconv.Unquote(x.Value)
			return plain{kind: "string", values: []string{text}}, true
		case token.TRUE:
			return plain{kind: "bool", only: "true"}, true
		}
	case *ast.ParenExpr:
		return s.plain(x.X)
	case *ast.UnaryExpr:
		return s.bound(x)
	case *ast.BinaryExpr:
		l, lok := s.plain(x.X)
		r, rok := s.plain(x.Y)
		if !lok || !rok {
			return plain{}, false
		}
		switch x.Op {
		case token.OR:
			return plain{kind: l.kind, values: append(l.values, r.values...)}, l.kind == r.kind && l.values != nil && r.values != nil
		case token.AND:
			return both(l, r), true
		}
	}
	return plain{}, false
}

func (s *schema) bound(x *ast.UnaryExpr) (plain, bool) {
	lit, ok := x.X.(*ast.BasicLit)
	if neg, isNeg := x.X.(*ast.UnaryExpr); isNeg && neg.Op == token.SUB {
		lit, ok = neg.X.(*ast.BasicLit)
		if ok {
			lit = &ast.BasicLit{Kind: lit.Kind, Value: "-" + lit.Value}
		}
	}
	if !ok {
		return plain{}, false
	}
	const least, most = -1 << 63, 1<<63 - 1
	if lit.Kind == token.STRING {
		text, _ := strconv.Unquote(lit.Value)
		return plain{kind: "string", pattern: map[bool]string{true: text}[x.Op == token.MAT], notEmpty: x.Op == token.NEQ}, true
	}
	n, err := strconv.ParseInt(lit.Value, 0, 64)
	if err != nil {
		return plain{}, false
	}
	p := plain{kind: "int", min: least, max: most, limited: true}
	switch x.Op {
	case token.GEQ:
		p.min = n
	case token.GTR:
		p.min = n + 1
	case token.LEQ:
		p.max = n
	case token.LSS:
		p.max = n - 1
	default:
		return plain{}, false
	}
	return p, true
}

func both(l, r plain) plain {
	switch {
	case l.kind != "int":
		return l
	case !l.limited:
		return r
	case !r.limited:
		return l
	}
	l.min, l.max = max(l.min, r.min), min(l.max, r.max)
	return l
}
