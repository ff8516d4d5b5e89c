package main

import (
	"bytes"
	"fmt"
	"strings"
)

// isSet is the Go condition that a field says something: that it is not what it
// is when nobody writes it.
func (f *goField) isSet(x string) string {
	v := x + "." + f.goName
	switch {
	case f.isObject, f.typ.shape != one:
		return "len(" + v + ") > 0"
	case f.isHatch, f.pointer, f.under != nil && !f.value:
		return v + " != nil"
	case f.under != nil:
		return "!" + v + ".isZero()"
	}
	switch f.plain.kind {
	case "bool":
		return v
	case "int":
		if f.preset != "" {
			return v + " != " + f.preset
		}
		return v + " != 0"
	case "portRef":
		return "!" + v + ".IsZero()"
	}
	if f.preset != "" {
		return v + ` != "" && ` + v + " != " + f.preset
	}
	return v + ` != ""`
}

// walkText is the walk over all fields that are set.
func walkText(m *model) []byte {
	var b bytes.Buffer
	b.WriteString(genHead + "package app\n")
	for _, t := range m.types {
		fmt.Fprintf(&b, "\nfunc (x *%s) walk(w *walker) {\n", t.name)
		for _, f := range t.fields {
			pos := "x.Pos"
			if t.lines && f.made && f.under == nil && !f.isHatch {
				pos = fmt.Sprintf("at(x.Lines[%q], x.Pos)", f.name)
			}
			fmt.Fprintf(&b, "\tif %s {\n", f.isSet("x"))
			switch {
			case f.isHatch:
				fmt.Fprintf(&b, "\t\tw.field(%q, %q, x.%s.Raw.Pos)\n", t.def.name, f.name, f.goName)
			case f.isObject:
				fmt.Fprintf(&b, "\t\tw.field(%q, %q, x.%s[0].Pos)\n", t.def.name, f.name, f.goName)
			case f.under == nil:
				fmt.Fprintf(&b, "\t\tw.field(%q, %q, %s)\n", t.def.name, f.name, pos)
			case f.typ.shape == one:
				fmt.Fprintf(&b, "\t\tif w.field(%q, %q, at(x.%s.Pos, x.Pos)) {\n\t\t\tw.enter(%q)\n\t\t\tx.%s.walk(w)\n\t\t\tw.leave(1)\n\t\t}\n", t.def.name, f.name, f.goName, f.name, f.goName)
			default:
				key, depth := "index(i)", 2
				if f.typ.shape == dict {
					key = "x." + f.goName + "[i]." + f.under.keyGo
				}
				fmt.Fprintf(&b, "\t\tif w.field(%q, %q, at(x.%s[0].Pos, x.Pos)) {\n\t\t\tfor i := range x.%s {\n\t\t\t\tw.enter(%q, %s)\n\t\t\t\tx.%s[i].walk(w)\n\t\t\t\tw.leave(%d)\n\t\t\t}\n\t\t}\n",
					t.def.name, f.name, f.goName, f.goName, f.name, key, f.goName, depth)
			}
			b.WriteString("\t}\n")
		}
		b.WriteString("}\n")
		if isValue(m, t) {
			var zero []string
			for _, f := range t.fields {
				zero = append(zero, negated(f.isSet("x")))
			}
			fmt.Fprintf(&b, "\nfunc (x *%s) isZero() bool {\n\treturn %s\n}\n", t.name, strings.Join(zero, " &&\n\t\t"))
		}
	}
	return b.Bytes()
}

func isValue(m *model, t *goType) bool {
	for _, other := range m.types {
		for _, f := range other.fields {
			if f.under == t && f.value {
				return true
			}
		}
	}
	return false
}

// fieldsText lists the fields of every definition.
func fieldsText(m *model) []byte {
	var b bytes.Buffer
	b.WriteString(genHead + `package app

// Fields lists the fields of a definition of the schema, such as "Container",
// in declared order: each by its name, with the definition of its value, its
// items or its entries behind a space where that is a struct of the model, and
// behind another space the field that is the key of the entries in Kubernetes'
// API, where they are a list: "volumeMounts VolumeMount mountPath".
func Fields(definition string) []string {
	switch definition {
`)
	for _, t := range m.types {
		fmt.Fprintf(&b, "\tcase %q:\n\t\treturn []string{\n", t.def.name)
		for _, f := range t.fields {
			text := f.name
			if f.under != nil {
				text += " " + f.under.def.name
			}
			if f.under != nil && f.typ.shape == dict && f.under.key != "" {
				text += " " + f.under.key
			}
			fmt.Fprintf(&b, "\t\t\t%q,\n", text)
		}
		b.WriteString("\t\t}\n")
	}
	b.WriteString("\t}\n\treturn nil\n}\n")
	return b.Bytes()
}

// negated is the opposite of a condition.
func negated(cond string) string {
	if plain, ok := strings.CutPrefix(cond, "!"); ok {
		return plain
	}
	if left, right, ok := strings.Cut(cond, " != "); ok {
		return left + " == " + right
	}
	if left, right, ok := strings.Cut(cond, " > "); ok {
		return left + " == " + right // a length
	}
	return "!" + cond
}
