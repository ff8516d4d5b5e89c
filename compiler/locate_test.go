package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

// What changed is told with the line of the field, though the model knows only that
// of what is around it.
func TestLocate(t *testing.T) {
	const text = `package a

_level: "low"

app: core.#App & {
	name: "shop"
	pods: web: {
		labels: tier: "front"
		containers: main: image: "x"
		if true {grace: 1}
	} & {
		annotations: "a.example/b": "1"
	}
	configMaps: conf: {
		data: {
			level:       _level
			"level.dev": "x"
		}
	}
}
`
	file := filepath.Join(t.TempDir(), "app.cue")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line, column int // of what is around it
		path         string
		want         string
	}{
		{7, 13, "pods.web.labels.tier", "8:11"},
		{7, 8, "pods.web.labels.tier", "8:11"},
		{7, 13, "pods.web.annotations.a.example/b", "12:16"},
		{7, 13, "pods.web.grace", "7:13"},
		{7, 13, "pods.web.labels.other", "8:3"},
		{14, 20, "configMaps.conf.data.level", "16:4"},
		{14, 20, "configMaps.conf.data.level.dev", "17:4"},
		{5, 6, "name", "5:6"},
		{99, 1, "pods.web.labels.tier", "99:1"},
	} {
		got := Locate(app.Pos{File: file, Line: tt.line, Column: tt.column}, tt.path)
		if at := fmt.Sprintf("%d:%d", got.Line, got.Column); at != tt.want || got.File != file {
			t.Errorf("%s beneath %d:%d is at %s, want %s", tt.path, tt.line, tt.column, at, tt.want)
		}
	}
	gone := app.Pos{File: file + ".gone", Line: 1, Column: 1}
	if got := Locate(gone, "pods"); got != gone {
		t.Errorf("in no file: %v", got)
	}
}

// The positions that Locate starts from are those of the model.
func TestLocate_FromWhatTheModelKnows(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "app.cue")
	opts := Options{Dir: dir, CacheDir: newCache(t)}
	compiled := func(level, tier string) *app.App {
		t.Helper()
		text := `package a

app: {
	name: "shop"
	pods: web: {
		containers: main: image: "x"
		labels: tier: "` + tier + `"
	}
	configMaps: conf: {
		data: {
			level: "` + level + `"
		}
	}
}
`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Compile(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		return r.App
	}
	before := compiled("low", "front")
	changes := app.Changes(before, compiled("high", "back"))
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprintf("%s at line %d", c.Path, Locate(c.Pos, c.Path).Line))
	}
	slices.Sort(got)
	if want := []string{"configMaps.conf.data.level at line 11", "pods.web.labels.tier at line 7"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
