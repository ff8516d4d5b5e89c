package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
	"cuelang.org/go/encoding/json"
	"cuelang.org/go/encoding/yaml"

	"github.com/cuepod/cuepod/compiler/app"
)

// override is one parameter's value from the command line.
type override struct {
	flag string   // as the person wrote it, for messages
	path []string // within params
	expr ast.Expr
	pos  token.Pos // in a value file; invalid for --set
}

// file is the override as a file of the package.
func (o *override) file(pkg string) *ast.File {
	expr := o.expr
	for i := len(o.path) - 1; i >= 0; i-- {
		expr = ast.NewStruct(&ast.Field{Label: ast.NewString(o.path[i]), Value: expr})
	}
	return &ast.File{Filename: o.flag, Decls: []ast.Decl{
		&ast.Package{Name: ast.NewIdent(pkg)},
		&ast.Field{Label: ast.NewIdent("params"), Value: expr},
	}}
}

// overrides parses opts.ValueFiles, then opts.Set.
func (s *source) overrides(opts Options, base cue.Value) ([]*override, error) {
	var all []*override
	for _, file := range opts.ValueFiles {
		list, err := s.valueFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	for _, set := range opts.Set {
		o, err := s.setFlag(set, base)
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.flag != o.flag && !other.pos.IsValid() && slices.Equal(other.path, o.path) {
				return nil, newError([]Diagnostic{{
					Message: fmt.Sprintf("%s: the parameter is also set by %s", o.flag, other.flag),
				}})
			}
		}
		all = append(all, o)
	}
	return all, nil
}

// setFlag parses name=value. The value is CUE where it is a scalar that the
// parameter accepts, else a string.
func (s *source) setFlag(set string, base cue.Value) (*override, error) {
	name, text, ok := strings.Cut(set, "=")
	if !ok || name == "" {
		return nil, newError([]Diagnostic{{
			Message: fmt.Sprintf("--set %s: there is no value", set),
			Hint:    "write --set NAME=VALUE",
		}})
	}
	o := &override{flag: flagFile + set, path: strings.Split(name, ".")}
	var err error
	if o.expr, err = parser.ParseExpr(o.flag, literal.String.Quote(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", o.flag, err)
	}
	expr, err := parser.ParseExpr(o.flag, text)
	if err != nil || !isScalar(expr) {
		return o, nil
	}
	declared := base.LookupPath(optionalPath(o.path))
	kind := cuecontext.New().BuildExpr(expr).Kind()
	if kind != cue.StringKind && declared.IncompleteKind()&kind == kind {
		o.expr = expr
	}
	return o, nil
}

// isScalar reports whether an expression is a literal, with a sign or not.
func isScalar(expr ast.Expr) bool {
	if u, ok := expr.(*ast.UnaryExpr); ok && (u.Op == token.SUB || u.Op == token.ADD) {
		expr = u.X
	}
	_, ok := expr.(*ast.BasicLit)
	return ok
}

// optionalPath is a path that also finds fields without a value.
func optionalPath(names []string) cue.Path {
	var sels []cue.Selector
	for _, name := range names {
		sels = append(sels, cue.Str(name).Optional())
	}
	return cue.MakePath(sels...)
}

// valueFile parses a YAML, JSON or CUE file of parameters.
func (s *source) valueFile(file string) ([]*override, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("value file: %w", err)
	}
	s.reads(path, "value file (-f)")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("value file: %w", err)
	}
	decls, err := parseValues(path, data)
	if err != nil {
		return nil, newError(s.translateFile(path, err))
	}
	flag := "-f " + file
	var list []*override
	for _, decl := range decls {
		field, ok := decl.(*ast.Field)
		if !ok {
			if _, ok := decl.(*ast.Package); ok {
				continue
			}
			return nil, newError([]Diagnostic{{Pos: s.pos(decl.Pos()), Message: flag + ": a value file holds only fields"}})
		}
		name, _, err := ast.LabelName(field.Label)
		if err != nil {
			return nil, newError([]Diagnostic{{Pos: s.pos(field.Pos()), Message: flag + ": a value file holds only fields with plain names"}})
		}
		list = append(list, &override{flag: flag, path: []string{name}, expr: field.Value, pos: field.Pos()})
	}
	return list, nil
}

// parseValues parses a value file by its extension.
func parseValues(path string, data []byte) ([]ast.Decl, error) {
	switch filepath.Ext(path) {
	case ".yaml", ".yml":
		f, err := yaml.Extract(path, data)
		if err != nil {
			return nil, err
		}
		return fieldsOf(f.Decls), nil
	case ".json":
		expr, err := json.Extract(path, data)
		if err != nil {
			return nil, err
		}
		return fieldsOf([]ast.Decl{&ast.EmbedDecl{Expr: expr}}), nil
	default:
		f, err := parser.ParseFile(path, data)
		if err != nil {
			return nil, err
		}
		return fieldsOf(f.Decls), nil
	}
}

// fieldsOf looks into a document that is one struct in braces.
func fieldsOf(decls []ast.Decl) []ast.Decl {
	if len(decls) == 1 {
		if e, ok := decls[0].(*ast.EmbedDecl); ok {
			if lit, ok := e.Expr.(*ast.StructLit); ok {
				return lit.Elts
			}
		}
	}
	return decls
}

// checkOverrides checks each value against its parameter alone, so that the
// message can name the flag.
func (s *source) checkOverrides(list []*override, root, params cue.Value) error {
	var bad []Diagnostic
	for _, o := range list {
		pos := s.pos(o.pos)
		declared := params.LookupPath(optionalPath(o.path))
		if !declared.Exists() {
			if !pos.IsValid() {
				pos = s.of(params, s.packagePos())
			}
			bad = append(bad, unknownParam(o, params, pos))
			continue
		}
		g := &diagnoser{places: &s.places}
		//lint:ignore SA1019 a scope has to be of the context that builds, and root is of one context only
		value := root.Context().BuildExpr(o.expr, cue.Scope(root))
		if declared.Unify(value).Err() == nil {
			continue
		}
		name := strings.Join(o.path, ".")
		g.wrong(node{path: cue.ParsePath(name).Selectors(), schema: declared, value: value}, []cue.Value{value})
		for _, d := range g.found {
			if !pos.IsValid() {
				d.Pos = s.of(declared, s.packagePos())
			}
			bad = append(bad, Diagnostic{Pos: d.Pos, Message: o.flag + ": " + d.Message, Hint: d.Hint})
		}
	}
	if len(bad) > 0 {
		return newError(bad)
	}
	return nil
}

func unknownParam(o *override, params cue.Value, pos app.Pos) Diagnostic {
	depth := 0 // of the last struct that exists
	for depth < len(o.path)-1 && params.LookupPath(optionalPath(o.path[:depth+1])).Exists() {
		depth++
	}
	known := fieldNames(params.LookupPath(optionalPath(o.path[:depth])))
	d := Diagnostic{Pos: pos, Message: fmt.Sprintf("%s: there is no parameter %s", o.flag, strings.Join(o.path, "."))}
	if len(known) == 0 {
		d.Hint = "the definition has no parameters; declare them in params"
	} else {
		d.Hint = suggest(o.path[depth], known)
	}
	return d
}
