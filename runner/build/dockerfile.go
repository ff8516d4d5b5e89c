package build

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// instruction is one instruction of a Dockerfile, as far as we read one: to
// find the line of a step, and the images that it names.
type instruction struct {
	line  int    // of its first line, from 1
	stage int    // number of the stage that it is in; -1 before the first
	name  string // of that stage, "" when it has none
	word  string // "RUN"
	rest  string // what follows, its lines joined
}

// parse finds the instructions. It follows the format's rules for comments,
// joined lines, the escape directive and here-documents, and no more: what is
// wrong with a Dockerfile is the builder's to say.
func parse(text string) []instruction {
	var out []instruction
	escape := escapeOf(text)
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	stage, name := -1, ""
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		first := i
		for strings.HasSuffix(line, escape) && i+1 < len(lines) {
			i++
			next := strings.TrimSpace(lines[i])
			if next == "" || strings.HasPrefix(next, "#") {
				continue
			}
			line = strings.TrimSuffix(line, escape) + " " + next
		}
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, escape), " ")
		in := instruction{line: first + 1, word: strings.ToUpper(word), rest: strings.TrimSpace(rest)}
		if in.word == "FROM" {
			stage, name = stage+1, stageName(in.rest)
		}
		in.stage, in.name = stage, name
		out = append(out, in)
		if slices.Contains([]string{"RUN", "COPY", "ADD"}, in.word) {
			i = skipDocuments(in.rest, lines, i)
		}
	}
	return out
}

// escapeOf is the character that joins lines: the backslash, unless a directive
// at the top names another.
func escapeOf(text string) string {
	for line := range strings.Lines(text) {
		m := regexp.MustCompile(`^#\s*(\w+)\s*=\s*(\S+)\s*$`).FindStringSubmatch(line)
		if m == nil {
			break
		}
		if strings.EqualFold(m[1], "escape") {
			return m[2]
		}
	}
	return `\`
}

// stageName is what follows AS.
func stageName(from string) string {
	words := strings.Fields(from)
	if n := len(words); n >= 3 && strings.EqualFold(words[n-2], "AS") {
		return words[n-1]
	}
	return ""
}

// skipDocuments returns the line on which the here-documents of an instruction
// end.
func skipDocuments(rest string, lines []string, at int) int {
	for _, m := range regexp.MustCompile(`<<-?["']?([A-Za-z_][A-Za-z0-9_]*)["']?`).FindAllStringSubmatch(rest, -1) {
		for end := at + 1; end < len(lines); end++ {
			if strings.TrimLeft(lines[end], "\t") == m[1] {
				at = end
				break
			}
		}
	}
	return at
}

// bases are the images that a Dockerfile names: in FROM, and in COPY --from.
func bases(list []instruction, args map[string]string) []string {
	known := map[string]string{}
	stages := map[string]bool{"scratch": true}
	expand := func(text string) string { return os.Expand(text, func(name string) string { return known[name] }) }
	var out []string
	add := func(ref string) {
		if _, err := strconv.Atoi(ref); err != nil && ref != "" && !stages[strings.ToLower(ref)] {
			out = append(out, ref)
		}
	}
	for _, in := range list {
		words := strings.Fields(in.rest)
		switch {
		case in.word == "ARG" && in.stage < 0:
			name, value, _ := strings.Cut(in.rest, "=")
			if given, ok := args[name]; ok {
				value = given
			}
			known[name] = strings.Trim(value, `"'`)
		case in.word == "FROM":
			words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "--") })
			if len(words) > 0 {
				add(expand(words[0]))
			}
			if in.name != "" {
				stages[strings.ToLower(in.name)] = true
			}
		case in.word == "COPY":
			for _, w := range words {
				if ref, ok := strings.CutPrefix(w, "--from="); ok {
					add(ref)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Line finds the line of the Dockerfile that a failed build is about: in the
// builder's message, else by the step that failed. 0 means unknown.
func (s *Source) Line(step, message string) int {
	if m := regexp.MustCompile(`parse error (?:on )?line (\d+)`).FindStringSubmatch(message); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	m := regexp.MustCompile(`^\[(?:(\S+) +)?(\d+)/(\d+)\] (.*)$`).FindStringSubmatch(step)
	if m == nil {
		return s.lineOfBase(step)
	}
	var near []instruction // of the step's stage
	for _, in := range s.text {
		if m[1] == "" || strings.EqualFold(in.name, m[1]) || m[1] == "stage-"+strconv.Itoa(in.stage) {
			near = append(near, in)
		}
	}
	for _, in := range near {
		if plainText(in.word+" "+in.rest) == plainText(m[4]) {
			return in.line
		}
	}
	return lineByNumber(near, m[2], m[3])
}

// lineOfBase finds the FROM whose image a step could not resolve.
func (s *Source) lineOfBase(step string) int {
	for _, in := range s.text {
		words := strings.Fields(in.rest)
		if in.word == "FROM" && len(words) > 0 && strings.Contains(step, words[0]) {
			return in.line
		}
	}
	return 0
}

// lineByNumber counts as BuildKit does: the instructions of a stage that make
// layers, and its FROM unless that is from scratch. The step's own text does
// not tell where variables were filled in.
func lineByNumber(stage []instruction, number, of string) int {
	var steps []instruction
	for _, in := range stage {
		if slices.Contains([]string{"RUN", "COPY", "ADD", "WORKDIR"}, in.word) {
			steps = append(steps, in)
		}
	}
	n, _ := strconv.Atoi(number)
	if total, _ := strconv.Atoi(of); total == len(steps)+1 {
		n--
	}
	if n < 1 || n > len(steps) {
		return 0
	}
	return steps[n-1].line
}

func plainText(s string) string { return strings.Join(strings.Fields(s), " ") }
