// Package suite has the behaviours of Kubernetes' own conformance tests, in
// our words, and runs them from outside: a case is a piece of a definition and
// a look at what became of it. Cases share apps, as one app is compiled and
// started faster than thirty, and see nothing of each other but that.
package suite

import (
	"fmt"
	"slices"
	"strings"
)

// Case is one behaviour.
type Case struct {
	Name string // of its pod, and of what else it defines the beginning
	// Rows are the conformance tests that it ports, as "file: name".
	Rows []string
	// Items are those of the contract that it proves, and Negative those of the
	// places where local runners lie that it would find out.
	Items, Negative []int
	// CUE is a file of the app's package, without the package clause. The
	// container's image is _image, or _witness altogether.
	CUE string
	// Pending is why it cannot pass yet. Such a case is told and not run.
	Pending string
	Check   func(r *Run)
	// Relations is how many order relations it asserts.
	Relations int
	// Ended looks once the app has been taken down, see Run.Timelines.
	Ended func(r *Run)
}

// Cases are all of them.
func Cases() []Case {
	return slices.Concat(
		containerCases(), environmentCases(), downwardCases(), lifecycleCases(), probeCases(), securityCases(),
		configCases(), emptyDirCases(), subPathCases(), networkCases(), serviceCases(),
		workloadCases(), jobCases(),
		timelines(),
	)
}

// batches divides cases into apps of at most that many pods, more or less.
func batches(cases []Case, repeat, pods int) [][]Case {
	var out [][]Case
	left := 0
	for _, c := range cases {
		weight := 1
		if strings.Contains(c.CUE, "_repeat") {
			weight = repeat
		}
		if left < weight || len(out) == 0 {
			out, left = append(out, nil), max(pods, weight)
		}
		out[len(out)-1], left = append(out[len(out)-1], c), left-weight
	}
	return out
}

// Rows give the case that ports each row.
func Rows(cases []Case) map[string]string {
	out := map[string]string{}
	for _, c := range cases {
		for _, row := range c.Rows {
			out[row] = c.Name
		}
	}
	return out
}

// rows are names of one file of conformance tests.
func rows(file string, names ...string) []string {
	var out []string
	for _, name := range names {
		out = append(out, file+": "+name)
	}
	return out
}

func validate(cases []Case) error {
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] {
			return fmt.Errorf("two cases are called %s", c.Name)
		}
		seen[c.Name] = true
		if c.Check == nil && c.Ended == nil {
			return fmt.Errorf("case %s looks at nothing", c.Name)
		}
		if strings.Contains(c.CUE, "package ") {
			return fmt.Errorf("case %s has a package clause", c.Name)
		}
	}
	return nil
}
