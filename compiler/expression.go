package compiler

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"

	schema "github.com/cuepod/cuepod/cue"
)

// Fields of the in-memory file: what Options.Expr gives, and that as an app.
const (
	exprValue = "cuepodExpressionValue"
	exprField = "cuepodExpression"
)

// appField is the field of the package that is the app.
func (s *source) appField() string {
	if s.expr != "" {
		return exprField
	}
	return "app"
}

// app is the app in a build of the package.
func (s *source) app(root cue.Value) cue.Value {
	return root.LookupPath(cue.MakePath(cue.Str(s.appField())))
}

// unifyText is the in-memory file, which unifies the app with the schema.
func (s *source) unifyText() (string, error) {
	text := "package " + s.pkg + "\n\nimport \"" + schema.Core + "\"\n\n" + s.appField() + ": core.#App"
	if s.expr == "" {
		return text + "\n", nil
	}
	expr, err := parser.ParseExpr("", s.expr) // without comments
	if err != nil {
		return "", newError([]Diagnostic{{Message: fmt.Sprintf("-e %s: this is no CUE expression: %s", s.expr, firstLine(err))}})
	}
	source, err := format.Node(expr)
	if err != nil {
		return "", fmt.Errorf("-e %s: %w", s.expr, err)
	}
	return fmt.Sprintf("%s & %s\n\n%s: %s\n", text, exprValue, exprValue, source), nil
}

// isApp reports whether a field of the package is the app, or what it is made of.
func (s *source) isApp(name string) bool {
	return name == s.appField() || s.expr != "" && name == exprValue
}

// checkExpression reports an expression that gives no struct: all that could be
// said of it as an app would not be what is wrong.
func (s *source) checkExpression(root cue.Value) error {
	v := root.LookupPath(cue.MakePath(cue.Str(exprValue)))
	switch {
	case s.expr == "" || v.IncompleteKind() == cue.StructKind:
		return nil
	case v.Err() != nil:
		return newError(s.inExpression(s.translate(v.Err())))
	}
	return newError([]Diagnostic{{Message: fmt.Sprintf("-e %s: expected an app, got %s", s.expr, describe(v))}})
}

// shownPath is a path in the package for a person.
func (s *source) shownPath(sels []cue.Selector) string {
	path := cue.MakePath(sels...).String()
	if below, ok := strings.CutPrefix(path, exprField); ok && s.expr != "" {
		return "(" + s.expr + ")" + below
	}
	return path
}

// inExpression tells mistakes without a place, which are in the expression
// itself, from others.
func (s *source) inExpression(list []Diagnostic) []Diagnostic {
	for i := range list {
		if d := &list[i]; s.expr != "" && !d.Pos.IsValid() {
			d.Message = "-e " + s.expr + ": " + d.Message
		}
	}
	return list
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
