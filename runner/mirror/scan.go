// Package mirror copies directories of a developer's into containers, and keeps
// the copies as the directories are.
//
// A manifest says what a directory holds. What follows is decided by comparing
// it with what the agent says is there, so that a copy is brought to what it
// should be from wherever it is: after a change, after a day of neither of both
// having been looked after, in a container that was just made.
//
//	Scan      a directory -> Manifest
//	Compare   Manifest, what is there -> Delta     pure
//	Line      carries a Delta out, through an agent (runner/agent/mirror)
package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/ignore"
)

// Manifest is what a directory holds.
type Manifest struct {
	Entries []api.MirrorEntry // by path; Time is of files
	// Unread are paths that could not be read, and why: what is there of them stays
	// as it is.
	Unread []string
	Why    error // of the first of them
}

// Digest tells manifests apart. Times are not in it: a file that was only touched
// is the same.
func (m *Manifest) Digest() string {
	h := sha256.New()
	for _, e := range m.Entries {
		fmt.Fprintf(h, "%q %s %o %s %q\n", e.Path, e.Kind, e.Mode, e.Hash, e.Link)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Scan reads a directory of the module. root is the module's, absolute. What the
// matcher leaves out is not looked at, nor what never counts (ignore.Name). A
// directory that is not there is empty. cache may be nil.
//
// Nothing outside of the module is read: a symbolic link stays a link.
func Scan(root, from string, out *ignore.Matcher, cache *Cache) (*Manifest, error) {
	module, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	dir, err := openDir(module, from)
	if errors.Is(err, fs.ErrNotExist) {
		return &Manifest{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	s := scan{dir: dir, at: filepath.Join(root, filepath.FromSlash(from)), out: out, cache: cache}
	if err := fs.WalkDir(dir.FS(), ".", s.visit); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	slices.SortFunc(s.m.Entries, func(a, b api.MirrorEntry) int { return strings.Compare(a.Path, b.Path) })
	return &s.m, nil
}

// Digest tells what is at a path of the module, a file or a directory, from what
// was there before.
func Digest(root, name string, out *ignore.Matcher, cache *Cache) (string, error) {
	module, err := os.OpenRoot(root)
	if err != nil {
		return "", err
	}
	defer module.Close()
	local := filepath.FromSlash(path.Clean(name))
	info, err := module.Stat(local)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case info.IsDir():
		m, err := Scan(root, name, out, cache)
		if err != nil {
			return "", err
		}
		return m.Digest(), nil
	}
	return cache.hash(module, local, filepath.Join(root, local), info)
}

func openDir(module *os.Root, from string) (*os.Root, error) {
	local := filepath.FromSlash(path.Clean(from))
	info, err := module.Stat(local)
	switch {
	case err != nil && strings.Contains(err.Error(), "path escapes"):
		return nil, fmt.Errorf("%s leads out of the module; put what is copied into the module's directory", from)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s is a file, and directories are copied: copy the one that it is in, and leave the rest out with ignore: [\"*\", \"!%s\"]", from, path.Base(from))
	}
	return module.OpenRoot(local)
}

type scan struct {
	dir   *os.Root
	at    string // absolute
	out   *ignore.Matcher
	cache *Cache
	m     Manifest
	held  []api.MirrorEntry // directories that are left out, in case something in them is not
}

func (s *scan) visit(name string, d fs.DirEntry, err error) error {
	if name == "." {
		return err
	}
	if err != nil {
		s.unread(name, err)
		return nil
	}
	if ignore.Name(path.Base(name)) {
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	out := s.out.Excludes(name)
	if out && (!d.IsDir() || s.out.Prunes(name)) {
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	e, ok := s.entry(name, d)
	if !ok {
		return nil
	}
	s.held = slices.DeleteFunc(s.held, func(h api.MirrorEntry) bool { return !strings.HasPrefix(name, h.Path+"/") })
	if out {
		s.held = append(s.held, e)
		return nil
	}
	s.m.Entries = append(append(s.m.Entries, s.held...), e)
	s.held = nil
	return nil
}

// entry reads an entry. What is no file, directory or link has none.
func (s *scan) entry(name string, d fs.DirEntry) (api.MirrorEntry, bool) {
	e := api.MirrorEntry{Path: name}
	info, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return e, false // it went while we looked; whoever watches tells
	}
	local := filepath.FromSlash(name)
	if err == nil {
		switch e.Mode = uint32(info.Mode().Perm()); info.Mode().Type() {
		case fs.ModeDir:
			e.Kind = api.MirrorDir
		case fs.ModeSymlink:
			e.Kind, e.Mode = api.MirrorLink, 0
			e.Link, err = s.dir.Readlink(local)
		case 0:
			e.Size, e.Time = info.Size(), info.ModTime().UnixNano()
			e.Hash, err = s.cache.hash(s.dir, local, filepath.Join(s.at, local), info)
		default:
			return e, false
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return e, false
	}
	if err != nil {
		s.unread(name, err)
		return e, false
	}
	return e, true
}

func (s *scan) unread(name string, err error) {
	if s.m.Why == nil {
		s.m.Why = err
	}
	s.m.Unread = append(s.m.Unread, name)
}

// Cache saves reading files that have not changed. It is safe for concurrent use.
type Cache struct {
	mu    sync.Mutex
	files map[string]cached // by absolute path
}

type cached struct {
	info fs.FileInfo
	read time.Time
	hash string
}

// settled is how old a file has to be when it is read for its time to tell
// changes apart: clocks of file systems tick in up to two seconds.
const settled = 2 * time.Second

func (c *Cache) hash(dir *os.Root, name, path string, info fs.FileInfo) (string, error) {
	if c != nil {
		c.mu.Lock()
		old, ok := c.files[path]
		c.mu.Unlock()
		if ok && os.SameFile(old.info, info) && old.info.Size() == info.Size() && old.info.ModTime().Equal(info.ModTime()) && old.read.Sub(info.ModTime()) > settled {
			return old.hash, nil
		}
	}
	now := time.Now()
	f, err := dir.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.files == nil {
			c.files = map[string]cached{}
		}
		c.files[path] = cached{info, now, sum}
	}
	return sum, nil
}
