package yamlparsers

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"
	yamlv4 "go.yaml.in/yaml/v4"
	kubernetes "sigs.k8s.io/yaml"
)

// parser reads a stream of documents.
type parser struct {
	name string
	read func(text []byte) ([]any, error)
}

// goParsers are those that run in this process.
func goParsers() []parser {
	return []parser{
		{"go.yaml.in/yaml/v3", func(text []byte) ([]any, error) { return readAll(yamlv3.NewDecoder(bytes.NewReader(text))) }},
		{"go.yaml.in/yaml/v4", func(text []byte) ([]any, error) { return readAll(yamlv4.NewDecoder(bytes.NewReader(text))) }},
		{"sigs.k8s.io/yaml", readKubernetes},
	}
}

func readAll(decoder interface{ Decode(any) error }) ([]any, error) {
	documents := []any{}
	for {
		var document any
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
}

// readKubernetes splits a stream as kubectl does, at each line that starts with
// three dashes, and reads each part alone. The newline before such a line
// belongs to the part: it may end a block literal.
func readKubernetes(text []byte) ([]any, error) {
	documents := []any{}
	stream := strings.TrimPrefix("\n"+string(text), "\n---\n")
	for part := range strings.SplitSeq(stream, "\n---") {
		read, err := kubernetes.YAMLToJSONStrict([]byte(part + "\n"))
		if err != nil {
			return nil, err
		}
		var document any
		if err := unmarshal(read, &document); err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	return documents, nil
}

// unmarshal reads JSON and keeps its numbers as they stand.
func unmarshal(text []byte, to any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(to)
}

//go:embed read.py
var readPy string

// python is one process that reads everything.
type python struct {
	in  io.Writer
	out *bufio.Reader
}

func startPython(tb testing.TB) *python {
	tb.Helper()
	if out, err := exec.Command("python3", "-c", "import yaml").CombinedOutput(); err != nil {
		tb.Fatalf("PyYAML is one of the readers: install it with `apt-get install python3-yaml`, or `python3 -m pip install pyyaml` (%v)\n%s", err, out)
	}
	cmd := exec.Command("python3", "-c", readPy)
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("python3: %v\n%s", err, stderr.String())
		}
	})
	return &python{in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

// ask sends a stream; its documents are the next answer.
func (p *python) ask(text []byte) error {
	line, err := json.Marshal(string(text))
	if err != nil {
		return err
	}
	_, err = p.in.Write(append(line, '\n'))
	return err
}

func (p *python) answer() ([]any, error) {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("PyYAML's process: %w", err)
	}
	var answer struct {
		Documents []any
		Error     string
	}
	if err := unmarshal(line, &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Documents, nil
}
