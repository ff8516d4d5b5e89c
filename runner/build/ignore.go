package build

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// ignore is a .dockerignore file; nil excludes nothing.
type ignore struct {
	matcher *patternmatcher.PatternMatcher
	parents map[string]patternmatcher.MatchInfo // by directory
	// keeps are the patterns behind "!"; wild is whether one of them may match
	// anywhere below an excluded directory.
	keeps []string
	wild  bool
}

// readIgnore reads the file that belongs to the Dockerfile, else the context's.
func (s *Source) readIgnore(dir *os.Root) (*ignore, error) {
	own := s.Dockerfile + ".dockerignore"
	s.Inputs = append(s.Inputs, s.path(own), s.path(".dockerignore"))
	for _, name := range []string{own, ".dockerignore"} {
		text, err := dir.ReadFile(filepath.FromSlash(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, reason(err))
		}
		i, err := parseIgnore(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return i, nil
	}
	return nil, nil
}

func parseIgnore(text []byte) (*ignore, error) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	i := &ignore{matcher: matcher, parents: map[string]patternmatcher.MatchInfo{}}
	for _, p := range matcher.Patterns() {
		if p.Exclusion() {
			i.keeps = append(i.keeps, filepath.ToSlash(p.String()))
			i.wild = i.wild || strings.ContainsAny(strings.TrimSuffix(p.String(), "/**"), "*?[\\")
		}
	}
	return i, nil
}

// excludes tells whether a path is left out. Directories come before what is in
// them.
func (i *ignore) excludes(name string) (bool, error) {
	if i == nil {
		return false, nil
	}
	var above patternmatcher.MatchInfo
	if n := strings.LastIndexByte(name, '/'); n >= 0 {
		above = i.parents[name[:n]]
	}
	out, info, err := i.matcher.MatchesUsingParentResults(filepath.FromSlash(name), above)
	i.parents[name] = info
	return out, err
}

// prunes tells whether nothing below an excluded directory is kept.
func (i *ignore) prunes(dir string) bool {
	if i.wild {
		return false
	}
	for _, keep := range i.keeps {
		if strings.HasPrefix(keep+"/", dir+"/") {
			return false
		}
	}
	return true
}
