package app

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Change is one difference between two apps.
type Change struct {
	Pos      Pos    // of the nearest thing that has a position, in the new app where it is there
	Path     string // "pods.web.replicas"
	Old, New string // for a person, shortened; "" for what is not there
}

// String is file:line path old -> new.
func (c Change) String() string {
	where := ""
	if c.Pos.IsValid() {
		where = fmt.Sprintf("%s:%d ", c.Pos.File, c.Pos.Line)
	}
	switch {
	case c.Old == "" && c.New == "":
		return where + c.Path + " changed"
	case c.Old == "":
		return where + c.Path + " added" + behind(c.New)
	case c.New == "":
		return where + c.Path + " removed"
	}
	return where + c.Path + " " + c.Old + " -> " + c.New
}

func behind(value string) string {
	if value == there {
		return ""
	}
	return " (" + value + ")"
}

// there stands for a value that is more than a word.
const there = "{}"

// Changes compares two apps, in the order of the model. What looks like a
// secret is never shown, only that it changed.
func Changes(before, after *App) []Change {
	if before == nil || after == nil {
		return nil
	}
	var d differ
	d.compare(place{}, reflect.ValueOf(*before), reflect.ValueOf(*after))
	return d.changes
}

// Headline is the first change and how many follow.
func Headline(changes []Change) string {
	switch len(changes) {
	case 0:
		return ""
	case 1:
		return changes[0].String()
	}
	return fmt.Sprintf("%s and %d more", changes[0], len(changes)-1)
}

type differ struct{ changes []Change }

// place is where in the model a comparison is.
type place struct {
	path string
	pos  Pos
}

func (p place) in(name string) place {
	if p.path != "" {
		name = p.path + "." + name
	}
	return place{name, p.pos}
}

func (d *differ) add(at place, before, after string) {
	if before != there && after != there && (secretive(at.path) || strings.HasPrefix(at.path, "secrets.")) {
		before, after = "", ""
	}
	d.changes = append(d.changes, Change{at.pos, at.path, before, after})
}

// secretive reports whether a name sounds like that of a secret.
func secretive(path string) bool {
	path = strings.ToLower(path)
	return slices.ContainsFunc([]string{"passw", "secret", "token", "credential", "apikey", "api_key", "private"}, func(word string) bool { return strings.Contains(path, word) })
}

func (d *differ) compare(at place, a, b reflect.Value) {
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return
	}
	switch a.Kind() {
	case reflect.Struct:
		d.structs(at, a, b)
	case reflect.Pointer, reflect.Interface:
		switch {
		case a.IsNil() || b.IsNil():
			d.add(positioned(at, a, b), shown(a), shown(b))
		case a.Elem().Type() != b.Elem().Type():
			d.add(at, shown(a), shown(b))
		default:
			d.compare(at, a.Elem(), b.Elem())
		}
	case reflect.Map:
		d.keyed(at, mapEntries(a), mapEntries(b))
	case reflect.Slice:
		if a.Type().Elem().Kind() == reflect.Struct {
			d.keyed(at, listEntries(a), listEntries(b))
			return
		}
		d.add(at, shown(a), shown(b))
	default:
		d.add(at, shown(a), shown(b))
	}
}

func (d *differ) structs(at place, a, b reflect.Value) {
	at = positioned(at, a, b)
	lines, _ := fieldOf(b, "Lines").(map[string]Pos)
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if f.Name == "Pos" || f.Name == "Lines" || f.Name == "Name" || !f.IsExported() {
			continue
		}
		name := lower(f.Name)
		to := at.in(name)
		if f.Anonymous {
			to = at
		}
		if pos, ok := lines[name]; ok && pos.IsValid() {
			to.pos = pos
		}
		d.compare(to, a.Field(i), b.Field(i))
	}
}

// positioned is a place with the position of the struct in it.
func positioned(at place, a, b reflect.Value) place {
	for _, v := range []reflect.Value{b, a} {
		for v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
		}
		if pos, ok := fieldOf(v, "Pos").(Pos); ok && pos.IsValid() {
			at.pos = pos
			return at
		}
	}
	return at
}

func fieldOf(v reflect.Value, name string) any {
	if v.Kind() != reflect.Struct {
		return nil
	}
	f := v.FieldByName(name)
	if !f.IsValid() {
		return nil
	}
	return f.Interface()
}

// entry is one element of a map, or of a list whose elements have names.
type entry struct {
	key   string
	value reflect.Value
}

func (d *differ) keyed(at place, before, after []entry) {
	find := func(in []entry, key string) (reflect.Value, bool) {
		i := slices.IndexFunc(in, func(e entry) bool { return e.key == key })
		if i < 0 {
			return reflect.Value{}, false
		}
		return in[i].value, true
	}
	for _, e := range before {
		if b, ok := find(after, e.key); ok {
			d.compare(at.in(e.key), e.value, b)
		} else {
			d.add(positioned(at.in(e.key), e.value, e.value), shown(e.value), "")
		}
	}
	for _, e := range after {
		if _, ok := find(before, e.key); !ok {
			d.add(positioned(at.in(e.key), e.value, e.value), "", shown(e.value))
		}
	}
}

func mapEntries(m reflect.Value) []entry {
	var out []entry
	for it := m.MapRange(); it.Next(); {
		out = append(out, entry{fmt.Sprint(it.Key()), it.Value()})
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return out
}

func listEntries(l reflect.Value) []entry {
	var out []entry
	for i := range l.Len() {
		key, _ := fieldOf(l.Index(i), "Name").(string)
		if key == "" {
			key = strconv.Itoa(i)
		}
		out = append(out, entry{key, l.Index(i)})
	}
	return out
}

// shown is a value for a person: short, on one line; "" for what is not there.
func shown(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return ""
		}
		return shown(v.Elem())
	case reflect.Struct, reflect.Map:
		return there
	case reflect.Slice:
		if v.Len() == 0 {
			return ""
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("%d bytes", v.Len())
		}
		return shorten(fmt.Sprint(v.Interface()))
	case reflect.String:
		if n := strings.Count(v.String(), "\n"); n > 0 {
			return fmt.Sprintf("text of %d lines", n)
		}
		return shorten(v.String())
	default:
		return shorten(fmt.Sprint(v.Interface()))
	}
}

// shorten keeps a word as it is, quotes what is none, and cuts what is long.
func shorten(s string) string {
	const most = 40 // characters
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// lower is a field's name in the definition: ports, httpGet, tty.
func lower(name string) string {
	r := []rune(name)
	for i := range r {
		if i > 0 && i+1 < len(r) && unicode.IsLower(r[i+1]) {
			break
		}
		r[i] = unicode.ToLower(r[i])
	}
	return string(r)
}
