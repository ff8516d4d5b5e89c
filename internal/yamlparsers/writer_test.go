package yamlparsers

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/targets/yaml"
)

// format is a form that targets/yaml writes.
type format struct {
	name  string
	write func(documents ...any) []byte
}

func formats() []format {
	return []format{
		{"YAML", func(documents ...any) []byte { return yaml.AppendStream(nil, documents...) }},
		{"KYAML", func(documents ...any) []byte { return yaml.AppendKYAML(nil, documents...) }},
	}
}

// Twenty thousand streams of documents read back the same everywhere.
func TestWriter_EveryParserReadsBackWhatWasWritten(t *testing.T) {
	const streams, seed = 20_000, 20260
	t.Logf("%d streams from seed %d", streams, seed)
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			rng := func() *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
			py := startPython(t)
			asked := make(chan error, 1)
			go func() {
				for c, i := rng(), 0; i < streams; i++ {
					if err := py.ask(f.write(stream(c)...)); err != nil {
						asked <- err
						return
					}
				}
				asked <- nil
			}()
			failed := 0
			for c, i := rng(), 0; i < streams; i++ {
				if failed >= 10 {
					_, _ = py.answer() // enough is told; the other side ends when all is read
					continue
				}
				documents := stream(c)
				for _, problem := range problems(f.write(documents...), documents, py) {
					t.Errorf("stream %d: %s", i, problem)
					failed++
				}
			}
			if err := <-asked; err != nil {
				t.Error(err)
			}
		})
	}
}

func FuzzWriter(f *testing.F) {
	py := startPython(f)
	f.Fuzz(func(t *testing.T, choices []byte) {
		c := tape(choices)
		documents := stream(&c)
		for _, format := range formats() {
			text := format.write(documents...)
			if err := py.ask(text); err != nil {
				t.Fatal(err)
			}
			for _, problem := range problems(text, documents, py) {
				t.Errorf("%s: %s", format.name, problem)
			}
		}
	})
}

// problems tells which parsers read something else than was written. PyYAML has
// been asked already.
func problems(text []byte, documents []any, py *python) []string {
	want := canonical(documents)
	parsers := append(goParsers(), parser{"PyYAML", func([]byte) ([]any, error) { return py.answer() }})
	var found []string
	for _, p := range parsers {
		got, err := p.read(text)
		if err != nil {
			found = append(found, fmt.Sprintf("%s: %v\n%s\n%q", p.name, err, text, text))
			continue
		}
		// Not cmp.Diff, whose time doubles with each level of depth.
		if read := canonical(got); !reflect.DeepEqual(want, read) {
			found = append(found, fmt.Sprintf("%s: wrote %#v\nread  %#v\n%s", p.name, want, read, text))
		}
	}
	return found
}

// num is a number of any type, told apart from strings: exact below 2^64, as a
// double above and where there is a fraction.
type num string

// canonical is a value, written or read, in the one form that compares.
func canonical(value any) any {
	switch v := value.(type) {
	case *yaml.Map:
		read, err := json.Marshal(v)
		if err != nil {
			panic("a map has no JSON: " + err.Error())
		}
		var members any
		if err := unmarshal(read, &members); err != nil {
			panic("a map's JSON is none: " + err.Error())
		}
		return canonical(members)
	case yaml.List:
		return canonical([]any(v))
	case yaml.Flow:
		return canonical(yaml.Strings(v))
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			out[readable(key)] = canonical(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = canonical(item)
		}
		return out
	case string:
		return readable(v)
	case nil, bool:
		return v
	case float64:
		return canonicalNumber(strconv.FormatFloat(v, 'g', -1, 64))
	case json.Number:
		return canonicalNumber(string(v))
	case int, int64, uint64:
		return canonicalNumber(fmt.Sprint(v))
	}
	return fmt.Sprintf("a %T: %v", value, value)
}

func canonicalNumber(text string) num {
	if i, ok := new(big.Int).SetString(text, 10); ok && i.BitLen() <= 64 {
		return num(i.String())
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return num("not a number: " + text)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<64 {
		i, _ := big.NewFloat(f).Int(nil)
		return num(i.String())
	}
	return num(strconv.FormatFloat(f, 'g', -1, 64))
}

// readable is a text as UTF-8: each byte that is not becomes U+FFFD, in the
// writer as in encoding/json.
func readable(s string) string { return string([]rune(s)) }

// What compares must be able to differ.
func TestProblems_FindsAChange(t *testing.T) {
	py := startPython(t)
	for _, tc := range []struct {
		text string
		want any
	}{
		{"a: no\n", yaml.New().Set("a", "no")},
		{"a: 1e3\n", yaml.New().Set("a", json.Number("1e3"))},
		{"a: '1'\n", yaml.New().Set("a", 1)},
		{"- b\n- a\n", yaml.List{"a", "b"}},
		{"a: 1\n---\nb: 1\n", yaml.New().Set("a", 1)},
		{"1: a\n", yaml.New().Set("1", "a")},
		{"a: 2026-01-02\n", yaml.New().Set("a", "2026-01-02")},
		{"a: [\n", yaml.New().Set("a", yaml.List{})},
	} {
		if err := py.ask([]byte(tc.text)); err != nil {
			t.Fatal(err)
		}
		found := problems([]byte(tc.text), []any{tc.want}, py)
		if !strings.Contains(strings.Join(found, "\n"), "PyYAML") {
			t.Errorf("%q is taken for %v: %q", tc.text, tc.want, found)
		}
	}
}
