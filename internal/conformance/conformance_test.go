package conformance

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/internal/conformance/suite"
)

const (
	root    = "../.."
	docFile = root + "/docs/conformance.md"
)

func marks(t *testing.T) []Mark {
	t.Helper()
	m, err := Marks(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range suite.Cases() {
		if c.Pending != "" {
			continue
		}
		test := "case " + c.Name
		m = append(m, Mark{Test: test, Items: c.Items, Line: test}, Mark{Test: test, Items: c.Negative, Negative: true, Line: test})
	}
	return m
}

// ports are Kubernetes' conformance tests, by file and name.
func ports() []Port {
	var out []Port
	for _, c := range suite.Cases() {
		for _, row := range c.Rows {
			p := Port{Test: row, Case: c.Name}
			if c.Pending != "" {
				p.Note = "(pending: " + c.Pending + ")"
			}
			out = append(out, p)
		}
	}
	for row, why := range suite.NotPorted() {
		out = append(out, Port{Test: row, Note: why})
	}
	slices.SortFunc(out, func(a, b Port) int { return strings.Compare(a.Test, b.Test) })
	return out
}

func TestItems_AreAllAndHaveAStateWithItsReason(t *testing.T) {
	items := Items()
	if len(items) != 132 {
		t.Errorf("%d items, want 132", len(items))
	}
	for n, i := range items {
		if i.Number != n+1 {
			t.Fatalf("S%d is where S%d should be", i.Number, n+1)
		}
		if i.Text == "" {
			t.Errorf("S%d says nothing", i.Number)
		}
		switch i.State {
		case Same:
			if i.Reason != "" {
				t.Errorf("S%d is the same and has a reason", i.Number)
			}
		case Divergence, Refused:
			if i.Reason == "" {
				t.Errorf("S%d is a %s without a reason", i.Number, i.State)
			}
		default:
			t.Errorf("S%d has the state %q", i.Number, i.State)
		}
	}
}

func TestItems_WhatIsTheSameIsProved(t *testing.T) {
	all := marks(t)
	for _, i := range Items() {
		if tests := proofs(all, i.Number, false); i.State == Same && len(tests) == 0 {
			t.Errorf("S%d is the same, and no test has the mark //conformance:S%d", i.Number, i.Number)
		}
	}
}

func TestPlaces_EachHasATestThatFailsWhenWeLie(t *testing.T) {
	places, all := Places(), marks(t)
	if len(places) != 15 {
		t.Errorf("%d places, want 15", len(places))
	}
	for _, p := range places {
		if len(proofs(all, p.Item, true)) == 0 {
			t.Errorf("no test has the mark //conformance:negative S%d: %s", p.Item, p.Text)
		}
	}
}

func TestMarks_NameItemsAndPlaces(t *testing.T) {
	items, places := Items(), Places()
	for _, m := range marks(t) {
		for _, n := range m.Items {
			if n < 1 || n > len(items) {
				t.Errorf("%s: there is no S%d", m.Line, n)
			}
			if m.Negative && !slices.ContainsFunc(places, func(p Place) bool { return p.Item == n }) {
				t.Errorf("%s: S%d is not where local runners lie", m.Line, n)
			}
		}
	}
}

func TestMarks_OfGo(t *testing.T) {
	const source = `package p

// TestA says what it does.
//
// conformance:S1 S2
func TestA() {
	_ = []struct{ name string }{
		//conformance:negative S37
		{name: "a b"},
		// conformance:s4
		{"c"},
	}
	//conformance:S5
	run()
}

//conformance:S3
func TestB() {}
`
	got, err := marksOfGo("a/b/c_test.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	want := []Mark{
		{Test: "a/b.TestA", Items: []int{1, 2}, Line: "a/b/c_test.go:5"},
		{Test: "a/b.TestA/a_b", Items: []int{37}, Negative: true, Line: "a/b/c_test.go:8"},
		{Test: "a/b.TestA/c", Items: []int{4}, Line: "a/b/c_test.go:10"},
		{Test: "a/b.TestA", Items: []int{5}, Line: "a/b/c_test.go:13"},
		{Test: "a/b.TestB", Items: []int{3}, Line: "a/b/c_test.go:17"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMarks_ThatAreNoneAreErrors(t *testing.T) {
	for _, source := range []string{
		"package p\n\n//conformance:S1\nvar x = 1\n",
		"package p\n\n//conformance:one\nfunc TestA() {}\n",
		"package p\n\n// conformance: S1 and S2\nfunc TestA() {}\n",
	} {
		if got, err := marksOfGo("p_test.go", []byte(source)); err == nil {
			t.Errorf("%s: %v", source, got)
		}
	}
}

func TestMarks_OfAnArchive(t *testing.T) {
	got, err := marksOfArchive("testdata/a.txtar", []byte("What is refused.\nconformance: S9\n-- app.cue --\n//conformance:S8\n"))
	want := []Mark{{Test: "testdata/a.txtar", Items: []int{9}, Line: "testdata/a.txtar:2"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestDoc_IsCurrent holds docs/conformance.md against the items and the tests.
func TestDoc_IsCurrent(t *testing.T) {
	want := Markdown(Sections(), Places(), marks(t), ports())
	if os.Getenv("CUEPOD_UPDATE") != "" {
		if err := os.WriteFile(docFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not current: CUEPOD_UPDATE=1 go test ./internal/conformance\n%s",
			docFile, cmp.Diff(strings.Split(string(got), "\n"), strings.Split(want, "\n")))
	}
}
