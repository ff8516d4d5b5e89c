package build

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `# syntax=docker/dockerfile:1
ARG BASE=golang:1.26
ARG REGISTRY
FROM --platform=$BUILDPLATFORM ${BASE} AS Builder
WORKDIR /src
# a comment
COPY go.mod .
RUN go build \
    # in between
    -o /app . && \
    echo done
RUN <<EOF
FROM nothing
EOF
FROM $REGISTRY/run:1 AS run
ARG X=1
RUN echo $X
COPY --from=builder /app /app
COPY --from=tools.example/cli:2 /cli /cli
COPY --from=0 /a /b
FROM scratch
COPY --from=run /app /app
`

func TestBases(t *testing.T) {
	got := bases(parse(sample), map[string]string{"REGISTRY": "r.example", "UNUSED": "x"})
	if diff := cmp.Diff([]string{"golang:1.26", "r.example/run:1", "tools.example/cli:2"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLine(t *testing.T) {
	s := &Source{text: parse(sample)}
	for _, tc := range []struct {
		step, message string
		want          int
	}{
		{"[builder 4/5] RUN go build     -o /app . &&     echo done", "exit code: 1", 8},
		{"[run 2/5] RUN echo one", "exit code: 1", 17}, // a variable is filled in: by its number
		{"[stage-2 1/1] COPY --from=run /app /app", "not found", 22},
		{"[builder 3/5] COPY go.mod .", "not found", 7},
		{"[8/17] COPY go.mod .", "no such file", 7}, // the classic builder
		{"[internal] load metadata for r.example/other:1", "denied", 0},
		{"", "dockerfile parse error line 6: unknown instruction: FOO", 6},
		{"", "dockerfile parse error on line 6: unknown instruction: FOO", 6},
		{"[run 9/9] RUN nowhere", "", 0},
		{"", "anything", 0},
	} {
		if got := s.Line(tc.step, tc.message); got != tc.want {
			t.Errorf("%q %q: line %d, want %d", tc.step, tc.message, got, tc.want)
		}
	}
	windows := &Source{text: parse("# escape=`\r\nFROM x\r\nRUN a `\r\n  b\r\nRUN c\r\n")}
	if got := windows.Line("[3/3] RUN c", ""); got != 5 {
		t.Errorf("with another escape: line %d, want 5", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("FROM a\\\n")
	f.Add("# escape=\nRUN <<")
	f.Fuzz(func(t *testing.T, text string) {
		s := &Source{text: parse(text)}
		bases(s.text, nil)
		s.Line("[a 1/2] RUN "+text, text)
	})
}
