package main

import (
	"hash/fnv"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// style writes with or without colours.
type style struct{ on bool }

// colors decides whether w gets colours: --color, then NO_COLOR
// (no-color.org), then CLICOLOR_FORCE (bixense.com/clicolors), then whether w
// is a terminal.
func (c *cli) colors(w io.Writer) style {
	switch {
	case c.color == "always":
		return style{true}
	case c.color == "never", c.env["NO_COLOR"] != "":
		return style{false}
	case c.env["CLICOLOR_FORCE"] != "" && c.env["CLICOLOR_FORCE"] != "0":
		return style{true}
	default:
		return style{isTerminal(w) && c.env["TERM"] != "dumb"}
	}
}

// isTerminal reports whether a stream is a person's screen or keyboard.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// SGR codes (ECMA-48 8.3.117): the sixteen colours that every terminal has and
// whose owner chose their shades.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (s style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// colorOf gives a name its colour, the same in every run. Red is left out: it
// means trouble.
func colorOf(name string) string {
	palette := [...]string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}
	h := fnv.New32a()
	h.Write([]byte(name))
	return palette[h.Sum32()%uint32(len(palette))]
}

// sanitize takes from a line what would move the cursor, clear the screen or
// retitle the window of whoever reads it. Colours stay; a tab stays.
func sanitize(line string) string {
	if utf8.ValidString(line) && strings.IndexFunc(line, isControl) < 0 {
		return line
	}
	var b strings.Builder
	for i := 0; i < len(line); {
		if n := colorSequence(line[i:]); n > 0 {
			b.WriteString(line[i : i+n])
			i += n
			continue
		}
		if n := escapeSequence(line[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(line[i:])
		if !isControl(r) {
			b.WriteRune(r) // an invalid byte becomes U+FFFD: it could make a control character with what follows
		}
		i += n
	}
	return b.String()
}

// isControl is true for C0 except the tab, DEL and C1.
func isControl(r rune) bool { return r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 }

// colorSequence is the length of an SGR sequence at the start of s, or 0.
func colorSequence(s string) int {
	rest, ok := strings.CutPrefix(s, "\x1b[")
	if !ok {
		return 0
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != ';' && r != ':' })
	if end < 0 || rest[end] != 'm' {
		return 0
	}
	return len("\x1b[") + end + 1
}

// escapeSequence is the length of any other escape sequence at the start of s
// (ECMA-35 and ECMA-48): CSI up to its final byte, a string such as a window
// title up to its end, else two bytes.
func escapeSequence(s string) int {
	if len(s) < 2 || s[0] != 0x1b {
		return 0
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return len(s)
	default:
		return 2
	}
}
