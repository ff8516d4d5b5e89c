package diff

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/cuepod/cuepod/targets/yaml"
)

// Text prints changes for a person:
//
//	~ Deployment web
//	    ~ spec.replicas: 2 -> 4
//	    + spec.template.spec.containers[web].env[DEBUG].value: "1"
//	+ Service web
//
// paint colours a line by what it says; nil leaves it as it is.
func Text(changes []Change, paint func(Op, string) string) string {
	if paint == nil {
		paint = func(_ Op, line string) string { return line }
	}
	var b strings.Builder
	line := func(op Op, text string) { b.WriteString(paint(op, text) + "\n") }
	for _, c := range changes {
		line(c.Op, fmt.Sprintf("%s %s %s", sign(c.Op), c.Kind, c.Name))
		for _, f := range c.Fields {
			for _, l := range f.lines() {
				line(l.op, "    "+l.text)
			}
		}
		for _, w := range c.RollsOut {
			line("", "    rolls out "+w)
		}
	}
	return b.String()
}

func sign(op Op) string {
	switch op {
	case Added:
		return "+"
	case Removed:
		return "-"
	default:
		return "~"
	}
}

type textLine struct {
	op   Op
	text string
}

func (f *Field) lines() []textLine {
	head := sign(f.Op) + " " + f.Path + ":"
	if isText(f.Old) || isText(f.New) {
		return append([]textLine{{f.Op, head}}, textLines(f.Old, f.New)...)
	}
	switch f.Op {
	case Added:
		head += " " + show(f.New)
	case Removed:
		head += " " + show(f.Old)
	default:
		head += " " + show(f.Old) + " -> " + show(f.New)
	}
	return []textLine{{f.Op, head}}
}

// isText reports whether a value is more than one line.
func isText(value any) bool {
	s, ok := value.(string)
	return ok && strings.Contains(s, "\n")
}

// textLines are the lines that differ between two texts.
func textLines(old, now any) []textLine {
	_, hunks, _ := strings.Cut(string(diff.Diff("old", text(old), "new", text(now))), "\n+++ new\n")
	var out []textLine
	for line := range strings.Lines(hunks) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "-"):
			out = append(out, textLine{Removed, "    - " + line[1:]})
		case strings.HasPrefix(line, "+"):
			out = append(out, textLine{Added, "    + " + line[1:]})
		}
	}
	return out
}

// text is a value as lines. A missing line end would count as a difference of
// the last line: it is one, so it is made visible.
func text(value any) []byte {
	if value == nil {
		return nil
	}
	s, ok := value.(string)
	if !ok {
		s = show(value) + "\n"
	}
	if !strings.HasSuffix(s, "\n") {
		s += " (no line end)\n"
	}
	return []byte(s)
}

// show writes a value on one line: a text as it would be in the manifest,
// anything else as JSON.
func show(value any) string {
	if s, ok := value.(string); ok && !isText(s) {
		return strings.TrimSuffix(string(yaml.Append(nil, s)), "\n")
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic("diff: a value that came from JSON does not go back: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}
