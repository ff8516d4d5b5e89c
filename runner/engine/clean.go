package engine

import (
	"regexp"
	"strings"
)

// Clean takes out of a text from elsewhere what would move a terminal's cursor,
// colour it or retitle its window. Of a line that was written over itself, as
// progress bars are, the last writing stays. Line feeds and tabs stay.
func Clean(text string) string {
	if strings.IndexFunc(text, isControl) < 0 {
		return text
	}
	text = escapes().ReplaceAllString(text, "")
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		line = line[strings.LastIndexByte(line, '\r')+1:]
		lines[i] = strings.Map(func(r rune) rune {
			if isControl(r) {
				return -1
			}
			return r
		}, line)
	}
	return strings.Join(lines, "\n")
}

// escapes are CSI sequences, strings such as window titles, and other escapes
// (ECMA-48).
func escapes() *regexp.Regexp {
	return regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)|\x1b[^\\[\\]PX^_]")
}

// isControl is true for C0 except the line feed and the tab, DEL and C1.
func isControl(r rune) bool { return r < 0x20 && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 }
