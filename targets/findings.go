package targets

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
)

// Rule is one kind of finding that a target makes. A target's rules are a
// table, so that the documentation is written from what the code does.
type Rule struct {
	Code    string // of the findings
	Level   Level  // of the findings
	Summary string // what happens instead, for the documentation
}

// Findings collects what a target has to say, each under one of its rules.
type Findings struct {
	rules []Rule
	list  []Finding
}

// NewFindings returns an empty collection for the target with these rules.
func NewFindings(rules []Rule) *Findings { return &Findings{rules: rules} }

// Add records a finding. It panics when code is no rule of the target.
func (f *Findings) Add(code, path string, pos app.Pos, message, hint string) {
	i := slices.IndexFunc(f.rules, func(r Rule) bool { return r.Code == code })
	if i < 0 {
		panic(fmt.Sprintf("targets: finding %s has no rule", code))
	}
	f.list = append(f.list, Finding{Code: code, Level: f.rules[i].Level, Path: path, Pos: pos, Message: message, Hint: hint})
}

// List gives the findings by position, then path, then code.
func (f *Findings) List() []Finding {
	list := slices.Clone(f.list)
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Code, b.Code))
	})
	return list
}
