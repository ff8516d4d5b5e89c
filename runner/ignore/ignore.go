// Package ignore says what of a directory does not count. There is one matcher
// and one form of a name, slash-separated and relative to the directory, for
// whoever walks a tree, watches it or copies it: what one of them leaves out,
// none of the others sees.
//
// Patterns are those of .dockerignore
// (docs.docker.com/build/concepts/context/#dockerignore-files), "!" included.
package ignore

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Matcher holds patterns. nil excludes nothing. It is safe for concurrent use.
type Matcher struct {
	text string // the patterns, a line each
	// keeps are the patterns behind "!"; wild is whether one of them may match
	// anywhere below an excluded directory.
	keeps []string
	wild  bool

	mu      sync.Mutex // the library's matcher compiles its patterns when they are first needed
	matcher *patternmatcher.PatternMatcher
	dirs    map[string]patternmatcher.MatchInfo // what is known of directories, as their entries need it
}

// Read reads the text of a .dockerignore file. Without a pattern in it there is
// no matcher.
func Read(text []byte) (*Matcher, error) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return New(patterns)
}

// New makes a matcher of patterns in the order in which they hold: the last
// one that matches decides. Without a pattern there is none.
func New(patterns []string) (*Matcher, error) {
	for _, p := range patterns {
		if err := check(p); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil || len(matcher.Patterns()) == 0 {
		return nil, err
	}
	m := &Matcher{text: strings.Join(patterns, "\n"), matcher: matcher, dirs: map[string]patternmatcher.MatchInfo{}}
	for _, p := range matcher.Patterns() {
		if p.Exclusion() {
			keep := filepath.ToSlash(p.String())
			m.keeps = append(m.keeps, keep)
			m.wild = m.wild || strings.ContainsAny(strings.TrimSuffix(keep, "/**"), `*?[\`)
		}
	}
	return m, nil
}

// check finds a pattern that the library would refuse only when it meets a
// name.
func check(pattern string) error {
	m, err := patternmatcher.New([]string{strings.TrimPrefix(pattern, "!")})
	if err == nil {
		_, err = m.MatchesOrParentMatches("x")
	}
	return err
}

// String gives the patterns, a line each: matchers of the same text match the
// same names.
func (m *Matcher) String() string {
	if m == nil {
		return ""
	}
	return m.text
}

// Excludes reports whether a file or directory is left out. name is relative
// and slash-separated; "." is never left out.
func (m *Matcher) Excludes(name string) bool {
	if m == nil || name == "." || name == "" {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out, _, err := m.matcher.MatchesUsingParentResults(filepath.FromSlash(name), m.above(name))
	return out && err == nil // New has found what may be wrong
}

// above is what is known of the directory that holds name.
func (m *Matcher) above(name string) patternmatcher.MatchInfo {
	dir := path.Dir(name)
	if dir == "." {
		return patternmatcher.MatchInfo{}
	}
	info, known := m.dirs[dir]
	if !known {
		const most = 1 << 16 // directories come and go for as long as somebody watches
		if len(m.dirs) > most {
			clear(m.dirs)
		}
		_, info, _ = m.matcher.MatchesUsingParentResults(filepath.FromSlash(dir), m.above(dir))
		m.dirs[dir] = info
	}
	return info
}

// Prunes reports whether a directory is left out with all that is beneath it,
// now and later: there is no need to open it.
func (m *Matcher) Prunes(dir string) bool {
	if !m.Excludes(dir) || m.wild {
		return false
	}
	for _, keep := range m.keeps {
		if strings.HasPrefix(keep+"/", dir+"/") {
			return false
		}
	}
	return true
}

// Name reports whether a name never counts, whatever the patterns say: the
// stores of version control and package managers, and what editors keep beside
// a file while they save it.
func Name(name string) bool {
	switch name {
	case ".git", ".hg", ".svn", ".jj", "node_modules", ".DS_Store",
		"4913": // vim tries whether it may create files
		return true
	}
	return strings.HasSuffix(name, "~") || // vim, emacs, nano, and cuepod's own outputs
		strings.HasPrefix(name, ".#") || // emacs' lock
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") || // emacs' auto-save
		strings.HasSuffix(name, ".swp") || strings.HasSuffix(name, ".swx") || // vim
		strings.HasSuffix(name, "___jb_tmp___") || strings.HasSuffix(name, "___jb_old___") || // JetBrains
		strings.HasPrefix(name, ".goutputstream-") // GNOME
}
