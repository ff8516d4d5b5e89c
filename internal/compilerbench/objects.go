package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// contentHash ends the name of a ConfigMap. Each tool has its own hash.
var contentHash = regexp.MustCompile(`"(svc-\d+-config)-[0-9a-f]{8}"`)

// readObjects parses a stream of Kubernetes objects, by kind and name.
func readObjects(stream []byte) (map[string]any, error) {
	objects := map[string]any{}
	for in := yaml.NewDecoder(bytes.NewReader(stream)); ; {
		var object map[string]any
		err := in.Decode(&object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if object == nil {
			continue
		}
		text, err := json.Marshal(object) // keys in order
		if err != nil {
			return nil, err
		}
		var head struct {
			Kind     string
			Metadata struct{ Name string }
		}
		text = contentHash.ReplaceAll(text, []byte(`"$1"`))
		if err := errors.Join(json.Unmarshal(text, &object), json.Unmarshal(text, &head)); err != nil {
			return nil, err
		}
		key := head.Kind + " " + head.Metadata.Name
		if objects[key] != nil {
			return nil, fmt.Errorf("%s twice", key)
		}
		objects[key] = object
	}
}

// sameObjects is an error when there is any difference.
func sameObjects(a, b map[string]any) error {
	var problems []error
	for key := range a {
		if !reflect.DeepEqual(a[key], b[key]) {
			left, _ := json.Marshal(a[key]) // they were read from JSON
			right, _ := json.Marshal(b[key])
			problems = append(problems, fmt.Errorf("%s differs:\n%s\n%s", key, left, right))
		}
	}
	if len(a) != len(b) {
		problems = append(problems, fmt.Errorf("%d objects and %d", len(a), len(b)))
	}
	return errors.Join(problems...)
}
