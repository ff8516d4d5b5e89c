package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"

	"github.com/cuepod/cuepod/compiler/app"
)

// diagnoser finds every mistake in a value that does not fit its schema. CUE
// reports errors in waves, one kind hiding the next, so it walks value and
// schema side by side and looks at each field on its own.
type diagnoser struct {
	places *places
	words  map[string]string // what a scalar definition of the schema allows: comment by CUE text
	found  []Diagnostic
	// derived are failed expressions: they may only follow from a mistake
	// outside the app, which is then the one to report.
	derived []Diagnostic
	// closed are structs that a definition of the user's own closes to fields
	// that the schema has.
	closed []node
}

// newDiagnoser takes its words from the comments above the definitions in the
// schema's package.
func newDiagnoser(p *places, core cue.Value) *diagnoser {
	g := &diagnoser{places: p, words: map[string]string{}}
	it, err := core.Fields(cue.Definitions(true))
	if err != nil {
		panic("compiler: the schema's package has no fields: " + err.Error())
	}
	for it.Next() {
		v := it.Value()
		for _, doc := range v.Doc() {
			if v.IncompleteKind() != cue.StructKind {
				g.words[fmt.Sprint(v)] = strings.Join(strings.Fields(doc.Text()), " ")
			}
		}
	}
	return g
}

func (g *diagnoser) report(pos app.Pos, hint, format string, args ...any) {
	g.found = append(g.found, Diagnostic{Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// node is a value, what the schema wants there, and where it is.
type node struct {
	path   []cue.Selector
	value  cue.Value
	schema cue.Value
	pos    app.Pos // where the user wrote it, or else what holds it
}

// String is the node's path in the app, or "app" for the app itself.
func (n node) String() string {
	if len(n.path) == 0 {
		return "app"
	}
	return cue.MakePath(n.path...).String()
}

func (g *diagnoser) child(n node, sel cue.Selector, value, schema cue.Value) node {
	path := append(n.path[:len(n.path):len(n.path)], sel)
	return node{path: path, value: value, schema: schema, pos: g.places.of(value, n.pos)}
}

// walk reports the mistakes in n and below.
func (g *diagnoser) walk(n node) {
	switch n.schema.IncompleteKind() {
	case cue.StructKind:
		if fields, err := n.value.Fields(); err == nil {
			g.fields(n, fields)
			return
		}
	case cue.ListKind:
		if items, err := n.value.List(); err == nil {
			for items.Next() {
				g.walk(g.child(n, items.Selector(), items.Value(), n.schema.LookupPath(cue.MakePath(cue.AnyIndex))))
			}
			return
		}
	case cue.TopKind:
		if g.raw(n) {
			return
		}
	}
	g.leaf(n)
}

// raw walks what the schema leaves open. It reports false for a value without
// parts.
func (g *diagnoser) raw(n node) bool {
	if fields, err := n.value.Fields(); err == nil {
		for fields.Next() {
			g.walk(g.child(n, fields.Selector(), fields.Value(), n.schema))
		}
		return true
	}
	if items, err := n.value.List(); err == nil {
		for items.Next() {
			g.walk(g.child(n, items.Selector(), items.Value(), n.schema))
		}
		return true
	}
	return false
}

func (g *diagnoser) fields(n node, fields *cue.Iterator) {
	missing := map[string]bool{}
	for _, name := range requiredFields(n.schema) {
		if !n.value.LookupPath(cue.MakePath(cue.Str(name))).Exists() {
			missing[name] = true
			g.report(n.pos, "", "%s: the field %s is missing", n, name)
		}
	}
	for fields.Next() {
		sel := fields.Selector()
		if missing[sel.Unquoted()] {
			continue
		}
		schema := n.schema.LookupPath(cue.MakePath(cue.Str(sel.Unquoted()).Optional()))
		child := g.child(n, sel, fields.Value(), schema)
		switch {
		case schema.Exists():
			g.walk(child)
		case n.schema.Allows(sel):
			child.schema = cuecontext.New().CompileString("_")
			g.walk(child)
		default:
			g.notAllowed(n, child)
		}
	}
}

// notAllowed reports a field that the schema does not have, or a key that it
// does not allow.
func (g *diagnoser) notAllowed(parent, child node) {
	name := child.path[len(child.path)-1].Unquoted()
	known := fieldNames(parent.schema)
	if keys, ok := keyPattern(parent.schema); ok && len(known) == 0 {
		g.report(child.pos, "", "%s: the key %q is not valid; it must be %s", parent, name, g.wants(keys))
		return
	}
	g.report(child.pos, suggest(name, known), "%s: unknown field %q", parent, name)
}

// leaf reports what is wrong with a value that has no fields of its own, or
// that should have.
func (g *diagnoser) leaf(n node) {
	if n.value.Validate(cue.Concrete(true)) == nil {
		return
	}
	parts := n.parts(g.places)
	for _, part := range parts {
		if err := part.Err(); err != nil && part.IncompleteKind() == cue.BottomKind {
			g.evaluation(n, err)
			return
		}
	}
	switch {
	case g.conflict(n, parts), g.wrong(n, parts):
	case n.value.Err() != nil:
		g.evaluation(n, n.value.Err())
	default:
		g.incomplete(n, parts)
	}
}

// parts are what the user wrote of n, without the schema's own: that of a
// component is written in files like the user's.
func (n node) parts(p *places) []cue.Value {
	schema := conjuncts(n.schema)
	return slices.DeleteFunc(p.written(n.value), func(part cue.Value) bool {
		return slices.ContainsFunc(schema, func(s cue.Value) bool { return s.Source() != nil && s.Source() == part.Source() })
	})
}

// evaluation reports what CUE says of an expression. It may follow from a
// mistake elsewhere in the package.
func (g *diagnoser) evaluation(n node, err error) {
	if format, _ := errors.Errors(err)[0].Msg(); format == "field not allowed" && n.schema.Exists() && len(n.path) > 0 {
		g.closed = append(g.closed, node{path: n.path[:len(n.path)-1], pos: n.pos})
		return
	}
	for _, d := range g.places.translate(err) {
		if format, _ := errors.Errors(err)[0].Msg(); strings.HasPrefix(format, "invalid value") && n.pos.IsValid() && d.Pos.Line != n.pos.Line {
			d.Pos, d.Hint = n.pos, "see also "+d.Pos.String()
		}
		g.derived = append(g.derived, d)
	}
}

// conflict reports two parts of the user's own that exclude each other.
func (g *diagnoser) conflict(n node, parts []cue.Value) bool {
	for i, a := range parts {
		for _, b := range parts[i+1:] {
			if a.Unify(b).Err() == nil {
				continue
			}
			if g.places.source(a) == g.places.source(b) {
				g.report(g.places.pos(a.Pos()), "give each component a name of its own",
					"%s: two components make it, and exclude each other: %s and %s", n, show(a), show(b))
				return true
			}
			if b.IsConcrete() && !a.IsConcrete() {
				a, b = b, a
			}
			if a.IsConcrete() && !b.IsConcrete() {
				g.report(g.places.pos(a.Pos()), "", "%s: %s is not valid; %s allows %s", n, show(a), g.places.where(b.Pos()), typeCUE(b))
				return true
			}
			g.report(g.places.pos(g.places.source(a)), "keep one of them, or make one a default by writing *VALUE | _",
				"%s: two values that exclude each other: %s here, and %s at %s", n, show(a), show(b), g.places.where(g.places.source(b)))
			return true
		}
	}
	return false
}

// wrong reports a value that the schema does not allow.
func (g *diagnoser) wrong(n node, parts []cue.Value) bool {
	for _, part := range parts {
		if n.schema.Unify(part).Err() == nil {
			continue
		}
		pos := g.places.pos(part.Pos())
		want, got := n.schema.IncompleteKind(), part.IncompleteKind()
		if want&got == 0 {
			g.report(pos, cmp.Or(conversion(part, want), unwrapped(part, n.schema)), "%s: expected %s, got %s", n, kindName(want), describe(part))
			return true
		}
		if got == cue.ListKind && g.items(n, part) {
			return true
		}
		hint := ""
		if s, err := part.String(); err == nil {
			hint = didYouMean(s, unquoted(options(n.schema)))
		}
		g.report(pos, hint, "%s: %s is not valid; it must be %s", n, show(part), g.wants(n.schema))
		return true
	}
	return false
}

// reportClosed reports closed structs, but none that lies in another.
func (g *diagnoser) reportClosed() {
	for _, n := range g.closed {
		path := n.String() + "."
		if !slices.ContainsFunc(g.closed, func(o node) bool { return o.String()+"." != path && strings.HasPrefix(path, o.String()+".") }) {
			g.report(n.pos, "write the definition as core.#Pod & { ... } or alike, or give it a name without #",
				"%s: a definition of your own does not have all fields of the schema", n)
		}
	}
}

// unwrapped is the hint for a value that is written without the fields around it: a
// list where there is a map, or a scalar that one of the fields wants.
func unwrapped(v, schema cue.Value) string {
	if schema.IncompleteKind() != cue.StructKind {
		return ""
	}
	if _, ok := keyPattern(schema); ok {
		if v.IncompleteKind() == cue.ListKind {
			return "write NAME: { ... } for each item, without brackets"
		}
		return ""
	}
	if !v.IsConcrete() || v.IncompleteKind() == cue.ListKind {
		return ""
	}
	for _, name := range fieldNames(schema) {
		field := schema.LookupPath(cue.MakePath(cue.Str(name).Optional()))
		if field.IncompleteKind() == v.Kind() && field.Unify(v).Err() == nil {
			return fmt.Sprintf("write %s: %s", name, show(v))
		}
	}
	return ""
}

// items reports the items of a list that the schema does not allow.
func (g *diagnoser) items(n node, list cue.Value) bool {
	schema := n.schema.LookupPath(cue.MakePath(cue.AnyIndex))
	items, err := list.List()
	bad := false
	for err == nil && items.Next() {
		item := g.child(n, items.Selector(), items.Value(), schema)
		bad = g.wrong(item, []cue.Value{item.value}) || bad
	}
	return bad
}

// incomplete reports a value that nobody made concrete.
func (g *diagnoser) incomplete(n node, parts []cue.Value) {
	if g.twoDefaults(n, parts) {
		return
	}
	if words, ok := g.words[fmt.Sprint(n.value)]; ok {
		g.report(n.pos, "set a value", "%s: there is no value; it must be %s", n, words)
		return
	}
	g.report(n.pos, "set a value", "%s: there is no value; all that is known is %s", n, show(n.value))
}

// twoDefaults reports parts with different defaults, which leave no value.
func (g *diagnoser) twoDefaults(n node, parts []cue.Value) bool {
	var defaults []cue.Value
	for _, part := range parts {
		if d, ok := part.Default(); ok && d.IsConcrete() {
			defaults = append(defaults, part)
		}
	}
	if len(defaults) < 2 || n.value.Err() != nil {
		return false
	}
	a, b := defaults[0], defaults[1]
	da, _ := a.Default()
	db, _ := b.Default()
	g.report(g.places.pos(a.Pos()), "set a value without *, or keep one default",
		"%s: there are two defaults and no value: %s here, and %s at %s", n, show(da), show(db), g.places.where(b.Pos()))
	return true
}

// wants says in words what a schema allows.
func (g *diagnoser) wants(schema cue.Value) string {
	if list := options(schema); len(list) > 0 {
		return orList(list)
	}
	if words, ok := g.words[fmt.Sprint(withoutDefault(schema))]; ok {
		return words
	}
	return typeCUE(schema)
}

// withoutDefault is T of T | *default, where T allows the default.
func withoutDefault(schema cue.Value) cue.Value {
	op, args := schema.Expr()
	if op == cue.NoOp && len(args) == 1 {
		return args[0]
	}
	if op == cue.OrOp && len(args) == 2 && !args[0].IsConcrete() && args[0].Subsume(args[1]) == nil {
		return args[0]
	}
	return schema
}

// options are the values of an enumeration, as CUE, or nil.
func options(schema cue.Value) []string {
	if schema.IsConcrete() {
		return []string{show(schema)}
	}
	op, args := schema.Expr()
	if op != cue.OrOp {
		return nil
	}
	var list []string
	for _, arg := range args {
		if !arg.IsConcrete() {
			return nil
		}
		list = append(list, show(arg))
	}
	return list
}

// keyPattern is the pattern that the keys of a map have to match; ok is false
// for a struct with a fixed set of fields.
func keyPattern(schema cue.Value) (cue.Value, bool) {
	it, err := schema.Fields(cue.Patterns(true))
	if err != nil {
		return cue.Value{}, false
	}
	for it.Next() {
		if sel := it.Selector(); sel.ConstraintType() == cue.PatternConstraint {
			return sel.Pattern(), true
		}
	}
	return cue.Value{}, false
}

func fieldNames(schema cue.Value) []string {
	var names []string
	it, err := schema.Fields(cue.Optional(true))
	for err == nil && it.Next() {
		names = append(names, it.Selector().Unquoted())
	}
	return names
}

func requiredFields(schema cue.Value) []string {
	var names []string
	it, err := schema.Fields(cue.Optional(true))
	for err == nil && it.Next() {
		if it.Selector().ConstraintType() == cue.RequiredConstraint {
			names = append(names, it.Selector().Unquoted())
		}
	}
	return names
}
