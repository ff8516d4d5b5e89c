package targets

import (
	"fmt"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// Exact means a field means what it means in Kubernetes.
const Exact Level = "exact"

// Field says how a target keeps the meaning of one field of the schema.
type Field struct {
	Level Level // Exact also when only some values make findings
	// Codes are the findings that the field makes, for the documentation. Where
	// Says is empty, the target makes them where it meets the field, for the
	// values that call for it.
	Codes []string
	Says  string // when set, every value makes a finding Codes[0] that says this
	Hint  string // of that finding
	Note  string // for the documentation
}

// Other is the entry of all fields that a table does not name, where it has one.
const Other = "*"

// Support is a target's table of fields, by definition and name in the schema,
// as "Container.lifecycle". Fields below one that Says something are not in it.
type Support map[string]Field

// Report adds a finding for every field of the app that the target cannot keep
// whatever its value. It panics on a field that the table lacks: nothing is
// passed over in silence.
func (s Support) Report(a *app.App, findings *Findings) {
	a.Walk(func(f app.Field) bool {
		entry, ok := s[f.Kind+"."+f.Name]
		if !ok {
			entry, ok = s[Other]
		}
		if !ok {
			panic(fmt.Sprintf("targets: no table has the field %s.%s", f.Kind, f.Name))
		}
		if entry.Says == "" {
			return true
		}
		findings.Add(entry.Codes[0], f.Path(), f.Pos, entry.Says, entry.Hint)
		return false
	})
}

// Reachable lists the fields of the schema that a table has to have, as
// "Container.lifecycle": all from the app down, but none below a field whose
// every value makes a finding.
func (s Support) Reachable() []string {
	var out []string
	seen := map[string]bool{}
	var visit func(definition string)
	visit = func(definition string) {
		if seen[definition] {
			return
		}
		seen[definition] = true
		for _, field := range app.Fields(definition) {
			name, under, _ := strings.Cut(field, " ")
			under, _, _ = strings.Cut(under, " ")
			out = append(out, definition+"."+name)
			if under != "" && s[definition+"."+name].Says == "" {
				visit(under)
			}
		}
	}
	visit("App")
	return out
}
