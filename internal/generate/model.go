package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"
)

// model is the schema as Go types.
type model struct {
	schema *schema
	types  []*goType
}

// goType is a struct of the model.
type goType struct {
	def    *definition
	name   string // in Go
	key    string // the API's name of the field that is the key of the map that holds it; "" for none
	keyGo  string
	keyAt  int // its place among the API's fields
	fields []*goField
	apis   []*apiType
	lines  bool // keeps where fields are written
	after  bool // the decoder has more to do, by hand
}

// goField is a field of a struct of the model.
type goField struct {
	*field
	goName   string
	plain    plain   // of a plain value, item or value
	under    *goType // of a struct, item or value; nil for plain ones
	keys     plain   // of a map's keys
	pointer  bool    // nil when it is not set
	value    bool    // a struct that is not behind a pointer
	wide     bool    // an int64
	preset   string  // the default as Go, "" for none
	sorted   bool    // a map whose order means nothing
	hatch    []string
	isHatch  bool
	isObject bool
	apiOf    map[*apiType]int // the types of the API that have it, with its place there
	configs  bool             // the name of a ConfigMap
}

// names are Go names that are not the API's.
func names() map[string]string {
	return map[string]string{
		"PersistentVolumeClaim":             "Claim",
		"App.persistentVolumeClaims":        "Claims",
		"App.configMaps":                    "ConfigMaps",
		"App.httpRoutes":                    "HTTPRoutes",
		"Volume.persistentVolumeClaim":      "Claim",
		"PersistentVolumeClaimVolumeSource": "ClaimSource",
		"ConfigMapVolumeSource":             "ConfigMapSource",
		"SecretVolumeSource":                "SecretSource",
		"SecretSource":                      "SecretKey",
		"EmptyDirVolumeSource":              "EmptyDir",
		"Autoscaling.cpu":                   "CPU",
		"ResourceRequirements":              "Resources",
	}
}

// keyNames are the Go names of keys where Name would say too little.
func keyNames() map[string]string {
	return map[string]string{"Dependency": "Service", "KeyToPath": "Key", "IngressRule": "Host", "IngressPath": "Path", "Grant": "Module"}
}

// declared are maps whose order means something.
func declared() []string {
	return []string{"App.pods", "App.objects", "Pod.initContainers", "Pod.containers", "Pod.volumes", "Container.env"}
}

// withLines keep the lines of the fields that this program made, which are
// those that not every target can say.
func withLines() []string { return []string{"Pod", "Container", "Service"} }

// withRaised know what other modules let them do.
func withRaised() []string { return []string{"App", "Pod"} }

// linedToo are fields beside those that keep their lines: their default hides
// whether they are written, which is a mistake beside some other field.
func linedToo() []string { return []string{"Pod.replicas"} }

// withAfter have a method of the decoder of their own, which runs when all
// fields are read.
func withAfter() []string {
	return []string{"App", "Pod", "Container", "Volume", "EnvVar", "Service", "ServicePort", "Ingress"}
}

// values are structs that are not behind a pointer: absent and empty are the same.
func values() []string {
	return []string{"ResourceRequirements", "SecurityContext", "PodSecurityContext", "Capabilities"}
}

// emptyTexts are texts that mean something else when they are empty than when
// nobody writes them: no class of storage, the group of a Service that is a
// route's parent.
func emptyTexts() []string {
	return []string{"PersistentVolumeClaim.storageClassName", "PersistentVolumeClaimSpec.storageClassName", "ParentReference.group"}
}

// configMapNames are the fields that name a ConfigMap.
func configMapNames() []string {
	return []string{"ConfigMapKeySelector.name", "ConfigMapEnvSource.name", "ConfigMapVolumeSource.name", "ConfigMapProjection.name"}
}

func newModel(s *schema, a *api) (*model, error) {
	m := &model{schema: s}
	byDef := map[*definition]*goType{}
	for _, d := range s.list {
		if !d.isStruct() || d.keys != nil || d.open || d.name == "PodHatch" {
			continue
		}
		t := &goType{def: d, name: rename(d.name, d.name), lines: slices.Contains(withLines(), d.name), after: slices.Contains(withAfter(), d.name)}
		if b := s.apis[d.name]; b != nil {
			t.apis, t.key = b.types, b.key
			t.keyAt = slices.IndexFunc(a.fields(b.types[0]), func(f apiField) bool { return f.name == b.key })
		}
		byDef[d] = t
		m.types = append(m.types, t)
	}
	for _, t := range m.types {
		for _, f := range t.def.fields {
			g, err := m.field(t, f, a, byDef)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", t.def.name, f.name, err)
			}
			t.fields = append(t.fields, g)
		}
	}
	return m, m.nameKeys()
}

func rename(path, otherwise string) string {
	if name, ok := names()[path]; ok {
		return name
	}
	return otherwise
}

func (m *model) field(t *goType, f *field, a *api, byDef map[*definition]*goType) (*goField, error) {
	path := t.def.name + "." + f.name
	g := &goField{apiOf: map[*apiType]int{}, field: f, sorted: f.typ.shape == dict && !slices.Contains(declared(), path), configs: slices.Contains(configMapNames(), path)}
	pointer, name := false, title(f.name)
	for _, at := range t.apis {
		for i, af := range a.fields(at) {
			if af.name == f.name {
				name = af.goName
				g.apiOf[at] = i
				pointer = pointer || af.pointer
				if id, ok := under(a, af.typ); ok && id == "int64" {
					g.wide = true
				}
			}
		}
	}
	g.goName = rename(path, name)
	switch d := m.schema.ref(f.typ.expr); {
	case d != nil && d.name == "Object":
		g.isObject = true
	case d != nil && d.name == "Raw":
		g.isHatch = true
	case d != nil && d.name == "PodHatch":
		g.isHatch = true
		for _, hf := range d.fields {
			g.hatch = append(g.hatch, hf.name)
		}
	case d != nil && d.isStruct() && d.keys != nil:
		// A definition that is a map of plain values.
		p, ok := m.schema.plain(d.keys.elem.expr)
		if !ok {
			return nil, fmt.Errorf("a map of structs by the name %s", d.name)
		}
		g.plain, g.keys = p, m.keysOf(d)
		g.typ = kind{shape: dict, key: d.keys.key, expr: d.keys.elem.expr}
		fCopy := *f
		fCopy.typ = g.typ
		g.field = &fCopy
		g.sorted = true
	case d != nil && d.isStruct():
		g.under = byDef[d]
		g.value = slices.Contains(values(), d.name)
	default:
		p, ok := m.schema.plain(f.typ.expr)
		if !ok {
			return nil, fmt.Errorf("a type that the generator does not know: %s", source(f.typ.expr))
		}
		g.plain = p
	}
	if g.typ.shape == dict && g.keys.kind == "" {
		p, ok := m.schema.plain(g.typ.key)
		if !ok {
			return nil, fmt.Errorf("keys of a type that the generator does not know")
		}
		g.keys = p
	}
	if g.under == nil && g.typ.shape == one && !g.isHatch && !f.made {
		g.preset = preset(f.doc, g.plain)
	}
	if g.typ.shape == list && g.under == nil && !f.made {
		if p := preset(f.doc, g.plain); p != "" {
			g.preset = "[]string{" + p + "}"
		}
	}
	if g.typ.shape == one && pointer && g.preset == "" && f.mark == token.OPTION && f.name != "optional" &&
		(g.plain.kind == "bool" || g.plain.kind == "int" || slices.Contains(emptyTexts(), path)) {
		g.pointer = true
	}
	return g, nil
}

// keysOf are the keys of a map that has some by name and the rest by pattern.
func (m *model) keysOf(d *definition) plain {
	p, _ := m.schema.plain(d.keys.key)
	if len(d.fields) > 0 {
		var named []string
		for _, f := range d.fields {
			named = append(named, regexp.QuoteMeta(f.name))
		}
		p.pattern = "^(" + strings.Join(named, "|") + ")$|" + p.pattern
	}
	return p
}

// under is the basic type behind a type of the API.
func under(a *api, r apiRef) (string, bool) {
	for r.pkg != nil {
		t := r.pkg.types[r.name]
		ref, s := a.resolve(r.pkg, t.expr)
		if s != (shape{}) || ref == r {
			return "", false
		}
		r = ref
	}
	return r.name, true
}

// preset reads the default from a comment that ends in "Default X.".
func preset(doc string, p plain) string {
	flat := strings.Join(strings.Fields(doc), " ")
	found := regexp.MustCompile(`(?:^|\. )Default ("[^"]*"|[0-9][0-9a-fxo]*|[A-Za-z]+)(?:\.(?: |$)|;)`).FindStringSubmatch(flat)
	if found == nil {
		return ""
	}
	switch p.kind {
	case "int":
		if n, err := strconv.ParseInt(found[1], 0, 64); err == nil && n != 0 {
			return found[1]
		}
	case "string":
		text := strings.Trim(found[1], `"`)
		return strconv.Quote(text)
	}
	return ""
}

// title makes a Go name of a JSON name.
func title(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// nameKeys finds the Go name of each type's key.
func (m *model) nameKeys() error {
	for _, t := range m.types {
		for _, f := range t.fields {
			if f.under == nil || f.typ.shape != dict {
				continue
			}
			u := f.under
			name := "Name"
			if n, ok := keyNames()[u.def.name]; ok {
				name = n
			} else if u.key != "" && u.key != "name" {
				name = title(u.key)
				if u.key == "ip" {
					name = "IP"
				}
			}
			if u.keyGo != "" && u.keyGo != name {
				return fmt.Errorf("%s has the keys %s and %s", u.name, u.keyGo, name)
			}
			u.keyGo = name
		}
	}
	return nil
}

// goText is the type of a field in Go.
func (f *goField) goText() string {
	switch {
	case f.isObject:
		return "[]Object"
	case f.isHatch:
		return "*Hatch"
	case f.under != nil && f.typ.shape != one:
		return "[]" + f.under.name
	case f.under != nil && f.value:
		return f.under.name
	case f.under != nil:
		return "*" + f.under.name
	}
	base := map[string]string{"string": "string", "bool": "bool", "int": "int", "bytes": "[]byte", "quantity": "Quantity", "portRef": "PortRef", "countOrPercent": "CountOrPercent"}[f.plain.kind]
	if f.wide && base == "int" {
		base = "int64"
	}
	switch {
	case f.typ.shape == list:
		return "[]" + base
	case f.typ.shape == dict:
		return "map[string]" + base
	case f.pointer:
		return "*" + base
	}
	return base
}

// brief is a field's comment, of the API's only the first sentence: the schema
// has the rest.
func brief(f *goField) string {
	if first, _, ok := strings.Cut(f.doc, ". "); ok && f.made {
		return first + "."
	}
	return f.doc
}

func modelText(m *model) []byte {
	var b bytes.Buffer
	b.WriteString(genHead + "package app\n")
	for _, t := range m.types {
		b.WriteString("\n")
		doc := t.def.doc
		if doc == "" {
			doc = t.name + " is a " + t.def.name + "."
		}
		wrapped(&b, "// ", strings.Replace(doc, " "+t.def.name+" ", " "+t.name+" ", 1))
		fmt.Fprintf(&b, "type %s struct {\n", t.name)
		if t.keyGo != "" {
			fmt.Fprintf(&b, "\t// The key of the map that holds it.\n\t%s string `json:\",omitzero\"`\n\n", t.keyGo)
		}
		for _, f := range t.fields {
			wrapped(&b, "\t// ", brief(f))
			fmt.Fprintf(&b, "\t%s %s `json:\",omitzero\"`\n\n", f.goName, f.goText())
		}
		if t.lines {
			b.WriteString("\t// Where fields that have no position of their own are written, by their name in\n\t// the definition: those that not every target can say.\n\tLines map[string]Pos `json:\",omitzero\"`\n\n")
		}
		if slices.Contains(withRaised(), t.def.name) {
			b.WriteString("\t// What files of other modules let it do, beyond the ordinary.\n\tRaised []Raised `json:\",omitzero\"`\n\n")
		}
		b.WriteString("\tPos Pos `json:\",omitzero\"`\n}\n")
	}
	return b.Bytes()
}
