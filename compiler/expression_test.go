package compiler

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Several apps in one package, of which an expression chooses one.
const severalApps = `package several

params: replicas: int | *2

apps: {
	shop: {
		name: "shop"
		pods: web: {
			replicas: params.replicas
			containers: web: image: "web:1"
		}
	}
	broken: {
		name: "broken"
		pods: web: containers: web: imagee: "web:1"
	}
}

_made: {
	#name: string
	name: #name
	pods: one: containers: one: image: "\(#name):1"
}
`

func TestCompile_Expression(t *testing.T) {
	dir := several(t)
	for expr, want := range map[string]string{
		"apps.shop":                                "shop web 3",
		`apps["shop"] // this`:                     "shop web 3",
		`_made & {#name: "made"}`:                  "made one 1",
		`[for k, v in apps if k == "shop" {v}][0]`: "shop web 3",
	} {
		result, err := Compile(t.Context(), Options{Dir: dir, Expr: expr, Set: []string{"replicas=3"}, CacheDir: newCache(t)})
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		a := result.App
		if got := strings.Join([]string{a.Name, a.Pods[0].Name, string(rune('0' + a.Pods[0].Replicas))}, " "); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
		if len(result.Params) != 1 || !a.Pods[0].Pos.IsValid() {
			t.Errorf("%s: parameters %v, pod at %s", expr, result.Params, a.Pods[0].Pos)
		}
	}
}

func TestCompile_ExpressionMistakes(t *testing.T) {
	dir := several(t)
	t.Chdir(dir)
	for expr, want := range map[string]string{
		"":             "several.cue:1:1: the package does not define app",
		"apps.broken":  "several.cue:15:31: pods.web.containers.web: unknown field \"imagee\"",
		"apps.nothing": "-e apps.nothing: there is no field \"nothing\"",
		"nothing":      "-e nothing: there is no \"nothing\" here",
		"][":           "-e ][: this is no CUE expression: expected operand, found ']'",
		"a: 1":         "-e a: 1: this is no CUE expression: ",
		"1":            "-e 1: expected an app, got the number 1",
		"string":       "-e string: expected an app, got a string",
		"apps.shop & {pods: web: containers: web: image: \"x\"}": "several.cue:10:28: pods.web.containers.web.image: two values that exclude each other",
	} {
		_, err := Compile(t.Context(), Options{Dir: ".", Expr: expr, CacheDir: newCache(t)})
		var bad *Error
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if !strings.Contains(bad.Error(), want) || strings.Contains(bad.Error(), exprField) {
			t.Errorf("%s:\n%v\nwant\n%s", expr, bad, want)
		}
	}
}

func TestExplain_Expression(t *testing.T) {
	e, err := Explain(t.Context(), Options{Dir: several(t), Expr: "apps.shop", CacheDir: newCache(t)}, "pods.web.replicas")
	if err != nil {
		t.Fatal(err)
	}
	if e.Path != "(apps.shop).pods.web.replicas" || e.Value != "2" || len(e.Origins[0].From) != 1 {
		t.Errorf("%+v", e)
	}
}

func several(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "several.cue"), []byte(severalApps), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
