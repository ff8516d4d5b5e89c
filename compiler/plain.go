package compiler

import (
	"regexp"
	"strings"
	"sync"
)

// needsItself is what is said of a value in a circle, before the next in it.
const needsItself = "the value needs itself, through "

// plainRule turns one of CUE's own messages into a plain sentence.
type plainRule struct {
	cue   *regexp.Regexp
	plain string // as for Regexp.Expand
	hint  string // as plain; "" means that CUE's positions are all there is to say
}

// plainRules are tried in order; the first that fits is used. They are for the
// messages that a definition can cause: the others are shown as they are. They
// are made when there is a mistake, as most runs have none.
var plainRules = sync.OnceValue(func() []plainRule {
	return []plainRule{
		// What is not there.
		{regexp.MustCompile(`undefined field: #(\S+)`), `there is no definition "$1"`, ``},
		{regexp.MustCompile(`undefined field: (\S+)`), `there is no field "$1"`, ``},
		{regexp.MustCompile(`reference "core" not found`), `there is no "core" here`, `add import "cuepod.dev/core"`},
		{regexp.MustCompile(`reference "#([^"]+)" not found`), `there is no definition "$1" here`, ``},
		{regexp.MustCompile(`reference "([^"]+)" not found`), `there is no "$1" here`, `a text is in quotes`},
		{regexp.MustCompile(`cannot call non-function (\S+).*`), `there is no function $1`, ``},
		{regexp.MustCompile(`^(?:(.+)\.)?([^.:]+): field not allowed`), `$1: unknown field "$2"`, ``},
		// What does not go together.
		{regexp.MustCompile(`conflicting values (.+) and (.+) \(mismatched types .*\)`), `two values that exclude each other: $1 and $2`, ``},
		{regexp.MustCompile(`conflicting values (.+) and (.+)`), `two values that exclude each other: $1 and $2`, ``},
		{regexp.MustCompile(`invalid operands? (.+) and (.+) to '(.+)' \(type (.+) and (.+)\)`), `$1 ($4) $3 $2 ($5) is not possible`, ``},
		{regexp.MustCompile(`invalid value (.+) \(out of bound (.+)\)`), `$1 is not valid; it must be $2`, ``},
		{regexp.MustCompile(`invalid value (.+) \(does not satisfy (.+)\)(?:: .*)?`), `$1 is not valid; it must satisfy $2`, ``},
		{regexp.MustCompile(`invalid interpolation: cannot use (.+) \(type (.+)\) as type .*`), `a text cannot hold $1 ($2)`, ``},
		{regexp.MustCompile(`invalid interpolation: `), ``, ``},
		{regexp.MustCompile(`cannot use (.+) \(type .+\) as type bool`), `expected true or false, got $1`, ``},
		{regexp.MustCompile(`cannot use (.+) \(type (.+)\) as type (.+)`), `expected $3, got $1 ($2)`, ``},
		{regexp.MustCompile(`cannot use (.+) \(type (.+)\) as (\S+) in argument (\d+) to (\S+)`), `argument $4 of $5 is $1 ($2) and has to be $3`, ``},
		{regexp.MustCompile(`cannot range over (\S+) \(found (.+), want (.+)\)`), `a loop over $1 is not possible: it is $2, and not $3`, ``},
		{regexp.MustCompile(`error in call to \S+: `), ``, ``},
		// What has no value.
		{regexp.MustCompile(`non-concrete value (.+) in operand to (\S+)$`), `$2 needs a value and there is none; all that is known is $1`, ``},
		{regexp.MustCompile(`non-concrete value (.+)$`), `a value is needed and there is none; all that is known is $1`, ``},
		{regexp.MustCompile(`incomplete value (.+)$`), `there is no value; all that is known is $1`, ``},
		{regexp.MustCompile(`(?:^.*: )?structural cycle`), `the value holds itself, without end`, ``},
		{regexp.MustCompile(`cycle with field: (\S+)`), needsItself + `$1`, ``},
		{regexp.MustCompile(`explicit error \(_\|_ literal\) in source`), `the definition refuses this itself`, ``},
		// Syntax.
		{regexp.MustCompile(`expected label or ':', found (?:'STRING' )?`), `expected a name and ":", found `, `write NAME: VALUE`},
		{regexp.MustCompile(`missing ',' in struct literal`), `a comma or a new line is missing`, `separate fields by lines or commas; a name with other characters than letters, digits and "_" is in quotes`},
		{regexp.MustCompile(`unknown escape sequence`), `a backslash that means nothing`, `write \\ for a backslash; \(NAME) stands for a value`},
		{regexp.MustCompile(`found 'EOF'`), `found the end of the file`, ``},
		{regexp.MustCompile(`found newline`), `found the end of the line`, ``},
		// Imports and modules.
		{regexp.MustCompile(`import failed: cannot find package "([^"]+)".*`), `there is no package "$1"`, ``},
		{regexp.MustCompile(`builtin package "([^"]+)" undefined`), `there is no package "$1"`, `a package of a module begins with the module's path`},
		{regexp.MustCompile(`relative import paths not allowed \("([^"]+)"\)`), `the import "$1" is relative`, `write MODULE/DIRECTORY; the module's path is in cue.mod/module.cue`},
		{regexp.MustCompile(`(\S+) redeclared as imported package name.*`), `the import $1 is there twice: remove one`, ``},
		{regexp.MustCompile(`imported and not used: (\S+)`), `the import $1 is not used: remove it`, ``},
		{regexp.MustCompile(`.*package import cycle not allowed`), `the packages import each other`, ``},
		{regexp.MustCompile(`import failed: `), ``, ``},
		{regexp.MustCompile(`language version "([^"]+)" declared in module.cue is too new for current language version "([^"]+)"`),
			`the module asks for CUE $1, and this cuepod has $2`, `install a newer cuepod, or lower language: version`},
	}
})

// plain is a message of CUE's in words that need no manual, and a hint where
// there is one.
func plain(message string) (text, hint string) {
	for _, r := range plainRules() {
		if r.cue.MatchString(message) {
			text, _ = plain(strings.TrimPrefix(r.cue.ReplaceAllString(message, r.plain), ": "))
			match := r.cue.FindStringSubmatchIndex(message)
			return text, string(r.cue.ExpandString(nil, r.hint, message, match))
		}
	}
	return message, ""
}
