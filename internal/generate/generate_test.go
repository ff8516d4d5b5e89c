package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue/parser"
)

// TestGenerated_IsCurrent fails when the schema, the API's version or this
// program has changed and what follows from them has not.
func TestGenerated_IsCurrent(t *testing.T) {
	if err := run(filepath.Join("..", ".."), true); err != nil {
		t.Error(err)
	}
}

// TestGenerated_HasAllOfTheAPI looks for every field of the types that a pod
// leads to: what the schema lacks is on the list of what it omits.
func TestGenerated_HasAllOfTheAPI(t *testing.T) {
	own, err := readSchema(filepath.Join("..", "..", "cue", "core"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := readAPI()
	if err != nil {
		t.Fatal(err)
	}
	all, err := complete(own, a)
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for name, b := range all.apis {
		d := all.find(name)
		for _, at := range b.types {
			for _, f := range a.fields(at) {
				fields++
				ours := d.field(f.name) != nil || f.name == b.key
				_, omits := omitted()[name+"."+f.name]
				if !ours && !omits && !strings.Contains(f.doc, "<gateway:experimental>") {
					t.Errorf("%s lacks %s of %s", name, f.name, at.name)
				}
				if ours && omits {
					t.Errorf("%s has %s, which is on the list of what it omits", name, f.name)
				}
			}
		}
	}
	if fields < 700 {
		t.Errorf("only %d fields of the API: the sources were not read", fields)
	}
	for _, want := range []string{"PodSpec.tolerations", "Container.lifecycle", "Container.resizePolicy", "ProbeHandler.grpc"} {
		typ, field, _ := strings.Cut(want, ".")
		if !slices.ContainsFunc(a.fields(a.lookup(typ)), func(f apiField) bool { return f.name == field }) {
			t.Errorf("the API is read without %s", want)
		}
	}
}

func TestMergeKey(t *testing.T) {
	for _, c := range []struct{ tag, doc, want string }{
		{`patchStrategy:"merge" patchMergeKey:"name"`, "", "name"},
		{`patchMergeKey:"containerPort"`, "+listMapKey=containerPort\n+listMapKey=protocol", ""},
		{"", "Claims.\n+listType=map\n+listMapKey=name", "name"},
		{"", "+listType=atomic", ""},
	} {
		if got := mergeKey(c.tag, c.doc); got != c.want {
			t.Errorf("%q %q: %q, want %q", c.tag, c.doc, got, c.want)
		}
	}
}

func TestPreset(t *testing.T) {
	text, number, truth := plain{kind: "string"}, plain{kind: "int"}, plain{kind: "bool"}
	for _, c := range []struct {
		doc  string
		p    plain
		want string
	}{
		{"Seconds between probes. Default 10.", number, "10"},
		{"The mode. Default 0o644.", number, "0o644"},
		{"Default 0.", number, ""},
		{"Default 1; only a readiness probe may have more.", number, "1"},
		{`Default "/".`, text, `"/"`},
		{"Default TCP.", text, `"TCP"`},
		{`Default Always for the tag "latest" or none, else IfNotPresent.`, text, ""},
		{"The class. Default: the cluster's.", text, ""},
		{"Default false.", truth, ""},
	} {
		if got := preset(c.doc, c.p); got != c.want {
			t.Errorf("%q: %q, want %q", c.doc, got, c.want)
		}
	}
}

func TestPlain(t *testing.T) {
	s := &schema{}
	for text, want := range map[string]plain{
		`int & >=8 & <=256`: {kind: "int", limited: true, min: 8, max: 256},
		`int & >0 & <65536`: {kind: "int", limited: true, min: 1, max: 65535},
		`=~"^a$"`:           {kind: "string", pattern: "^a$"},
		`!=""`:              {kind: "string", notEmpty: true},
		`"TCP" | "UDP"`:     {kind: "string", values: []string{"TCP", "UDP"}},
		`bool`:              {kind: "bool"},
		`true`:              {kind: "bool", only: "true"},
		`int & >=-5 & <=5`:  {kind: "int", limited: true, min: -5, max: 5},
	} {
		e, err := parser.ParseExpr("", text)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := s.plain(e)
		if !ok || got.kind != want.kind || got.pattern != want.pattern || got.notEmpty != want.notEmpty || !slices.Equal(got.values, want.values) ||
			got.only != want.only || got.limited != want.limited || got.limited && (got.min != want.min || got.max != want.max) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	for _, text := range []string{"[...string]", "1 + 2", "string | int", "#Nothing"} {
		e, err := parser.ParseExpr("", text)
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := s.plain(e); ok {
			t.Errorf("%s: taken for %+v", text, p)
		}
	}
}

// A hand-written form that the generator does not know is an error that says
// where it is.
func TestReadSchema_RefusesWhatItDoesNotKnow(t *testing.T) {
	for text, want := range map[string]string{
		"#A: {if true {a: 1}}":              "Comprehension",
		"#A: {a?: {b?: int, c?: 1, d?: 2}}": "a definition of its own",
		"#A: {a?: [int, int]}":              "[...T]",
		"a: int":                            "not a definition",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.cue"), []byte("package core\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readSchema(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a.cue:2") {
			t.Errorf("%s: %v, want %q with the line", text, err, want)
		}
	}
}
