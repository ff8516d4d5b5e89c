package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"github.com/cuepod/cuepod/compiler/app"
)

// shownDiagnostics is how many mistakes Error prints: more scroll the first,
// which is the one to fix, off the screen.
const shownDiagnostics = 10

// Error is the text that people see: one line for each mistake, with its hint
// below, and at most ten of them.
func (e *Error) Error() string {
	var b strings.Builder
	for i, d := range e.Diagnostics {
		if i == shownDiagnostics {
			fmt.Fprintf(&b, "and %d more\n", len(e.Diagnostics)-i)
			break
		}
		b.WriteString(d.String() + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// String is the mistake as Error prints it, without a line end.
func (d Diagnostic) String() string {
	s := d.Message
	if d.Pos.IsValid() {
		s = d.Pos.String() + ": " + s
	}
	if d.Hint != "" {
		s += "\n    hint: " + d.Hint
	}
	return s
}

// newError sorts the mistakes by position and drops repetitions.
func newError(list []Diagnostic) *Error {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return &Error{Diagnostics: oncePerCircle(slices.Compact(list))}
}

// oncePerCircle keeps the first of the values that need each other.
func oncePerCircle(list []Diagnostic) []Diagnostic {
	told := map[string]bool{}
	return slices.DeleteFunc(list, func(d Diagnostic) bool {
		value, next, ok := strings.Cut(d.Message, ": "+needsItself)
		if !ok {
			return false
		}
		told[next] = true
		return told[value]
	})
}

// translate turns CUE's own errors into ours, at the user's position.
func (p *places) translate(err error) []Diagnostic {
	var list []Diagnostic
	for _, e := range cueerrors.Errors(err) {
		format, _ := e.Msg()
		if strings.Contains(format, "errors in empty disjunction") {
			continue // a headline; the errors themselves follow
		}
		pos, second := p.best(e)
		message := strings.Join(strings.Fields(e.Error()), " ") // with the path, and with what it wraps
		for _, in := range cueerrors.Positions(e) {
			message = strings.ReplaceAll(message, in.String()+": ", "")
		}
		if strings.Contains(message, "import failed: expected") && second.IsValid() {
			pos, second = second, app.Pos{} // what is imported does not parse
		}
		text, hint := plain(inApp(message))
		if hint == "" && second.IsValid() {
			hint = "see also " + second.String()
		}
		list = append(list, Diagnostic{Pos: pos, Message: text, Hint: hint})
	}
	return list
}

// inApp is a message without the name of the app's field, which every path of the
// app begins with.
func inApp(message string) string {
	for _, field := range []string{"app.", exprField + ".", exprField + ": ", exprValue + ".", exprValue + ": "} {
		if rest, ok := strings.CutPrefix(message, field); ok {
			return rest
		}
	}
	return message
}

// translateFile is translate for a file that was parsed alone. Not every parser
// says where it stopped.
func (p *places) translateFile(file string, err error) []Diagnostic {
	list := p.translate(err)
	for i := range list {
		d := &list[i]
		if d.Pos.IsValid() {
			continue
		}
		d.Pos = app.Pos{File: p.show(file), Line: 1, Column: 1}
		d.Message = strings.TrimPrefix(d.Message, file+":")
		line, rest, _ := strings.Cut(d.Message, ": ")
		if n, err := strconv.Atoi(line); err == nil {
			d.Pos.Line, d.Message = n, rest
		}
	}
	return list
}

// best is the user's place in an error, and the second one if there is one.
func (p *places) best(e cueerrors.Error) (pos, second app.Pos) {
	all := append(e.InputPositions(), e.Position())
	slices.SortStableFunc(all, func(a, b token.Pos) int {
		return cmp.Or(cmp.Compare(p.rank(a), p.rank(b)), comparePos(a, b))
	})
	pos = p.pos(all[0])
	for _, t := range all[1:] {
		if second := p.pos(t); second.IsValid() && second != pos {
			return pos, second
		}
	}
	return pos, app.Pos{}
}

// noApp is the mistake of a package that is no definition.
const noApp = "the package does not define app"

// NoApp reports whether all that is wrong is that the package defines no app:
// it may be meant for others to import.
func (e *Error) NoApp() bool {
	return len(e.Diagnostics) == 1 && e.Diagnostics[0].Message == noApp
}
