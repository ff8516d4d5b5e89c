package compiler

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	for _, tc := range []struct{ name, src, want string }{
		{"spaces", "a:   1\nbb:  {c:2}\n", "a: 1\nbb: {c: 2}\n"},
		{"comments above arms", "a:\n// one\n\"x\" |\n// two\n\"y\"\n", "a:\n\t// one\n\t\"x\" |\n\t// two\n\t\"y\"\n"},
		{"comments beside fields", "a: 1 // one\nb:   2 // two\n", "a: 1 // one\nb: 2 // two\n"},
		{"quotes", "a: #\"x\"#: 1\n", "a: \"x\": 1\n"},
		{"indented text", "a: {\nb: \"\"\"\n  x\n    y\n  \"\"\"\n}\n", "a: {\n\tb: \"\"\"\n\t\tx\n\t\t  y\n\t\t\"\"\"\n}\n"},
		{"interpolation", "a: \"\"\"\n\tx \\(b)\n\t\ty\n\t\"\"\"\nb:  1\n", "a: \"\"\"\n\tx \\(b)\n\t\ty\n\t\"\"\"\nb: 1\n"},
		{"nothing", "", "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Format("a.cue", []byte(tc.src))
			if err != nil || string(got) != tc.want {
				t.Fatalf("%v\n%q, want\n%q", err, got, tc.want)
			}
			if again, err := Format("a.cue", got); err != nil || string(again) != tc.want {
				t.Errorf("formatted once more it is %q, %v", again, err)
			}
		})
	}
}

// A file that cue fmt would break, or would change the meaning of a comment in,
// is refused at the comment.
func TestFormat_RefusesWhatTheFormatterDamages(t *testing.T) {
	for _, tc := range []struct{ name, src, pos string }{
		{"no longer parses", "a: \"x\" | // one\n\t\"y\" | // two\n\t\"z\" // three\n", "a.cue:1:10"},
		{"moves to the wrong arm", "a: *1 | // one\n\t2 // two\n", "a.cue:1:9"},
		{"structs", "a: 1\nb: {x: 1} | // one\n\t{y: 2} // two\n", "a.cue:2:13"},
		{"beside a comprehension", "x: true\nif x { // why\n\ty: 1 // one\n}\n", "a.cue:2:8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := Format("a.cue", []byte(tc.src))
			var bad *Error
			if !errors.As(err, &bad) || out != nil {
				t.Fatalf("taken: %v\n%s", err, out)
			}
			d := bad.Diagnostics[0]
			if d.Pos.String() != tc.pos || !strings.Contains(d.Message, "stays as it is") || d.Hint == "" {
				t.Errorf("%s, want %s", bad, tc.pos)
			}
		})
	}
}

func TestFormat_SyntaxErrorsHaveTheirLine(t *testing.T) {
	_, err := Format("a.cue", []byte("a: 1\nb: }\n"))
	var bad *Error
	if !errors.As(err, &bad) || bad.Diagnostics[0].Pos.String() != "a.cue:2:4" {
		t.Errorf("got %v", err)
	}
}

// TestFormat_OwnFiles formats what we ship: it is in the standard format.
func TestFormat_OwnFiles(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../cue/core/*.cue", "starter/files/app.cue"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Format(file, src); err != nil || string(got) != string(src) {
			t.Errorf("%s is not formatted (%v)", file, err)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("a: 1 | // x\n 2")
	f.Add("package x\nimport \"y\"\n// doc\na?: [...int] // t\n@attr(x)\n")
	f.Fuzz(func(t *testing.T, src string) {
		out, err := Format("a.cue", []byte(src))
		if err != nil {
			return
		}
		if _, err := Format("a.cue", out); err != nil {
			var bad *Error
			if !errors.As(err, &bad) || !strings.Contains(bad.Diagnostics[0].Message, "stays as it is") {
				t.Errorf("what came out does not go in: %v\n%q\n%q", err, src, out)
			}
		}
	})
}
