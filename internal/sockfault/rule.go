package sockfault

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Action is what a rule does to a request.
type Action string

const (
	Delay      Action = "delay"       // for Rule.Delay, then as usual
	Hang       Action = "hang"        // never a byte, until the client gives up
	Status     Action = "status"      // Rule.Status in the engine's place, which hears nothing
	Lose       Action = "lose"        // the engine does it, and the answer is lost
	Truncate   Action = "truncate"    // half of the answer's first bytes, then the end
	Reset      Action = "reset"       // the connection breaks before the engine hears anything
	KillBefore Action = "kill-before" // kills the client; the engine hears nothing
	KillAfter  Action = "kill-after"  // kills the client once the engine has done it
	Duplicate  Action = "duplicate"   // every line of the answer twice: of events
	Drop       Action = "drop"        // every line of the answer after the first is lost: of events
)

func actions() []Action {
	return []Action{Delay, Hang, Status, Lose, Truncate, Reset, KillBefore, KillAfter, Duplicate, Drop}
}

// Rule says which requests meet which fault.
type Rule struct {
	Method string // "" is any; "*" any that changes something, see Changes
	Path   string // without the API's version, * for anything; "" is any
	Nth    int    // of those that match, from 1; 0 is every one
	Action Action
	Delay  time.Duration // of Delay
	Status int           // of Status
}

// Parse reads a rule as String writes it:
//
//	POST /containers/*/start #2 status 500
//	* #7 kill-after
//	GET /events duplicate
//	delay 2s
func Parse(text string) (Rule, error) {
	var r Rule
	words := strings.Fields(text)
	fail := func(what string) (Rule, error) { return Rule{}, fmt.Errorf("rule %q: %s", text, what) }
	take := func(is func(string) bool) string {
		if len(words) == 0 || !is(words[0]) {
			return ""
		}
		word := words[0]
		words = words[1:]
		return word
	}
	r.Method = take(func(w string) bool { return w == "*" || strings.ToUpper(w) == w && w[0] >= 'A' && w[0] <= 'Z' })
	r.Path = take(func(w string) bool { return w[0] == '/' })
	if nth := take(func(w string) bool { return w[0] == '#' }); nth != "" {
		n, err := strconv.Atoi(nth[1:])
		if err != nil || n < 1 {
			return fail(nth + " is not a number from 1")
		}
		r.Nth = n
	}
	for _, a := range actions() {
		if len(words) > 0 && words[0] == string(a) {
			r.Action, words = a, words[1:]
			break
		}
	}
	var err error
	switch {
	case r.Action == "":
		return fail("no action")
	case r.Action == Delay && len(words) == 1:
		r.Delay, err = time.ParseDuration(words[0])
	case r.Action == Status && len(words) == 1:
		r.Status, err = strconv.Atoi(words[0])
	case r.Action == Delay || r.Action == Status:
		return fail("one argument, please")
	case len(words) > 0:
		return fail("what is " + words[0] + "?")
	}
	if err != nil {
		return fail(err.Error())
	}
	return r, nil
}

func (r Rule) String() string {
	var words []string
	for _, w := range []string{r.Method, r.Path} {
		if w != "" {
			words = append(words, w)
		}
	}
	if r.Nth > 0 {
		words = append(words, "#"+strconv.Itoa(r.Nth))
	}
	words = append(words, string(r.Action))
	switch r.Action {
	case Delay:
		words = append(words, r.Delay.String())
	case Status:
		words = append(words, strconv.Itoa(r.Status))
	}
	return strings.Join(words, " ")
}

func (r Rule) matches(method, p string) bool {
	if r.Method == "*" && !Changes(method, p) || r.Method != "*" && r.Method != "" && r.Method != method {
		return false
	}
	return r.Path == "" || matches(r.Path, p)
}

// matches reports whether a path is of a pattern. A * may hold slashes: names of
// images do.
func matches(pattern, p string) bool {
	before, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return p == pattern
	}
	return len(p) > len(before)+len(rest) && strings.HasPrefix(p, before) && strings.HasSuffix(p, rest)
}

// Changes reports whether a request changes something on the engine: those that
// only look, wait or talk do not.
func Changes(method, p string) bool {
	if method == "GET" || method == "HEAD" {
		return false
	}
	for _, talk := range []string{"/containers/*/attach", "/containers/*/wait", "/containers/*/exec", "/exec/*/start", "/exec/*/resize"} {
		if matches(talk, p) {
			return false
		}
	}
	return true
}
