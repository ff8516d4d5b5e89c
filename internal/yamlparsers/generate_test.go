package yamlparsers

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/targets/yaml"
)

// chooser is where a generated value takes its choices from: a seed, or the
// bytes of a fuzzer. IntN gives a number below n.
type chooser interface{ IntN(n int) int }

// tape chooses by the bytes a fuzzer made up, and always 0 after the last.
type tape []byte

func (t *tape) IntN(n int) int {
	if len(*t) == 0 {
		return 0
	}
	c := int((*t)[0])
	*t = (*t)[1:]
	if n > 256 && len(*t) > 0 {
		c = c<<8 | int((*t)[0])
		*t = (*t)[1:]
	}
	return c % n
}

// words are whole strings that some reader takes for something else.
func words() []string {
	return []string{
		"", "y", "Y", "n", "yes", "No", "NO", "on", "Off", "true", "True", "FALSE", "t", "f", "null", "Null", "NULL", "~", "none", "nil",
		"1e3", "1E3", "1.e3", "1e+3", "0o7", "0o17", "017", "0x1f", "0b11", "1_000", "_1", "+1", "-1", "- 1", "1.", ".5", "-.5", "1.5", "0", "-0", "00", "08",
		"12:30:45", "1:2", "190:20:30.15", "12:30", "2026-01-02", "2026-1-2", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05",
		".inf", "-.inf", "+.Inf", ".nan", ".NaN", "inf", "nan", "Infinity", "<<", "=", "!", "!tag", "!!str", "!!str a", "&anchor", "*alias", "&", "*",
		"?", "? a", "-", "- a", "--", "---", "...", "--- a", "... a", "--y", "-c", "--port=80", ":", ": ", ":a", "a:", "a: b", "a:b", "a :b", "#", "# a", "a #", "a # b", "a#b",
		"%", "%YAML 1.2", "@", "@a", "`", "`a", "|", "|-", ">", ">+2", "[", "]", "[]", "{", "}", "{}", "{a: b}", "[a, b]", ",", "a,b", ", a",
		"'", `"`, `\`, "it's", `say "hi"`, `'a'`, `"a"`, `C:\dir`, `{"a": 'b'}`, " ", "  ", " a", "a ", "\t", "\ta", "a\t", "\n", "\n\n", "a\n", "a\n\n", "\na", " \na", "a\n b\n", "a\n\tb\n",
		"a\n\n\nb", "  a\nb\n", "a \nb", "a\t\nb", "---\na\n", "a\n---\nb\n", "a\n...\nb", "# a\nb\n", "a: b\n- c\n", "a\n  \nb\n", "|\n", "\r", "\r\n", "a\r\nb\r\n", "a\rb",
		"\x00", "\a", "\b", "\v", "\f", "\x1b", "\x7f", "\u0080", "\u0085", "a\u0085b", "\u00a0", "\u00ad", "\u200b", "\u200e", "\u2028", "a\u2029b", "\ufeff", "\ufeffa", "a\ufeff\nb", "\ufffe", "\uffff", "\ufffd",
		"é", "e\u0301", "日本語", "😀", "👩‍👩‍👧", "a\n😀\n", "\U0010ffff", "\U000e0001", "\ue000", "\xff", "a\xc3", "\xed\xa0\x80",
		"64Mi", "250m", "10s", "1.5Gi", "1k", "1M", "1E", "1T", "0s", "00m", "web", "app.kubernetes.io/name", "http://a:80/b?c=d&e=f#g", "a, b", "a;b", "$(A)", "$$", "key with spaces",
	}
}

// pieces are what other strings are put together from.
func pieces() []string {
	return []string{
		"a", "b", "y", "no", "e", "0", "1", "9", "x", "_", "-", "--", "+", ".", ":", ": ", " :", " ", "  ", "#", " #", "\n", "\n\n", "\n ", "\n\t", "\t", "\r", "'", `"`, `\`, `\n`,
		"{", "}", "[", "]", ",", "&", "*", "!", "|", ">", "%", "@", "`", "?", "? ", "- ", "=", "<<", "~", "$", "/", "\x00", "\x1f", "\x7f", "\u0085", "\u00a0", "\u2028", "\ufeff", "é", "😀",
		"\n---\n", "\n...\n", "null", "word", "\xff", "\U000e0001",
	}
}

func text(c chooser) string {
	words, pieces := words(), pieces()
	switch c.IntN(12) {
	case 0, 1, 2, 3, 4, 5:
		return words[c.IntN(len(words))]
	case 6:
		if c.IntN(12) == 0 { // about the length at which keys change their form
			return strings.Repeat(pieces[c.IntN(len(pieces))], 1+c.IntN(1100))
		}
	}
	var b strings.Builder
	for range c.IntN(7) {
		b.WriteString(pieces[c.IntN(len(pieces))])
	}
	return b.String()
}

func number(c chooser) any {
	ints := []int64{0, -1, 7, 8, 10, 60, 3600, 1 << 31, 1<<53 + 1, math.MaxInt64, math.MinInt64}
	floats := []float64{0.5, -0.25, 1, 100, 1e3, 1e21, 1e-7, -1e-9, 1.5e300, math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1, 123456789.125}
	literals := []string{"1e3", "1E3", "1E+3", "1e-3", "-2e5", "1.5e3", "1.0e-09", "1.50", "-0", "-0.0", "0e0", "18446744073709551615", "12345678901234567890", "123456789012345678901234567890"}
	switch c.IntN(5) {
	case 0:
		return c.IntN(1000) - 500
	case 1:
		return ints[c.IntN(len(ints))]
	case 2:
		return json.Number(literals[c.IntN(len(literals))])
	case 3: // as encoding/json writes them
		out, err := json.Marshal(floats[c.IntN(len(floats))])
		if err != nil {
			panic("a finite number has no JSON: " + err.Error())
		}
		return json.Number(out)
	}
	return json.Number(strconv.FormatFloat(floats[c.IntN(len(floats))], "eEfg"[c.IntN(4)], -1, 64))
}

// value makes any value the writer takes, at most depth collections deep.
func value(c chooser, depth int) any {
	switch kind := c.IntN(16); {
	case kind < 4 && depth > 0:
		return mapping(c, depth)
	case kind < 6 && depth > 0:
		list := yaml.List{}
		for range c.IntN(5) {
			list = append(list, value(c, depth-1))
		}
		return list
	case kind == 6:
		flow := yaml.Flow{}
		for range c.IntN(4) {
			flow = append(flow, text(c))
		}
		return flow
	case kind == 7:
		return c.IntN(2) == 0
	case kind == 8:
		return nil
	case kind < 11:
		return number(c)
	case kind == 11 && c.IntN(20) == 0:
		return nested(c, 20+c.IntN(20))
	}
	return text(c)
}

func mapping(c chooser, depth int) *yaml.Map {
	m, seen := yaml.New(), map[string]bool{}
	for range c.IntN(5) {
		key := text(c)
		if read := readable(key); !seen[read] {
			seen[read] = true
			m.Set(key, value(c, depth-1))
		}
	}
	return m
}

// nested is a text at the bottom of many collections.
func nested(c chooser, depth int) any {
	var v any = text(c)
	for range depth {
		if c.IntN(2) == 0 {
			v = yaml.List{v}
		} else {
			v = yaml.New().Set(text(c), v)
		}
	}
	return v
}

// stream is one to three documents; like a file for Kubernetes or Compose, but
// for those at the edge, each is a map.
func stream(c chooser) []any {
	documents := make([]any, 1+c.IntN(3)/2)
	for i := range documents {
		if c.IntN(4) == 0 {
			documents[i] = value(c, 3)
		} else {
			documents[i] = mapping(c, 3)
		}
	}
	return documents
}
