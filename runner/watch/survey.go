package watch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/ignore"
)

// survey is where to look: the paths that count, and the directories to watch
// for them.
type survey struct {
	files []string             // sorted, as the inputs name them
	dirs  map[string]*interest // by real path, no symbolic link in it
}

// interest is what matters in a watched directory.
type interest struct {
	names map[string]bool // these entries
	cue   bool            // every .cue file
	tree  bool            // everything that is not ignored
	list  bool            // every name that is not ignored
	// needed is false for a directory that is only watched for the going of
	// another one. Some may not be listed, such as other people's /home.
	needed bool
}

// surveyOf looks at the filesystem and finds what to watch for the inputs: for
// each path the directory that holds it and that directory's parent, the same
// for every symbolic link on the way, and the nearest ancestor of what is
// missing.
func surveyOf(inputs []Input) survey {
	s := survey{dirs: map[string]*interest{}}
	for _, in := range inputs {
		switch path := filepath.Clean(in.Path); in.Kind {
		case Tree:
			s.addTree(path, ".", in.Ignore)
		case Names:
			s.addListing(path+listing, path)
		default:
			s.addInput(path)
		}
	}
	slices.Sort(s.files)
	s.files = slices.Compact(s.files)
	return s
}

// relevant reports whether an event about path is a hint.
func (s survey) relevant(path string) bool {
	dir, name := filepath.Split(path)
	in := s.dirs[filepath.Clean(dir)]
	switch {
	case in == nil:
		return s.dirs[path] != nil // about the watched directory itself
	case in.names[name]:
		return true
	case ignored(name):
		return false
	default:
		return in.tree || in.list || in.cue && isCUE(name)
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

// addInput adds a file, a directory's .cue files, or something missing.
func (s *survey) addInput(path string) {
	s.files = append(s.files, path)
	real, ok := s.follow(path)
	if !ok || !isDir(real) {
		return
	}
	in := s.interest(real)
	in.cue, in.needed = true, true
	for _, entry := range list(real) {
		if isCUE(entry.Name()) && !ignored(entry.Name()) {
			child := filepath.Join(path, entry.Name())
			s.follow(child)
			s.files = append(s.files, child)
		}
	}
}

// listing is what follows a directory of which the names count.
const listing = string(filepath.Separator) + "*"

// addListing adds the names in a directory.
func (s *survey) addListing(input, dir string) {
	s.files = append(s.files, input)
	if real, ok := s.follow(dir); ok && isDir(real) {
		in := s.interest(real)
		in.list, in.needed = true, true
	}
}

// addTree adds what is in a directory of a tree. Links to files are followed,
// links to directories are not: they may lead back up.
func (s *survey) addTree(root, name string, out *ignore.Matcher) {
	path := filepath.Join(root, name)
	real, ok := s.follow(path)
	if !ok || !isDir(real) {
		s.files = append(s.files, path)
		return
	}
	in := s.interest(real)
	in.tree, in.needed = true, true
	for _, entry := range list(real) {
		child := filepath.Join(name, entry.Name())
		switch {
		case ignored(entry.Name()):
		case entry.IsDir():
			if !out.Prunes(filepath.ToSlash(child)) {
				s.addTree(root, child, out)
			}
		case out.Excludes(filepath.ToSlash(child)):
		default:
			if target, ok := s.follow(filepath.Join(root, child)); !ok || !isDir(target) {
				s.files = append(s.files, filepath.Join(root, child))
			}
		}
	}
}

// follow walks a path, watches for it and for each symbolic link on the way,
// and returns where it leads. ok is false when it leads nowhere; the watches
// then tell when that changes.
func (s *survey) follow(path string) (real string, ok bool) {
	const maxLinks = 40 // as the kernel
	real, rest := root(path), parts(path)
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
		real, rest = root(target), append(parts(target), rest...)
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

func root(path string) string {
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

func ignored(name string) bool { return ignore.Name(name) }

// gitLocked reports whether git is at work on a tree that holds one of the
// directories: a checkout is one change, not hundreds.
func gitLocked(dirs map[string]*interest) bool {
	seen := map[string]bool{}
	for dir := range dirs {
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
