package docstest

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse_TakesRunnableBlocksWithTheirOutput(t *testing.T) {
	const page = `intro
~sh
echo one
~

~text
one
~

~cue
app: {}
~

~cue a/b.cue
name: "x"
~
~sh engine
echo two
~
words between
~text
not its output
~
`
	got := parse(strings.ReplaceAll(page, "~", "```"))
	want := []block{
		{line: 2, info: []string{"sh"}, script: "echo one\n", output: "one\n"},
		{line: 14, info: []string{"cue", "a/b.cue"}, script: "name: \"x\"\n"},
		{line: 17, info: []string{"sh", "engine"}, script: "echo two\n"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestPattern(t *testing.T) {
	for _, tc := range []struct {
		expected, printed string
		want              bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "a\nb\n", false},
		{"a\n", "b\n", false},
		{"a.c\n", "abc\n", false}, // a dot is a dot
		{"up ... s\n", "up 12 s  \n", true},
		{"a\n...\nz\n", "a\nb\nc\nz\n", true},
		{"a\n...\nz\n", "a\nz\n", true},
		{"a\n...\nz\n", "a\nb\n", false},
	} {
		if got := pattern(tc.expected).MatchString(tc.printed); got != tc.want {
			t.Errorf("pattern(%q) on %q: %v", tc.expected, tc.printed, got)
		}
	}
}

func TestShell_AFailingCommandFailsTheBlock(t *testing.T) {
	s := shell{dir: t.TempDir(), path: "/nowhere"}
	if out, err := s.run(t.Context(), "echo before\nfalse\necho after"); err == nil || out != "before\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if out, err := s.run(t.Context(), "echo fine"); err != nil || out != "fine\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
