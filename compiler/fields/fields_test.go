package fields

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLookup_Golden documents every field there is. A field without a comment,
// or with a type that nobody can read, shows here. CUEPOD_UPDATE=1 rewrites it.
func TestLookup_Golden(t *testing.T) {
	var b strings.Builder
	seen := map[string]bool{} // types: what containers have, init containers have too
	var walk func(path string)
	walk = func(path string) {
		f, err := Lookup(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, m := range f.Fields {
			required := ""
			if m.Required {
				required = " (required)"
			}
			fmt.Fprintf(&b, "%s: %s%s\n", m.Path, m.Type, required)
			if m.Allowed != "" {
				fmt.Fprintf(&b, "    allowed: %s\n", m.Allowed)
			}
			for line := range strings.Lines(m.Doc) {
				b.WriteString("    " + strings.TrimRight(line, "\n") + "\n")
			}
			if m.Doc == "" {
				t.Errorf("%s has no comment", m.Path)
			}
			if m.Type == "struct" || !seen[m.Type] {
				seen[m.Type] = true
				walk(m.Path)
			}
		}
	}
	walk("")
	const golden = "testdata/fields.txt"
	if os.Getenv("CUEPOD_UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("differs (CUEPOD_UPDATE=1 updates):\n%s", diff)
	}
}

func TestLookup_KeysMayBeWritten(t *testing.T) {
	for path, want := range map[string]string{
		"":                         "",
		"app":                      "",
		"services.prod.ports.port": "services.ports.port", "pods.web": "pods",
		"pods.x.dependsOn.db":                               "pods.dependsOn",
		"app.pods":                                          "pods",
		"pods.containers.image":                             "pods.containers.image",
		"pods.web.containers.x.image":                       "pods.containers.image",
		"pods.web.containers.image":                         "pods.containers.image",
		"app.services.web.ports.a.port":                     "services.ports.port",
		"pods.x.containers.y.envFrom[0].prefix":             "pods.containers.envFrom.prefix",
		`pods.x.containers.y.volumeMounts["/a.b"].readOnly`: "pods.containers.volumeMounts.readOnly",
	} {
		f, err := Lookup(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if f.Path != want {
			t.Errorf("%s: %s, want %s", path, f.Path, want)
		}
	}
}

func TestLookup_Unknown(t *testing.T) {
	for path, want := range map[string]string{
		"pod":                          "an app has no field pod",
		"pods.contaners":               "pods has no field contaners",
		"pods.web.contaners":           "pods has no field contaners",
		"pods.web.x":                   "pods has no field x",
		"pods.contaners.image":         "pods has no field contaners",
		"pods.web.containers.x.imagee": "pods.containers has no field imagee",
		"pods.replicas.x":              "pods.replicas has no fields",
		"pods..containers.x.":          "pods has no field ",
	} {
		_, err := Lookup(path)
		var unknown *UnknownError
		if !errors.As(err, &unknown) {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if err.Error() != want {
			t.Errorf("%s: %q, want %q", path, err, want)
		}
	}
	var unknown *UnknownError
	if _, err := Lookup("services.prts"); !errors.As(err, &unknown) || !strings.Contains(strings.Join(unknown.Known, " "), "ports") {
		t.Errorf("what there is instead is not told: %+v", unknown)
	}
}
