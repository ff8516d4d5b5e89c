package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"
)

// decoderText is the decoder of every type. It also validates: what it takes is
// what the schema takes.
func decoderText(m *model) []byte {
	w := &decoderWriter{checks: map[string]string{}}
	for _, t := range m.types {
		w.typ(t)
	}
	var b bytes.Buffer
	b.WriteString(genHead + "package compiler\n\nimport \"github.com/cuepod/cuepod/compiler/app\"\n")
	b.Write(w.b.Bytes())
	return b.Bytes()
}

type decoderWriter struct {
	b      bytes.Buffer
	checks map[string]string
}

func method(t *goType) string {
	return "decode" + t.name
}

func (w *decoderWriter) typ(t *goType) {
	b := &w.b
	fmt.Fprintf(b, "\nfunc (d *decoder) %s(o object, x *app.%s) {\n\tx.Pos = o.pos\n", method(t), t.name)
	required := 0
	for _, f := range t.fields {
		if f.preset != "" {
			fmt.Fprintf(b, "\tx.%s = %s\n", f.goName, f.preset)
		}
		if f.mark == token.NOT {
			required++
		}
	}
	if required > 0 {
		b.WriteString("\tmissing := " + strconv.Itoa(required) + "\n")
	}
	b.WriteString("\td.each(o, func(name string, o object) {\n\t\tswitch name {\n")
	for _, f := range t.fields {
		fmt.Fprintf(b, "\t\tcase %q:\n", f.name)
		if f.mark == token.NOT {
			b.WriteString("\t\t\tmissing--\n")
		}
		w.field(t, f)
		if t.lines && f.made && f.under == nil && !f.isHatch || slices.Contains(linedToo(), t.def.name+"."+f.name) {
			fmt.Fprintf(b, "\t\t\td.line(&x.Lines, name, o)\n")
		}
	}
	b.WriteString("\t\tdefault:\n\t\t\td.unfit(\"unknown field\")\n\t\t}\n\t})\n")
	if required > 0 {
		b.WriteString("\tif missing > 0 {\n\t\td.unfit(\"a required field is missing\")\n\t}\n")
	}
	for _, f := range t.fields {
		if f.under != nil && f.sorted {
			fmt.Fprintf(b, "\tbyName(x.%s, func(y app.%s) string { return y.%s })\n", f.goName, f.under.name, f.under.keyGo)
		}
	}
	if t.after {
		fmt.Fprintf(b, "\td.after%s(o, x)\n", t.name)
	}
	b.WriteString("}\n")
}

func (w *decoderWriter) field(t *goType, f *goField) {
	b := &w.b
	x := "x." + f.goName
	switch {
	case f.isHatch:
		args := ""
		for _, name := range f.hatch {
			args += ", " + strconv.Quote(name)
		}
		fmt.Fprintf(b, "\t\t\t%s = d.hatch(o%s)\n", x, args)
	case f.isObject:
		fmt.Fprintf(b, "\t\t\td.entries(o, %s, func(key string, o object) { %s = append(%s, d.object(key, o)) })\n", checkString(f.keys), x, x)
	case f.under != nil && f.typ.shape == one && f.value:
		fmt.Fprintf(b, "\t\t\td.%s(d.part(o), &%s)\n", method(f.under), x)
	case f.under != nil && f.typ.shape == one:
		fmt.Fprintf(b, "\t\t\t%s = new(app.%s)\n\t\t\td.%s(d.part(o), %s)\n", x, f.under.name, method(f.under), x)
	case f.under != nil && f.typ.shape == list:
		fmt.Fprintf(b, "\t\t\td.items(o, func(o object) {\n\t\t\t\tvar y app.%s\n\t\t\t\td.%s(d.locate(o), &y)\n\t\t\t\t%s = append(%s, y)\n\t\t\t})\n", f.under.name, method(f.under), x, x)
	case f.under != nil:
		fmt.Fprintf(b, "\t\t\td.entries(o, %s, func(key string, o object) {\n\t\t\t\ty := app.%s{%s: key}\n\t\t\t\td.%s(d.locate(o), &y)\n\t\t\t\t%s = append(%s, y)\n\t\t\t})\n",
			checkString(f.keys), f.under.name, f.under.keyGo, method(f.under), x, x)
	case f.typ.shape == list:
		elem := strings.TrimPrefix(f.goText(), "[]")
		fmt.Fprintf(b, "\t\t\t%s = nil\n\t\t\td.items(o, func(o object) { %s = append(%s, %s) })\n", x, x, x, w.value(f, elem))
	case f.typ.shape == dict:
		fmt.Fprintf(b, "\t\t\t%s = %s{}\n\t\t\td.entries(o, %s, func(key string, o object) { %s[key] = %s })\n", x, "map[string]"+qualified(strings.TrimPrefix(f.goText(), "map[string]")), checkString(f.keys), x, w.value(f, ""))
	case f.pointer:
		fmt.Fprintf(b, "\t\t\t%s = pointer(%s)\n", x, w.value(f, strings.TrimPrefix(f.goText(), "*")))
	default:
		fmt.Fprintf(b, "\t\t\t%s = %s\n", x, w.value(f, f.goText()))
	}
}

func qualified(t string) string {
	if t == "Quantity" || t == "PortRef" || t == "CountOrPercent" {
		return "app." + t
	}
	return t
}

// value reads one plain value.
func (w *decoderWriter) value(f *goField, goType string) string {
	p := f.plain
	switch p.kind {
	case "bool":
		if p.only != "" {
			return "d.only(o, " + p.only + ")"
		}
		return "d.boolean(o)"
	case "int":
		lo, hi := "noMin", "noMax"
		if p.limited {
			if p.min != -1<<63 {
				lo = strconv.FormatInt(p.min, 10)
			}
			if p.max != 1<<63-1 {
				hi = strconv.FormatInt(p.max, 10)
			}
		}
		call := fmt.Sprintf("d.integer(o, %s, %s)", lo, hi)
		if f.wide {
			return call
		}
		return "int(" + call + ")"
	case "bytes":
		return "d.bytes(o)"
	case "quantity":
		return "app.Quantity(d.text(o, " + checkString(p) + "))"
	case "portRef":
		return "d.portRef(o)"
	case "countOrPercent":
		return "d.countOrPercent(o)"
	}
	return "d.text(o, " + checkString(p) + ")"
}

// checkString is the Go expression of the check of a string.
func checkString(p plain) string {
	switch {
	case p.values != nil:
		var list []string
		for _, v := range p.values {
			list = append(list, strconv.Quote(v))
		}
		return "oneOf(" + strings.Join(list, ", ") + ")"
	case p.pattern != "":
		return "d.match(" + strconv.Quote(p.pattern) + ")"
	case p.notEmpty:
		return "notEmpty"
	}
	return "anyText"
}
