package route

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// everyHost is the key of rules without a host.
const everyHost = "*"

// Table answers which rule a request is for. It is not changed once it is made.
type Table struct {
	hosts    map[string][]entry // by lower-case host, "*.x" or everyHost; each in order of precedence
	fallback []entry
}

// entry is one match of one rule.
type entry struct {
	rule  *Rule
	match Match
}

// NewTable makes the table of some rules. It keeps references to them.
func NewTable(rules []Rule) *Table {
	t := &Table{hosts: map[string][]entry{}}
	for i := range rules {
		r := &rules[i]
		matches := r.Matches
		if len(matches) == 0 {
			matches = []Match{{}}
		}
		hosts := r.Hosts
		if len(hosts) == 0 {
			hosts = []string{everyHost}
		}
		for _, m := range matches {
			if r.Fallback {
				t.fallback = append(t.fallback, entry{r, m})
				continue
			}
			for _, h := range hosts {
				h = strings.ToLower(h)
				t.hosts[h] = append(t.hosts[h], entry{r, m})
			}
		}
	}
	for _, list := range t.hosts {
		slices.SortStableFunc(list, precedence)
	}
	return t
}

func precedence(a, b entry) int {
	return cmp.Or(
		-compareBool(a.match.Kind == Exact, b.match.Kind == Exact),
		-cmp.Compare(len(trimmed(a.match.Path)), len(trimmed(b.match.Path))),
		-compareBool(a.match.Method != "", b.match.Method != ""),
		-cmp.Compare(len(a.match.Headers), len(b.match.Headers)),
		-cmp.Compare(len(a.match.Query), len(b.match.Query)),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// trimmed is a prefix without the slash at its end, which counts for nothing.
func trimmed(prefix string) string { return strings.TrimSuffix(prefix, "/") }

// Knows reports whether rules name a host: an exact one, or one with a "*".
func (t *Table) Knows(host string) bool {
	key, _, ok := t.group(strings.ToLower(host))
	return ok && key != everyHost
}

// Find returns the rule for a request and the match that it made. The most
// specific host counts alone: a request that none of its rules takes is not for
// those of "*", as in the controllers that people use.
func (t *Table) Find(r Request) (*Rule, Match, bool) {
	if _, list, ok := t.group(strings.ToLower(r.Host)); ok {
		for _, e := range list {
			if e.match.takes(r) {
				return e.rule, e.match, true
			}
		}
	}
	for _, e := range t.fallback {
		return e.rule, e.match, true
	}
	return nil, Match{}, false
}

// group is what the most specific host that covers one says.
func (t *Table) group(host string) (key string, list []entry, ok bool) {
	if list, ok := t.hosts[host]; ok {
		return host, list, true
	}
	rest, near := host, true
	for {
		_, after, more := strings.Cut(rest, ".")
		if !more {
			list, ok := t.hosts[everyHost]
			return everyHost, list, ok
		}
		key := "*." + after
		for _, e := range t.hosts[key] {
			if near || e.rule.Deep {
				list = append(list, e)
			}
		}
		if len(list) > 0 {
			return key, list, true
		}
		rest, near = after, false
	}
}

// Hosts lists what the rules name, in order, without "every host".
func (t *Table) Hosts() []string {
	var out []string
	for h := range t.hosts {
		if h != everyHost {
			out = append(out, h)
		}
	}
	slices.Sort(out)
	return out
}

// Any reports whether some rule is for every host.
func (t *Table) Any() bool { return len(t.hosts[everyHost]) > 0 || len(t.fallback) > 0 }

func (m Match) takes(r Request) bool {
	path, query, _ := strings.Cut(r.Target, "?")
	if m.Method != "" && m.Method != r.Method || !m.takesPath(path) {
		return false
	}
	for _, h := range m.Headers {
		if !slices.Contains(r.Header(h.Name), h.Value) {
			return false
		}
	}
	if len(m.Query) == 0 {
		return true
	}
	values, _ := url.ParseQuery(query) // what it can read of it
	for _, q := range m.Query {
		if values.Get(q.Name) != q.Value || !values.Has(q.Name) {
			return false
		}
	}
	return true
}

func (m Match) takesPath(path string) bool {
	if m.Kind == Exact {
		return path == m.Path
	}
	prefix := trimmed(m.Path)
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || prefix == "")
}

// Pick chooses a backend for a request by weight; n is any number. It is nil
// when no backend has a weight.
func (r *Rule) Pick(n uint64) *Backend {
	sum := uint64(0)
	for i := range r.Backends {
		sum += uint64(r.Backends[i].Weight)
	}
	if sum == 0 {
		return nil
	}
	n %= sum
	for i := range r.Backends {
		w := uint64(r.Backends[i].Weight)
		if n < w {
			return &r.Backends[i]
		}
		n -= w
	}
	return nil // not reached: n is less than the sum
}
