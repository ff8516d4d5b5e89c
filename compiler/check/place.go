package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/compiler/near"
)

// place is a part of the definition: its path, and the nearest line that the
// model knows of it.
type place struct {
	c     *checker
	path  string
	pos   app.Pos
	lines map[string]app.Pos // of fields that have no position of their own
}

// place is the part of the definition at a path.
func (c *checker) place(path string, pos app.Pos) place { return place{c: c, path: path, pos: pos} }

// field is a field of the struct at p, or one further down.
func (p place) field(names ...string) place {
	for _, name := range names {
		pos := p.pos
		if line := p.lines[name]; line.IsValid() {
			pos = line
		}
		p = place{c: p.c, path: p.path + "." + name, pos: pos}
	}
	return p
}

// key is an entry of the map at p.
func (p place) key(name string) place {
	if strings.Trim(name, "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		name = strconv.Quote(name)
	}
	return p.field(name)
}

// item is an item of the list at p.
func (p place) item(i int) place {
	return place{c: p.c, path: p.path + "[" + strconv.Itoa(i) + "]", pos: p.pos}
}

// at is p with a nearer line, where that is known.
func (p place) at(pos app.Pos) place {
	if pos.IsValid() {
		p.pos = pos
	}
	return p
}

// refuse reports what is wrong at p.
func (p place) refuse(format string, args ...any) place {
	p.c.report(p.pos, "%s: %s", p.path, fmt.Sprintf(format, args...))
	return p
}

// hint adds to what was refused last what to do next.
func (p place) hint(format string, args ...any) { p.c.hint(format, args...) }

// missing reports a name at p that refers to nothing, with what there is
// instead.
func (p place) missing(kind, name, owner string, have []string) {
	p.c.missing(p.pos, p.path, kind, name, owner, slices.Clone(have))
}

// one wants exactly one of the choices and reports whether there is exactly one.
func (p place) one(what string, choices ...choice) bool {
	set, all := chosen(choices...)
	p.c.exactlyOne(p.pos, p.path, what, set, all)
	return len(set) == 1
}

// oneOf wants a value that is written to be one of a few, and reports whether
// it is.
func (p place) oneOf(value string, all ...string) bool {
	if value == "" || slices.Contains(all, value) {
		return true
	}
	p.refuse("%q is not valid; it must be %s", value, either(names(all, strconv.Quote)))
	if hint := near.Hint(value, all); hint != "" {
		p.hint("%s", hint)
	}
	return false
}

// either lists alternatives: "a, b or c".
func either(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

// within wants a number that is written to be in a range.
func within[T int | int64](p place, n *T, least, most T) {
	if n != nil && (*n < least || *n > most) {
		p.refuse("it must be a number from %d to %d, not %d", least, most, *n)
	}
}
