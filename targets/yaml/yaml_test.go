package yaml

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	yamlv3 "go.yaml.in/yaml/v3"
	yamlv4 "go.yaml.in/yaml/v4"
)

func TestAppend_WritesKeysInOrder(t *testing.T) {
	doc := New().
		Set("zebra", 1).
		Set("apple", List{"a", New().Set("b", true).Set("c", List{}), List{"d", List{"e"}}}).
		Set("empty", New()).
		Opt("absent", "").
		Set("script", "#!/bin/sh\n\tset -e\n\necho hi\n").
		Set("cut", "two\nlines").
		Set("nothing", nil).
		Set("flow", Flow{"a", `"b"`, "c, d"}).
		Set("flows", List{Flow{}, Flow{"x"}})
	const want = `zebra: 1
apple:
  - a
  - b: true
    c: []
  - - d
    - - e
empty: {}
script: |
  #!/bin/sh
  	set -e

  echo hi
cut: |-
  two
  lines
nothing: null
flow: ["a", "\"b\"", "c, d"]
flows:
  - []
  - ["x"]
`
	if diff := cmp.Diff(want, string(Append(nil, doc))); diff != "" {
		t.Error(diff)
	}
}

func TestAppendStream_SeparatesDocuments(t *testing.T) {
	got := string(AppendStream(nil, New().Set("a", 1), New().Set("b", 2)))
	if want := "a: 1\n---\nb: 2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAppend_QuotesWhatAReaderCouldMistake(t *testing.T) {
	for s, want := range map[string]string{
		"":               `""`,
		"web":            `web`,
		"8080":           `"8080"`,
		"-1":             `"-1"`,
		"y":              `"y"`,
		"No":             `"No"`,
		"OFF":            `"OFF"`,
		"~":              `"~"`,
		"null":           `"null"`,
		"1e3":            `"1e3"`,
		"0o7":            `"0o7"`,
		"0x1f":           `"0x1f"`,
		"1_000":          `"1_000"`,
		"12:30:45":       `"12:30:45"`,
		"2026-01-02":     `"2026-01-02"`,
		".inf":           `".inf"`,
		"-.inf":          `"-.inf"`,
		"<<":             `"<<"`,
		"=":              `"="`,
		"---":            `"---"`,
		"- a":            `"- a"`,
		"a: b":           `"a: b"`,
		"a:":             `"a:"`,
		"a #b":           `"a #b"`,
		"a ":             `"a "`,
		" a":             `" a"`,
		"\ta":            `"\ta"`,
		"a\x00b":         `"a\u0000b"`,
		"a\u2028b":       `"a\u2028b"`,
		"\ufeff":         `"\ufeff"`,
		"1.27.3":         `"1.27.3"`,
		"64Mi":           `64Mi`,
		"250m":           `250m`,
		"1.5Gi":          `1.5Gi`,
		"1E":             `"1E"`,
		"-c":             `-c`,
		"--port=80":      `--port=80`,
		"--":             `"--"`,
		"-y":             `"-y"`,
		"-no":            `"-no"`,
		"/etc/app":       `/etc/app`,
		"redis:7.4":      `redis:7.4`,
		"http://a:80/b":  `http://a:80/b`,
		`{"a": 1}`:       `'{"a": 1}'`,
		`{"a": "it's"}`:  `"{\"a\": \"it's\"}"`,
		"*a":             `"*a"`,
		"&a":             `"&a"`,
		"!a":             `"!a"`,
		"@a":             `"@a"`,
		"`a":             "\"`a\"",
		"%a":             `"%a"`,
		"[a]":            `"[a]"`,
		"café":           `"café"`,
		"bad\xff":        `"bad` + "\ufffd" + `"`,
		"two\n\n":        `"two\n\n"`,
		"\n":             `"\n"`,
		" lead\nx":       `" lead\nx"`,
		"\tlead\nx":      `"\tlead\nx"`,
		"trail \nx":      `"trail \nx"`,
		"cr\r\nx":        `"cr\r\nx"`,
		"\U000e0001 tag": `"\U000e0001 tag"`,
	} {
		got := strings.TrimSuffix(strings.TrimPrefix(string(Append(nil, List{s})), "- "), "\n")
		if got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}

func TestAppend_PanicsOnAnUnknownKind(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "not float64") {
			t.Errorf("recovered %v", r)
		}
	}()
	Append(nil, New().Set("a", 1.5))
}

func TestMarshalJSON_KeepsOrder(t *testing.T) {
	got, err := json.Marshal(New().Set("z", List{1, "a"}).Set("a", New()))
	if want := `{"z":[1,"a"],"a":{}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

// roundTrip reports how the value reads back different, through yaml.v3 as most
// of Go's programs use it or yaml.v4 as Docker Compose does, or "".
func roundTrip(value any) string {
	text := Append(nil, value)
	want := plain(value)
	for name, read := range map[string]func(any) error{
		"yaml.v3": func(to any) error { return yamlv3.Unmarshal(text, to) },
		"yaml.v4": func(to any) error { return yamlv4.Unmarshal(text, to) },
	} {
		var got any
		if err := read(&got); err != nil {
			return fmt.Sprintf("%s: %v\n%s", name, err, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Sprintf("%s: %s\n%s", name, diff, text)
		}
	}
	return ""
}

// plain is the value as a reader sees it.
func plain(value any) any {
	switch v := value.(type) {
	case *Map:
		out := map[string]any{}
		for _, f := range v.fields {
			out[plain(f.key).(string)] = plain(f.value)
		}
		return out
	case List:
		out := []any{}
		for _, item := range v {
			out = append(out, plain(item))
		}
		return out
	case Flow:
		out := []any{}
		for _, item := range v {
			out = append(out, plain(item))
		}
		return out
	case string:
		return string([]rune(v)) // each bad byte becomes U+FFFD
	}
	return value
}

// Random values from an alphabet of trouble read back as they were.
func TestAppend_RoundTripsRandomValues(t *testing.T) {
	pieces := []string{"a", "y", "no", "0", "1", "e", "-", ":", " ", "#", "\n", "\t", "\r", "'", `"`, `\`, "{", "}", "[", "]", ",", "&", "*", "!", "|", ">",
		"%", "@", "`", "?", "=", "<<", "~", ".", "_", "$", "\x00", "\x7f", "\u0085", "\u00a0", "\u2028", "\ufeff", "é", "😀", "---", "...", "null", "\U000e0001"}
	rng := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range rng.IntN(7) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		return b.String()
	}
	var value func(depth int) any
	value = func(depth int) any {
		switch k := rng.IntN(7); {
		case k == 0 && depth > 0:
			m, seen := New(), map[string]bool{}
			for range rng.IntN(4) {
				if key := text(); !seen[key] {
					seen[key] = true
					m.Set(key, value(depth-1))
				}
			}
			return m
		case k == 1 && depth > 0:
			list := List{}
			for range rng.IntN(4) {
				list = append(list, value(depth-1))
			}
			return list
		case k == 2:
			return rng.IntN(2000) - 1000
		case k == 5:
			return Flow{text(), text()}
		case k == 3:
			return rng.IntN(2) == 0
		}
		return text()
	}
	for range 20_000 {
		if diff := roundTrip(value(4)); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestAppend_LongKeys(t *testing.T) {
	long := strings.Repeat("k", 3000)
	for _, v := range []any{"x", 1, "a\nb\n", New().Set("a", 1).Set("b", List{"c"}), List{"a", "b"}, New(), List{}} {
		if diff := roundTrip(New().Set(long, v).Set("next", List{New().Set(long, v).Set("n", 1)})); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzAppend(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\t", "<<", "1:2", "- x", "a\n\n", "é\x00", "? a"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		if diff := roundTrip(New().Set(key, value).Set("list of "+key, List{value, New().Set(key, List{List{value}, Flow{key, value}})})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	doc := New().Set("kind", "Deployment").Set("metadata", New().Set("name", "web").Set("labels", New().Set("a/b", "c").Set("v", "1"))).
		Set("args", List{"--port=80", "-c", "echo \"hi\""}).Set("text", "one\ntwo\n")
	buf := Append(nil, doc)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = Append(buf[:0], doc)
	}
}

// A number is written as it is given, and read back as that number.
func TestAppend_Numbers(t *testing.T) {
	doc := New().Set("a", json.Number("12345678901234567890")).Set("b", json.Number("1.0e-09")).Set("c", json.Number("0.5"))
	if got, want := string(Append(nil, doc)), "a: 12345678901234567890\nb: 1.0e-09\nc: 0.5\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// PyYAML takes 1e3 and 1.0e3 for strings.
func TestAppend_NumbersWithAnExponentAreNumbersInYAML11(t *testing.T) {
	for number, want := range map[json.Number]string{
		"1e3": "1.0e+3", "-2E5": "-2.0E+5", "1e-7": "1.0e-7", "1.5e+300": "1.5e+300", "1.0e9": "1.0e+9",
		"1.5": "1.5", "10": "10",
	} {
		if got := string(Append(nil, number)); got != want+"\n" {
			t.Errorf("%s: got %q, want %q", number, got, want)
		}
	}
}

func TestAppendKYAML(t *testing.T) {
	doc := New().
		Set("kind", "Pod").
		Set("no", true).
		Set("app.kubernetes.io/name", "web").
		Set("a b", nil).
		Set("empty", New()).
		Set("none", List{}).
		Set("args", List{"-c", 1, New().Set("a", json.Number("1e3"))}).
		Set("ports", List{New().Set("port", 80), New().Set("port", 81)}).
		Set("flow", Flow{"x"}).
		Set("script", "set -e\n  indented\n\nlast")
	const want = `---
{
  kind: "Pod",
  "no": true,
  app.kubernetes.io/name: "web",
  "a b": null,
  empty: {},
  "none": [],
  args: [
    "-c",
    1,
    {
      a: 1.0e+3,
    },
  ],
  ports: [{
    port: 80,
  }, {
    port: 81,
  }],
  flow: [
    "x",
  ],
  script: "\
     set -e\n\
    \  indented\n\
     \n\
     last\
    ",
}
---
"text"
`
	if diff := cmp.Diff(want, string(AppendKYAML(nil, doc, "text"))); diff != "" {
		t.Error(diff)
	}
}

func TestMap_GetAndPut(t *testing.T) {
	m := New().Set("a", 1).Set("b", 2)
	m.Put("a", 3)
	m.Put("c", 4)
	if got, want := string(Append(nil, m)), "a: 3\nb: 2\nc: 4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if v, ok := m.Get("a"); !ok || v != 3 {
		t.Errorf("Get a: %v %v", v, ok)
	}
	if _, ok := m.Get("d"); ok {
		t.Error("d is there")
	}
	if _, ok := (*Map)(nil).Get("a"); ok {
		t.Error("a is in nil")
	}
}
