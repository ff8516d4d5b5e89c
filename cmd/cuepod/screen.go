package main

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen keeps lines that change at the bottom of a terminal, below all that is
// printed meanwhile: how far each image is. A nil screen, where nobody looks at
// a terminal, keeps none. It is safe for concurrent use.
type screen struct {
	terminal io.Writer
	width    func() int // of the terminal, in characters

	mu    sync.Mutex // guards all below, and the terminal
	keys  []string   // in the order they came
	lines map[string]string
	drawn int // lines that stand there
}

// newScreen is a screen on a terminal; nil for anything else.
func newScreen(w io.Writer, dumb bool) *screen {
	f, ok := w.(*os.File)
	if !ok || dumb || !isTerminal(w) {
		return nil
	}
	return &screen{terminal: w, lines: map[string]string{}, width: func() int {
		const usual = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
		return usual
	}}
}

// set shows a line under a key, in place of the one before; "" takes it away.
func (s *screen) set(key, line string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines[key] == line {
		return
	}
	s.erase()
	if _, known := s.lines[key]; !known {
		s.keys = append(s.keys, key)
	}
	s.lines[key] = line
	if line == "" {
		delete(s.lines, key)
		s.keys = slices.DeleteFunc(s.keys, func(k string) bool { return k == key })
	}
	s.draw()
}

// write prints something that stays, above the lines.
func (s *screen) write(w io.Writer, text string) {
	if s == nil {
		io.WriteString(w, text) // a reader that went away ends the program by SIGPIPE
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	io.WriteString(w, text)
	s.draw()
}

// clear takes all lines away.
func (s *screen) clear() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.keys = nil
	clear(s.lines)
}

// erase goes up to the first line and clears from there (ECMA-48: CUU, ED).
func (s *screen) erase() {
	if s.drawn > 0 {
		io.WriteString(s.terminal, "\x1b["+strconv.Itoa(s.drawn)+"A\x1b[J")
	}
	s.drawn = 0
}

func (s *screen) draw() {
	if len(s.keys) == 0 {
		return
	}
	width := s.width()
	var b strings.Builder
	for _, key := range s.keys {
		b.WriteString(cut(s.lines[key], width-1) + "\n") // a line that wraps would be two
	}
	io.WriteString(s.terminal, b.String())
	s.drawn = len(s.keys)
}

// cut shortens a line to a number of characters.
func cut(line string, most int) string {
	if utf8.RuneCountInString(line) <= most || most < 4 {
		return line
	}
	return string([]rune(line)[:most-3]) + "..."
}
