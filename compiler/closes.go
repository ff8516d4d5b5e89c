package compiler

import (
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/token"

	schema "github.com/cuepod/cuepod/cue"
)

// closesSchema reports whether a definition of the user's modules, such as a
// platform's #App, unifies another with structs of its own. CUE closes what a
// definition says of a struct that only the schema leaves open, labels for
// example; the outline does not have it, so that the wide one is needed.
func (s *source) closesSchema() bool {
	instances := append([]*build.Instance{s.inst}, s.inst.Dependencies()...)
	return slices.ContainsFunc(instances, func(inst *build.Instance) bool {
		own := inst == s.inst || inst.ModuleFile != nil && inst.ModuleFile.QualifiedModule() != schema.Module || within(s.root, inst.Dir)
		return own && slices.ContainsFunc(inst.Files, fileCloses)
	})
}

func fileCloses(f *ast.File) bool {
	found := false
	ast.Walk(f, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok || found {
			return !found
		}
		if name, _, err := ast.LabelName(field.Label); err == nil && isDefinition(name) {
			found = closes(field.Value)
		}
		return !found
	}, nil)
	return found
}

// closes reports whether an expression unifies a definition with a struct that
// has structs in it, anywhere.
func closes(e ast.Expr) bool {
	found := false
	ast.Walk(e, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.BinaryExpr:
			parts := unified(x)
			found = found || slices.ContainsFunc(parts, refersToDefinition) && slices.ContainsFunc(parts, hasStructs)
		case *ast.StructLit:
			embeds := slices.ContainsFunc(x.Elts, func(d ast.Decl) bool {
				embed, ok := d.(*ast.EmbedDecl)
				return ok && slices.ContainsFunc(unified(embed.Expr), refersToDefinition)
			})
			found = found || embeds && hasStructs(x)
		}
		return !found
	}, nil)
	return found
}

// unified are the operands of &, or e itself.
func unified(e ast.Expr) []ast.Expr {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return unified(x.X)
	case *ast.BinaryExpr:
		if x.Op == token.AND {
			return append(unified(x.X), unified(x.Y)...)
		}
	}
	return []ast.Expr{e}
}

func refersToDefinition(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.Ident:
		return isDefinition(x.Name)
	case *ast.SelectorExpr:
		name, _, err := ast.LabelName(x.Sel)
		return err == nil && isDefinition(name)
	}
	return false
}

func isDefinition(name string) bool {
	return strings.HasPrefix(name, "#") || strings.HasPrefix(name, "_#")
}

// hasStructs reports whether a struct is written out that has another in it.
func hasStructs(e ast.Expr) bool {
	lit, ok := e.(*ast.StructLit)
	return ok && slices.ContainsFunc(lit.Elts, func(d ast.Decl) bool {
		field, ok := d.(*ast.Field)
		if !ok {
			return false
		}
		return slices.ContainsFunc(unified(field.Value), func(e ast.Expr) bool {
			_, ok := e.(*ast.StructLit)
			return ok
		})
	})
}

// widen goes over to the wide outline.
func (s *source) widen() (err error) {
	s.wide = true
	s.reg, err = newRegistry(s.cache, true, true)
	return err
}
