package targets_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/compose"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

// manyPods is the guestbook's frontend n times, each with its service.
func manyPods(tb testing.TB, n int) *app.App {
	_, a := readGolden(tb, "testdata/guestbook.txtar")
	pod, service := *a.Pod("frontend"), *a.Service("frontend")
	a.Pods = slices.DeleteFunc(a.Pods, func(p app.Pod) bool { return p.Name == "frontend" })
	a.Services = slices.DeleteFunc(a.Services, func(s app.Service) bool { return s.Name == "frontend" })
	for i := range n {
		p, s := pod, service
		p.Name, p.Replicas = fmt.Sprintf("frontend-%d", i), 1
		s.Name, s.Pod = p.Name, p.Name
		s.Ports = slices.Clone(s.Ports)
		s.Ports[0].NodePort = 0
		a.Pods, a.Services = append(a.Pods, p), append(a.Services, s)
	}
	return a
}

func BenchmarkKubernetes1000Pods(b *testing.B) {
	a := manyPods(b, 1000)
	for b.Loop() {
		out, err := kubernetes.Render(a, kubernetes.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(out.Files[0].Data)))
	}
}

func BenchmarkCompose1000Pods(b *testing.B) {
	a := manyPods(b, 1000)
	for b.Loop() {
		out, err := compose.Render(a, compose.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(out.Files[0].Data)))
	}
}

// BenchmarkLibrary1000Pods is what the YAML library takes to write the same
// Kubernetes documents, already in memory: divide by the first benchmark.
func BenchmarkLibrary1000Pods(b *testing.B) {
	out, err := kubernetes.Render(manyPods(b, 1000), kubernetes.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var docs []any
	decoder := yamlv3.NewDecoder(bytes.NewReader(out.Files[0].Data))
	for {
		var doc any
		if decoder.Decode(&doc) != nil {
			break
		}
		docs = append(docs, doc)
	}
	b.SetBytes(int64(len(out.Files[0].Data)))
	for b.Loop() {
		for _, doc := range docs {
			if _, err := yamlv3.Marshal(doc); err != nil {
				b.Fatal(err)
			}
		}
	}
}
