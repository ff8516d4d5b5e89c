package conformance

import (
	"fmt"
	"slices"
	"strings"
)

const docHead = `<!-- Made by internal/conformance: CUEPOD_UPDATE=1 go test ./internal/conformance -->

# What is the same as in Kubernetes

A local run means what Kubernetes means, item by item. Each item has one state:

- **same**: it is as in Kubernetes, and the tests that are named prove it.
- **divergence**: it is deliberately otherwise, for the reason that is told.
- **refused**: a definition that needs it is refused with a message.

Nothing is ignored in silence: what becomes of every single field is in [targets.md](targets.md).

A test is named by its package and name; "case" is one of the suite that runs real pods on an
engine, ` + "`make conformance`" + `, and prints a table of which of [Kubernetes' own conformance
tests](#kubernetes-conformance-tests) pass. ` + "`make conformance REPEAT=20`" + ` runs twenty copies of every pod whose
order of events is looked at, ` + "`CASES=time-`" + ` chooses cases by a regular expression.
`

// Port is a conformance test of Kubernetes' and what became of it here.
type Port struct {
	Test string // "file: name"
	Case string // that ports it; "" when none does
	Note string // why none does, or why it does not pass yet
}

// Markdown is docs/conformance.md: the items, where local runners lie, and
// what the tests prove.
func Markdown(sections []Section, places []Place, marks []Mark, ports []Port) string {
	var b strings.Builder
	b.WriteString(docHead)
	b.WriteString("\n" + totals(sections))
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| | in Kubernetes | here | proved by |\n|---|---|---|---|\n", s.Title)
		for _, i := range s.Items {
			fmt.Fprintf(&b, "| S%d | %s | %s | %s |\n", i.Number, cell(i.Text), here(i), strings.Join(proofs(marks, i.Number, false), ", "))
		}
	}
	b.WriteString("\n## Where local runners are known to lie\n\nEach of these has a test that fails when we do.\n\n| | the lie | tested by |\n|---|---|---|\n")
	for _, p := range places {
		fmt.Fprintf(&b, "| S%d | %s | %s |\n", p.Item, cell(p.Text), strings.Join(proofs(marks, p.Item, true), ", "))
	}
	b.WriteString("\n## Kubernetes' conformance tests\n\n" + portTotals(ports) + "\n| Kubernetes' test | case |\n|---|---|\n")
	for _, p := range ports {
		what := p.Note
		if p.Case != "" {
			what = strings.TrimSuffix("`"+p.Case+"` "+p.Note, " ")
		}
		fmt.Fprintf(&b, "| %s | %s |\n", cell(p.Test), cell(what))
	}
	return b.String()
}

func portTotals(ports []Port) string {
	n := 0
	for _, p := range ports {
		if p.Case != "" && p.Note == "" {
			n++
		}
	}
	return fmt.Sprintf("%d of them are ported: what they look at, in our own words and code, on real pods.\n", n)
}

func totals(sections []Section) string {
	count, n := map[State]int{}, 0
	for _, s := range sections {
		for _, i := range s.Items {
			count[i.State]++
			n++
		}
	}
	var parts []string
	for _, s := range []State{Same, Divergence, Refused} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	return fmt.Sprintf("Of %d items: %s.\n", n, strings.Join(parts, ", "))
}

func here(i Item) string {
	if i.Reason == "" {
		return string(i.State)
	}
	return fmt.Sprintf("%s: %s", i.State, cell(i.Reason))
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// proofs are the tests that a table names for an item.
func proofs(marks []Mark, item int, negative bool) []string {
	var out []string
	for _, m := range marks {
		if m.Negative == negative && slices.Contains(m.Items, item) {
			out = append(out, "`"+m.Test+"`")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
