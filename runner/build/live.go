package build

import (
	"path"
	"strings"

	"github.com/cuepod/cuepod/runner/ignore"
	"github.com/cuepod/cuepod/targets/docker"
)

// liveNames tells what of a context is copied into containers as it changes, and
// does not decide about the image: with every change of it the image would be
// built anew, and the container replaced, for what it has already. The Dockerfile
// always decides.
func (s *Source) liveNames(b *docker.Build) (func(name string) bool, error) {
	matcher, err := ignore.New(b.Ignored)
	if err != nil {
		return nil, err
	}
	return func(name string) bool {
		if name == s.Dockerfile {
			return false
		}
		full := path.Join(s.context, name)
		for _, sync := range b.Synced {
			rel, ok := full, sync.From == "."
			if !ok {
				rel, ok = strings.CutPrefix(full+"/", sync.From+"/")
				rel = strings.TrimSuffix(rel, "/")
			}
			if ok && !matcher.Excludes(rel) && !neverCopied(rel) {
				return true
			}
		}
		return false
	}, nil
}

// neverCopied reports whether an element of a name is one that never counts.
func neverCopied(name string) bool {
	for element := range strings.SplitSeq(name, "/") {
		if ignore.Name(element) {
			return true
		}
	}
	return false
}
