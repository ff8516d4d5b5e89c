package apiserver

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/compiler/fields"
	"github.com/cuepod/cuepod/targets/oracle/allfields"
)

// The law of the mutants holds for every field of the API on its own: a small
// app that says it, with what the schema wants beside it, is refused or accepted
// by both.
func TestEachField(t *testing.T) {
	work, server := make(chan fieldCase), newServer(t)
	var tally tally
	var wg sync.WaitGroup
	for range workers {
		dir, cache := t.TempDir(), newCache(t)
		wg.Go(func() {
			for c := range work {
				v := judgeText(t, server, dir, cache, "package a\n\nimport \"cuepod.dev/core\"\n\napp: core.#App & "+allfields.CUE(c.app)+"\n")
				tally.add(v)
				for _, p := range v.problems {
					t.Errorf("%s\n%s", c.path, p)
				}
			}
		})
	}
	for _, c := range fieldCases(t) {
		work <- c
	}
	close(work)
	wg.Wait()
	t.Log(tally.String())
	if tally.all < 1000 || tally.accepted < tally.all/4 {
		t.Errorf("too few fields are of use: %s", tally.String())
	}
}

func judgeText(t *testing.T, server *Server, dir, cache, text string) verdict {
	var model *app.App
	_, err := compiler.Compile(t.Context(), compiler.Options{Dir: dir, Input: []byte(text), CacheDir: cache, Decoded: func(a *app.App) { model = a }})
	var bad *compiler.Error
	switch {
	case err == nil:
		return accepted(t.Context(), server, model)
	case !errors.As(err, &bad):
		return verdict{problems: []string{err.Error()}}
	case model == nil:
		return verdict{problems: poor(bad)}
	}
	v := refused(t.Context(), server, model, bad)
	v.problems = append(v.problems, poor(bad)...)
	return v
}

type fieldCase struct {
	path string // without the keys of maps
	app  map[string]any
}

// fieldCases has an app for every field below a kind's object. What is said of a
// pod the same way for each kind is there once.
func fieldCases(t *testing.T) []fieldCase {
	t.Helper()
	objects, err := allfields.Objects()
	if err != nil {
		t.Fatal(err)
	}
	s := &slicer{t: t, seen: map[string]bool{}, required: map[string]map[string]bool{}}
	for _, kind := range slices.Sorted(maps.Keys(objects)) {
		full := allfields.Convert(objects[kind]).App
		s.kind = ""
		if pods, ok := full["pods"].(map[string]any); ok {
			s.kind, _ = pods["name-value"].(map[string]any)["kind"].(string)
		}
		s.walk(full, full, nil, "")
	}
	return s.cases
}

// slicer cuts single fields out of definitions.
type slicer struct {
	t        *testing.T
	kind     string
	seen     map[string]bool
	required map[string]map[string]bool // by path
	cases    []fieldCase
}

// walk visits value, which is at keys in full and at path in the schema.
func (s *slicer) walk(full map[string]any, value any, keys []string, path string) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if name == "kubernetes" {
				continue
			}
			at := append(slices.Clone(keys), name)
			inner := path
			if s.isField(path, name) {
				inner = strings.TrimPrefix(path+"."+name, ".")
				s.add(full, at, inner)
			}
			s.walk(full, v[name], at, inner)
		}
	case []any:
		for _, item := range v {
			s.walk(full, item, append(slices.Clone(keys), "0"), path)
		}
	}
}

// isField reports whether a name is a field of the schema and no key of a map.
func (s *slicer) isField(path, name string) bool {
	_, ok := s.fields(path)[name]
	return ok
}

// fields are those of a path, and whether the schema wants them.
func (s *slicer) fields(path string) map[string]bool {
	if s.required[path] == nil {
		s.required[path] = map[string]bool{}
		f, err := fields.Lookup(path)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, field := range f.Fields {
			s.required[path][field.Name] = field.Required
		}
	}
	return s.required[path]
}

func (s *slicer) add(full map[string]any, keys []string, path string) {
	id := path
	if strings.Count(path, ".") == 1 && strings.HasPrefix(path, "pods.") {
		id += " " + s.kind
	}
	if s.seen[id] {
		return
	}
	s.seen[id] = true
	out := s.only(full, keys, "").(map[string]any)
	out["name"] = "x"
	if pods, ok := out["pods"].(map[string]any); ok {
		p := pods["name-value"].(map[string]any)
		if s.kind != "" {
			p["kind"] = s.kind
		}
		if s.kind == "CronJob" && p["schedule"] == nil {
			p["schedule"] = "* * * * *"
		}
		if p["containers"] == nil {
			p["containers"] = map[string]any{"main": map[string]any{"image": "a:1"}}
		}
	}
	s.cases = append(s.cases, fieldCase{id, out})
}

// only is a value with nothing but what keys lead to, and what the schema wants
// beside it.
func (s *slicer) only(value any, keys []string, path string) any {
	switch v := value.(type) {
	case map[string]any:
		if len(keys) == 0 && !s.isStruct(v, path) {
			return value
		}
		out := map[string]any{}
		for name, inner := range v {
			at := path
			required, isField := s.fields(path)[name]
			if isField {
				at = strings.TrimPrefix(path+"."+name, ".")
			}
			switch {
			case len(keys) > 0 && name == keys[0]:
				out[name] = s.only(inner, keys[1:], at)
			case isField && required, !isField && len(keys) == 0:
				out[name] = s.only(inner, nil, at)
			}
		}
		return out
	case []any:
		var out []any
		for _, item := range v {
			rest := keys
			if len(rest) > 0 {
				rest = rest[1:]
			}
			out = append(out, s.only(item, rest, path))
		}
		return out
	}
	return value
}

// isStruct reports whether a value is a struct of the schema, or a map of such.
func (s *slicer) isStruct(v map[string]any, path string) bool { return len(s.fields(path)) > 0 }
