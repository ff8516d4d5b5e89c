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
`

// Markdown is docs/conformance.md: the items, where local runners lie, and
// what the tests prove.
func Markdown(sections []Section, places []Place, marks []Mark) string {
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
	return b.String()
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
	for _, s := range []State{Same, Divergence, Refused, Open} {
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
