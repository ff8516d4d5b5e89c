package compiler

import (
	"errors"
	"strings"
	"testing"
)

// The input stands in a directory, whose module it may import from and whose
// own files do not count.
func TestCompile_Input(t *testing.T) {
	t.Chdir("../examples/guestbook")
	const text = `package other

environment: *"dev" | "prod" @tag(environment)
params: n: int | *1
app: {
	name: "other"
	pods: web: {
		replicas: params.n * {dev: 1, prod: 2}[environment]
		containers: web: image: "web:1"
	}
}
`
	cacheDir := newCache(t)
	result, err := Compile(t.Context(), Options{Dir: ".", Input: []byte(text), Env: "prod", Set: []string{"n=3"}, CacheDir: cacheDir})
	if err != nil {
		t.Fatal(err)
	}
	if a := result.App; a.Name != "other" || len(a.Pods) != 1 || a.Pods[0].Replicas != 6 || a.Pos.String() != "stdin.cue:5:1" {
		t.Errorf("%+v", a)
	}
	for text, want := range map[string]string{
		"":                    "stdin.cue:1:1: the file has no package clause",
		"package x\n}":        "stdin.cue:2:1: expected",
		"package x\napp: 1":   "stdin.cue:2:",
		"package guestbook\n": "the package does not define app", // not the directory's app
	} {
		_, err := Compile(t.Context(), Options{Dir: ".", Input: []byte(text), CacheDir: cacheDir})
		var bad *Error
		if !errors.As(err, &bad) || !strings.Contains(bad.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
