// Package volume prepares the volumes of a pod: it writes the files of
// ConfigMaps and Secrets, all of them at once or none, and gives every volume
// the rights and the group that the pod asks for.
//
// The layout is that of kubelet's AtomicWriter. A reader that holds a file keeps
// the old one; one that opens a path gets the new one; nobody sees half an
// update:
//
//	volume/
//	    ..2026_01_02_15_04_05.123456789/key   the content, in a directory of its own
//	    ..data -> ..2026_01_02_15_04_05.123456789   renamed over: this is the swap
//	    key -> ..data/key
package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

const (
	dataLink = "..data"
	newLink  = "..data_tmp"
	// stamp names the directory of one update; it only has to be new.
	stamp = "..2006_01_02_15_04_05.000000000"
)

// Limits of a path and of one of its elements, in bytes: those of Linux.
const (
	maxPath    = 4096
	maxElement = 255
)

// Write makes v.Dir hold exactly the files. Equal files change nothing.
// Everything happens below the directory: a link that leads out of it, whoever
// put it there, is an error and not a way. It must not run twice at once on one
// directory. Giving files to v.Group needs no right of a process that is in that
// group; giving them to another user needs CAP_CHOWN.
func Write(v api.FileVolume, now time.Time) error {
	if err := write(v, now); err != nil {
		return fmt.Errorf("volume %s: %w", v.Dir, err)
	}
	return nil
}

func write(v api.FileVolume, now time.Time) error {
	if err := check(v.Files); err != nil {
		return err
	}
	root, err := os.OpenRoot(v.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	// As the kubelet's: anybody may write to it, as far as it is not mounted
	// read-only, which it is in every container.
	if err := give(root, ".", owner{group: v.Group}, 0o777|groupDir(v.Group)); err != nil {
		return err
	}
	current, _ := root.Readlink(dataLink) // none in a fresh volume
	if current == "" || !holds(root, current, v) {
		if current, err = swap(root, v, now); err != nil {
			return err
		}
	}
	return tidy(root, v.Files, current)
}

// check validates the paths, by Kubernetes' rules.
func check(files []api.File) error {
	seen := map[string]bool{}
	for _, f := range files {
		if f.Path == "" || path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || len(f.Path) > maxPath ||
			strings.HasPrefix(f.Path, "..") || strings.ContainsRune(f.Path, 0) {
			return fmt.Errorf("file %q: not a clean relative path", f.Path)
		}
		for element := range strings.SplitSeq(f.Path, "/") {
			if len(element) > maxElement {
				return fmt.Errorf("file %q: a name longer than %d bytes", f.Path, maxElement)
			}
		}
		if seen[f.Path] {
			return fmt.Errorf("file %q: given twice", f.Path)
		}
		seen[f.Path] = true
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			if seen[dir] {
				return fmt.Errorf("file %q: %q is a file already", f.Path, dir)
			}
		}
	}
	return nil
}

// holds reports whether the directory has exactly the files.
func holds(root *os.Root, dir string, v api.FileVolume) bool {
	want := map[string]api.File{}
	for _, f := range v.Files {
		want[f.Path] = f
	}
	sub, err := root.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer sub.Close()
	err = fs.WalkDir(sub.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, ok := want[name]
		info, err := e.Info()
		if !ok || err != nil || info.Mode() != fileMode(f, v.Group) || !ownerOf(f, v.Group).has(info) {
			return errors.New("differs")
		}
		data, err := sub.ReadFile(name)
		if err != nil || !bytes.Equal(data, f.Data) {
			return errors.New("differs")
		}
		delete(want, name)
		return nil
	})
	return err == nil && len(want) == 0
}

// swap writes the files into a new directory and makes it the current one.
func swap(root *os.Root, v api.FileVolume, now time.Time) (dir string, err error) {
	dir = now.UTC().Format(stamp)
	for i := 1; ; i++ {
		err := root.Mkdir(dir, 0o755)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || i == 100 {
			return "", err
		}
		dir = fmt.Sprintf("%s.%d", now.UTC().Format(stamp), i)
	}
	if err := fill(root, dir, v); err != nil {
		return "", errors.Join(err, root.RemoveAll(dir))
	}
	if err := root.RemoveAll(newLink); err != nil {
		return "", err
	}
	if err := root.Symlink(dir, newLink); err != nil {
		return "", err
	}
	return dir, root.Rename(newLink, dataLink)
}

func fill(root *os.Root, dir string, v api.FileVolume) error {
	if err := giveDir(root, dir, v.Group); err != nil {
		return err
	}
	for _, f := range v.Files {
		for _, parent := range parents(f.Path) {
			if err := mkdir(root, path.Join(dir, parent), v.Group); err != nil {
				return err
			}
		}
		name := path.Join(dir, f.Path)
		if err := root.WriteFile(name, f.Data, 0o600); err != nil {
			return err
		}
		if err := give(root, name, ownerOf(f, v.Group), fileMode(f, v.Group)); err != nil {
			return err
		}
	}
	return nil
}

// fileMode is a file's mode: with a group, that group may read it.
func fileMode(f api.File, group *int64) fs.FileMode {
	mode := fs.FileMode(f.Mode).Perm()
	if group != nil {
		mode |= readMask
	}
	return mode
}

// ownerOf is whose a file is: the agent's own, root's, unless it says otherwise.
func ownerOf(f api.File, group *int64) owner {
	if f.User != nil {
		return owner{f.User, group}
	}
	self := int64(os.Geteuid())
	return owner{&self, group}
}

// giveDir sets the rights of a directory whatever the umask was.
func giveDir(root *os.Root, dir string, group *int64) error {
	return give(root, dir, owner{group: group}, 0o755|groupDir(group))
}

// parents are the directories of a path, outermost first.
func parents(name string) []string {
	var dirs []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

func mkdir(root *os.Root, dir string, group *int64) error {
	if err := root.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return giveDir(root, dir, group)
}

// tidy makes the links users see, and removes those of keys that are gone and
// what earlier updates left.
func tidy(root *os.Root, files []api.File, current string) error {
	links := map[string]bool{}
	for _, f := range files {
		first, _, _ := strings.Cut(f.Path, "/")
		links[first] = true
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		ours := strings.HasPrefix(name, "..") && name != dataLink && name != current
		stale := !strings.HasPrefix(name, "..") && !links[name] && e.Type() == fs.ModeSymlink
		if ours || stale {
			if err := root.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(links)) {
		if err := link(root, name); err != nil {
			return err
		}
	}
	return nil
}

// link makes name lead to the current content.
func link(root *os.Root, name string) error {
	to := path.Join(dataLink, name)
	if have, err := root.Readlink(name); err == nil && have == to {
		return nil
	}
	if err := root.RemoveAll(name); err != nil {
		return err
	}
	return root.Symlink(to, name)
}
