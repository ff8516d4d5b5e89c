package diff

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// TestCompare runs testdata/*.txtar: two renderings, and the golden text and
// JSON of what differs. CUEPOD_UPDATE=1 rewrites the goldens.
func TestCompare(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			before, after := archive.Files[0].Data, archive.Files[1].Data
			changes := compare(t, before, after)
			want := txtar.Format(archive)
			asJSON, err := json.MarshalIndent(changes, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			archive.Files = append(archive.Files[:2:2],
				txtar.File{Name: "want.txt", Data: []byte(Text(changes, nil))},
				txtar.File{Name: "want.json", Data: append(asJSON, '\n')})
			got := txtar.Format(archive)
			if os.Getenv("CUEPOD_UPDATE") != "" {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs (CUEPOD_UPDATE=1 updates):\n%s", diff)
			}
			for side, data := range map[string][]byte{"before": before, "after": after} {
				if changes := compare(t, data, data); len(changes) > 0 {
					t.Errorf("%s differs from itself: %+v", side, changes)
				}
			}
			mirrored(t, changes, compare(t, after, before))
		})
	}
}

func compare(t *testing.T, before, after []byte) []Change {
	t.Helper()
	changes, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// mirrored wants the way back to tell of the same objects and fields, with what
// was added removed.
func mirrored(t *testing.T, there, back []Change) {
	t.Helper()
	flip := map[Op]Op{Added: Removed, Removed: Added, Changed: Changed}
	type entry struct {
		op            Op
		object, field string
	}
	set := func(changes []Change, op func(Op) Op) map[entry]bool {
		out := map[entry]bool{}
		for _, c := range changes {
			out[entry{op(c.Op), c.Kind + " " + c.Name, ""}] = true
			for _, f := range c.Fields {
				out[entry{op(f.Op), c.Kind + " " + c.Name, f.Path}] = true
			}
		}
		return out
	}
	a := set(there, func(op Op) Op { return flip[op] })
	b := set(back, func(op Op) Op { return op })
	if diff := cmp.Diff(a, b, cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("the way back differs:\n%s", diff)
	}
}

func TestCompare_NoSecretValueIsShown(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/secret.txtar")
	if err != nil {
		t.Fatal(err)
	}
	changes := compare(t, archive.Files[0].Data, archive.Files[1].Data)
	asJSON, err := json.Marshal(changes)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{string(asJSON), Text(changes, nil)} {
		if strings.Contains(out, "hunter") || strings.Contains(out, "aHVud") {
			t.Errorf("a value is shown:\n%s", out)
		}
		if !strings.Contains(out, "stringData.password") {
			t.Errorf("the change is not shown:\n%s", out)
		}
	}
}

func TestCompare_WhatIsNoListOfObjects(t *testing.T) {
	good := []byte(`{"items": []}`)
	if _, err := Compare([]byte("items: []"), good); err == nil || !strings.HasPrefix(err.Error(), "before: ") {
		t.Errorf("before: %v", err)
	}
	if _, err := Compare(good, []byte(`{"items": [1]}`)); err == nil || !strings.HasPrefix(err.Error(), "after: ") {
		t.Errorf("after: %v", err)
	}
}

func TestText_PaintsEachLineByWhatItSays(t *testing.T) {
	changes := []Change{
		{Op: Added, Kind: "Service", Name: "a"},
		{Op: Changed, Kind: "ConfigMap", Name: "c", RollsOut: []string{"Deployment d"}, Fields: []Field{{Op: Changed, Path: "data.x", Old: "a\n-- b", New: "a\n++ c"}}},
	}
	got := Text(changes, func(op Op, line string) string { return string(op) + "|" + line })
	want := `added|+ Service a
changed|~ ConfigMap c
changed|    ~ data.x:
removed|        - -- b (no line end)
added|        + ++ c (no line end)
|    rolls out Deployment d
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzCompare holds that nothing is lost: an object that is not the same tells
// at least one field, and nothing differs from itself.
func FuzzCompare(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range cases {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data, archive.Files[1].Data)
	}
	f.Fuzz(func(t *testing.T, before, after []byte) {
		changes, err := Compare(before, after)
		if err != nil {
			return
		}
		for _, c := range changes {
			if c.Op == Changed && len(c.Fields) == 0 {
				t.Errorf("%s %s changed in no field", c.Kind, c.Name)
			}
		}
		if Text(changes, nil) == "" && len(changes) > 0 {
			t.Error("changes without a text")
		}
		if same := compare(t, after, after); len(same) > 0 {
			t.Errorf("it differs from itself: %+v", same)
		}
	})
}
