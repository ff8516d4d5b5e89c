package yaml

import "strings"

// AppendKYAML appends the values as KYAML documents, each under its "---": the
// part of YAML that kubectl -o kyaml writes, where braces and brackets carry
// the structure and every string stands in double quotes. Like Append it
// panics on a value of a kind that the package does not know.
func AppendKYAML(dst []byte, values ...any) []byte {
	for _, v := range values {
		dst = append(dst, "---\n"...)
		dst = append(appendBraced(dst, v, 0), '\n')
	}
	return dst
}

// appendBraced writes a value where the cursor stands; its further lines are
// indented by at least indent.
func appendBraced(dst []byte, value any, indent int) []byte {
	switch v := value.(type) {
	case *Map:
		if v != nil && len(v.fields) > 0 {
			return appendBracedMap(dst, v, indent)
		}
	case List:
		return appendBracedList(dst, v, indent)
	case Flow:
		return appendBracedList(dst, Strings(v), indent)
	case string:
		if strings.Contains(v, "\n") {
			return appendFolded(dst, v, indent+2)
		}
		return appendQuoted(dst, v)
	}
	return appendScalar(dst, value)
}

func appendBracedMap(dst []byte, m *Map, indent int) []byte {
	dst = append(dst, "{\n"...)
	for _, f := range m.fields {
		dst = appendSpaces(dst, indent+2)
		start := len(dst)
		if isPlainKey(f.key) {
			dst = append(dst, f.key...)
		} else {
			dst = appendQuoted(dst, f.key)
		}
		if len(dst)-start > maxKey {
			dst = appendQuoted(append(dst[:start], "? "...), f.key)
			dst = append(appendSpaces(append(dst, '\n'), indent+2), ": "...)
		} else {
			dst = append(dst, ": "...)
		}
		dst = append(appendBraced(dst, f.value, indent+2), ",\n"...)
	}
	return append(appendSpaces(dst, indent), '}')
}

// appendBracedList puts collections side by side, `[{`, `}, {`, `}]`, and in a
// list that has anything else one item a line.
func appendBracedList(dst []byte, list List, indent int) []byte {
	if len(list) == 0 {
		return append(dst, "[]"...)
	}
	if onlyCollections(list) {
		dst = append(dst, '[')
		for i, item := range list {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendBraced(dst, item, indent)
		}
		return append(dst, ']')
	}
	dst = append(dst, "[\n"...)
	for _, item := range list {
		dst = appendBraced(appendSpaces(dst, indent+2), item, indent+2)
		dst = append(dst, ",\n"...)
	}
	return append(appendSpaces(dst, indent), ']')
}

func onlyCollections(list List) bool {
	for _, item := range list {
		switch item.(type) {
		case *Map, List, Flow:
		default:
			return false
		}
	}
	return true
}

// appendFolded writes text of several lines in double quotes, a line each:
// readers drop an escaped line break with the indentation that follows it. A
// line starts one column in, where a backslash keeps a leading space.
func appendFolded(dst []byte, text string, indent int) []byte {
	dst = append(dst, '"')
	for line := range strings.Lines(text) {
		dst = appendSpaces(append(dst, "\\\n"...), indent)
		if line[0] == ' ' {
			dst = append(dst, '\\')
		} else {
			dst = append(dst, ' ')
		}
		dst = appendEscaped(dst, line)
	}
	dst = appendSpaces(append(dst, "\\\n"...), indent)
	return append(dst, '"')
}

// isPlainKey reports whether a key needs no quotes in KYAML: letters, digits
// and inner "-", "." and "/" after a letter, and no word or letter that some
// reader takes for a value.
func isPlainKey(s string) bool {
	if s == "" || !isLetter(s[0]) || isWord(s) {
		return false
	}
	switch s {
	case "t", "T", "f", "F": // booleans to strconv.ParseBool, so quoted by kubectl
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case isLetter(c), c >= '0' && c <= '9', c == '_':
		case c == '-' || c == '.' || c == '/':
			if i == len(s)-1 {
				return false
			}
		default:
			return false
		}
	}
	return !strings.EqualFold(s, "infinity")
}
