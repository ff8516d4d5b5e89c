package compiler

import (
	"context"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
)

// TestDecoder_LacksNoField decodes the case with every field of the schema,
// looking for fields that the decoder does not ask for.
func TestDecoder_LacksNoField(t *testing.T) {
	opts := Options{Dir: fixture(t, "full"), CacheDir: newCache(t)}
	result, err := Compile(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result.App, decodeExhaustively(t, opts, fieldsByKind())); diff != "" {
		t.Errorf("what is there is not what the decoder asks for (-asked +there):\n%s", diff)
	}
}

func TestDecoder_FindsAFieldThatItLacks(t *testing.T) {
	kinds := fieldsByKind()
	kinds["Container"] = slices.DeleteFunc(kinds["Container"], func(f field) bool { return f.name == "workingDir" })
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "workingDir of a Container") {
			t.Errorf("panic %q", text)
		}
	}()
	decodeExhaustively(t, Options{Dir: fixture(t, "full"), CacheDir: newCache(t)}, kinds)
}

func decodeExhaustively(t *testing.T, opts Options, kinds map[string][]field) *app.App {
	t.Helper()
	s, err := openSource(opts.Dir, opts.CacheDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	root, _, err := s.evaluate(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{places: &s.places, kinds: kinds, exhaustive: true}
	return d.app(object{root.LookupPath(cue.ParsePath("app")), markFiles(s.inst.Files).field("app"), s.packagePos()})
}
