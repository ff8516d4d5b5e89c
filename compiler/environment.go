package compiler

import (
	"context"
	"fmt"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
)

// environmentTag is the tag that --env sets.
const environmentTag = "environment"

func environmentTags(env string) []string {
	if env == "" {
		return nil
	}
	return []string{environmentTag + "=" + env}
}

// inEnvironment loads and builds the package in an environment; "" leaves the
// definition's own default.
func (s *source) inEnvironment(ctx context.Context, env string) (cue.Value, error) {
	if env == "" {
		if err := s.load(ctx); err != nil {
			return cue.Value{}, err
		}
		root, err := s.build()
		if err != nil {
			return root, err
		}
		return root, s.needsEnvironment(root)
	}
	if err := s.load(ctx, environmentTags(env)...); err != nil {
		return cue.Value{}, s.environmentError(ctx, env, err)
	}
	root, err := s.build()
	field := environmentField(s.inst.Files)
	if field == "" {
		return root, err // the tag belongs to an imported package, or to @if
	}
	if v := root.LookupPath(cue.MakePath(cue.Str(field))); v.Err() != nil {
		return root, s.environmentError(ctx, env, v.Err())
	}
	return root, err
}

// needsEnvironment reports that the definition leaves the environment open.
func (s *source) needsEnvironment(root cue.Value) error {
	field := environmentField(s.inst.Files)
	if field == "" {
		return nil
	}
	v := root.LookupPath(cue.MakePath(cue.Str(field)))
	if v.Err() != nil || v.Validate(cue.Concrete(true)) == nil {
		return nil
	}
	return newError([]Diagnostic{{
		Pos:     s.of(v, s.packagePos()),
		Message: fmt.Sprintf("%s has no value", field),
		Hint:    fmt.Sprintf("pass --env with %s, or mark one as the default with *", orList(unquoted(options(v)))),
	}})
}

// environmentError explains why the definition refused an environment, by
// looking at it without one.
func (s *source) environmentError(ctx context.Context, env string, cause error) error {
	if err := s.load(ctx); err != nil {
		return err // broken with and without
	}
	field := environmentField(s.inst.Files)
	if field == "" {
		return newError([]Diagnostic{{
			Pos:     s.packagePos(),
			Message: fmt.Sprintf("--env %s: the definition has no environments", env),
			Hint:    `declare them: environment: *"dev" | "prod" @tag(environment)`,
		}})
	}
	root, err := s.build()
	if err != nil {
		return err
	}
	v := root.LookupPath(cue.MakePath(cue.Str(field)))
	allowed := unquoted(options(v))
	if len(allowed) == 0 {
		return cause
	}
	return newError([]Diagnostic{{
		Pos:     s.of(v, s.packagePos()),
		Message: fmt.Sprintf("--env %s: the definition has no such environment; it has %s", env, orList(allowed)),
		Hint:    didYouMean(env, allowed),
	}})
}

// environmentField is the name of the top-level field that the environment tag
// sets, or "".
func environmentField(files []*ast.File) string {
	for _, file := range files {
		for _, decl := range file.Decls {
			field, ok := decl.(*ast.Field)
			if !ok {
				continue
			}
			name, _, err := ast.LabelName(field.Label)
			if err == nil && hasEnvironmentTag(field.Attrs) {
				return name
			}
		}
	}
	return ""
}

func hasEnvironmentTag(attrs []*ast.Attribute) bool {
	for _, a := range attrs {
		key, body := a.Split()
		name, _, _ := strings.Cut(body, ",")
		if key == "tag" && name == environmentTag {
			return true
		}
	}
	return false
}
