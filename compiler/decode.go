package compiler

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"

	"github.com/cuepod/cuepod/compiler/app"
)

// decoder makes the model from the value of an app. Its methods for the types
// of the model are generated from the schema, and take exactly what the schema
// takes: what does not fit is a misfit, whose value means nothing.
type decoder struct {
	places *places
	path   []string // of the object at hand, for messages
	// made is where the user makes the components that objects come from, by the
	// path of the object: pods, web.
	made     map[[2]string]app.Pos
	patterns map[string]func(string) bool // compiled regular expressions of the schema
	misfits  []misfit
	raised   []app.Raised // by other modules, in the pod at hand
	problems []Diagnostic // what only the definition shows, not the model
}

// object is a value of the definition and where it is.
type object struct {
	v    cue.Value
	mark *mark   // of v
	pos  app.Pos // of v once it is located; before, of what holds it
}

// noMin and noMax are the bounds of a number without bounds.
const (
	noMin = math.MinInt64
	noMax = math.MaxInt64
)

// unfit notes that the object at hand is not what the schema wants.
func (d *decoder) unfit(reason string) {
	d.misfits = append(d.misfits, misfit{slices.Clone(d.path), reason})
}

// locate finds where the user wrote an object that has a name, or that is an
// item of a list.
func (d *decoder) locate(o object) object {
	at, made := app.Pos{}, false
	if len(d.made) > 0 && len(d.path) > 1 {
		at, made = d.made[[2]string{d.path[0], d.path[1]}]
	}
	pos := d.places.position(o.v, o.mark, o.pos)
	if made && d.places.rankOf(pos) == rankOther {
		pos = at // a person looks there first, not in the component's file
	}
	o.pos = pos
	return o
}

// part finds where a part of an object is written when that is known without a
// look at the value; else it is where the object is.
func (d *decoder) part(o object) object {
	if pos := d.places.pos(o.mark.position()); pos.IsValid() {
		o.pos = pos
	}
	return o
}

// line notes where a field is written.
func (d *decoder) line(lines *map[string]app.Pos, name string, o object) {
	if *lines == nil {
		*lines = map[string]app.Pos{}
	}
	(*lines)[name] = d.locate(o).pos
}

// each calls f for every field of a struct in declared order.
func (d *decoder) each(o object, f func(name string, o object)) {
	it, err := o.v.Fields()
	if err != nil || o.v.IncompleteKind() != cue.StructKind {
		d.unfit("not a struct")
		return
	}
	for it.Next() {
		name := it.Selector().Unquoted()
		d.path = append(d.path, name)
		f(name, object{it.Value(), o.mark.field(name), o.pos})
		d.path = d.path[:len(d.path)-1]
	}
}

// entries calls f for every entry of a map in declared order.
func (d *decoder) entries(o object, key func(string) bool, f func(key string, o object)) {
	d.each(o, func(name string, o object) {
		if !key(name) {
			d.unfit("the key is not valid")
			return
		}
		f(name, o)
	})
}

// items calls f for every item of a list.
func (d *decoder) items(o object, f func(o object)) {
	it, err := o.v.List()
	if err != nil || o.v.IncompleteKind() != cue.ListKind {
		d.unfit("not a list")
		return
	}
	for it.Next() {
		f(object{it.Value(), nil, o.pos})
	}
}

// text reads a string that passes a check.
func (d *decoder) text(o object, check func(string) bool) string {
	s, err := o.v.String()
	if err != nil || !check(s) {
		d.unfit("not a text that is allowed")
	}
	return s
}

func (d *decoder) integer(o object, least, most int64) int64 {
	n, err := o.v.Int64()
	if err != nil || o.v.IncompleteKind() != cue.IntKind || n < least || n > most {
		d.unfit("not a whole number that is allowed")
	}
	return n
}

func (d *decoder) boolean(o object) bool {
	b, err := o.v.Bool()
	if err != nil {
		d.unfit("not true or false")
	}
	return b
}

// only reads a boolean that has one value.
func (d *decoder) only(o object, want bool) bool {
	b := d.boolean(o)
	if b != want {
		d.unfit("not " + strconv.FormatBool(want))
	}
	return b
}

func (d *decoder) bytes(o object) []byte {
	b, err := o.v.Bytes()
	if err != nil || o.v.IncompleteKind() != cue.BytesKind {
		d.unfit("not bytes")
	}
	return b
}

// portRef reads the schema's #PortRef.
func (d *decoder) portRef(o object) app.PortRef {
	if o.v.IncompleteKind() == cue.IntKind {
		return app.PortRef{Number: int(d.integer(o, 1, 65535))}
	}
	return app.PortRef{Name: d.text(o, d.match(`^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$`))}
}

// countOrPercent reads the schema's #CountOrPercent.
func (d *decoder) countOrPercent(o object) app.CountOrPercent {
	if o.v.IncompleteKind() == cue.IntKind {
		return app.CountOrPercent(strconv.FormatInt(d.integer(o, 0, math.MaxInt32), 10))
	}
	return app.CountOrPercent(d.text(o, d.match(`^[0-9]+%$`)))
}

func anyText(string) bool    { return true }
func notEmpty(s string) bool { return s != "" }

func oneOf(list ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(list, s) }
}

// match is the check of a regular expression.
func (d *decoder) match(pattern string) func(string) bool {
	check := d.patterns[pattern]
	if check == nil {
		check = regexp.MustCompile(pattern).MatchString
		d.patterns[pattern] = check
	}
	return check
}

func pointer[T any](v T) *T { return &v }

func byName[T any](list []T, name func(T) string) {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
}

// The rest is what follows from the fields of a type when all are read.

func (d *decoder) afterApp(o object, a *app.App) {
	d.beside(o, a.Compose)
	d.grantedElsewhere(o, a)
	d.raisedInRaw(o, "compose")
	for i := range a.Objects {
		d.raisedInRaw(o, "objects", a.Objects[i].Name)
	}
	a.Raised, d.raised = d.raised, nil
}

func (d *decoder) afterPod(o object, p *app.Pod) {
	d.beside(o, p.Kubernetes)
	d.raisedInPod(o, p)
	d.raisedInRaw(o, "kubernetes")
	p.Raised, d.raised = d.raised, nil
	slices.SortFunc(p.Raised, func(a, b app.Raised) int { return strings.Compare(a.Path, b.Path) })
}

func (d *decoder) afterVolume(o object, v *app.Volume) {
	d.beside(o, v.Kubernetes)
	d.raisedInRaw(o, "kubernetes")
	if v.HostPath != nil {
		d.raise(o, "hostPath", v.HostPath.Path, "hostPath", "path")
	}
}

func (d *decoder) afterService(o object, s *app.Service) { d.beside(o, s.Kubernetes) }

func (d *decoder) afterIngress(o object, i *app.Ingress) { d.beside(o, i.Kubernetes) }

func (d *decoder) afterServicePort(_ object, p *app.ServicePort) {
	if p.TargetPort.IsZero() {
		p.TargetPort.Number = p.Port
	}
}

func (d *decoder) afterContainer(o object, c *app.Container) {
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = app.DefaultPullPolicy(c.Image)
	}
	d.beside(o, c.Kubernetes)
	d.beside(o, c.Compose)
	d.raisedInContainer(o, c)
	d.raisedInRaw(o, "kubernetes")
	d.raisedInRaw(o, "compose")
}

// afterEnvVar looks for a value beside a source, and for neither: the model
// cannot tell an empty value from none.
func (d *decoder) afterEnvVar(o object, e *app.EnvVar) {
	if e.ValueFrom == nil && e.Value != "" {
		return
	}
	sources := e.ValueFrom.Sources()
	if o.v.LookupPath(cue.MakePath(cue.Str("value"))).Exists() {
		sources++
	}
	if sources != 1 {
		d.problems = append(d.problems, Diagnostic{
			Pos:     e.Pos,
			Message: fmt.Sprintf("%s: %s", strings.Join(d.path, "."), countOf(sources, "source")),
			Hint:    "give it exactly one of value, valueFrom.configMapKeyRef, valueFrom.secretKeyRef, valueFrom.fieldRef, valueFrom.resourceFieldRef, valueFrom.fileKeyRef",
		})
	}
}
