package compiler

import (
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"

	"github.com/cuepod/cuepod/compiler/app"
)

// leaf is a file of the package that says nothing but entries of the app, with
// values that refer to nothing but themselves, imports and fields of the package
// that the base declares. It can be left out of an evaluation of other entries.
type leaf struct {
	sum     digest
	entries []entry
	app     app.Pos // of its first field app
	first   app.Pos // where the file begins
}

// mark adds the leaf's entries to a set.
func (l *leaf) mark(set map[entry]bool) {
	for _, e := range l.entries {
		set[e] = true
	}
}

// defines reports whether an entry is in the set.
func (l *leaf) defines(set map[entry]bool) bool {
	return slices.ContainsFunc(l.entries, func(e entry) bool { return set[e] })
}

// named reports whether the name of an entry, in whatever section, is in the set.
func (l *leaf) named(set map[string]bool) bool {
	return slices.ContainsFunc(l.entries, func(e entry) bool { return set[e.name] })
}

// isSection reports whether a field of the app is a map of entries.
func isSection(name string) bool {
	switch name {
	case "pods", "services", "ingresses", "httpRoutes", "networkPolicies", "serviceAccounts",
		"configMaps", "secrets", "persistentVolumeClaims", "objects":
		return true
	}
	return false
}

// isWhole reports whether an identifier may stand for the app, for a section, or
// for whatever struct it is in.
func isWhole(name string) bool {
	return name == "app" || name == "self" || name == "__self" || isSection(name)
}

// isStandard reports whether an import is of CUE's own library, whose paths have
// no host.
func isStandard(path string) bool {
	host, _, _ := strings.Cut(path, "/")
	return !strings.Contains(host, ".")
}

// leafOf takes a file apart; ok is false when it is not a leaf, or when there is
// any doubt. known has the paths of packages that may be imported, beside CUE's
// own. Positions have no file yet.
func leafOf(f *ast.File, known map[string]bool) (l leaf, ok bool) {
	var values []ast.Node
	outer := map[string]bool{} // labels around the entries' values
	ok = importsKnown(f, known) && descend(fileDecls(f), func(name string, f *ast.Field) bool {
		if name != "app" {
			return false
		}
		if l.app.Line == 0 {
			l.app = app.Pos{Line: f.Pos().Line(), Column: f.Pos().Column()}
		}
		return descend(structDecls(f.Value), func(section string, f *ast.Field) bool {
			return isSection(section) && descend(structDecls(f.Value), func(name string, f *ast.Field) bool {
				outer[name] = true
				l.entries = append(l.entries, entry{section, name})
				values = append(values, f.Value)
				return true
			})
		})
	})
	if !ok || len(l.entries) == 0 {
		return leaf{}, false
	}
	for _, v := range values {
		for _, name := range identifiers(v) {
			if isWhole(name) || outer[name] {
				return leaf{}, false
			}
		}
		if len(attributes(v)) > 0 {
			return leaf{}, false
		}
	}
	return l, true
}

// fileDecls are the declarations of a file but its package clause and imports.
func fileDecls(f *ast.File) []ast.Decl {
	decls := []ast.Decl{}
	for _, d := range f.Decls {
		switch d.(type) {
		case *ast.Package, *ast.ImportDecl, *ast.CommentGroup:
		default:
			decls = append(decls, d)
		}
	}
	return decls
}

// structDecls are the declarations of a struct; nil for any other expression.
func structDecls(x ast.Expr) []ast.Decl {
	s, ok := x.(*ast.StructLit)
	if !ok {
		return nil
	}
	decls := []ast.Decl{}
	for _, d := range s.Elts {
		if _, ok := d.(*ast.CommentGroup); !ok {
			decls = append(decls, d)
		}
	}
	return decls
}

// descend calls f for each declaration if all are plain fields with plain names.
// It is false when one is not, and when f is; nil is no struct.
func descend(decls []ast.Decl, f func(name string, field *ast.Field) bool) bool {
	for _, d := range decls {
		field, ok := d.(*ast.Field)
		if !ok {
			return false
		}
		name, ok := plainLabel(field)
		if !ok || field.Constraint != token.ILLEGAL || len(field.Attrs) > 0 || !f(name, field) {
			return false
		}
	}
	return decls != nil
}

// plainLabel is the name of a field that is written out, of no definition and not
// hidden, without an alias.
func plainLabel(f *ast.Field) (string, bool) {
	if f.Alias != nil {
		return "", false
	}
	switch f.Label.(type) {
	case *ast.Ident, *ast.BasicLit:
	default:
		return "", false
	}
	name, isIdent, err := ast.LabelName(f.Label)
	if err != nil || isIdent && (strings.HasPrefix(name, "_") || strings.HasPrefix(name, "#")) {
		return "", false
	}
	return name, true
}

func importsKnown(f *ast.File, known map[string]bool) bool {
	for spec := range f.ImportSpecs() {
		path, err := literal.Unquote(spec.Path.Value)
		if err != nil || !isStandard(path) && !known[path] {
			return false
		}
	}
	return true
}

// identifiers are the identifiers of a node that are no labels; names that are
// declared may be among them.
func identifiers(node ast.Node) []string {
	var names []string
	var before func(n ast.Node) bool
	before = func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.Ident:
			names = append(names, x.Name)
		case *ast.Field:
			switch x.Label.(type) {
			case *ast.Ident, *ast.BasicLit:
			default:
				ast.Walk(x.Label, before, nil)
			}
			if x.Alias != nil {
				ast.Walk(x.Alias, before, nil)
			}
			if x.Value != nil {
				ast.Walk(x.Value, before, nil)
			}
			return false
		case *ast.SelectorExpr:
			ast.Walk(x.X, before, nil)
			return false
		}
		return true
	}
	ast.Walk(node, before, nil)
	return names
}

// attributes are those of a node and of all below.
func attributes(node ast.Node) []*ast.Attribute {
	var list []*ast.Attribute
	ast.Walk(node, func(n ast.Node) bool {
		if a, ok := n.(*ast.Attribute); ok {
			list = append(list, a)
		}
		return true
	}, nil)
	return list
}
