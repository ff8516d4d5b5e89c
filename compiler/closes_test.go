package compiler

import (
	"errors"
	"testing"

	"cuelang.org/go/cue/parser"
)

const platformOfDefinitions = `package shop

import "cuepod.dev/core"

#App: core.#App & {
	labels: "acme.example/team": "blue"
	pods: [_]: {
		labels: tier: string | *"back"
		containers: [_]: resources: requests: cpu: string | *"50m"
	}
}

app: #App & {
	name: "shop"
	labels: own: "1"
	pods: web: {
		labels: own: "2"
		containers: main: {image: "web:1", resources: limits: memory: "64Mi"}
	}
}
`

// A platform's definitions say a part of structs that apps add to. That needs
// the wide outline, and not the whole schema.
func TestCompile_DefinitionsOfAPlatform(t *testing.T) {
	opts := Options{Dir: t.TempDir(), Input: []byte(platformOfDefinitions), CacheDir: newCache(t)}
	result, err := compileWith(t.Context(), opts, true)
	if err != nil {
		t.Fatalf("it takes the whole schema: %v", err)
	}
	pod := result.App.Pod("web")
	if pod.Labels["tier"] != "back" || pod.Labels["own"] != "2" || pod.Containers[0].Resources.Requests["cpu"] != "50m" || result.App.Labels["own"] != "1" {
		t.Errorf("got %+v", pod)
	}
	if !agree(t, opts) {
		t.Error("the whole schema refuses it")
	}

	// That is what the wide outline is for: the other one does not take it.
	s, err := openSource(opts.Dir, opts.CacheDir, true)
	if err != nil {
		t.Fatal(err)
	}
	s.input, s.wide = opts.Input, true // keeps it from going over
	var look *unfitError
	if _, err := s.compile(t.Context(), opts); !errors.As(err, &look) {
		t.Errorf("with the outline: %v", err)
	}
}

func TestFileCloses(t *testing.T) {
	for text, want := range map[string]bool{
		`app: core.#App & {name: "a", pods: web: {}}`:          false, // no definition: everything stays open
		`#App: core.#App & {pods: web: {}}`:                    true,
		`#App: core.#App & {pods: [_]: labels: a: "b"}`:        true,
		`#App: {core.#App, pods: web: {}}`:                     true,
		`#App: {core.#App & {name: "a"}, pods: web: {}}`:       true,
		`_#Own: {parts: pod: #Pod & {containers: main: {}}}`:   true,
		`#App: core.#App & {name: "a"}`:                        false,
		`#Params: {probe?: core.#Probe, port: core.#Port}`:     false,
		`#Params: {nested: {port: int}}`:                       false,
		`_defaults: core.#App & {pods: [_]: labels: a: "b"}`:   false, // hidden, not a definition
		`#Port: core.#Port & >1000`:                            false,
		`#A: (core.#Pod) & ({containers: main: image: "x:1"})`: true,
	} {
		f, err := parser.ParseFile("a.cue", "package a\nimport \"cuepod.dev/core\"\n"+text)
		if err != nil {
			t.Fatal(err)
		}
		if got := fileCloses(f); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
