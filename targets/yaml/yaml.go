// Package yaml writes YAML and JSON from ordered values. It only writes.
//
// There are three kinds of collection, Map, List and Flow, and six of scalar:
// nil, bool, int, int64, json.Number (written as it is, but for the form of an
// exponent) and string. Keys come out in the order they were set, strings
// always read back as the same strings: whatever some YAML 1.1 or 1.2
// reader could take for something else is quoted (see quote.go). Multi-line
// text becomes a block literal where every reader agrees on its meaning.
//
// Writing this ourselves is a matter of speed and of trust: the libraries cost
// more than twenty times as much, and each has its own idea of what needs
// quotes.
package yaml

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Map is a mapping that remembers the order of its keys. The zero value is an
// empty map; keys must be distinct, which the caller sees to.
type Map struct{ fields []field }

type field struct {
	key   string
	value any
}

// List is a sequence, one item a line.
type List []any

// Flow is a sequence of strings on one line, in the form that is also JSON.
type Flow []string

// New returns an empty map.
func New() *Map { return &Map{fields: make([]field, 0, 4)} }

// Set appends a key with its value, one of the kinds the package names, and
// returns the map.
func (m *Map) Set(key string, value any) *Map {
	m.fields = append(m.fields, field{key, value})
	return m
}

// Opt is Set for a value that says something, and nothing for nil, false, 0,
// "", an empty list and an empty map.
func (m *Map) Opt(key string, value any) *Map {
	if isEmpty(value) {
		return m
	}
	return m.Set(key, value)
}

// Join appends the fields of another map, of which this one has no key, and
// returns the map.
func (m *Map) Join(other *Map) *Map {
	m.fields = append(m.fields, other.fields...)
	return m
}

// Get returns the value of a key.
func (m *Map) Get(key string) (value any, ok bool) {
	if m == nil {
		return nil, false
	}
	for _, f := range m.fields {
		if f.key == key {
			return f.value, true
		}
	}
	return nil, false
}

// Put replaces the value of a key in its place, or appends the key.
func (m *Map) Put(key string, value any) {
	for i := range m.fields {
		if m.fields[i].key == key {
			m.fields[i].value = value
			return
		}
	}
	m.Set(key, value)
}

// Len is the number of keys.
func (m *Map) Len() int { return len(m.fields) }

// Strings makes a list of strings.
func Strings(list []string) List {
	out := make(List, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case int:
		return v == 0
	case int64:
		return v == 0
	case string:
		return v == ""
	case json.Number:
		return v == ""
	case List:
		return len(v) == 0
	case Flow:
		return len(v) == 0
	case *Map:
		return v == nil || len(v.fields) == 0
	}
	panic(unknown(value))
}

// Append appends value as one YAML document, ending in a newline, to dst. It
// panics on a value of a kind that the package does not know.
func Append(dst []byte, value any) []byte {
	return appendNode(dst, value, 0, true)
}

// AppendStream appends the values as documents separated by "---".
func AppendStream(dst []byte, values ...any) []byte {
	for i, v := range values {
		if i > 0 {
			dst = append(dst, "---\n"...)
		}
		dst = Append(dst, v)
	}
	return dst
}

// maxKey is the longest key, in bytes, written in the short form `key: value`.
// YAML readers look 1,024 characters ahead for the colon; past that the key
// needs the long form, `? key`.
const maxKey = 1000

// appendNode writes value where the cursor stands after "- ", ": " of a long
// key, or at the start of a document: the first line goes on where it is, the
// rest is indented.
func appendNode(dst []byte, value any, indent int, root bool) []byte {
	switch v := value.(type) {
	case *Map:
		if v != nil && len(v.fields) > 0 {
			return appendMap(dst, v, indent)
		}
	case List:
		if len(v) > 0 {
			return appendList(dst, v, indent)
		}
	case string:
		if !root && isBlock(v) {
			return appendBlock(dst, v, indent)
		}
	}
	return append(appendScalar(dst, value), '\n')
}

func appendMap(dst []byte, m *Map, indent int) []byte {
	for i, f := range m.fields {
		if i > 0 {
			dst = appendSpaces(dst, indent)
		}
		start := len(dst)
		dst = appendString(dst, f.key)
		if len(dst)-start > maxKey {
			dst = append(dst[:start], "? "...)
			dst = append(appendQuoted(dst, f.key), '\n')
			dst = append(appendSpaces(dst, indent), ": "...)
			dst = appendNode(dst, f.value, indent+2, false)
			continue
		}
		dst = append(dst, ':')
		dst = appendMember(dst, f.value, indent)
	}
	return dst
}

// appendMember writes a value after "key:".
func appendMember(dst []byte, value any, indent int) []byte {
	switch v := value.(type) {
	case *Map:
		if v != nil && len(v.fields) > 0 {
			return appendMap(appendSpaces(append(dst, '\n'), indent+2), v, indent+2)
		}
	case List:
		if len(v) > 0 {
			return appendList(appendSpaces(append(dst, '\n'), indent+2), v, indent+2)
		}
	}
	return appendNode(append(dst, ' '), value, indent+2, false)
}

func appendList(dst []byte, list List, indent int) []byte {
	for i, item := range list {
		if i > 0 {
			dst = appendSpaces(dst, indent)
		}
		dst = appendNode(append(dst, "- "...), item, indent+2, false)
	}
	return dst
}

// appendBlock writes text that isBlock accepts, its lines at indent.
func appendBlock(dst []byte, text string, indent int) []byte {
	body, ends := strings.CutSuffix(text, "\n")
	if ends {
		dst = append(dst, "|\n"...)
	} else {
		dst = append(dst, "|-\n"...)
	}
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" {
			dst = append(appendSpaces(dst, indent), line...)
		}
		dst = append(dst, '\n')
	}
	return dst
}

func appendScalar(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case json.Number:
		return appendNumber(dst, string(v))
	case string:
		return appendString(dst, v)
	case List:
		return append(dst, "[]"...)
	case Flow:
		return appendFlow(dst, v)
	case *Map:
		return append(dst, "{}"...)
	}
	panic(unknown(value))
}

// appendNumber writes a JSON number as it is, but for an exponent: readers of
// YAML 1.1 take that for a string unless the number has a point and the
// exponent a sign, so that 1e3 becomes 1.0e+3.
func appendNumber(dst []byte, number string) []byte {
	e := strings.IndexAny(number, "eE")
	if e < 0 {
		return append(dst, number...)
	}
	dst = append(dst, number[:e]...)
	if strings.IndexByte(number[:e], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, number[e])
	if exponent := number[e+1:]; exponent != "" && exponent[0] != '+' && exponent[0] != '-' {
		dst = append(dst, '+')
	}
	return append(dst, number[e+1:]...)
}

func appendFlow(dst []byte, list Flow) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendQuoted(dst, s)
	}
	return append(dst, ']')
}

func appendSpaces(dst []byte, n int) []byte {
	const spaces = "                                "
	for n > len(spaces) {
		dst = append(dst, spaces...)
		n -= len(spaces)
	}
	return append(dst, spaces[:n]...)
}

func unknown(value any) string {
	return fmt.Sprintf("yaml: a value is nil, bool, int, int64, json.Number, string, List, Flow or *Map, not %T", value)
}

// MarshalJSON gives the map as JSON with its keys in order.
func (m *Map) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte("{}"), nil
	}
	out := []byte{'{'}
	for i, f := range m.fields {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(f.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}
