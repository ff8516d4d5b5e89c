package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

const (
	stateFile = "state.json"
	tmpDir    = "tmp"
	tmpFile   = "file"
)

// mirrored is one copy, as one round has it. A lock keeps others out.
type mirrored struct {
	dir   *os.Root // of the copy and what is known of it
	data  *os.Root
	tmp   *os.Root
	lock  *os.File
	owner owner
	state state
	// changed is whether state is another than what is written down.
	changed bool
}

type owner struct{ user, group int }

// state is what is known of a copy.
type state struct {
	Acted   string           `json:"acted,omitempty"`
	Entries map[string]entry `json:"entries"` // by path
}

// entry is something that was brought. Stamp tells whether it is still that:
// what its content is then need not be read.
type entry struct {
	Kind  api.MirrorKind `json:"kind,omitempty"`
	Hash  string         `json:"hash,omitempty"`
	Stamp stamp          `json:"stamp,omitzero"`
	Found bool           `json:"found,omitempty"` // a directory that was there before
}

func openCopy(o api.MirrorOpen) (*mirrored, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, err
	}
	c := &mirrored{dir: dir, state: state{Entries: map[string]entry{}}}
	if err := c.open(o); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *mirrored) open(o api.MirrorOpen) (err error) {
	if c.lock, err = lockFile(c.dir, "lock"); err != nil {
		return err
	}
	for _, name := range []string{api.MirrorData, tmpDir} {
		if err := c.dir.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if c.data, err = c.dir.OpenRoot(api.MirrorData); err != nil {
		return err
	}
	if c.tmp, err = c.dir.OpenRoot(tmpDir); err != nil {
		return err
	}
	text, err := c.dir.ReadFile(stateFile)
	known := err == nil
	if known && json.Unmarshal(text, &c.state) != nil {
		c.state = state{} // half written: all is brought again, and nothing removed
	}
	if c.state.Entries == nil {
		c.state.Entries = map[string]entry{}
	}
	return c.settle(o, known)
}

// settle finds out whom things are given to. A copy that nobody has put anything
// into is the user's: in an image without such a directory it was root's for want
// of another.
func (c *mirrored) settle(o api.MirrorOpen, known bool) error {
	info, err := c.data.Stat(".")
	if err != nil {
		return err
	}
	user, group := ownerOf(info)
	c.owner = owner{user, group}
	if o.User != nil {
		c.owner.user = int(*o.User)
	}
	if o.Group != nil {
		c.owner.group = int(*o.Group)
	}
	if known || user != 0 || c.owner.user == 0 || o.User == nil {
		return nil
	}
	if entries, err := fs.ReadDir(c.data.FS(), "."); err != nil || len(entries) > 0 {
		return err
	}
	return c.data.Chown(".", c.owner.user, c.owner.group)
}

func (c *mirrored) close() {
	for _, r := range []*os.Root{c.data, c.tmp, c.dir} {
		if r != nil {
			r.Close()
		}
	}
	if c.lock != nil {
		c.lock.Close()
	}
}

// save writes down what is known.
func (c *mirrored) save() error {
	if !c.changed {
		return nil
	}
	text, err := json.Marshal(c.state)
	if err != nil {
		return err
	}
	if err := c.dir.WriteFile(stateFile+".new", text, 0o600); err != nil {
		return err
	}
	c.changed = false
	return c.dir.Rename(stateFile+".new", stateFile)
}

// there is what was brought as it is now. What is gone is forgotten, and so is
// what has something of another kind in its place: that is not ours.
func (c *mirrored) there() []api.MirrorEntry {
	var out []api.MirrorEntry
	links := map[string]bool{} // directories that are none any more
	for _, name := range slices.Sorted(maps.Keys(c.state.Entries)) {
		e := c.state.Entries[name]
		now, ok := c.look(name, &e)
		if !ok || links[path.Dir(name)] {
			links[name] = e.Kind == api.MirrorDir
			delete(c.state.Entries, name)
			c.changed = true
			continue
		}
		c.state.Entries[name] = e
		out = append(out, now)
	}
	return out
}

// look gives an entry as it is. It is false where that is not of the same kind.
func (c *mirrored) look(name string, e *entry) (api.MirrorEntry, bool) {
	out := api.MirrorEntry{Path: name, Kind: e.Kind}
	info, err := c.data.Lstat(filepath.FromSlash(name))
	if err != nil || kindOf(info.Mode()) != e.Kind || !info.IsDir() && !info.Mode().IsRegular() && e.Kind != api.MirrorLink {
		return out, false
	}
	switch e.Kind {
	case api.MirrorLink:
		out.Link, err = c.data.Readlink(filepath.FromSlash(name))
		return out, err == nil
	case api.MirrorDir:
		out.Mode, out.Found = uint32(info.Mode().Perm()), e.Found
		return out, true
	}
	out.Mode = uint32(info.Mode().Perm())
	if now := stampOf(info); now != e.Stamp {
		e.Hash, e.Stamp, c.changed = c.hash(name), now, true
	}
	out.Hash = e.Hash
	return out, true
}

func kindOf(mode fs.FileMode) api.MirrorKind {
	switch {
	case mode.IsDir():
		return api.MirrorDir
	case mode.Type() == fs.ModeSymlink:
		return api.MirrorLink
	}
	return api.MirrorFile
}

// hash reads a file; one that cannot be read has none, and is brought again.
func (c *mirrored) hash(name string) string {
	f, err := c.data.Open(filepath.FromSlash(name))
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// checkPath refuses a path that no supervisor of ours sends.
func checkPath(name string) error {
	if name == "" || name == "." || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, "../") || name == ".." || strings.ContainsRune(name, 0) {
		return errors.New("not a clean relative path")
	}
	return nil
}

// put brings an entry, in place of what has its name.
func (c *mirrored) put(e api.MirrorEntry, body io.Reader) error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	if err := c.parents(path.Dir(e.Path)); err != nil {
		return err
	}
	c.changed = true
	switch e.Kind {
	case api.MirrorDir:
		return c.putDir(e)
	case api.MirrorLink:
		return c.putLink(e)
	}
	return c.putFile(e, body)
}

// parents wants the way to an entry to be directories and no links, which the
// program in the container may have put there.
func (c *mirrored) parents(dir string) error {
	if dir == "." {
		return nil
	}
	at := ""
	for element := range strings.SplitSeq(dir, "/") {
		at = path.Join(at, element)
		info, err := c.data.Lstat(filepath.FromSlash(at))
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is no directory", at)
		}
	}
	return nil
}

func (c *mirrored) putDir(e api.MirrorEntry) error {
	name := filepath.FromSlash(e.Path)
	mode := fs.FileMode(e.Mode).Perm()
	info, err := c.data.Lstat(name)
	switch {
	case err == nil && info.IsDir():
		old, ours := c.state.Entries[e.Path]
		found := !ours || old.Found
		c.state.Entries[e.Path] = entry{Kind: api.MirrorDir, Found: found}
		if found {
			return nil // it is as the image, or a program, wants it
		}
		return c.data.Chmod(name, mode)
	case err == nil:
		if err := c.data.Remove(name); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := c.data.Mkdir(name, 0o700); err != nil {
		return err
	}
	c.state.Entries[e.Path] = entry{Kind: api.MirrorDir}
	return errors.Join(c.data.Chmod(name, mode), c.data.Lchown(name, c.owner.user, c.owner.group))
}

func (c *mirrored) putLink(e api.MirrorEntry) error {
	if err := c.clearTmp(); err != nil {
		return err
	}
	if err := c.tmp.Symlink(e.Link, tmpFile); err != nil {
		return err
	}
	err := c.tmp.Lchown(tmpFile, c.owner.user, c.owner.group)
	if err == nil {
		err = c.place(e.Path)
	}
	if err == nil {
		c.state.Entries[e.Path] = entry{Kind: api.MirrorLink}
	}
	return err
}

func (c *mirrored) putFile(e api.MirrorEntry, body io.Reader) error {
	sum, err := c.fill(e, body)
	if err != nil {
		return err
	}
	if err := c.place(e.Path); err != nil {
		return err
	}
	info, err := c.data.Lstat(filepath.FromSlash(e.Path))
	if err != nil {
		return err
	}
	c.state.Entries[e.Path] = entry{Hash: sum, Stamp: stampOf(info)}
	return nil
}

// fill makes the file that is to be placed, and gives the hash of what it got.
func (c *mirrored) fill(e api.MirrorEntry, body io.Reader) (string, error) {
	if err := c.clearTmp(); err != nil {
		return "", err
	}
	f, err := c.tmp.OpenFile(tmpFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), body)
	if err == nil && n != e.Size {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	at := time.Unix(0, e.Time)
	err = errors.Join(
		c.tmp.Chmod(tmpFile, fs.FileMode(e.Mode).Perm()),
		c.tmp.Chtimes(tmpFile, at, at),
		c.tmp.Lchown(tmpFile, c.owner.user, c.owner.group))
	return hex.EncodeToString(h.Sum(nil)), err
}

func (c *mirrored) clearTmp() error {
	if err := c.tmp.Remove(tmpFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// place puts what is ready where it belongs, at once. A directory in the way
// goes if it is empty.
func (c *mirrored) place(name string) error {
	local := filepath.FromSlash(name)
	if info, err := c.data.Lstat(local); err == nil && info.IsDir() {
		if err := c.data.Remove(local); err != nil {
			return errors.New("a directory is in its place that has files of the container's own")
		}
	}
	dir, err := c.data.Open(filepath.Dir(local))
	if err != nil {
		return err
	}
	defer dir.Close()
	tmp, err := c.tmp.Open(".")
	if err != nil {
		return err
	}
	defer tmp.Close()
	return rename(tmp, tmpFile, dir, filepath.Base(local))
}

// remove takes away what was brought, and nothing else: a directory that was
// there before stays, and one that has something of the container's own in it.
func (c *mirrored) remove(name string) (removed bool, err error) {
	e, ours := c.state.Entries[name]
	if !ours {
		return false, nil
	}
	if err := c.parents(path.Dir(name)); err != nil {
		return false, err
	}
	c.changed = true
	local := filepath.FromSlash(name)
	info, err := c.data.Lstat(local)
	if errors.Is(err, fs.ErrNotExist) || err == nil && kindOf(info.Mode()) != e.Kind || e.Found {
		delete(c.state.Entries, name)
		return false, nil
	}
	err = c.data.Remove(local)
	if err != nil && e.Kind == api.MirrorDir {
		err = nil // it is not empty
	} else {
		removed = err == nil
	}
	if err == nil {
		delete(c.state.Entries, name)
	}
	return removed, err
}

// removeOthers removes the copies beside dir that are for the same place, of
// earlier images.
func removeOthers(dir, prefix string) error {
	root, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && e.Name() != filepath.Base(dir) {
			errs = append(errs, root.RemoveAll(e.Name()))
		}
	}
	return errors.Join(errs...)
}

// reason is an error of the file system without the path, which the message has.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}
