package compiler

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"

	"github.com/cuepod/cuepod/compiler/app"
)

// flagFile starts the made-up file names of values from the command line.
const flagFile = "--set "

// evaluate builds the package with the environment and the parameters applied.
func (s *source) evaluate(ctx context.Context, opts Options) (cue.Value, []Param, error) {
	root, err := s.inEnvironment(ctx, opts.Env)
	if err != nil {
		return root, nil, err
	}
	base := root.LookupPath(cue.ParsePath("params"))
	if len(opts.Set)+len(opts.ValueFiles) == 0 {
		return s.withParams(root, base)
	}
	overrides, err := s.overrides(opts, base)
	if err != nil {
		return root, nil, err
	}
	if err := s.checkOverrides(overrides, root, base); err != nil {
		return root, nil, err
	}
	// What was parsed above is bound to the first build: parse it once more.
	overrides, err = s.overrides(opts, base)
	if err != nil {
		return root, nil, err
	}
	if err := s.load(ctx, environmentTags(opts.Env)...); err != nil {
		return root, nil, err
	}
	for _, o := range overrides {
		if err := s.inst.AddSyntax(o.file(s.pkg)); err != nil {
			return root, nil, newError(s.translate(err))
		}
	}
	changed, err := s.build()
	if err != nil {
		return root, nil, err
	}
	return s.withParams(changed, base)
}

// withParams reads the parameters, which have to be valid before anything that
// depends on them is worth looking at.
func (s *source) withParams(root, base cue.Value) (cue.Value, []Param, error) {
	v := root.LookupPath(cue.ParsePath("params"))
	if !v.Exists() {
		return root, nil, nil
	}
	fields, err := v.Fields(cue.Optional(true))
	if err != nil {
		return root, nil, newError(s.translate(err))
	}
	var params []Param
	g := &diagnoser{places: &s.places}
	for fields.Next() {
		name, v := fields.Selector().Unquoted(), fields.Value()
		declared := base.LookupPath(cue.MakePath(cue.Str(name).Optional()))
		pos := s.of(declared, s.packagePos())
		switch {
		case fields.Selector().ConstraintType() == cue.OptionalConstraint:
		case fields.Selector().ConstraintType() == cue.RequiredConstraint, v.Validate(cue.Concrete(true)) != nil:
			g.param(node{path: cue.MakePath(cue.Str("params"), cue.Str(name)).Selectors(), value: v, pos: pos})
			continue
		}
		params = append(params, s.param(name, v, declared, pos))
	}
	if len(g.found)+len(g.derived) > 0 {
		return root, nil, newError(append(g.found, g.derived...))
	}
	return root, params, nil
}

// param reports a parameter without a valid value.
func (g *diagnoser) param(n node) {
	parts := g.places.written(n.value)
	err := n.value.Validate()
	switch {
	case g.conflict(n, parts), g.twoDefaults(n, parts):
	case err != nil && n.value.Exists():
		g.evaluation(n, err)
	default:
		name := n.path[len(n.path)-1].String()
		g.report(n.pos, fmt.Sprintf("pass --set %s=VALUE, or give it a default: %s: %s | *VALUE", name, name, typeCUE(n.value)),
			"the parameter %s has no value", name)
	}
}

// param describes one parameter. declared is what the definition says of it,
// without --set and value files.
func (s *source) param(name string, v, declared cue.Value, pos app.Pos) Param {
	p := Param{Name: name, Type: typeCUE(declared), Pos: pos}
	if d, _ := v.Default(); d.IsConcrete() {
		p.Value = show(d)
	}
	if d, _ := declared.Default(); d.IsConcrete() {
		p.Default = show(d)
	}
	var doc []string
	for _, part := range s.written(declared) {
		for _, group := range part.Doc() {
			if text := strings.TrimSpace(group.Text()); text != "" && !slices.Contains(doc, text) {
				doc = append(doc, text)
			}
		}
	}
	p.Doc = strings.Join(doc, "\n")
	return p
}
