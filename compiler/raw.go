package compiler

import (
	"encoding/base64"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"

	"github.com/cuepod/cuepod/compiler/app"
)

// object reads a Kubernetes object: anything with apiVersion, kind and
// metadata.name.
func (d *decoder) object(name string, o object) app.Object {
	body := d.raw("", o)
	for _, path := range [][]string{{"apiVersion"}, {"kind"}, {"metadata", "name"}} {
		if body.String(path...) == "" {
			d.unfit(strings.Join(path, ".") + " is missing")
		}
	}
	return app.Object{Name: name, Body: body, Pos: body.Pos}
}

// hatch reads an escape hatch, a struct. Where names are given, it has only
// those fields, each a struct.
func (d *decoder) hatch(o object, names ...string) *app.Hatch {
	h := &app.Hatch{Raw: d.raw("", o)}
	if h.Raw.Kind != app.RawStruct {
		d.unfit("not a struct")
	}
	for _, f := range h.Raw.Items {
		if names != nil && (!slices.Contains(names, f.Name) || f.Kind != app.RawStruct) {
			d.unfit("unknown field")
		}
	}
	return h
}

// beside notes where the fields of o are, which has been located, next to a
// hatch if there is one. Empty maps that only the schema has are left out.
func (d *decoder) beside(o object, h *app.Hatch) {
	if h == nil {
		return
	}
	h.Beside = map[string]app.Pos{}
	d.each(o, func(name string, f object) {
		if at := d.locate(f).pos; at != o.pos && name != "kubernetes" && name != "compose" {
			h.Beside[name] = at
		}
	})
}

// raw reads a value as it is. Bytes become base64, as in JSON.
func (d *decoder) raw(name string, o object) app.Raw {
	o = d.locate(o)
	o.v, _ = o.v.Default()
	r := app.Raw{Name: name, Pos: o.pos}
	var err error
	switch o.v.Kind() {
	case cue.StructKind:
		r.Kind = app.RawStruct
		d.each(o, func(name string, o object) { r.Items = append(r.Items, d.raw(name, o)) })
	case cue.ListKind:
		r.Kind = app.RawList
		d.items(o, func(o object) { r.Items = append(r.Items, d.raw("", o)) })
	case cue.StringKind:
		r.Kind = app.RawString
		r.Text, err = o.v.String()
	case cue.BytesKind:
		r.Kind, r.Text = app.RawString, base64.StdEncoding.EncodeToString(d.bytes(o))
	case cue.IntKind:
		r.Kind = app.RawNumber
		var n *big.Int
		if n, err = o.v.Int(nil); err == nil {
			r.Text = n.String()
		}
	case cue.FloatKind, cue.NumberKind:
		r.Kind = app.RawNumber
		var f float64
		if f, err = o.v.Float64(); err == nil {
			r.Text = float(f)
		}
	case cue.BoolKind:
		r.Kind, r.Text = app.RawBool, strconv.FormatBool(d.boolean(o))
	case cue.NullKind:
		r.Kind = app.RawNull
	default:
		d.unfit("there is no value")
	}
	if err != nil {
		d.unfit(err.Error())
	}
	return r
}

// float writes a number with a fraction so that every reader takes it for one:
// YAML 1.1 wants a point before an exponent.
func float(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.Contains(s, ".") {
		return s
	}
	mantissa, exponent, ok := strings.Cut(s, "e")
	if ok {
		return mantissa + ".0e" + exponent
	}
	return s + ".0"
}
