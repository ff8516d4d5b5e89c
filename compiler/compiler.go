// Package compiler turns CUE definitions into an app.App. It is the only
// importer of cuelang.org/go.
package compiler

import (
	"context"
	"errors"

	"github.com/cuepod/cuepod/compiler/app"
)

// Options say what to compile.
type Options struct {
	// Dir is the directory of the CUE package that holds `app`, absolute or
	// relative to the working directory.
	Dir string
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
}

// Result is a compiled app and what it came from.
type Result struct {
	App    *app.App
	Root   string  // absolute directory of the CUE module
	Params []Param // declared order
	// Inputs are all files and directories the result depends on, absolute and
	// sorted: CUE files of every loaded package of the user's modules with
	// their directories, cue.mod, embedded files, value files, secret files.
	Inputs []string
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
	Inputs []string
}

func (e *Error) Error() string { return "not implemented" }

// Compile evaluates the definition at opts.Dir.
func Compile(ctx context.Context, opts Options) (*Result, error) {
	return nil, errors.New("not implemented")
}
