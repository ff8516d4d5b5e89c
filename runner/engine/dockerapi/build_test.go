package dockerapi

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cuepod/cuepod/runner/engine"
)

// message builds a protobuf message of texts, numbers and messages.
func message(parts ...any) []byte {
	var out []byte
	for i := 0; i < len(parts); i += 2 {
		num := protowire.Number(parts[i].(int))
		switch v := parts[i+1].(type) {
		case string:
			out = protowire.AppendString(protowire.AppendTag(out, num, protowire.BytesType), v)
		case []byte:
			out = protowire.AppendBytes(protowire.AppendTag(out, num, protowire.BytesType), v)
		case int:
			out = protowire.AppendVarint(protowire.AppendTag(out, num, protowire.VarintType), uint64(v))
		}
	}
	return out
}

// traced is a line of the engine's answer with a record of BuildKit's.
func traced(t *testing.T, record []byte) string {
	t.Helper()
	line, err := json.Marshal(map[string]any{"id": "moby.buildkit.trace", "aux": base64.StdEncoding.EncodeToString(record)})
	if err != nil {
		t.Fatal(err)
	}
	return string(line) + "\n"
}

func TestTrace_BuildKit(t *testing.T) {
	began := message(1, 1700000000)
	stream := traced(t, message(1, message(1, "sha256:a", 3, "[1/2] FROM base", 4, 1))) +
		traced(t, message(1, message(1, "sha256:b", 3, "[2/2] RUN make", 5, began))) +
		traced(t, message(2, message(1, "extracting", 2, "sha256:a", 4, 7, 5, 9))) +
		traced(t, message(3, message(1, "sha256:b", 3, 1, 4, "cc main.c\n"))) +
		traced(t, message(1, message(1, "sha256:c", 3, "[other 1/1] COPY", 7, "context canceled"))) +
		traced(t, message(1, message(1, "sha256:b", 3, "[2/2] RUN make", 5, began, 6, began, 7, "exit code: 2"))) +
		`{"errorDetail":{"message":"x"},"error":"failed to solve with frontend dockerfile.v0: failed to create LLB definition: exit code: 2"}`
	var got []engine.Progress
	tr := &trace{report: func(p engine.Progress) { got = append(got, p) }, steps: map[string]*step{}}
	err := tr.read(strings.NewReader(stream))
	want := []engine.Progress{
		{ID: "sha256:a", Status: "[1/2] FROM base", Cached: true},
		{ID: "sha256:b", Status: "[2/2] RUN make", Begins: true},
		{ID: "sha256:a/extracting", Status: "[1/2] FROM base: extracting", Current: 7, Total: 9},
		{ID: "sha256:b", Status: "[2/2] RUN make", Output: "cc main.c\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var fault *engine.BuildError
	if err := (&Client{}).buildFailure("build image", "x", tr, err); engine.KindOf(err) != engine.BuildFailed || !errors.As(err, &fault) {
		t.Fatal(err)
	}
	if *fault != (engine.BuildError{Step: "[2/2] RUN make", Message: "exit code: 2", Output: "cc main.c\n"}) {
		t.Errorf("%+v", *fault)
	}
}

func TestTrace_ClassicBuilder(t *testing.T) {
	const stream = `{"stream":"Step 1/2 : FROM base"}
{"stream":" ---\u003e 4fa6e0f0c678\n"}
{"stream":"Step 2/2 : RUN make"}
{"stream":"cc main.c\n"}
{"errorDetail":{"code":2,"message":"The command '/bin/sh -c make' returned a non-zero code: 2"},"error":"The command '/bin/sh -c make' returned a non-zero code: 2"}
`
	tr := &trace{report: func(engine.Progress) {}, steps: map[string]*step{}}
	err := (&Client{}).buildFailure("build image", "x", tr, tr.read(strings.NewReader(stream)))
	var fault *engine.BuildError
	if !errors.As(err, &fault) || fault.Step != "[2/2] RUN make" || fault.Output != "cc main.c\n" || !strings.Contains(fault.Message, "non-zero code: 2") {
		t.Errorf("%v: %+v", err, fault)
	}
}

func TestTrace_AnAnswerThatMakesNoSense(t *testing.T) {
	for _, stream := range []string{`{"stream":`, `{"id":"moby.buildkit.trace","aux":"!"}`, `{"id":"moby.buildkit.trace","aux":"/w=="}`} {
		tr := &trace{report: func(engine.Progress) {}, steps: map[string]*step{}}
		if err := tr.read(strings.NewReader(stream)); err == nil {
			t.Errorf("%s: no error", stream)
		}
	}
}

func TestTail_KeepsTheEnd(t *testing.T) {
	var tl tail
	for range 1000 {
		tl.add([]byte(strings.Repeat("x", 100)))
	}
	tl.add([]byte("the end"))
	if text := tl.text(); len(text) > 2*maxTail || !strings.HasSuffix(text, "the end") {
		t.Errorf("%d bytes", len(tl.text()))
	}
}

// tarOf makes a tar stream of one file.
func tarOf(t *testing.T, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBuildImage_SaysAllThatIsAsked(t *testing.T) {
	var asked url.Values
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Builder-Version", "2")
	})
	mux.HandleFunc("/v1.41/build", func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query()
		_, _ = io.Copy(io.Discard, r.Body)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := New(Options{Flags: Flags{Host: "tcp://" + server.Listener.Addr().String()}, LookupEnv: lookup(nil), ReadFile: reader(nil)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	spec := engine.BuildSpec{Tags: []string{"a:1", "b:2"}, Dockerfile: "x/Dockerfile", Target: "run", Args: map[string]string{"A": "1"}, Platform: "linux/arm64", CacheFrom: []string{"r/c"}}
	if err := c.BuildImage(t.Context(), spec, strings.NewReader(""), nil); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, name := range []string{"version", "t", "dockerfile", "target", "buildargs", "platform", "cachefrom"} {
		got[name] = strings.Join(asked[name], " ")
	}
	want := map[string]string{
		"version": "2", "t": "a:1 b:2", "dockerfile": "x/Dockerfile", "target": "run", "buildargs": `{"A":"1"}`, "platform": "linux/arm64", "cachefrom": `["r/c"]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
