package yaml

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// appendString writes s so that every reader gets s back: plain where nothing
// else can be seen in it, in single quotes where that saves escapes, else in
// double quotes.
func appendString(dst []byte, s string) []byte {
	switch {
	case isPlain(s):
		return append(dst, s...)
	case isSingle(s):
		return append(append(append(dst, '\''), s...), '\'')
	}
	return appendQuoted(dst, s)
}

// isPlain reports whether s needs no quotes. It is stricter than any
// specification: ASCII only, and a first character that starts no number, date,
// tag, anchor or indicator. Quantities and durations such as 64Mi and 10s are
// the one thing with a digit in front that is let through, since everyone
// writes them bare.
func isPlain(s string) bool {
	if s == "" || isWord(s) {
		return false
	}
	if c := s[0]; c >= '0' && c <= '9' {
		return isQuantity(s)
	}
	if !startsPlain(s) {
		return false
	}
	for i := range len(s) {
		if !inPlain(s, i) {
			return false
		}
	}
	return true
}

// startsPlain looks at the first characters: a letter, a path, an identifier,
// or an option such as -c and --port.
func startsPlain(s string) bool {
	switch c := s[0]; {
	case isLetter(c), c == '/', c == '_':
		return true
	case c == '-':
		rest := strings.TrimPrefix(s[1:], "-")
		return rest != "" && isLetter(rest[0]) && !isWord(rest)
	}
	return false
}

// inPlain reports whether s[i] may stand in a plain string.
func inPlain(s string, i int) bool {
	switch c := s[i]; {
	case isLetter(c), c >= '0' && c <= '9':
		return true
	case c == ':': // a key when a space or nothing follows
		return i+1 < len(s) && s[i+1] != ' '
	case c == ' ': // trimmed at the end; a comment when # follows, which is not allowed anyway
		return i+1 < len(s)
	default:
		return strings.IndexByte("-_./@+=,()$;~^*?&%!<>|", c) >= 0
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// isWord reports whether a reader of YAML 1.1 or 1.2 takes s for a boolean, a
// null or a number that is made of letters.
func isWord(s string) bool {
	if len(s) > 5 {
		return false
	}
	switch strings.ToLower(s) {
	case "y", "yes", "n", "no", "true", "false", "on", "off", "null", "nan", "inf", "none", "nil":
		return true
	}
	return false
}

// isQuantity reports whether s is digits, perhaps a fraction, and a suffix of
// Kubernetes or of a duration that starts no exponent.
func isQuantity(s string) bool {
	number := strings.TrimRight(s, "mskKMGTPi")
	switch s[len(number):] {
	case "s", "ms", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi":
	default:
		return false
	}
	whole, fraction, dot := strings.Cut(number, ".")
	return isDigits(whole) && (!dot || isDigits(fraction))
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// isSingle reports whether single quotes hold s as it is, and are worth it: it
// has double quotes or backslashes.
func isSingle(s string) bool {
	if !strings.ContainsAny(s, `"\`) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\'' {
			return false
		}
	}
	return true
}

// isBlock reports whether s reads best, and the same everywhere, as a block
// literal: several lines or a final newline, no blank or indented line first
// (readers find the indentation there), none ending in a space that an editor
// would trim, one newline at the end at most, and only printable characters.
func isBlock(s string) bool {
	if !strings.Contains(s, "\n") || strings.HasSuffix(s, "\n\n") || strings.ContainsAny(s[:1], " \t\n") {
		return false
	}
	for i, r := range s {
		switch {
		case r == '\n':
			if i > 0 && (s[i-1] == ' ' || s[i-1] == '\t') {
				return false
			}
		case r == '\t':
		case r == utf8.RuneError, !unicode.IsPrint(r):
			return false
		}
	}
	last := s[len(s)-1]
	return last != ' ' && last != '\t'
}

// appendQuoted writes s in double quotes, in the part of YAML that is also
// JSON. Bytes that are not UTF-8 become U+FFFD, as in encoding/json.
func appendQuoted(dst []byte, s string) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// appendEscaped writes what stands between the double quotes.
func appendEscaped(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case unicode.IsPrint(r):
			dst = utf8.AppendRune(dst, r)
		case r <= 0xffff:
			dst = appendHex(append(dst, `\u`...), r, 4)
		default: // YAML's own escape: JSON would need a surrogate pair, which YAML forbids
			dst = appendHex(append(dst, `\U`...), r, 8)
		}
	}
	return dst
}

func appendHex(dst []byte, r rune, digits int) []byte {
	for shift := (digits - 1) * 4; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[r>>shift&0xf])
	}
	return dst
}
