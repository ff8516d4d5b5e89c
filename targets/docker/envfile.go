package docker

import (
	"fmt"
	"slices"
	"strings"
)

// value reads the variable; false for an optional one that is not there. As in
// Kubernetes, an empty value counts as none, and a file that is missing or that
// cannot be read is an error even of an optional one.
func (f *FileKeyRef) value(read func(path string) ([]byte, error)) (string, bool, error) {
	name := strings.TrimPrefix(f.Path, volumesDir+"/")
	data, err := read(f.Path)
	if err != nil {
		return "", false, fmt.Errorf("file %s: %w", name, err)
	}
	value, err := ParseEnvFile(data, f.Key)
	if err != nil {
		return "", false, fmt.Errorf("file %s: %w", name, err)
	}
	if value == "" && !f.Optional {
		return "", false, fmt.Errorf("file %s has no value for key %s", name, f.Key)
	}
	return value, value != "", nil
}

// ReadsFiles reports whether what the container is made with is in files that
// containers before it write.
func (c *Container) ReadsFiles() bool {
	return slices.ContainsFunc(c.Env, func(e EnvVar) bool { return e.Source == FromFile })
}

// ParseEnvFile finds the value of a key in a file of lines KEY='value', by
// kubelet's rules (pkg/kubelet/util/env): the value stands in single quotes,
// may go over several lines, and nothing in it is escaped; only space and a
// comment may follow it. A space behind "=" ends the assignment: the value is
// empty. Blank lines and those that begin with # are nothing. The value is ""
// where the key is not; what is behind the key is not read. Errors quote
// nothing of the file.
func ParseEnvFile(data []byte, key string) (string, error) {
	const space = " \t"
	lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n"), "\n")
	for n := 0; n < len(lines); n++ {
		line := strings.TrimLeft(lines[n], space)
		if line == "" || line[0] == '#' {
			continue
		}
		fail := func(what string) (string, error) { return "", fmt.Errorf("line %d: %s", n+1, what) }
		name, rest, ok := strings.Cut(line, "=")
		switch {
		case !ok:
			return fail("there is no \"=\"")
		case name == "" || strings.TrimRight(name, space) != name:
			return fail("there is no name right before \"=\"")
		case rest != strings.TrimLeft(rest, space):
			if name == key {
				return "", nil
			}
			continue
		case !strings.HasPrefix(rest, "'"):
			return fail("the value is not in single quotes")
		}
		first := n
		value, after, closed := strings.Cut(rest[1:], "'")
		for !closed {
			if n++; n == len(lines) {
				n = first
				return fail("the single quote is never closed")
			}
			var more string
			more, after, closed = strings.Cut(lines[n], "'")
			value += "\n" + more
		}
		if after = strings.TrimLeft(after, space); after != "" && after[0] != '#' {
			return fail("there is more behind the closing quote")
		}
		if name == key {
			return value, nil
		}
	}
	return "", nil
}
