package holder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// step is one thing that fill does.
type step struct {
	from string // directory of files; "" means that to is made usable
	to   string // directory in a volume
	mode os.FileMode
}

// parseFill reads --dir=PATH and --files=FROM=TO:MODE, mode in octal.
func parseFill(args []string) ([]step, error) {
	var out []step
	for _, arg := range args {
		if dir, ok := strings.CutPrefix(arg, "--dir="); ok && dir != "" {
			out = append(out, step{to: dir})
			continue
		}
		spec, ok := strings.CutPrefix(arg, "--files=")
		colon := strings.LastIndexByte(spec, ':')
		from, to, equal := strings.Cut(spec[:max(colon, 0)], "=")
		mode, err := strconv.ParseUint(spec[colon+1:], 8, 9)
		if !ok || !equal || from == "" || to == "" || err != nil {
			return nil, fmt.Errorf("%w: fill has no option %q", errUsage, arg)
		}
		out = append(out, step{from: from, to: to, mode: os.FileMode(mode)})
	}
	return out, nil
}

func fill(steps []step) error {
	for _, s := range steps {
		var err error
		if s.from == "" {
			err = openDir(s.to)
		} else {
			err = copyFiles(s)
		}
		if err != nil {
			return fmt.Errorf("volume at %s: %w", s.to, err)
		}
	}
	return nil
}

// openDir makes a directory that everybody may write to, as the kubelet makes
// an emptyDir. One that holds something already stays as it is.
func openDir(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return err
	}
	return os.Chmod(dir, 0o777)
}

// copyFiles makes the volume hold exactly the files of a directory. Each is
// replaced whole, by a rename, and only when it changed: readers may have it
// open.
func copyFiles(s step) error {
	wanted := map[string]bool{}
	err := filepath.WalkDir(s.from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == s.from {
			return fs.SkipAll // no files at all
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.from, path)
		if err != nil || entry.IsDir() {
			return err
		}
		wanted[name] = true
		return copyFile(path, filepath.Join(s.to, name), s.mode)
	})
	if err != nil {
		return err
	}
	return removeOthers(s.to, wanted)
}

func copyFile(from, to string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if old, err := os.ReadFile(to); err == nil && bytes.Equal(old, data) {
		return os.Chmod(to, mode)
	}
	temporary := filepath.Join(filepath.Dir(to), ".new-"+filepath.Base(to))
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(temporary, mode); err != nil { // after writing: neither the umask nor the mode of a leftover counts
		return err
	}
	return os.Rename(temporary, to)
}

// removeOthers removes files that are not wanted any more, and leaves
// directories.
func removeOthers(dir string, wanted map[string]bool) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || wanted[name] {
			return err
		}
		return os.Remove(path)
	})
}
