package suite

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Result is what came of a case; Wrong is "" for one that passes.
type Result struct {
	Case  Case
	Wrong string
}

// Report is the table of results: each conformance test that a case ports and
// whether it passes, then the sums.
func Report(results []Result) string {
	state := map[string]string{}
	add := func(c Case, what string) {
		for _, row := range c.Rows {
			if state[row] != "FAIL" {
				state[row] = what
			}
		}
	}
	failed, relations := 0, 0
	for _, r := range results {
		relations += r.Case.Relations
		if r.Wrong == "" {
			add(r.Case, "pass")
			continue
		}
		failed++
		add(r.Case, "FAIL")
	}
	var b strings.Builder
	count := map[string]int{}
	for _, row := range slices.Sorted(maps.Keys(state)) {
		count[state[row]]++
		fmt.Fprintf(&b, "%-4s  %s\n", state[row], row)
	}
	fmt.Fprintf(&b, "%d conformance tests: %d pass, %d fail; %d cases, %d fail; %d order relations\n", len(state), count["pass"], count["FAIL"], len(results), failed, relations)
	return b.String()
}

// NotPorted are conformance tests that no case ports, by row or by file, and why.
func NotPorted() map[string]string {
	return map[string]string{
		"network/dns.go: DNS, cluster":        "it asks for the API's own service, which is not here; what it looks at of other names is in the cases beside it",
		"common/node/ephemeral_containers.go": "a definition has no ephemeral containers: `cuepod exec` looks into a running one",
	}
}
