package compiler

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue"
)

// misfit is a value that the schema does not take.
type misfit struct {
	path   []string
	reason string
}

func (m misfit) String() string { return strings.Join(m.path, ".") + ": " + m.reason }

// explain finds the mistakes behind misfits when nothing else is wrong: it holds
// the pods, services and so on that do not fit against the whole schema, which
// costs little where they are few. None found means that the whole definition
// has to be looked at; so do imported parts, whose own types the outline leaves
// open.
func (s *source) explain(v cue.Value, misfits []misfit) []Diagnostic {
	if !s.outline || s.importsParts() {
		return nil
	}
	core := wholeSchema()
	model := core.LookupPath(cue.ParsePath("#App"))
	g := newDiagnoser(&s.places, core)
	for _, path := range entries(misfits) {
		if len(path) < 2 {
			return nil
		}
		want := model.LookupPath(cue.MakePath(path[0].Optional())).LookupPath(anyKey())
		if want.IncompleteKind() != cue.StructKind {
			return nil
		}
		found, derived := len(g.found), len(g.derived)
		value := v.LookupPath(cue.MakePath(path...))
		entry := node{path: path, value: want.Unify(value), schema: want, pos: s.of(value, s.packagePos())}
		g.walk(entry)
		if len(g.found) == found && len(g.derived) == derived || len(g.closed) > 0 {
			return nil
		}
		for i := range g.derived[derived:] {
			d := &g.derived[derived+i]
			d.Message = strings.ReplaceAll(d.Message, want.Path().String(), entry.String())
		}
	}
	return append(g.found, g.derived...)
}

// anyKey finds what the schema wants under a key that every map allows.
func anyKey() cue.Path { return cue.MakePath(cue.Str("a").Optional()) }

// entries are the paths to what an app has by name, such as pods.web, each once,
// that misfits are in.
func entries(misfits []misfit) [][]cue.Selector {
	var list [][]cue.Selector
	seen := map[string]bool{}
	for _, m := range misfits {
		var path []cue.Selector
		for _, name := range m.path[:min(2, len(m.path))] {
			path = append(path, cue.Str(name))
		}
		if key := fmt.Sprint(path); !seen[key] {
			seen[key] = true
			list = append(list, path)
		}
	}
	return list
}
