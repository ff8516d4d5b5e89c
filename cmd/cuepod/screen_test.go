package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner"
)

// vt is a terminal reduced to what a screen uses: line feeds, up, and clear
// from here.
func vt(t *testing.T, out string) string {
	t.Helper()
	var lines []string
	row := 0
	for len(out) > 0 {
		if up, rest, ok := strings.Cut(out, "A\x1b[J"); ok && strings.HasPrefix(up, "\x1b[") && len(up) == 3 {
			row -= int(up[2] - '0')
			lines, out = lines[:row], rest
			continue
		}
		line, rest, ok := strings.Cut(out, "\n")
		if !ok || strings.Contains(line, "\x1b") {
			t.Fatalf("not a whole line: %q", line)
		}
		lines, row, out = append(lines, line), row+1, rest
	}
	return strings.Join(lines, "\n")
}

func TestScreen_KeepsItsLinesBelowWhatIsPrinted(t *testing.T) {
	var b bytes.Buffer
	s := &screen{terminal: &b, width: func() int { return 20 }, lines: map[string]string{}}
	p := &eventPrinter{w: &b, screen: s, marks: true}
	progress := func(object, text string) {
		p.print(runner.Event{Kind: runner.EventProgress, Object: object, Message: text})
	}
	progress("a", "1 %")
	progress("b", "a long line that a terminal would wrap")
	progress("a", "2 %")
	s.write(&b, "a container says hello\n")
	if got, want := vt(t, b.String()), "a container says hello\n… a: 2 %\n… b: a long line..."; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p.print(runner.Event{Kind: runner.EventStep, Object: "a", Message: "pulled"})
	progress("b", "") // it failed
	p.print(runner.Event{Kind: runner.EventProblem, Message: "not found\x1b]0;title\x07\nmore\x1b[2J"})
	if got, want := vt(t, b.String()), "a container says hello\n· a: pulled\n✗ not found\n  more"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	progress("c", "1 %")
	s.clear()
	if got := vt(t, b.String()); strings.Contains(got, "c: 1") {
		t.Errorf("after clear:\n%s", got)
	}
}

// Without a terminal a long pull is mentioned now and then.
func TestEventPrinter_ProgressIntoALog(t *testing.T) {
	var b bytes.Buffer
	p := &eventPrinter{w: &b}
	began := time.Unix(1e9, 0)
	for i := range 200 { // 40 s
		p.progress(runner.Event{Kind: runner.EventProgress, Object: "image x", Message: "working"}, began.Add(time.Duration(i)*200*time.Millisecond))
	}
	if got := strings.Count(b.String(), "progress image x: working"); got != 2 {
		t.Errorf("%d lines in 40 s, want 2:\n%s", got, b.String())
	}
}
