package compiler

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
)

// sample is a value of the schema with every field, to be written as CUE.
type sample struct {
	text     string // of a plain value
	fields   []sampleField
	items    []*sample
	required map[string]bool // of the fields
}

type sampleField struct {
	name  string
	value *sample
}

func (s *sample) write(b *strings.Builder) {
	switch {
	case s.text != "":
		b.WriteString(s.text)
	case s.items != nil:
		b.WriteString("[")
		for _, item := range s.items {
			item.write(b)
			b.WriteString(", ")
		}
		b.WriteString("]")
	default:
		b.WriteString("{\n")
		for _, f := range s.fields {
			b.WriteString(strconv.Quote(f.name) + ": ")
			f.value.write(b)
			b.WriteString("\n")
		}
		b.WriteString("}")
	}
}

func (s *sample) definition() []byte {
	var b strings.Builder
	b.WriteString("package all\n\nimport \"" + "cuepod.dev/core" + "\"\n\napp: core.#App & ")
	s.write(&b)
	return []byte(b.String())
}

// sampleOf makes a value that has everything a schema allows.
func sampleOf(t *testing.T, schema cue.Value, path string) *sample {
	t.Helper()
	switch schema.IncompleteKind() {
	case cue.ListKind:
		return &sample{items: []*sample{sampleOf(t, schema.LookupPath(cue.MakePath(cue.AnyIndex)), path+"[]")}}
	case cue.StructKind:
		s := &sample{required: map[string]bool{}}
		for _, name := range requiredFields(schema) {
			s.required[name] = true
		}
		for _, name := range fieldNames(schema) {
			s.fields = append(s.fields, sampleField{name, sampleOf(t, schema.LookupPath(cue.MakePath(cue.Str(name).Optional())), path+"."+name)})
		}
		if keys, ok := keyPattern(schema); ok {
			key := plainSample(t, keys, path+" (key)")
			name, err := strconv.Unquote(key)
			if err != nil {
				t.Fatalf("%s: the key %s", path, key)
			}
			s.fields = append(s.fields, sampleField{name, sampleOf(t, schema.LookupPath(cue.MakePath(cue.Str(name).Optional())), path+"."+name)})
		}
		return s
	}
	return &sample{text: plainSample(t, schema, path)}
}

// plainSample is a value of a plain type, and not its default where there is a
// choice.
func plainSample(t *testing.T, schema cue.Value, path string) string {
	t.Helper()
	candidates := []string{"true", "7", "9", "30007", `"a"`, `"/a"`, `"A"`, `"1Gi"`, `"25%"`, `"hugepages-2Mi"`, `'\x00\x01'`, `"CronJob"`, `"Memory"`, `"ReadOnlyMany"`, `"privileged"`, "{x: 1}"}
	if list := options(schema); len(list) > 0 {
		return list[len(list)-1]
	}
	if _, pattern, ok := strings.Cut(fmt.Sprint(schema), "^("); ok {
		pattern, _, _ = strings.Cut(pattern, ")$")
		arms := strings.Split(pattern, "|")
		candidates = append(candidates, strconv.Quote(arms[0]))
	}
	for _, c := range candidates {
		v := cuecontext.New().CompileString(c)
		if schema.Unify(v).Validate(cue.Concrete(true)) == nil {
			return c
		}
	}
	t.Fatalf("%s: no sample fits %v", path, schema)
	return ""
}

// fullSample is an app with every field that the schema has.
func fullSample(t *testing.T) *sample {
	t.Helper()
	s, err := openSource(fixture(t, "minimal"), newCache(t), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.Or(s.prepare(), s.load(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.build(); err != nil {
		t.Fatal(err)
	}
	return sampleOf(t, s.core().LookupPath(cue.ParsePath("#App")), "app")
}

// modelOf compiles a definition up to the model, whether or not that keeps the
// rules beyond the schema.
func modelOf(t *testing.T, opts Options, outline bool) (*app.App, error) {
	t.Helper()
	var model *app.App
	opts.Decoded = func(a *app.App) { model = a }
	_, err := compileWith(context.Background(), opts, outline)
	if model != nil {
		return model, nil
	}
	return nil, err
}

// everyField is the app that has every field, for other packages' tests.
const everyField = "testdata/every-field.cue"

func TestSample_IsCurrent(t *testing.T) {
	got := fullSample(t).definition()
	if os.Getenv("CUEPOD_UPDATE") != "" {
		if err := os.WriteFile(everyField, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(everyField)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (CUEPOD_UPDATE=1 updates):\n%s", everyField, diff)
	}
}

// TestCompile_EveryFieldReachesTheModel compiles an app that has every field of
// the schema, and finds each in the model.
func TestCompile_EveryFieldReachesTheModel(t *testing.T) {
	opts := Options{Dir: t.TempDir(), Input: fullSample(t).definition(), CacheDir: newCache(t)}
	fast, err := modelOf(t, opts, true)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := modelOf(t, opts, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(slow, fast); diff != "" {
		t.Errorf("the model differs (-schema +outline):\n%s", diff)
	}
	found := map[string]bool{}
	fast.Walk(func(f app.Field) bool {
		found[f.Kind+"."+f.Name] = true
		if !f.Pos.IsValid() {
			t.Errorf("%s: no position", f.Path())
		}
		return true
	})
	count := 0
	for _, definition := range reachable("App") {
		for _, field := range app.Fields(definition) {
			name, _, _ := strings.Cut(field, " ")
			count++
			if !found[definition+"."+name] {
				t.Errorf("%s.%s is in the definition and not in the model", definition, name)
			}
		}
	}
	if count < 700 {
		t.Errorf("only %d fields", count)
	}
}

// reachable lists the definitions that a definition leads to, itself first.
func reachable(definition string) []string {
	list := []string{definition}
	for i := 0; i < len(list); i++ {
		for _, field := range app.Fields(list[i]) {
			parts := strings.Fields(field)
			if len(parts) > 1 && !slices.Contains(list, parts[1]) {
				list = append(list, parts[1])
			}
		}
	}
	return list
}

// TestCompile_OutlineAgreesWithSchemaOnMutants breaks the app that has every
// field in one place at a time: what the schema refuses, the decoder refuses.
func TestCompile_OutlineAgreesWithSchemaOnMutants(t *testing.T) {
	const mutants = 40
	seed := uint64(20261125)
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	full := fullSample(t)
	pod := *full
	cache := newCache(t)
	refused := 0
	for i := range mutants {
		what, undo := mutate(r, &pod)
		opts := Options{Dir: t.TempDir(), Input: pod.definition(), CacheDir: cache}
		fast, fastErr := modelOf(t, opts, true)
		slow, slowErr := modelOf(t, opts, false)
		if (fastErr == nil) != (slowErr == nil) {
			t.Errorf("mutant %d, %s:\nwith the outline: %v\nwith the schema: %v", i, what, fastErr, slowErr)
		}
		if fastErr == nil && slowErr == nil {
			if diff := gocmp.Diff(slow, fast); diff != "" {
				t.Errorf("mutant %d, %s: the model differs:\n%s", i, what, diff)
			}
		}
		if slowErr != nil {
			refused++
		}
		undo()
	}
	if refused < mutants/2 {
		t.Errorf("%d of %d mutants are refused: too few to prove anything", refused, mutants)
	}
}

// mutate changes one place of a sample and says what it did.
func mutate(r *rand.Rand, s *sample) (what string, undo func()) {
	type place struct {
		parent *sample
		index  int
		path   string
	}
	var places []place
	var visit func(s *sample, path string)
	visit = func(s *sample, path string) {
		for i, f := range s.fields {
			places = append(places, place{s, i, path + "." + f.name})
			visit(f.value, path+"."+f.name)
		}
		for _, item := range s.items {
			visit(item, path+"[]")
		}
	}
	visit(s, "app")
	p := places[r.IntN(len(places))]
	old := slices.Clone(p.parent.fields)
	undo = func() { p.parent.fields = old }
	p.parent.fields = slices.Clone(old)
	f := &p.parent.fields[p.index]
	switch r.IntN(4) {
	case 0:
		f.name += "x"
		return p.path + " renamed", undo
	case 1:
		p.parent.fields = slices.Delete(p.parent.fields, p.index, p.index+1)
		return p.path + " removed", undo
	default:
		values := []string{"7", "-3", "99999999999", `"no such value!"`, `""`, "true", "false", "1.5", "{y: 1}", "[1]", `["a"]`, "null", "string", `'\x01'`, `"b"`}
		text := values[r.IntN(len(values))]
		f.value = &sample{text: text}
		return p.path + " is " + text, undo
	}
}
