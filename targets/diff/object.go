package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// object is one Kubernetes object.
type object struct {
	key      string // tells it apart from the others of its list
	kind     string
	name     string // without the hash
	fullName string // in the cluster
	body     map[string]any
	reads    map[string]bool // full names of the hashed ConfigMaps it refers to
}

type objects struct {
	list  []*object
	byKey map[string]*object
}

// parse reads a List in JSON.
func parse(data []byte) (*objects, error) {
	var list struct {
		Items []map[string]any `json:"items"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a user id has more digits than a float64 keeps
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("objects: %w", err)
	}
	out := &objects{byKey: map[string]*object{}}
	bases := map[string]string{}
	for _, body := range list.Items {
		o := newObject(body)
		if o.name != o.fullName {
			bases[o.fullName] = o.name
		}
		out.add(o)
	}
	for _, o := range out.list {
		o.reads = map[string]bool{}
		o.unhash(o.body, bases)
	}
	return out, nil
}

// add gives the object a key. The namespace is no part of it: environments that
// differ in nothing else differ in one field. A second object of the same kind
// and name is told apart by its place.
func (l *objects) add(o *object) {
	o.key = o.kind + " " + o.name
	for n := 2; l.byKey[o.key] != nil; n++ {
		o.key = fmt.Sprintf("%s %s %d", o.kind, o.name, n)
	}
	l.list = append(l.list, o)
	l.byKey[o.key] = o
}

func newObject(body map[string]any) *object {
	o := &object{body: body}
	o.kind, _ = body["kind"].(string)
	metadata, _ := body["metadata"].(map[string]any)
	o.fullName, _ = metadata["name"].(string)
	o.name = o.fullName
	if base := baseName(o); base != "" {
		o.name, metadata["name"] = base, base
	}
	return o
}

// baseName is the name before the hash that the Kubernetes target ends a
// ConfigMap's name in, or "".
func baseName(o *object) string {
	hash := regexp.MustCompile(`-[0-9a-f]{8}$`)
	if o.kind != "ConfigMap" || o.body["immutable"] != true || !hash.MatchString(o.fullName) {
		return ""
	}
	return o.fullName[:strings.LastIndex(o.fullName, "-")]
}

// unhash renames references to hashed ConfigMaps, wherever they are, and
// remembers them.
func (o *object) unhash(value any, bases map[string]string) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			o.unhash(item, bases)
		}
	case map[string]any:
		for key, member := range v {
			ref, ok := member.(map[string]any)
			if ok && (key == "configMap" || key == "configMapRef" || key == "configMapKeyRef") {
				o.unhashRef(ref, bases)
			}
			o.unhash(member, bases)
		}
	}
}

func (o *object) unhashRef(ref map[string]any, bases map[string]string) {
	name, _ := ref["name"].(string)
	if base, ok := bases[name]; ok {
		ref["name"] = base
		o.reads[name] = true
	}
}
