package app

import (
	"strconv"
	"strings"
)

// Field is a field of the model that is set: one that says something else than
// what it means when nobody writes it.
type Field struct {
	Kind string // the schema's definition that has the field, such as "Container"
	Name string // in the definition
	Pos  Pos    // where it is written, or what holds it

	walker *walker
}

// Path leads to the field from the app: "pods.web.containers.api.image". It may
// be asked for while the field is visited.
func (f Field) Path() string { return strings.Join(append(f.walker.path, f.Name), ".") }

// Walk calls visit for every field that is set, parents first, in the schema's
// order. Where visit returns false, the fields below are left out.
func (a *App) Walk(visit func(Field) bool) { a.walk(&walker{visit: visit}) }

type walker struct {
	visit func(Field) bool
	path  []string
}

func (w *walker) field(kind, name string, pos Pos) bool {
	return w.visit(Field{Kind: kind, Name: name, Pos: pos, walker: w})
}

func (w *walker) enter(names ...string) { w.path = append(w.path, names...) }

func (w *walker) leave(n int) { w.path = w.path[:len(w.path)-n] }

func index(i int) string { return strconv.Itoa(i) }

// at is the first of two positions that is known.
func at(pos, otherwise Pos) Pos {
	if pos.IsValid() {
		return pos
	}
	return otherwise
}
