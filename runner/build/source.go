// Package build reads what an image is built from: the files of a directory
// that .dockerignore leaves, and the Dockerfile; or the files of a Go program,
// which it also compiles.
//
// A source has a name by its content: two sources of one hash give the same
// image, so that a build whose source did not change need not be asked for.
// The tar stream that goes to the engine is made of exactly what was hashed, in
// one order, with one owner and one time; a file that changes in between breaks
// the stream off.
//
// Nothing outside of the module is ever read: a symbolic link that leads out of
// it is an error where it would be followed, and in the context it stays a link.
package build

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cuepod/cuepod/runner/ignore"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// Source is what an image is built from.
type Source struct {
	// Hash is 12 hexadecimal digits of the digest of everything that decides
	// about the image.
	Hash string
	// Inputs are the paths to watch for the next change.
	Inputs []watch.Input
	// Dockerfile is its path in the stream.
	Dockerfile string
	// Bases are the images that the Dockerfile names.
	Bases []string

	program       *program // of Go, in place of what follows
	root, context string   // the module's directory, and the context in it
	dir           string   // both
	ignore        *ignore.Matcher
	entries       []entry
	text          []instruction
}

// entry is a file, directory or link of the context.
type entry struct {
	name string // slash-separated, relative to the context
	mode fs.FileMode
	link string // of a symbolic link
	size int64
	sum  [sha256.Size]byte // of a file
}

// ErrChanged is why a stream breaks off: a file is not what was hashed.
var ErrChanged = errors.New("what it is built from changed meanwhile")

const defaultDockerfile = "Dockerfile"

// Options are what a build does not say of itself.
type Options struct {
	// Arch is the engine's architecture, for which Go compiles; "" is this
	// machine's.
	Arch string
	// Cache saves reading files whose size and time have not changed, and asking
	// Go what has not; nil saves nothing.
	Cache *Cache
}

// Read reads a source. root is the module's directory, absolute. With an error
// the source still has Inputs, so that the fix is noticed.
func Read(ctx context.Context, root string, b *docker.Build, o Options) (*Source, error) {
	s := &Source{root: root, context: b.Context, dir: filepath.Join(root, filepath.FromSlash(b.Context))}
	if b.Go != "" {
		return s, s.readProgram(ctx, b, o)
	}
	s.Dockerfile = path.Clean(cmp.Or(b.Dockerfile, defaultDockerfile))
	s.Inputs = s.inputs()
	dir, err := open(root, b.Context)
	if err != nil {
		return s, err
	}
	defer dir.Close()
	text, err := dir.ReadFile(filepath.FromSlash(s.Dockerfile))
	if err != nil {
		return s, fmt.Errorf("dockerfile %s: %w", s.Dockerfile, reason(err))
	}
	s.text = parse(string(text))
	s.Bases = bases(s.text, b.Args)
	if s.ignore, err = s.readIgnore(dir); err != nil {
		return s, err
	}
	s.Inputs[len(s.Inputs)-1].Ignore = s.ignore
	if err := s.walk(dir, o.Cache); err != nil {
		return s, err
	}
	s.Hash, err = s.digest(b)
	return s, err
}

// inputs are the Dockerfile, the two places of an ignore file, and the context,
// which is the last of them. The Dockerfile counts even where it is ignored.
func (s *Source) inputs() []watch.Input {
	return []watch.Input{
		{Path: s.path(s.Dockerfile), Why: "Dockerfile"},
		{Path: s.path(s.Dockerfile + ignoreSuffix), Why: "what the build leaves out"},
		{Path: s.path(ignoreSuffix), Why: "what the build leaves out"},
		{Path: s.dir, Kind: watch.Tree, Why: "build context"},
	}
}

// open opens the context. The module's root holds links that lead out of it.
func open(root, context string) (*os.Root, error) {
	module, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	dir, err := module.OpenRoot(filepath.FromSlash(path.Clean(context)))
	if err != nil {
		return nil, fmt.Errorf("context %s: %w", context, reason(err))
	}
	return dir, nil
}

// reason is an error of the file system without the path, which the message
// has already, and in a person's words where the library's are not.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if strings.Contains(err.Error(), "path escapes") {
		return errors.New("it leads out of the module; put what is built into the module's directory")
	}
	return err
}

func (s *Source) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// walk collects the entries in the order of their names.
func (s *Source) walk(dir *os.Root, cache *Cache) error {
	var parents []entry // excluded directories above, in case one of their files is not
	err := fs.WalkDir(dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		out := s.ignore.Excludes(name)
		for len(parents) > 0 && !strings.HasPrefix(name, parents[len(parents)-1].name+"/") {
			parents = parents[:len(parents)-1]
		}
		switch {
		case out && d.IsDir() && s.ignore.Prunes(name) && !s.holdsDockerfile(name):
			return fs.SkipDir
		case name != s.Dockerfile && (out && !d.IsDir() || name == ignoreSuffix || name == s.Dockerfile+ignoreSuffix):
			return nil // an ignore file has done its work
		}
		e, err := s.entry(dir, name, d, cache)
		if err != nil || e.name == "" {
			return err
		}
		if out && d.IsDir() {
			parents = append(parents, e)
			return nil
		}
		s.entries = append(s.entries, parents...)
		parents = nil
		s.entries = append(s.entries, e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("context: %w", err)
	}
	return nil
}

func (s *Source) holdsDockerfile(dir string) bool { return strings.HasPrefix(s.Dockerfile, dir+"/") }

// entry reads one entry; what is no file, directory or link has no name: an
// image cannot hold a socket.
func (s *Source) entry(dir *os.Root, name string, d fs.DirEntry, cache *Cache) (entry, error) {
	info, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return entry{}, nil // it went while we looked; the watcher tells
	}
	if err != nil {
		return entry{}, err
	}
	e := entry{name: name, mode: info.Mode()}
	switch info.Mode().Type() {
	case fs.ModeDir:
	case fs.ModeSymlink:
		e.link, err = dir.Readlink(filepath.FromSlash(name))
	case 0:
		e.size, e.sum, err = cache.sum(func() (*os.File, error) { return dir.Open(filepath.FromSlash(name)) }, s.path(name), info)
		if err != nil {
			err = fmt.Errorf("%s: %w", name, reason(err))
		}
	default:
		return entry{}, nil
	}
	return e, err
}

// digest covers everything that decides about the image: times and owners do
// not, as every stream has the same.
func (s *Source) digest(b *docker.Build) (string, error) {
	head, err := json.Marshal([]any{"cuepod build 1", s.Dockerfile, b.Target, b.Args, b.Name, b.Platform})
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write(append(head, '\n'))
	live, err := s.liveNames(b)
	if err != nil {
		return "", err
	}
	for _, e := range s.entries {
		if live(e.name) {
			continue
		}
		fmt.Fprintf(h, "%q %v %q %d %x\n", e.name, e.mode, e.link, e.size, e.sum)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// Tar writes the stream. It fails with ErrChanged when a file is not what was
// read before; what was written then is no whole archive.
func (s *Source) Tar(w io.Writer) error {
	dir, err := open(s.root, s.context)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	defer dir.Close()
	return s.write(dir, w)
}
