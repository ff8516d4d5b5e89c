// Package unify unifies the raw fields of an escape hatch with what a target
// made of the rest of a definition.
//
// It is unification, not overriding: structs merge, a field on one side is
// kept, equal values stay, and two values that differ are a clash. What becomes
// of lists is the target's to say, as it knows which have a key.
package unify

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// Lists says how lists unify.
type Lists struct {
	// Key identifies an item of the list of a name: items with the same key
	// unify, others are appended. "" says that the item has none.
	Key func(list string, item any) string
	// Append names the lists without keys that gather the items of both sides;
	// any other has to be equal.
	Append func(list string) bool
}

// Place is where a hatch is, for the messages.
type Place struct {
	Path   string             // of the hatch in the definition
	Beside map[string]app.Pos // where the fields beside the hatch are, by the target's names
	Pos    app.Pos            // of what holds the hatch
}

// Into unifies the struct raw into ours. It returns one line for each clash,
// which begins with the hatch's position and names the other's.
func Into(ours *yaml.Map, raw *app.Raw, lists Lists, at Place) (clashes []string) {
	u := unifier{lists: lists, at: at}
	u.fields(ours, raw, nil)
	return u.clashes
}

type unifier struct {
	lists   Lists
	at      Place
	clashes []string
}

func (u *unifier) fields(ours *yaml.Map, raw *app.Raw, path []string) {
	for i := range raw.Items {
		f := &raw.Items[i]
		path := append(path[:len(path):len(path)], f.Name)
		was, ok := ours.Get(f.Name)
		if ok {
			ours.Put(f.Name, u.value(was, f, path))
			continue
		}
		// A field that the target leaves out, as its default says the same, is
		// set all the same.
		if _, set := u.at.Beside[f.Name]; set && len(path) == 1 && f.Kind != app.RawStruct && f.Kind != app.RawList {
			u.clashes = append(u.clashes, fmt.Sprintf("%s: %s.%s: it is set here, and by the definition at %s",
				f.Pos, u.at.Path, f.Name, u.at.Beside[f.Name]))
			continue
		}
		ours.Set(f.Name, Value(f))
	}
}

func (u *unifier) value(ours any, raw *app.Raw, path []string) any {
	switch v := ours.(type) {
	case *yaml.Map:
		if raw.Kind == app.RawStruct {
			u.fields(v, raw, path)
			return v
		}
	case yaml.Flow:
		if u.lists.Append(raw.Name) {
			return u.list(yaml.Strings(v), raw, path)
		}
	case yaml.List:
		if raw.Kind == app.RawList {
			return u.list(v, raw, path)
		}
	}
	if !same(ours, raw) {
		u.clash(raw, path, show(ours))
	}
	return ours
}

func (u *unifier) list(ours yaml.List, raw *app.Raw, path []string) any {
	if raw.Kind != app.RawList {
		u.clash(raw, path, show(ours))
		return ours
	}
	if len(ours) > 0 && u.lists.Key(raw.Name, ours[0]) == "" {
		switch {
		case u.lists.Append(raw.Name):
			for i := range raw.Items {
				ours = append(ours, Value(&raw.Items[i]))
			}
		case !same(ours, raw):
			u.clash(raw, path, show(ours))
		}
		return ours
	}
	for i := range raw.Items {
		item := &raw.Items[i]
		key := u.lists.Key(raw.Name, Value(item))
		if at := u.index(ours, raw.Name, key); at >= 0 {
			ours[at] = u.value(ours[at], item, append(path[:len(path):len(path)], key))
			continue
		}
		ours = append(ours, Value(item))
	}
	return ours
}

func (u *unifier) index(list yaml.List, name, key string) int {
	for i, item := range list {
		if key != "" && u.lists.Key(name, item) == key {
			return i
		}
	}
	return -1
}

func (u *unifier) clash(raw *app.Raw, path []string, ours string) {
	where := u.at.Pos
	for _, name := range path {
		if pos, ok := u.at.Beside[name]; ok {
			where = pos
		}
	}
	u.clashes = append(u.clashes, fmt.Sprintf("%s: %s.%s: two values that exclude each other: %s here, and %s by the definition at %s",
		raw.Pos, u.at.Path, strings.Join(path, "."), show(Value(raw)), ours, where))
}

func same(ours any, raw *app.Raw) bool { return show(ours) == show(Value(raw)) }

// show is a value as JSON, which says of two values whether they are equal:
// numbers by their digits, structs in order.
func show(v any) string {
	if m, ok := v.(*yaml.Map); ok && m.Len() > 0 {
		return "{...}"
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic("unify: a value is no JSON: " + err.Error())
	}
	return string(data)
}

// Value is raw data as the writer takes it.
func Value(raw *app.Raw) any {
	switch raw.Kind {
	case app.RawStruct:
		m := yaml.New()
		for i := range raw.Items {
			m.Set(raw.Items[i].Name, Value(&raw.Items[i]))
		}
		return m
	case app.RawList:
		list := yaml.List{}
		for i := range raw.Items {
			list = append(list, Value(&raw.Items[i]))
		}
		return list
	case app.RawNumber:
		return json.Number(raw.Text)
	case app.RawBool:
		return raw.Text == "true"
	case app.RawNull:
		return nil
	}
	return raw.Text
}
