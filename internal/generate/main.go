// Command generate writes what follows from Kubernetes' API and from the
// schema, so that they never disagree:
//
//	go run . [-check]
//
// First it reads the struct tags and comments of k8s.io/api and of the Gateway
// API, and writes the part of the schema that nobody wrote by hand:
// cue/core/kubernetes_gen.cue. Then it reads the whole schema and writes
//
//   - compiler/app/model_gen.go, the types of the model,
//   - compiler/app/walk_gen.go, the fields of a model that are set, and
//     fields_gen.go, all that there are,
//   - compiler/decode_gen.go, the decoder that also validates,
//   - targets/kubernetes/encode_gen.go, which writes the model as Kubernetes' API,
//   - cue/outline, the schema's outlines for a fast evaluation.
//
// With -check it writes nothing and fails when a file is not current. It is a
// module of its own, so that Kubernetes' API stays out of the main one.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// file is one file of output, with its path in the main module.
type file struct {
	path string
	data []byte
}

func main() {
	check := flag.Bool("check", false, "write nothing, fail when a file is not current")
	flag.Parse()
	if err := run(filepath.Join("..", ".."), *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	var stale []error
	for _, f := range files {
		path := filepath.Join(root, f.path)
		if check {
			if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, f.data) {
				stale = append(stale, fmt.Errorf("%s is not current: run make generate", f.path))
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.data, 0o644); err != nil {
			return err
		}
	}
	return errors.Join(stale...)
}

// generate makes all files. It reads the hand-written schema below root, never
// what it wrote itself.
func generate(root string) ([]file, error) {
	own, err := readSchema(filepath.Join(root, "cue", "core"))
	if err != nil {
		return nil, err
	}
	api, err := readAPI()
	if err != nil {
		return nil, err
	}
	all, err := complete(own, api)
	if err != nil {
		return nil, err
	}
	m, err := newModel(all, api)
	if err != nil {
		return nil, err
	}
	files := []file{{"cue/core/kubernetes_gen.cue", schemaText(all)}, {"cue/outline/core/core.cue", outlineText(all, false)}, {"cue/outline/wide/core.cue", outlineText(all, true)}}
	for _, g := range []struct {
		path string
		text func(*model) []byte
	}{
		{"compiler/app/model_gen.go", modelText},
		{"compiler/app/walk_gen.go", walkText},
		{"compiler/app/fields_gen.go", fieldsText},
		{"compiler/decode_gen.go", decoderText},
		{"targets/kubernetes/encode_gen.go", encoderText},
	} {
		data, err := formatGo(g.path, g.text(m))
		if err != nil {
			return nil, err
		}
		files = append(files, file{g.path, data})
	}
	return files, nil
}
