// Package diff compares two renderings of an app for Kubernetes by what they
// mean: object by object, field by field, with the items of lists matched by
// the key that Kubernetes merges them by. The order in which objects and fields
// are written means nothing.
//
// A ConfigMap whose name ends in the hash of its data is matched by the name
// before the hash, and those who read it by that name too. So a change of its
// data is that change, with the workloads that it rolls out.
//
// Values of a Secret are compared and never shown.
package diff

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Op is what happened to an object or a field.
type Op string

const (
	Added   Op = "added"
	Removed Op = "removed"
	Changed Op = "changed"
)

// Change is an object that differs.
type Change struct {
	Op   Op     `json:"op"`
	Kind string `json:"kind"`
	Name string `json:"name"` // without the hash of a ConfigMap's data
	// Fields are what differs, by path. An object that was added or removed has
	// none: it differs as a whole.
	Fields []Field `json:"fields,omitempty"`
	// RollsOut are the workloads that are replaced because they read this
	// ConfigMap, as "Deployment web", sorted.
	RollsOut []string `json:"rollsOut,omitempty"`
}

// Field is a field that differs.
type Field struct {
	Op   Op     `json:"op"`
	Path string `json:"path"` // "spec.template.spec.containers[web].image"
	// Old and New are the values, nil on the side that has none: what
	// encoding/json makes of them, with numbers as json.Number. An added or
	// removed struct is a Field for each value in it.
	Old any `json:"old,omitempty"`
	New any `json:"new,omitempty"`
}

// hidden stands for a value that nobody may see.
const hidden = "(hidden)"

// Compare gives what differs between two lists of objects, each as
// kubernetes.Render writes it with Format JSON. The changes are in the order of
// the new list; what was removed comes last, in the order of the old one.
func Compare(before, after []byte) ([]Change, error) {
	old, err := parse(before)
	if err != nil {
		return nil, fmt.Errorf("before: %w", err)
	}
	now, err := parse(after)
	if err != nil {
		return nil, fmt.Errorf("after: %w", err)
	}
	var changes []Change
	for _, n := range now.list {
		o, ok := old.byKey[n.key]
		switch {
		case !ok:
			changes = append(changes, Change{Op: Added, Kind: n.kind, Name: n.name})
		case !reflect.DeepEqual(o.body, n.body):
			changes = append(changes, Change{Op: Changed, Kind: n.kind, Name: n.name, Fields: objectFields(o, n), RollsOut: rollsOut(o, n, old, now)})
		}
	}
	for _, o := range old.list {
		if _, ok := now.byKey[o.key]; !ok {
			changes = append(changes, Change{Op: Removed, Kind: o.kind, Name: o.name})
		}
	}
	return changes, nil
}

// objectFields compares two states of an object.
func objectFields(o, n *object) []Field {
	c := comparer{}
	c.structs("", o.body, n.body)
	for i := range c.fields {
		f := &c.fields[i]
		if n.kind != "Secret" || !strings.HasPrefix(f.Path, "data") && !strings.HasPrefix(f.Path, "stringData") {
			continue
		}
		if f.Old != nil {
			f.Old = hidden
		}
		if f.New != nil {
			f.New = hidden
		}
	}
	return c.fields
}

// rollsOut lists who reads a ConfigMap before and after its data changed.
func rollsOut(o, n *object, old, now *objects) []string {
	if o.fullName == n.fullName {
		return nil
	}
	var out []string
	for _, user := range now.list {
		if was, ok := old.byKey[user.key]; ok && was.reads[o.fullName] && user.reads[n.fullName] {
			out = append(out, user.kind+" "+user.name)
		}
	}
	slices.Sort(out)
	return out
}

// comparer collects the fields that differ.
type comparer struct{ fields []Field }

func (c *comparer) add(op Op, path string, old, now any) {
	c.fields = append(c.fields, Field{Op: op, Path: path, Old: old, New: now})
}

func (c *comparer) structs(path string, old, now map[string]any) {
	for _, key := range sortedUnion(old, now) {
		o, was := old[key]
		n, is := now[key]
		c.member(join(path, key), key, o, n, was, is)
	}
}

// member compares a field; its name chooses the key of its items if it is a list.
func (c *comparer) member(path, name string, old, now any, was, is bool) {
	switch {
	case !was:
		c.whole(Added, path, name, now)
	case !is:
		c.whole(Removed, path, name, old)
	default:
		c.values(path, name, old, now)
	}
}

func (c *comparer) values(path, name string, old, now any) {
	if reflect.DeepEqual(old, now) {
		return
	}
	oldMap, ok1 := old.(map[string]any)
	newMap, ok2 := now.(map[string]any)
	if ok1 && ok2 {
		c.structs(path, oldMap, newMap)
		return
	}
	oldList, ok1 := old.([]any)
	newList, ok2 := now.([]any)
	if ok1 && ok2 && structured(oldList) && structured(newList) {
		c.lists(path, name, oldList, newList)
		return
	}
	if ok1 && ok2 && len(oldList) == len(newList) && slices.ContainsFunc(newList, isText) { // a command with a script
		for i := range newList {
			c.values(fmt.Sprintf("%s[%d]", path, i), "", oldList[i], newList[i])
		}
		return
	}
	c.add(Changed, path, old, now)
}

// whole adds every value of something that is on one side only.
func (c *comparer) whole(op Op, path, name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			break // such as emptyDir: its being there is the value
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			c.whole(op, join(path, key), key, v[key])
		}
		return
	case []any:
		if len(v) == 0 || !structured(v) {
			break
		}
		key, ids, _ := pairing(name, v, v)
		for i, id := range ids {
			c.whole(op, path+"["+id+"]", "", without(key, v[i]))
		}
		return
	}
	if op == Added {
		c.add(op, path, nil, value)
	} else {
		c.add(op, path, value, nil)
	}
}

// lists compares lists of structs, item by item.
func (c *comparer) lists(path, name string, old, now []any) {
	key, oldIDs, newIDs := pairing(name, old, now)
	for i, id := range newIDs {
		at := slices.Index(oldIDs, id)
		if at < 0 {
			c.whole(Added, path+"["+id+"]", "", without(key, now[i]))
		} else {
			c.values(path+"["+id+"]", "", old[at], now[i])
		}
	}
	for i, id := range oldIDs {
		if !slices.Contains(newIDs, id) {
			c.whole(Removed, path+"["+id+"]", "", without(key, old[i]))
		}
	}
	if was, is := both(oldIDs, newIDs), both(newIDs, oldIDs); !slices.Equal(was, is) {
		c.add(Changed, path+" (order)", was, is)
	}
}

// both are the items of list that other has too, in list's order.
func both(list, other []string) []any {
	var out []any
	for _, id := range list {
		if slices.Contains(other, id) {
			out = append(out, id)
		}
	}
	return out
}

// join adds a field to a path; a name that is not plain goes into brackets.
func join(path, key string) string {
	switch {
	case key == "" || strings.ContainsAny(key, ".[]\"/ "):
		return path + fmt.Sprintf("[%q]", key)
	case path == "":
		return key
	}
	return path + "." + key
}

func sortedUnion(a, b map[string]any) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}
