package compiler

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"cuelang.org/go/cue"

	"github.com/cuepod/cuepod/compiler/app"
)

// object reads a Kubernetes object.
func (d *decoder) object(name string, o object) app.Object {
	body := d.raw("", o)
	return app.Object{Name: name, Body: body, Pos: body.Pos}
}

// hatch reads an escape hatch.
func (d *decoder) hatch(o object) *app.Hatch { return &app.Hatch{Raw: d.raw("", o)} }

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
	switch k := o.v.Kind(); k {
	case cue.StructKind:
		r.Kind = app.RawStruct
		d.each(o, func(name string, o object) { r.Items = append(r.Items, d.raw(name, o)) })
	case cue.ListKind:
		r.Kind = app.RawList
		d.items(o, func(o object) { r.Items = append(r.Items, d.raw("", o)) })
	case cue.StringKind:
		r.Kind, r.Text = app.RawString, str(o)
	case cue.BytesKind:
		r.Kind, r.Text = app.RawString, base64.StdEncoding.EncodeToString(must(o.v.Bytes()))
	case cue.IntKind:
		r.Kind, r.Text = app.RawNumber, must(o.v.Int(nil)).String()
	case cue.FloatKind, cue.NumberKind:
		r.Kind, r.Text = app.RawNumber, float(must(o.v.Float64()))
	case cue.BoolKind:
		r.Kind, r.Text = app.RawBool, strconv.FormatBool(boolean(o))
	case cue.NullKind:
		r.Kind = app.RawNull
	default:
		panic(fmt.Sprintf("compiler: a validated value is a %v", k))
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
