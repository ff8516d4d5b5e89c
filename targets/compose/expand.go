package compose

import (
	"strings"
)

// text is a string of the Compose file in parts: what is known now, and
// variables that Compose fills in.
type text []part

type part struct {
	literal  string
	variable string // of the environment of whoever runs docker compose; "" for a literal
	hint     string // what Compose says when the variable is not set
}

func literal(s string) text { return text{{literal: s}} }

// String is the text as Compose reads it.
func (t text) String() string {
	var b strings.Builder
	for _, p := range t {
		if p.variable == "" {
			b.WriteString(escape(p.literal))
			continue
		}
		b.WriteString("${" + p.variable + ":?" + p.hint + "}")
	}
	return b.String()
}

// expand replaces $(NAME) in s by what lookup finds, as Kubernetes does: an
// unknown name stays as it is written, $$ is one dollar sign and so protects a
// reference, and what was put in is not looked at again.
func expand(s string, lookup func(name string) (text, bool)) text {
	var out text
	var known strings.Builder
	flush := func() {
		if known.Len() > 0 {
			out = append(out, part{literal: known.String()})
			known.Reset()
		}
	}
	for {
		before, after, found := strings.Cut(s, "$")
		known.WriteString(before)
		if !found {
			break
		}
		s = after
		switch name, rest, closed := strings.Cut(strings.TrimPrefix(s, "("), ")"); {
		case strings.HasPrefix(s, "$"):
			known.WriteByte('$')
			s = s[1:]
		case !strings.HasPrefix(s, "(") || !closed:
			known.WriteByte('$')
		default:
			s = rest
			value, ok := lookup(name)
			if !ok {
				known.WriteString("$(" + name + ")")
				continue
			}
			flush()
			out = append(out, value...)
		}
	}
	flush()
	return out
}

func expandAll(list []string, lookup func(string) (text, bool)) []text {
	out := make([]text, len(list))
	for i, s := range list {
		out[i] = expand(s, lookup)
	}
	return out
}
