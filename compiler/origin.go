package compiler

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"

	"github.com/cuepod/cuepod/compiler/app"
	schema "github.com/cuepod/cuepod/cue"
)

// Explanation is where a value comes from.
type Explanation struct {
	Path    string // "app.pods.web.replicas"
	Value   string // in force, as CUE; "" when nothing sets it or Problem does not let it be
	Problem string // why it has no valid value; "" when it has one or needs none
	// Origins are what the value is unified from: the package's own files
	// first, then its module, other modules, the command line, the schema.
	Origins []Origin
}

// Origin is one contribution to a value.
type Origin struct {
	Pos   app.Pos // invalid for the command line and the schema
	Where string  // the position, or "--set a=1", or "cuepod.dev/core/pod.cue:11:2"
	Text  string  // as written, on one line
	// From are the contributions to what Text refers to.
	From []Origin
}

// referenceDepth is how far Explain follows references: further away, who reads
// it has lost the thread.
const referenceDepth = 3

// Explain tells where the value at a path comes from, also in a definition that
// Compile refuses. A path starts at the app or, when the app has no such field,
// at the package: pods.web.replicas, params.title. A key that is no plain name
// may be in quotes or in brackets: data["a.b"]. Mistakes in opts and a path that
// leads nowhere come back as an *Error.
func Explain(ctx context.Context, opts Options, path string) (*Explanation, error) {
	s, err := openSource(opts.Dir, opts.CacheDir, false)
	if err != nil {
		return nil, err
	}
	s.found, s.expr, s.input = opts.Found, opts.Expr, opts.Input
	if err := s.prepare(); err != nil {
		return nil, err
	}
	root, _, err := s.evaluate(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := s.checkExpression(root); err != nil {
		return nil, err
	}
	v, at, err := s.lookup(root, path)
	if err != nil {
		return nil, err
	}
	x := explorer{source: s, root: root, env: opts.Env, field: environmentField(s.inst.Files)}
	e := &Explanation{Path: at, Origins: x.origins(v, referenceDepth)}
	switch d, _ := v.Default(); {
	case v.Err() != nil:
		e.Problem = s.firstMistake(at, v.Err())
	case !d.IsConcrete() && len(s.written(v)) > 0:
		e.Problem = "it is not one value yet: " + typeCUE(v)
	case !d.IsConcrete():
	case d.IncompleteKind()&(cue.StructKind|cue.ListKind) != 0:
		e.Value = show(d)
	default:
		e.Value = fmt.Sprint(d)
	}
	return e, nil
}

// firstMistake is the message of the first of CUE's errors that says something,
// without the path at, or of what holds it, at its start.
func (p *places) firstMistake(at string, err error) string {
	list := p.translate(err)
	if len(list) == 0 {
		return err.Error()
	}
	for path := strings.TrimPrefix(at, "app."); path != ""; path = path[:max(strings.LastIndexByte(path, '.'), 0)] {
		if rest, ok := strings.CutPrefix(list[0].Message, path+": "); ok {
			return rest
		}
	}
	return list[0].Message
}

// lookup follows a path from the app, or else from the package.
func (s *source) lookup(root cue.Value, path string) (v cue.Value, at string, err error) {
	parts, err := splitPath(path)
	if err != nil {
		return v, "", newError([]Diagnostic{{Message: fmt.Sprintf("%s: %v", path, err)}})
	}
	if len(parts) == 0 {
		return v, "", newError([]Diagnostic{{Message: "the path of the value is empty", Hint: "name one, such as pods.web.replicas or params.title"}})
	}
	from, sels := root, []cue.Selector(nil)
	inApp := s.app(root)
	if inApp.LookupPath(cue.MakePath(cue.Str(parts[0]).Optional())).Exists() {
		from, sels = inApp, []cue.Selector{cue.Str(s.appField())}
	}
	for _, part := range parts {
		next, sel := step(from, part)
		if !next.Exists() {
			return v, "", newError([]Diagnostic{unknownPath(path, s.shownPath(sels), part, fieldNames(from), fieldNames(inApp))})
		}
		from, sels = next, append(sels, sel)
	}
	return from, s.shownPath(sels), nil
}

// step goes to a field or an item.
func step(v cue.Value, part string) (cue.Value, cue.Selector) {
	if i, err := strconv.Atoi(part); err == nil && v.IncompleteKind() == cue.ListKind && i >= 0 {
		return v.LookupPath(cue.MakePath(cue.Index(i))), cue.Index(i)
	}
	sel := cue.Str(part)
	if set := v.LookupPath(cue.MakePath(sel)); set.Exists() {
		return set, sel
	}
	if !slices.Contains(fieldNames(v), part) {
		return cue.Value{}, sel // a pattern would take any name
	}
	return v.LookupPath(cue.MakePath(sel.Optional())), sel
}

func unknownPath(path, parent, part string, known, inApp []string) Diagnostic {
	d := Diagnostic{Message: fmt.Sprintf("%s: %s has no field %q", path, parent, part), Hint: suggest(part, known)}
	if parent == "" {
		d.Message = fmt.Sprintf("%s: neither the app nor the package has a field %q", path, part)
		d.Hint = didYouMean(part, append(known, inApp...))
	}
	return d
}

// splitPath gives the parts of a.b."c.d"["e.f"][0].
func splitPath(path string) ([]string, error) {
	var parts []string
	for rest := path; rest != ""; {
		part, after := rest, ""
		switch {
		case rest[0] == '"' || strings.HasPrefix(rest, `["`):
			quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(rest, "["))
			if err != nil {
				return nil, fmt.Errorf("a quote is not closed")
			}
			part, _ = strconv.Unquote(quoted) // QuotedPrefix has checked it
			_, after, _ = strings.Cut(rest, quoted)
			after = strings.TrimPrefix(after, "]")
		case rest[0] == '[':
			inside, more, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return nil, fmt.Errorf("a bracket is not closed")
			}
			part, after = inside, more
		default:
			if i := strings.IndexAny(rest, ".["); i >= 0 {
				part, after = rest[:i], rest[i:]
			}
			if part == "" {
				return nil, fmt.Errorf("a name is missing")
			}
		}
		parts = append(parts, part)
		if after == "." {
			return nil, fmt.Errorf("a name is missing")
		}
		rest = strings.TrimPrefix(after, ".")
	}
	return parts, nil
}

// explorer finds origins.
type explorer struct {
	*source
	root  cue.Value
	env   string // of --env
	field string // that it sets; "" when there is none
}

// origins lists what contributes to v, the user's own first.
func (s *explorer) origins(v cue.Value, depth int) []Origin {
	var out []Origin
	for _, part := range s.written(v) {
		o := Origin{Pos: s.pos(part.Pos()), Where: s.where(part.Pos()), Text: written(part)}
		if depth > 0 {
			for _, to := range s.references(part) {
				for _, from := range s.origins(to, depth-1) {
					if from.fromUser() {
						o.From = appendNew(o.From, from)
					}
				}
			}
		}
		out = appendNew(out, o)
	}
	if s.env != "" && s.field != "" && v.Path().String() == s.field {
		out = append(out, Origin{Where: "--env " + s.env, Text: fmt.Sprintf("%q", s.env)})
	}
	for _, part := range conjuncts(v) {
		if pos := part.Pos(); pos.IsValid() && isSchemaFile(pos.Filename()) {
			dir := path.Base(filepath.ToSlash(filepath.Dir(pos.Filename())))
			file := strings.TrimSuffix(schema.Core, path.Base(schema.Core)) + dir + "/" + filepath.Base(pos.Filename())
			out = appendNew(out, Origin{Where: fmt.Sprintf("%s:%d:%d", file, pos.Line(), pos.Column()), Text: written(part)})
		}
	}
	return out
}

// appendNew leaves out what is told already: a struct that two files embed
// contributes twice.
func appendNew(list []Origin, o Origin) []Origin {
	if slices.ContainsFunc(list, func(x Origin) bool { return x.Where == o.Where && x.Text == o.Text }) {
		return list
	}
	return append(list, o)
}

// fromUser reports whether a person wrote it, in a file or on the command line.
func (o *Origin) fromUser() bool { return o.Pos.IsValid() || strings.HasPrefix(o.Where, "--") }

// references are the values that a contribution refers to. CUE does not tell
// those of a default, where the environment often is: so it is looked for in
// the source.
func (s *explorer) references(part cue.Value) []cue.Value {
	refs := references(part)
	node := part.Source()
	if f, ok := node.(*ast.Field); ok {
		node = f.Value
	}
	if node != nil && s.field != "" {
		ast.Walk(node, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == s.field {
				refs = append(refs, s.root.LookupPath(cue.MakePath(cue.Str(s.field))))
			}
			_, isStruct := n.(*ast.StructLit)
			return !isStruct // its fields have origins of their own
		}, nil)
	}
	return refs
}

func references(v cue.Value) []cue.Value {
	if root, path := v.ReferencePath(); len(path.Selectors()) > 0 {
		if to := root.LookupPath(path); to.Exists() {
			return []cue.Value{to}
		}
	}
	op, args := v.Expr()
	if op == cue.NoOp {
		return nil
	}
	var out []cue.Value
	for _, arg := range args {
		out = append(out, references(arg)...)
	}
	return out
}

// written is the source of a value on one line, without comments.
func written(v cue.Value) string {
	const longest = 72
	node := v.Source()
	if node == nil {
		return show(v)
	}
	if f, ok := node.(*ast.Field); ok {
		value := f.Value
		if lit, ok := value.(*ast.StructLit); ok && len(lit.Elts) > 1 {
			value = ast.NewStruct(&ast.Ellipsis{}) // its fields have origins of their own
		}
		node = &ast.Field{Label: f.Label, Constraint: f.Constraint, Value: value}
	}
	text, err := format.Node(node)
	if err != nil {
		return show(v) // made up by a builtin: there is no source
	}
	line := strings.Join(strings.Fields(string(text)), " ")
	if r := []rune(line); len(r) > longest {
		line = string(r[:longest-3]) + "..."
	}
	return line
}
