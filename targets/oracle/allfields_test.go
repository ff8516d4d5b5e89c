package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/mod/modcache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

// k8s.io/api keeps an object of every kind in which every field is set. Each
// becomes a definition, the definition becomes manifests, and every field comes
// out with its value, but for those in the table of what a definition does not
// have.
func TestAllFields_NoneIsLost(t *testing.T) {
	absent := absentFields()
	used := map[string]bool{}
	for name, object := range allFieldsObjects(t) {
		t.Run(name, func(t *testing.T) {
			c := &converter{t: t, absent: absent, used: used}
			definition := c.object(object)
			got := find(t, renderDefinition(t, definition), object["kind"].(string))
			for _, lost := range missing(object, got, "") {
				t.Errorf("lost: %s", lost)
			}
			if c.fields < 5 {
				t.Errorf("only %d fields were compared", c.fields)
			}
		})
	}
	for _, field := range slices.Sorted(maps.Keys(absent)) {
		if !used[field] {
			t.Errorf("no object has %s: remove it from the table", field)
		}
	}
}

// The proof would see a loss: a field that is taken from the manifests is told.
func TestAllFields_SeesALoss(t *testing.T) {
	want := map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": 1.0, "d": "x"}}}, "e": true}
	for text, expected := range map[string][]string{
		`{"a":{"b":[{"c":1,"d":"x","more":2}]},"e":true}`: nil,
		`{"a":{"b":[{"c":1}]},"e":true}`:                  {"a.b.0.d"},
		`{"a":{"b":[]},"e":false}`:                        {"a.b", "e"},
		`{"a":{},"e":true}`:                               {"a.b"},
	} {
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, m := range missing(want, got, "") {
			path, _, _ := strings.Cut(m, ":")
			paths = append(paths, path)
		}
		if !slices.Equal(paths, expected) {
			t.Errorf("%s: missing %q, want %q", text, paths, expected)
		}
	}
}

// allFieldsObjects are the objects of the kinds that a definition makes, by
// kind.
func allFieldsObjects(t *testing.T) map[string]map[string]any {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/api").Output()
	if err != nil {
		t.Fatalf("where k8s.io/api is: %v", err)
	}
	objects := map[string]map[string]any{"HTTPRoute": filledRoute(t)}
	for _, file := range []string{
		"apps.v1.Deployment", "apps.v1.StatefulSet", "apps.v1.DaemonSet", "batch.v1.Job", "batch.v1.CronJob",
		"core.v1.Service", "core.v1.PersistentVolumeClaim", "core.v1.ConfigMap", "core.v1.ServiceAccount",
		"networking.k8s.io.v1.Ingress", "networking.k8s.io.v1.NetworkPolicy",
		"autoscaling.v2.HorizontalPodAutoscaler", "policy.v1.PodDisruptionBudget",
		"rbac.authorization.k8s.io.v1.Role", "rbac.authorization.k8s.io.v1.ClusterRole",
	} {
		data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", "HEAD", file+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := yaml.Unmarshal(data, &object); err != nil {
			t.Fatal(err)
		}
		objects[object["kind"].(string)] = object
	}
	return objects
}

// renderDefinition compiles the fields of an app and renders it before its
// rules are checked: an object with every field breaks many.
func renderDefinition(t *testing.T, fields map[string]any) []byte {
	t.Helper()
	text := "package x\n\nimport \"cuepod.dev/core\"\n\napp: core.#App & " + cueText(fields) + "\n"
	dir := t.TempDir()
	module := "module: \"example.com/x@v0\"\nlanguage: version: \"v0.13.0\"\n"
	if err := os.MkdirAll(filepath.Join(dir, "cue.mod"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cue.mod", "module.cue"), []byte(module), 0o666); err != nil {
		t.Fatal(err)
	}
	var model *app.App
	_, err := compiler.Compile(context.Background(), compiler.Options{Dir: dir, Input: []byte(text), CacheDir: cacheDir(t), Decoded: func(a *app.App) { model = a }})
	if model == nil {
		t.Fatalf("the definition does not fit the schema: %v\n%s", err, text)
	}
	out, err := kubernetes.Render(model, kubernetes.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return out.Files[0].Data
}

// cacheDir is a module cache that is removed with the test, although CUE makes
// its directories read-only.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := modcache.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// filledRoute is an HTTPRoute in which every field is set: the Gateway API keeps
// none.
func filledRoute(t *testing.T) map[string]any {
	t.Helper()
	var route gatewayv1.HTTPRoute
	fill(reflect.ValueOf(&route.Spec).Elem(), "spec")
	data, err := json.Marshal(&route)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	object["apiVersion"], object["kind"] = "gateway.networking.k8s.io/v1", "HTTPRoute"
	object["metadata"] = map[string]any{"name": "r", "labels": map[string]any{"a": "b"}, "annotations": map[string]any{"a": "b"}}
	return object
}

// fill sets every field: a text to its name, a number to 7.
func fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Map:
		key := reflect.New(v.Type().Key()).Elem()
		fill(key, name)
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, name)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for f, field := range v.Fields() {
			inner, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fill(field, inner)
		}
	case reflect.String:
		v.SetString(name + "Value")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint16:
		v.SetUint(7)
	default:
		panic(fmt.Sprintf("a field of a kind that is not filled: %v", v.Type()))
	}
}

// find decodes the only object of a kind, strictly.
func find(t *testing.T, manifests []byte, kind string) map[string]any {
	t.Helper()
	var found map[string]any
	for _, doc := range split(manifests) {
		if _, _, err := decode(doc); err != nil {
			t.Errorf("%v\n%s", err, doc)
		}
		var object map[string]any
		if err := yaml.Unmarshal(doc, &object); err != nil {
			t.Fatal(err)
		}
		if object["kind"] == kind {
			found = object
		}
	}
	if found == nil {
		t.Fatalf("there is no %s:\n%s", kind, manifests)
	}
	return found
}

// missing lists the paths of want that got has not, or not with that value.
// Lists are in order.
func missing(want, got any, path string) []string {
	at := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	var out []string
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: %v", path, got)}
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			if _, ok := g[name]; !ok {
				out = append(out, fmt.Sprintf("%s: it is not there, want %v", at(name), w[name]))
				continue
			}
			out = append(out, missing(w[name], g[name], at(name))...)
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s: %v, want %v", path, got, want)}
		}
		for i := range w {
			out = append(out, missing(w[i], g[i], at(fmt.Sprint(i)))...)
		}
		return out
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s: %v, want %v", path, got, want)}
	}
	return nil
}
