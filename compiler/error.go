package compiler

import (
	"cmp"
	"fmt"
	"slices"
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
	return &Error{Diagnostics: slices.Compact(list)}
}

// translate turns CUE's own errors into ours, at the user's position.
func (p *places) translate(err error) []Diagnostic {
	var list []Diagnostic
	for _, e := range cueerrors.Errors(err) {
		format, args := e.Msg()
		if strings.Contains(format, "errors in empty disjunction") {
			continue // a headline; the errors themselves follow
		}
		pos, other := p.best(e)
		message := fmt.Sprintf(format, args...)
		if path := strings.Join(e.Path(), "."); path != "" {
			message = strings.TrimPrefix(path, "app.") + ": " + message
		}
		list = append(list, Diagnostic{Pos: pos, Message: message, Hint: other})
	}
	return list
}

// best is the user's place in an error, and as a hint the second one.
func (p *places) best(e cueerrors.Error) (pos app.Pos, hint string) {
	all := append(e.InputPositions(), e.Position())
	slices.SortStableFunc(all, func(a, b token.Pos) int {
		return cmp.Or(cmp.Compare(p.rank(a), p.rank(b)), comparePos(a, b))
	})
	pos = p.pos(all[0])
	for _, t := range all[1:] {
		if second := p.pos(t); second.IsValid() && second != pos {
			return pos, "see also " + second.String()
		}
	}
	return pos, ""
}
