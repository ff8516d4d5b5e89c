package build

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// madeAt is the time of every file of a stream: fixed, so that equal files give
// an equal stream, and the earliest that a zip archive can hold.
func madeAt() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }

func (s *Source) write(dir *os.Root, w io.Writer) error {
	tw := tar.NewWriter(w)
	for _, e := range s.entries {
		if err := tw.WriteHeader(e.header()); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		if e.mode.IsRegular() {
			if err := e.copy(dir, tw); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
	}
	return tw.Close()
}

func (e *entry) header() *tar.Header {
	h := &tar.Header{Name: e.name, Mode: int64(e.mode.Perm()), ModTime: madeAt(), Typeflag: tar.TypeReg, Size: e.size}
	for bit, flag := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if e.mode&flag != 0 {
			h.Mode |= bit
		}
	}
	switch e.mode.Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, e.name+"/"
	case fs.ModeSymlink:
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.link, 0o777
	}
	return h
}

// copy writes a file that still is what was hashed.
func (e *entry) copy(dir *os.Root, w io.Writer) error {
	f, err := dir.Open(filepath.FromSlash(e.name))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChanged, reason(err))
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(f, e.size))
	if err != nil {
		return err
	}
	if more, _ := f.Read(make([]byte, 1)); n != e.size || more > 0 || !bytes.Equal(h.Sum(nil), e.sum[:]) {
		return ErrChanged
	}
	return nil
}

// Cache keeps the digests of files from one Read to the next. The zero value is
// empty. It is safe for concurrent use.
type Cache struct {
	mu sync.Mutex
	// All that follows is guarded by mu, and by path; listings are by what was
	// asked for.
	files    map[string]cached
	heads    map[string]headSum
	listings map[string]*listing
}

type cached struct {
	info fs.FileInfo
	read time.Time
	sum  [sha256.Size]byte
}

// settled is how long after its last change a file has to have been read for
// its time to prove that it is the same: filesystems count in up to two seconds.
const settled = 2 * time.Second

func (c *Cache) listing(key string) *listing {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listings[key]
}

func (c *Cache) keep(key string, l *listing) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listings == nil {
		c.listings = map[string]*listing{}
	}
	c.listings[key] = l
}

// sumFile is sum for a file anywhere.
func (c *Cache) sumFile(path string, info fs.FileInfo) (int64, [sha256.Size]byte, error) {
	return c.sum(func() (*os.File, error) { return os.Open(path) }, path, info)
}

// sum gives the size and the digest of a file.
func (c *Cache) sum(open func() (*os.File, error), path string, info fs.FileInfo) (int64, [sha256.Size]byte, error) {
	if c != nil {
		c.mu.Lock()
		old, ok := c.files[path]
		c.mu.Unlock()
		if ok && os.SameFile(old.info, info) && old.info.Size() == info.Size() && old.info.ModTime().Equal(info.ModTime()) &&
			old.read.Sub(info.ModTime()) > settled {
			return info.Size(), old.sum, nil
		}
	}
	now := time.Now()
	f, err := open()
	if err != nil {
		return 0, [sha256.Size]byte{}, err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return 0, [sha256.Size]byte{}, err
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.files == nil {
			c.files = map[string]cached{}
		}
		c.files[path] = cached{info, now, sum}
	}
	return size, sum, nil
}
