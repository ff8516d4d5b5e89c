package yamlparsers

import (
	"bytes"
	"encoding/json"
	"testing"

	"sigs.k8s.io/yaml/kyaml"

	"github.com/cuepod/cuepod/targets/yaml"
)

// What Kubernetes objects are made of comes out as kubectl -o kyaml has it.
func TestAppendKYAML_IsWhatKubectlWrites(t *testing.T) {
	doc := yaml.New().
		Set("apiVersion", "apps/v1").
		Set("metadata", yaml.New().Set("labels", yaml.New().Set("app.kubernetes.io/name", "web").Set("no", "y").Set("8080", "1").Set("t", ""))).
		Set("empty", yaml.New()).
		Set("list", yaml.List{}).
		Set("args", yaml.List{"-c", 1, true, nil, json.Number("0.5"), yaml.New().Set("a", "b")}).
		Set("ports", yaml.List{yaml.New().Set("port", 80), yaml.New().Set("port", 81).Set("more", yaml.List{yaml.List{"x"}})}).
		Set("script", "set -e\n  indented\n\nsay \"hi\"\\\n").
		Set("cut", "two\nlines").
		Set("key of words", "é😀")
	var want bytes.Buffer
	for _, d := range []any{doc, "text"} {
		if err := new(kyaml.Encoder).FromYAML(bytes.NewReader(yaml.Append(nil, d)), &want); err != nil {
			t.Fatal(err)
		}
	}
	if got := yaml.AppendKYAML(nil, doc, "text"); string(got) != want.String() {
		t.Errorf("got\n%s\nwant\n%s", got, want.String())
	}
}
