package compiler

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"

	schema "github.com/cuepod/cuepod/cue"
)

// qualifier finds out whether the entries of leaves depend on nothing but
// themselves and the base.
//
// An entry sees another one only through a reference to it, to a section or to
// the app, or through something that is unified with a whole section: a
// validator, a disjunction. References go by name: through the name app anywhere
// in the package, and through the names of sections, of entries, and aliases in
// whatever is unified with the app. So none of these may occur, and what is
// unified with the app and its sections has to be structs that are written out,
// with or without comprehensions and patterns, and references to such structs.
// They may have no fields that are no entries, optional or hidden: entries come
// before and after these, and where that is only the whole section tells.
// An entry that the base refers to by name may not be defined in a leaf.
type qualifier struct {
	base  *scope
	deps  map[string]*scope // by import path
	inst  *build.Instance
	taken map[string]bool // names of entries that only the base may define
	seen  map[visit]bool
}

type visit struct {
	scope *scope
	name  string
	level level
}

// scope is the files of a package.
type scope struct {
	files  []*ast.File
	fields map[string][]definition // of the package, by name
	inner  map[string]bool         // names that are declared further below
}

// definition is an expression and the file that it is in.
type definition struct {
	expr ast.Expr
	file *ast.File
}

// level is what a struct is unified with.
type level int

const (
	appLevel level = iota
	sectionLevel
)

func newQualifier(inst *build.Instance) *qualifier {
	return &qualifier{base: &scope{}, deps: map[string]*scope{}, inst: inst}
}

// add puts a file into the base.
func (q *qualifier) add(f *ast.File) { q.base.files = append(q.base.files, f) }

// unqualified is a reason, with its place.
type unqualified string

func (q *qualifier) reject(n ast.Node, format string, args ...any) {
	panic(unqualified(fmt.Sprintf("%s: %s", n.Pos(), fmt.Sprintf(format, args...))))
}

// qualify gives the reason why the package does not qualify, or "". After it,
// taken is complete.
func (q *qualifier) qualify() (reason string) {
	defer func() {
		if r := recover(); r != nil {
			why, ok := r.(unqualified)
			if !ok {
				panic(r)
			}
			reason = string(why)
		}
	}()
	q.taken, q.seen = map[string]bool{}, map[visit]bool{}
	for _, dep := range q.inst.Dependencies() {
		if dep.ImportPath != schema.Core {
			q.attributes(dep.Files)
		}
	}
	q.attributes(q.base.files)
	q.base.index()
	for _, f := range q.base.files {
		q.references(f, func(name string) bool { return isWhole(name) })
		for _, d := range fileDecls(f) {
			q.topLevel(d)
		}
	}
	for _, def := range q.base.fields["app"] {
		q.shape(q.base, def.file, def.expr, appLevel)
	}
	return ""
}

// attributes rejects those that make a file's value depend on more than files.
func (q *qualifier) attributes(files []*ast.File) {
	for _, f := range files {
		for _, a := range attributes(f) {
			name, body := a.Split()
			if name == "tag" && !strings.Contains(body, "var=") {
				continue
			}
			switch name {
			case "if", "ignore", "embed", "extern", "experiment", "inject", "tag":
				q.reject(a, "@%s", name)
			}
		}
	}
}

// references notes the names that a node refers to, and rejects some.
func (q *qualifier) references(n ast.Node, bad func(string) bool) {
	for _, name := range identifiers(n) {
		if bad(name) {
			q.reject(n, "a reference to %s", name)
		}
		q.taken[name] = true
	}
}

// topLevel rejects declarations of the package that may add to the app without
// its name.
func (q *qualifier) topLevel(d ast.Decl) {
	switch x := d.(type) {
	case *ast.Field:
		name, ok := topLabel(x)
		if !ok {
			q.reject(d, "a field whose name is not written out")
		}
		if name == "app" && x.Constraint != token.ILLEGAL {
			q.reject(d, "a constraint on the app")
		}
	case *ast.Comprehension:
		for _, d := range structDecls(x.Value) {
			f, ok := d.(*ast.Field)
			if !ok {
				q.reject(d, "a comprehension that may add to the app")
			}
			if name, ok := topLabel(f); !ok || name == "app" {
				q.reject(d, "a comprehension that may add to the app")
			}
		}
		if x.Fallback != nil {
			q.reject(d, "a comprehension that may add to the app")
		}
	case *ast.LetClause:
	case *ast.Attribute: // see attributes
	default:
		q.reject(d, "a declaration that may add to the app")
	}
}

// topLabel is the name of a field of the package, a definition or hidden too.
func topLabel(f *ast.Field) (string, bool) {
	switch f.Label.(type) {
	case *ast.Ident, *ast.BasicLit:
		name, _, err := ast.LabelName(f.Label)
		return name, err == nil && f.Alias == nil
	}
	return "", false
}

// index finds what the package's files declare.
func (s *scope) index() {
	s.fields, s.inner = map[string][]definition{}, map[string]bool{}
	for _, f := range s.files {
		for spec := range f.ImportSpecs() {
			s.inner[importName(spec)] = true
		}
		for _, d := range fileDecls(f) {
			field, ok := d.(*ast.Field)
			if !ok {
				s.declared(d)
				continue
			}
			if name, ok := topLabel(field); ok {
				s.fields[name] = append(s.fields[name], definition{field.Value, f})
			} else {
				s.declared(field.Label)
			}
			s.declared(field.Value)
		}
	}
}

// declared notes the names that are declared in a node.
func (s *scope) declared(n ast.Node) {
	note := func(x ast.Node) {
		if id, ok := x.(*ast.Ident); ok && id != nil {
			s.inner[id.Name] = true
		}
	}
	ast.Walk(n, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.Field:
			if name, _, err := ast.LabelName(x.Label); err == nil {
				s.inner[name] = true
			}
		case *ast.PostfixAlias:
			note(x.Label)
			note(x.Field)
		case *ast.Alias:
			note(x.Ident)
		case *ast.LetClause:
			note(x.Ident)
		case *ast.TryClause:
			note(x.Ident)
		case *ast.ForClause:
			note(x.Key)
			note(x.Value)
		}
		return true
	}, nil)
}

// importName is the name of an import in its file.
func importName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	path, err := literal.Unquote(spec.Path.Value)
	if err != nil {
		return ""
	}
	return ast.ParseImportPath(path).Qualifier
}

// shape goes through an expression that is unified with the app or a section.
func (q *qualifier) shape(s *scope, file *ast.File, x ast.Expr, at level) {
	switch x := x.(type) {
	case *ast.StructLit:
		for _, d := range x.Elts {
			q.declaration(s, file, d, at)
		}
	case *ast.ParenExpr:
		q.shape(s, file, x.X, at)
	case *ast.BinaryExpr:
		if x.Op != token.AND {
			q.reject(x, "%s in what the app is made of", x.Op)
		}
		q.shape(s, file, x.X, at)
		q.shape(s, file, x.Y, at)
	case *ast.Ident:
		if x.Name == "_" {
			return
		}
		if s.inner[x.Name] {
			q.reject(x, "%s may be declared in two places", x.Name)
		}
		q.named(s, x, x.Name, at)
	case *ast.SelectorExpr:
		q.selector(s, file, x, at)
	default:
		q.reject(x, "an expression in what the app is made of")
	}
}

// declaration goes through a part of a struct that is unified with the app or a
// section.
func (q *qualifier) declaration(s *scope, file *ast.File, d ast.Decl, at level) {
	switch x := d.(type) {
	case *ast.Field:
		if at == appLevel {
			q.appField(s, file, x)
			return
		}
		switch _, plain := plainLabel(x); {
		case x.Alias != nil:
			q.reject(x, "an alias")
		case x.Constraint != token.ILLEGAL, !plain && isNamed(x):
			q.reject(x, "a field that orders entries and is none")
		}
		switch label := x.Label.(type) {
		case *ast.Ident, *ast.BasicLit:
			if name, _, err := ast.LabelName(label); err == nil {
				q.taken[name] = true
			}
		case *ast.Alias:
			q.reject(x, "an alias")
		}
	case *ast.EmbedDecl:
		q.shape(s, file, x.Expr, at)
	case *ast.Comprehension:
		if x.Fallback != nil {
			q.reject(x, "a comprehension with a fallback")
		}
		q.shape(s, file, x.Value, at)
	case *ast.Ellipsis:
		if x.Type != nil {
			q.reject(x, "a type of further fields")
		}
	case *ast.LetClause, *ast.CommentGroup, *ast.Attribute:
	default:
		q.reject(d, "a declaration in what the app is made of")
	}
}

// isNamed reports whether the label of a field is a name.
func isNamed(f *ast.Field) bool {
	_, ok := topLabel(f)
	return ok
}

func (q *qualifier) appField(s *scope, file *ast.File, f *ast.Field) {
	name, ok := topLabel(f)
	switch {
	case !ok:
		q.reject(f, "a field of the app whose name is not written out")
	case !isSection(name):
		// What it says may depend on no entry, and so reaches none.
	case f.Constraint != token.ILLEGAL:
		q.reject(f, "a constraint on %s", name)
	default:
		q.shape(s, file, f.Value, sectionLevel)
	}
}

// named goes through what a field of a package stands for.
func (q *qualifier) named(s *scope, at ast.Node, name string, level level) {
	defs := s.fields[name]
	if len(defs) == 0 {
		q.reject(at, "%s is not known", name)
	}
	v := visit{s, name, level}
	if q.seen[v] {
		return
	}
	q.seen[v] = true
	for _, def := range defs {
		q.references(def.expr, isWhole)
		q.shape(s, def.file, def.expr, level)
	}
}

// selector goes through what an imported definition stands for.
func (q *qualifier) selector(s *scope, file *ast.File, x *ast.SelectorExpr, at level) {
	pkg, ok := x.X.(*ast.Ident)
	name, _, err := ast.LabelName(x.Sel)
	if !ok || err != nil {
		q.reject(x, "a reference into a struct")
	}
	imports := slices.Collect(file.ImportSpecs())
	i := slices.IndexFunc(imports, func(spec *ast.ImportSpec) bool { return importName(spec) == pkg.Name })
	if i < 0 || len(s.fields[pkg.Name]) > 0 {
		q.reject(x, "a reference into a struct")
	}
	path, err := literal.Unquote(imports[i].Path.Value)
	if err != nil {
		q.reject(x, "an import")
	}
	if path == schema.Core {
		return
	}
	dep := q.dependency(path)
	if dep == nil {
		q.reject(x, "%s is not known", path)
	}
	q.named(dep, x, name, at)
}

// dependency is an imported package, or nil.
func (q *qualifier) dependency(path string) *scope {
	if s := q.deps[path]; s != nil {
		return s
	}
	for _, dep := range q.inst.Dependencies() {
		if dep.ImportPath == path {
			s := &scope{files: dep.Files}
			s.index()
			q.deps[path] = s
			return s
		}
	}
	return nil
}
