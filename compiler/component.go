package compiler

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/token"

	"github.com/cuepod/cuepod/compiler/app"
	schema "github.com/cuepod/cuepod/cue"
)

// component is a value of the package that is made from a definition with params
// and app: what it adds to the app follows from what its params are.
type component struct {
	path     []cue.Selector
	value    cue.Value
	params   cue.Value // in force
	app      cue.Value // what it adds
	declared cue.Value // by the definition
	pos      app.Pos   // where the user makes it
}

// componentDepth is how deep in the package's fields components are looked for:
// by themselves, in a struct, in a struct of structs.
const componentDepth = 3

// components finds the components in a value of the package. Definitions of the
// package's own are templates, whose params need not be complete.
func (s *source) components(v cue.Value, path []cue.Selector, pos app.Pos) []component {
	fields, err := v.Fields(cue.Hidden(true))
	if err != nil {
		return nil
	}
	var found []component
	for fields.Next() {
		sel, v := fields.Selector(), fields.Value()
		if sel.IsDefinition() || len(path) == 0 && s.isApp(sel.String()) {
			continue
		}
		c := component{path: append(slices.Clone(path), sel), value: v, pos: s.ofUser(v, pos)}
		if def, ok := definitionOf(v); ok {
			params := cue.ParsePath("params")
			c.params, c.declared, c.app = v.LookupPath(params), def.LookupPath(params), v.LookupPath(cue.ParsePath("app"))
			found = append(found, c)
		} else if len(c.path) < componentDepth {
			found = append(found, s.components(v, c.path, c.pos)...)
		}
	}
	return found
}

// definitionOf is the definition that v is made from, of those that make
// components.
func definitionOf(v cue.Value) (cue.Value, bool) {
	if op, args := v.Expr(); op == cue.AndOp {
		for _, arg := range args {
			if def, ok := definitionOf(arg); ok {
				return def, true
			}
		}
		return cue.Value{}, false
	}
	root, path := v.ReferencePath()
	sels := path.Selectors()
	if len(sels) == 0 || !sels[len(sels)-1].IsDefinition() {
		return cue.Value{}, false
	}
	def := root.LookupPath(path)
	return def, def.LookupPath(cue.ParsePath("params")).Exists() && def.LookupPath(cue.ParsePath("app")).Exists()
}

// made is where the user makes the components that objects of the app come from,
// by the path of the object: pods, web.
func (s *source) made(root cue.Value) map[[2]string]app.Pos {
	made := map[[2]string]app.Pos{}
	imported := func(i *build.Instance) bool { return i.ImportPath == schema.Components }
	if !slices.ContainsFunc(s.inst.Dependencies(), imported) {
		return made // a look at every field of the package has its price
	}
	for _, c := range s.components(root, nil, s.packagePos()) {
		kinds, err := c.app.Fields()
		for err == nil && kinds.Next() {
			kind := kinds.Selector().Unquoted()
			objects, err := kinds.Value().Fields()
			for err == nil && objects.Next() {
				made[[2]string{kind, objects.Selector().Unquoted()}] = c.pos
			}
		}
	}
	return made
}

// componentMistakes are the mistakes in the params of components. With one, what
// CUE says of the app is only what follows from it.
func (s *source) componentMistakes(root cue.Value) []Diagnostic {
	g := newDiagnoser(&s.places, s.core())
	for _, c := range s.components(root, nil, s.packagePos()) {
		if g.beside(c) {
			continue
		}
		n := node{path: append(c.path, cue.Str("params")), value: c.params, schema: c.declared, pos: c.pos}
		if parts := n.parts(&s.places); len(parts) > 0 {
			n.pos = s.pos(parts[0].Pos())
		}
		g.params(n)
	}
	// What is told of other places follows.
	users := slices.DeleteFunc(slices.Clone(g.found), func(d Diagnostic) bool { return s.rankOf(d.Pos) == rankOther })
	switch {
	case len(users) > 0:
		return users
	case len(g.found) > 0:
		return g.found
	}
	return g.derived
}

// atComponents moves mistakes in what a component makes to where the user sets
// the param that it follows from, or else makes the component.
func (s *source) atComponents(root cue.Value, list []Diagnostic) []Diagnostic {
	components := s.components(root, nil, s.packagePos())
	for i, d := range list {
		at, _, _ := strings.Cut(d.Message, ": ")
		parts, err := splitPath(at)
		if err != nil || len(parts) < 2 || !d.Pos.IsValid() {
			continue // it is not about an object
		}
		for _, c := range components {
			elsewhere := s.rankOf(d.Pos) == rankOther
			if !elsewhere && d.Pos != c.pos || !c.app.LookupPath(stringPath(parts[:2])).Exists() {
				continue
			}
			list[i].Pos = s.ofParam(c.app.LookupPath(stringPath(parts)), c.pos)
			if elsewhere {
				list[i].Hint = cmp.Or(d.Hint, "see also "+d.Pos.String())
			}
			break
		}
	}
	return list
}

func stringPath(parts []string) cue.Path {
	var sels []cue.Selector
	for _, part := range parts {
		sels = append(sels, cue.Str(part))
	}
	return cue.MakePath(sels...)
}

// ofParam is where the user set the param that v is, else fallback.
func (s *source) ofParam(v cue.Value, fallback app.Pos) app.Pos {
	for _, part := range s.written(v) {
		if at := s.passedOn(part, referenceDepth); at.IsValid() {
			return s.pos(at)
		}
	}
	return fallback
}

// beside reports fields next to params that a component does not have.
func (g *diagnoser) beside(c component) bool {
	fields, err := c.value.Fields()
	bad := false
	for err == nil && fields.Next() {
		name := fields.Selector().Unquoted()
		if slices.Contains([]string{"params", "outputs", "app"}, name) || fields.Value().Err() == nil {
			continue
		}
		bad = true
		hint := didYouMean(name, []string{"params", "outputs", "app"})
		if slices.Contains(fieldNames(c.declared), name) {
			hint = "write params: " + name + ": ..."
		}
		n := node{path: c.path}
		g.report(g.places.of(fields.Value(), c.pos), hint, "%s: unknown field %q", n, name)
	}
	return bad
}

// params reports the mistakes in the params of a component. They are open as far
// as anybody may declare some, so it is CUE who knows which are not allowed.
func (g *diagnoser) params(n node) {
	for _, name := range requiredFields(n.schema) {
		if !n.value.LookupPath(cue.MakePath(cue.Str(name))).Exists() {
			g.report(n.pos, "", "%s: the field %s is missing", n, name)
		}
	}
	fields, err := n.value.Fields()
	if err != nil {
		g.leaf(n)
		return
	}
	known := fieldNames(n.schema)
	for fields.Next() {
		sel := fields.Selector()
		child := g.child(n, sel, fields.Value(), n.schema.LookupPath(cue.MakePath(cue.Str(sel.Unquoted()).Optional())))
		switch {
		case slices.Contains(known, sel.Unquoted()):
			g.walk(child)
		case child.value.Err() != nil:
			g.notAllowed(n, child)
		}
	}
}

// source is where the value of part is written: of a param that a component
// passes on, where the user sets it.
func (p *places) source(part cue.Value) token.Pos {
	if at := p.passedOn(part, referenceDepth); at.IsValid() {
		return at
	}
	return part.Pos()
}

// passedOn follows the references of what a component writes to the user's own,
// so many steps at most. It is invalid when they lead nowhere.
func (p *places) passedOn(part cue.Value, steps int) token.Pos {
	if p.rank(part.Pos()) < rankOther {
		return part.Pos()
	}
	if steps == 0 {
		return token.NoPos
	}
	for _, to := range references(part) {
		for _, written := range p.written(to) {
			if at := p.passedOn(written, steps-1); at.IsValid() {
				return at
			}
		}
	}
	return token.NoPos
}

// ofUser is where the user wrote v in the module, else fallback.
func (p *places) ofUser(v cue.Value, fallback app.Pos) app.Pos {
	if written := p.written(v); len(written) > 0 && p.rank(written[0].Pos()) < rankOther {
		return p.pos(written[0].Pos())
	}
	return fallback
}

// rankOf is the rank of a place that pos has made.
func (p *places) rankOf(at app.Pos) rank {
	file := at.File
	if !filepath.IsAbs(file) {
		file = filepath.Join(p.cwd, file)
	}
	switch {
	case filepath.Dir(file) == p.dir:
		return rankPackage
	case within(p.root, file):
		return rankModule
	}
	return rankOther
}
