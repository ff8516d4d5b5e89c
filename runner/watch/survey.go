package watch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/ignore"
)

// survey is where to look for one input: the paths that count, and the
// directories to watch for them. Of a tree, it is the way to it.
type survey struct {
	files []string             // sorted, as the input names them
	dirs  map[string]*interest // by real path, no symbolic link in it
	real  string               // where the input leads; "" when nowhere
}

// interest is what matters in a watched directory.
type interest struct {
	names map[string]bool // these entries
	cue   bool            // every .cue file
	list  bool            // every name that is not ignored
	// needed is false for a directory that is only watched for the going of
	// another one. Some may not be listed, such as other people's /home.
	needed bool
}

// surveyOf looks at the filesystem and finds what to watch for an input: for
// the path the directory that holds it and that directory's parent, the same
// for every symbolic link on the way, and the nearest ancestor of what is
// missing.
func surveyOf(in Input) survey {
	s := survey{dirs: map[string]*interest{}}
	path := filepath.Clean(in.Path)
	real, ok := s.follow(path)
	if ok {
		s.real = real
	}
	switch dir := ok && isDir(real); {
	case in.Kind == Tree && dir: // its branches do the rest
	case in.Kind == Names && dir:
		s.files = []string{path}
		at := s.interest(real)
		at.list, at.needed = true, true
	case in.Kind == Content && dir:
		s.addPackage(path, real)
	default:
		s.files = []string{path}
	}
	slices.Sort(s.files)
	return s
}

// relevant reports whether an event about path is a hint.
func (s survey) relevant(path string) bool {
	dir, name := filepath.Split(path)
	in := s.dirs[filepath.Clean(dir)]
	switch {
	case s.dirs[path] != nil: // the watched directory itself
		return true
	case in == nil:
		return false
	case in.names[name]:
		return true
	case ignore.Name(name):
		return false
	default:
		return in.list || in.cue && isCUE(name)
	}
}

func (s *survey) interest(dir string) *interest {
	in := s.dirs[dir]
	if in == nil {
		in = &interest{names: map[string]bool{}}
		s.dirs[dir] = in
	}
	return in
}

// addPackage adds the .cue files in a directory.
func (s *survey) addPackage(path, real string) {
	s.files = append(s.files, path)
	in := s.interest(real)
	in.cue, in.needed = true, true
	for _, entry := range list(real) {
		if isCUE(entry.Name()) && !ignore.Name(entry.Name()) {
			child := filepath.Join(path, entry.Name())
			s.follow(child)
			s.files = append(s.files, child)
		}
	}
}

// follow walks a path, watches for it and for each symbolic link on the way,
// and returns where it leads. ok is false when it leads nowhere; the watches
// then tell when that changes.
func (s *survey) follow(path string) (real string, ok bool) {
	const maxLinks = 40 // as the kernel
	real, rest := volume(path), parts(path)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		next := filepath.Join(real, name)
		info, err := os.Lstat(next)
		if err != nil {
			s.await(next, true)
			return "", false
		}
		if info.Mode()&os.ModeSymlink == 0 {
			real = next
			continue
		}
		s.await(next, true)
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return "", false
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(real, target)
		}
		real, rest = volume(target), append(parts(target), rest...)
	}
	s.await(real, true)
	s.await(filepath.Dir(real), false)
	return real, true
}

// await watches for the coming and going of a real path. The root always is.
func (s *survey) await(real string, needed bool) {
	if dir := filepath.Dir(real); dir != real {
		in := s.interest(dir)
		in.names[filepath.Base(real)] = true
		in.needed = in.needed || needed
	}
}

func volume(path string) string {
	return filepath.VolumeName(path) + string(filepath.Separator)
}

func parts(path string) []string {
	rel := strings.Trim(filepath.Clean(path[len(filepath.VolumeName(path)):]), string(filepath.Separator))
	if rel == "" {
		return nil
	}
	return strings.Split(rel, string(filepath.Separator))
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// list gives what can be listed; what cannot is seen when it changes.
func list(dir string) []os.DirEntry {
	entries, _ := os.ReadDir(dir)
	return entries
}

func isCUE(name string) bool { return strings.HasSuffix(name, ".cue") }

// gitLocked reports whether git is at work on a tree that holds one of the
// directories: a checkout is one change, not hundreds.
func gitLocked(dirs []string) bool {
	seen := map[string]bool{}
	for _, dir := range dirs {
		for ; !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			if gitDir := gitDirOf(dir); gitDir != "" {
				if _, err := os.Lstat(filepath.Join(gitDir, "index.lock")); err == nil {
					return true
				}
				break
			}
		}
	}
	return false
}

// gitDirOf gives the git directory of a work tree whose top is dir, or "". In a
// linked work tree .git is a file that names it (gitrepository-layout(5)).
func gitDirOf(dir string) string {
	path := filepath.Join(dir, ".git")
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return ""
	case info.IsDir():
		return path
	}
	data, err := os.ReadFile(path)
	target, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "gitdir: ")
	if err != nil || !ok {
		return ""
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(dir, target)
	}
	return target
}
