// Package compiler turns CUE definitions into an app.App. It is the only
// importer of cuelang.org/go.
package compiler

import (
	"cmp"
	"context"
	"errors"

	"cuelang.org/go/cue"
	cueerrors "cuelang.org/go/cue/errors"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/compiler/check"
	schema "github.com/cuepod/cuepod/cue"
)

// Options say what to compile.
type Options struct {
	// Dir is the directory of the CUE package that holds `app`, absolute or
	// relative to the working directory.
	Dir string
	// Input, when not nil, is the definition: the text of a file that exists only
	// in memory, in the directory Dir, whose own files do not count.
	Input []byte
	// Expr is a CUE expression, in the scope of the package, that is the app. ""
	// means the package's field app.
	Expr string
	// Env selects the environment: the tag `environment`. "" leaves the
	// definition's own default.
	Env string
	// Set holds `name=value` pairs that unify into `params`; a value is CUE
	// where it parses as a scalar that params accepts, else a string.
	Set []string
	// ValueFiles are YAML, JSON or CUE files that unify into `params`.
	ValueFiles []string
	// CacheDir is where the embedded module cuepod.dev/core is extracted. ""
	// means CUE's own cache ($CUE_CACHE_DIR or the user's cache directory).
	CacheDir string
	// Found, when set, is called with what is known once everything is read and
	// before it is evaluated, which may take for ever. It may be called more
	// than once, from the goroutine of Compile.
	Found func(Found) `json:"-"`
	// Decoded, when set, is called with the model of a definition that fits the
	// schema, before the rules beyond the schema are checked: it may break them.
	// It is called from the goroutine of Compile.
	Decoded func(*app.App) `json:"-"`
	// Cache, when set, remembers what this compile finds for the next one of the
	// same definition. The result then shares memory with it.
	Cache *Cache `json:"-"`
}

// Found is what reading a definition finds.
type Found struct {
	Pos    app.Pos // where the package begins
	Inputs []Input // as in Result, as far as they are known
}

// Result is a compiled app and what it came from.
type Result struct {
	App    *app.App
	Root   string  // absolute directory of the CUE module
	Params []Param // declared order
	// Inputs are all files and directories the result depends on, by path: CUE files of every loaded package of the user's modules with
	// their directories, cue.mod, embedded files, value files, secret files.
	// One that does not exist is listed too when its coming would change the
	// result.
	Inputs []Input
}

// Input is a file or directory that a result depends on.
type Input struct {
	Path string // absolute
	Why  string // it counts, for a person: "CUE file of package shop"
	// Names says that a directory counts by the names of everything in it. Else
	// it counts by the CUE files directly in it.
	Names bool `json:",omitzero"`
}

// Param is one parameter of the app.
type Param struct {
	Name    string
	Type    string // as CUE
	Value   string // in force, as CUE
	Default string // as CUE; "" when it has none
	Doc     string // the comment above it
	Pos     app.Pos
}

// Diagnostic is one mistake, at the user's line where there is one.
type Diagnostic struct {
	Pos     app.Pos
	Message string // a plain sentence
	Hint    string // what to do next; may be empty
}

// Error is what Compile returns for a bad definition: every mistake found, by
// position.
type Error struct {
	Diagnostics []Diagnostic
	// Inputs are as in Result, as far as they are known, so that a watcher
	// notices the fix.
	Inputs []Input
}

// Compile evaluates the definition at opts.Dir. Mistakes in the definition, in
// opts.Env, opts.Set or a value file come back as an *Error; any other error
// means that the definition could not be read. It is safe for concurrent
// use, but for opts.Cache.
//
// Evaluation itself cannot be interrupted: ctx is looked at between steps.
func Compile(ctx context.Context, opts Options) (*Result, error) {
	if opts.Cache != nil {
		return opts.Cache.compile(ctx, opts)
	}
	return compileWhole(ctx, opts)
}

func compileWhole(ctx context.Context, opts Options) (*Result, error) {
	// CUE checks fields against the schema at several times the cost of all else.
	// So the decoder checks them, and CUE only where there is a mistake to
	// explain.
	result, err := compileWith(ctx, opts, true)
	var look *unfitError
	if errors.As(err, &look) {
		return compileWith(ctx, opts, false)
	}
	return result, err
}

// unfitError says that a definition has to be looked at with the whole schema.
type unfitError struct{ reason string }

func (e *unfitError) Error() string { return "the definition does not fit the schema: " + e.reason }

func compileWith(ctx context.Context, opts Options, outline bool) (*Result, error) {
	src, err := openSource(opts.Dir, opts.CacheDir, outline)
	if err != nil {
		return nil, err
	}
	src.found, src.expr, src.input = opts.Found, opts.Expr, opts.Input
	return src.run(ctx, opts)
}

// run compiles the package.
func (s *source) run(ctx context.Context, opts Options) (*Result, error) {
	result, err := s.compile(ctx, opts)
	var bad *Error
	if errors.As(err, &bad) {
		if s.outline && !s.explained {
			return nil, &unfitError{"a mistake was found before"}
		}
		return nil, &Error{Diagnostics: bad.Diagnostics, Inputs: s.inputs()}
	}
	if err != nil {
		return nil, err
	}
	result.Root, result.Inputs = s.root, s.inputs()
	return result, nil
}

// compile takes the steps from files to model; any step may find mistakes.
func (s *source) compile(ctx context.Context, opts Options) (*Result, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	return s.compilePackage(ctx, opts)
}

// compilePackage takes the steps once it is known which files there are.
func (s *source) compilePackage(ctx context.Context, opts Options) (*Result, error) {
	root, params, err := s.evaluate(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.checkExpression(root); err != nil {
		return nil, err
	}
	v := s.app(root)
	marks := markFiles(s.inst.Files).field(s.appField())
	if s.expr == "" && s.rank(marks.position()) == rankNone && len(s.written(v)) == 0 {
		return nil, newError([]Diagnostic{{
			Pos:     s.packagePos(),
			Message: noApp,
			Hint:    "write app: core.#App & { ... }, with import \"" + schema.Core + "\"",
		}})
	}
	if err := s.validate(root, v); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, d := s.decode(root, v, marks)
	if len(d.misfits) > 0 {
		if bad := s.explain(v, d.misfits); len(bad) > 0 {
			s.explained = true
			return nil, newError(bad)
		}
		return nil, &unfitError{d.misfits[0].String()}
	}
	s.explained = true
	if s.model != nil {
		a = s.model(a)
	}
	problems := append(d.problems, s.readFiles(a, marks)...)
	problems = append(problems, s.findFiles(a, marks)...)
	s.addSecretFiles(a)
	if opts.Decoded != nil {
		opts.Decoded(a)
	}
	for _, p := range check.App(a) {
		p.Pos = inner(p.Pos, s.pos(marks.find(p.Message).position()))
		problems = append(problems, Diagnostic(p))
	}
	if len(problems) > 0 {
		return nil, newError(s.atComponents(root, problems))
	}
	return &Result{App: a, Params: params}, nil
}

// decode makes the model from the value of the app.
func (s *source) decode(root, v cue.Value, marks *mark) (*app.App, *decoder) {
	d := &decoder{places: &s.places, patterns: map[string]func(string) bool{}, made: s.made(root)}
	a := &app.App{}
	d.decodeApp(d.locate(object{v, marks, s.packagePos()}), a)
	return a, d
}

// inner is the position of the field itself where the model knows only that of
// what holds it, which is written before.
func inner(model, field app.Pos) app.Pos {
	before := model.File == field.File && cmp.Or(cmp.Compare(field.Line, model.Line), cmp.Compare(field.Column, model.Column)) < 0
	if !field.IsValid() || before {
		return model
	}
	return field
}

// validate reports every mistake of the app against the schema, and those of
// the rest of the package.
func (s *source) validate(root, v cue.Value) error {
	if s.outline {
		if err := root.Validate(); err != nil {
			return &unfitError{err.Error()}
		}
		return nil
	}
	appErr := v.Validate(cue.Concrete(true))
	rootErr := root.Validate()
	if appErr == nil && rootErr == nil {
		return nil
	}
	if bad := s.componentMistakes(root); len(bad) > 0 {
		return newError(bad)
	}
	beside := s.beside(rootErr)
	if appErr == nil && len(beside) == 0 {
		return newError(s.translate(rootErr))
	}
	if appErr == nil {
		return newError(beside)
	}
	return newError(s.atComponents(root, append(beside, s.diagnose(v, appErr, len(beside) > 0)...)))
}

// beside are the mistakes outside the app.
func (s *source) beside(err error) []Diagnostic {
	var list []Diagnostic
	var marks *mark
	for _, e := range cueerrors.Errors(err) {
		path := e.Path()
		if len(path) > 0 && s.isApp(path[0]) {
			continue
		}
		for _, d := range s.translate(e) {
			if !d.Pos.IsValid() {
				if marks == nil {
					marks = markFiles(s.inst.Files)
				}
				d.Pos = cmp.Or(s.pos(marks.deepest(path).position()), s.packagePos())
			}
			list = append(list, d)
		}
	}
	return list
}

// diagnose finds the mistakes behind err, which CUE found in the app. With
// broken, the rest of the package has mistakes too, so that expressions which
// fail in the app are no news.
func (s *source) diagnose(v cue.Value, err error, broken bool) []Diagnostic {
	core := s.core()
	g := newDiagnoser(&s.places, core)
	g.walk(node{value: v, schema: core.LookupPath(cue.ParsePath("#App")), pos: s.of(v, s.packagePos())})
	g.reportClosed()
	switch {
	case broken:
		return g.found
	case len(g.found)+len(g.derived) == 0:
		return s.translate(err)
	}
	return append(g.found, g.derived...)
}
