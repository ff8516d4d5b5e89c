package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cuelang.org/go/mod/modcache"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/cuepod/cuepod/compiler"
)

// TestWire_KeepsEveryOutcome passes what the compiler's own cases give through
// the wire: models, parameters, mistakes, positions and inputs stay equal.
func TestWire_KeepsEveryOutcome(t *testing.T) {
	cases, err := filepath.Glob("../testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	cache := t.TempDir()
	t.Cleanup(func() {
		if err := modcache.RemoveAll(cache); err != nil {
			t.Error(err)
		}
	})
	good, bad := 0, 0
	for _, path := range cases {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, f := range archive.Files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f.Name)), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, wantErr := compiler.Compile(t.Context(), compiler.Options{Dir: dir, CacheDir: cache})
		got, gotErr := roundTrip(t, want, wantErr)
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s (-want +got):\n%s", path, cmp.Diff(want, got))
		}
		if wantErr == nil {
			good++
			continue
		}
		bad++
		var invalid *compiler.Error
		if !errors.As(wantErr, &invalid) {
			wantErr = errors.New(wantErr.Error())
		}
		if !reflect.DeepEqual(wantErr, gotErr) {
			t.Errorf("%s: %#v, want %#v", path, gotErr, wantErr)
		}
	}
	if good < 10 || bad < 10 {
		t.Errorf("only %d apps and %d errors", good, bad)
	}
}

func roundTrip(t *testing.T, result *compiler.Result, err error) (*compiler.Result, error) {
	t.Helper()
	data, encodeErr := json.Marshal(outcomeFrame(result, err))
	if encodeErr != nil {
		t.Fatal(encodeErr)
	}
	result, _, err = readFrames(json.NewDecoder(bytes.NewReader(data)), nil)
	return result, err
}

func TestReadFrames(t *testing.T) {
	var heard []compiler.Found
	tell := func(f compiler.Found) { heard = append(heard, f) }
	in := `{"Found":{"Inputs":[{"Path":"/a"}]}}` + "\n" + `{"Found":{"Inputs":[{"Path":"/a"},{"Path":"/b"}]}}` + "\n" + `{"Result":{"Root":"/"}}`
	result, _, err := readFrames(json.NewDecoder(strings.NewReader(in)), tell)
	if err != nil || result.Root != "/" {
		t.Errorf("got %v, %v", result, err)
	}
	if want := []compiler.Found{{Inputs: []compiler.Input{{Path: "/a"}}}, {Inputs: []compiler.Input{{Path: "/a"}, {Path: "/b"}}}}; !reflect.DeepEqual(heard, want) {
		t.Errorf("heard %v", heard)
	}
	if _, _, err := readFrames(json.NewDecoder(strings.NewReader(`{"Failure":"no such directory"}`)), tell); err == nil || err.Error() != "no such directory" {
		t.Errorf("a failure: %v", err)
	}
	if _, _, err := readFrames(json.NewDecoder(strings.NewReader(`{"Found":{}}`)), tell); !errors.Is(err, errNoOutcome) {
		t.Errorf("an early end: %v", err)
	}
	if _, _, err := readFrames(json.NewDecoder(strings.NewReader(`{"Result":{"Root`)), tell); !errors.Is(err, errNoOutcome) {
		t.Errorf("an end in the middle: %v", err)
	}
	if _, _, err := readFrames(json.NewDecoder(strings.NewReader(`hello`)), tell); err == nil || errors.Is(err, errNoOutcome) {
		t.Errorf("no JSON: %v", err)
	}
}
