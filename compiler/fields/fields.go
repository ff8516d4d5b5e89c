// Package fields documents what a definition can say: every field of the schema
// cuepod.dev/core with its type and its comment, by path. It reads the schema's
// source and evaluates nothing.
package fields

import (
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
)

// Field documents one field.
type Field struct {
	// Path leads to the field from the app, without the keys of maps and the
	// indexes of lists: "pods.containers.readinessProbe". "" is the app itself.
	Path string
	Name string // the last part of Path
	// Type is what the field holds: "string", "map of Container", "list of
	// string", "Probe", "struct" for one without a name, or its values as CUE:
	// `"TCP" | "UDP"`.
	Type     string
	Required bool
	Doc      string // the comments above the field and above its type
	// Allowed says in words which values are allowed, where the type does not:
	// "a whole number from 1 to 65535". For a map it is about the values.
	Allowed string
	// Fields are one level below, in the order of the schema, without fields of
	// their own. For a map or a list they are those of an item.
	Fields []Field
}

// UnknownError is a path that leads nowhere.
type UnknownError struct {
	Parent string // the path that exists; "" is the app
	Name   string // what it has no field of
	Known  []string
}

// Error names the field and where it was looked for.
func (e *UnknownError) Error() string {
	parent := e.Parent
	if parent == "" {
		parent = "an app"
	}
	if len(e.Known) == 0 {
		return parent + " has no fields"
	}
	return parent + " has no field " + e.Name
}

// Lookup documents the field at a path. Keys of maps may be left out or not:
// pods.containers.image is pods.web.containers.api.image. A path may start with
// "app"; "" is the app. An error is an *UnknownError.
func Lookup(path string) (*Field, error) {
	s := parseSchema()
	n, err := s.find(s.app(), split(path))
	if err != nil {
		return nil, err
	}
	f := s.describe(n)
	for _, m := range s.members(s.item(n.typ)) {
		m.path = join(n.path, m.name)
		f.Fields = append(f.Fields, s.describe(m))
	}
	return &f, nil
}

// split gives the parts of a path; indexes in brackets are left out.
func split(path string) []string {
	path = regexp.MustCompile(`\[[^\]]*\]`).ReplaceAllString(path, "")
	parts := strings.Split(path, ".")
	if parts[0] == "app" {
		parts = parts[1:]
	}
	if len(parts) == 1 && parts[0] == "" {
		return nil
	}
	return parts
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// node is a field of the schema.
type node struct {
	path     string
	name     string
	required bool
	doc      string
	typ      ast.Expr
}

func (s *schema) app() node {
	return node{typ: ast.NewIdent("#App")}
}

// find follows a path from n.
func (s *schema) find(n node, path []string) (node, error) {
	if len(path) == 0 {
		return n, nil
	}
	members := s.members(s.item(n.typ))
	unknown := &UnknownError{Parent: n.path, Name: path[0]}
	for _, m := range members {
		unknown.Known = append(unknown.Known, m.name)
		if m.name == path[0] {
			m.path = join(n.path, m.name)
			return s.find(m, path[1:])
		}
	}
	if _, _, isMap := s.mapOf(n.typ); isMap && isKey(path, unknown.Known) {
		return s.find(node{path: n.path, name: n.name, doc: n.doc, typ: s.item(n.typ)}, path[1:])
	}
	return node{}, unknown
}

// isKey takes the first part of a path for the key of a map: when a field of the
// map's values follows, or when it is no misspelling of such a field.
func isKey(path, known []string) bool {
	switch {
	case path[0] == "":
		return false
	case len(path) > 1 && slices.Contains(known, path[1]):
		return true
	}
	return !slices.ContainsFunc(known, func(k string) bool { return slip(path[0], k) })
}

// slip reports whether two words differ in one letter: another, one more, or
// two swapped. Case does not count.
func slip(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}

// describe documents a field, without those below.
func (s *schema) describe(n node) Field {
	doc, item := n.doc, s.item(n.typ)
	if _, def := s.definition(item); def != nil && s.isStruct(item) {
		doc += "\n\n" + def.doc
	}
	return Field{
		Path: n.path, Name: n.name, Required: n.required,
		Type: s.typeName(n.typ), Allowed: s.allowed(item),
		Doc: strings.TrimSpace(doc),
	}
}
