package holder

import (
	"bytes"
	"encoding/base64"
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
	from  string // directory of files; "" means that to is made usable
	to    string // directory in a volume
	mode  os.FileMode
	modes map[string]os.FileMode // of single files
	group int                    // that may use the volume; -1 for none
	coded map[string]bool        // files that come in base64
}

// openMode is what the kubelet gives an emptyDir.
const openMode = 0o777

// parseFill reads steps, each with the options behind it.
func parseFill(args []string) ([]step, error) {
	var out []step
	for _, arg := range args {
		option, value, _ := strings.Cut(arg, "=")
		ok := false
		switch {
		case option == "--dir" && value != "":
			out, ok = append(out, step{to: value, mode: openMode, group: -1}), true
		case option == "--files":
			var s step
			s, ok = parseFiles(value)
			out = append(out, s)
		case len(out) > 0:
			ok = out[len(out)-1].option(option, value)
		}
		if !ok {
			return nil, fmt.Errorf("%w: fill has no option %q", errUsage, arg)
		}
	}
	return out, nil
}

// parseFiles reads FROM=TO:MODE, mode in octal.
func parseFiles(value string) (step, bool) {
	paths, mode, ok := cutMode(value)
	from, to, equal := strings.Cut(paths, "=")
	s := step{from: from, to: to, mode: mode, group: -1, modes: map[string]os.FileMode{}, coded: map[string]bool{}}
	return s, ok && equal && from != "" && to != ""
}

// cutMode splits NAME:MODE.
func cutMode(value string) (name string, mode os.FileMode, ok bool) {
	colon := strings.LastIndexByte(value, ':')
	bits, err := strconv.ParseUint(value[colon+1:], 8, 10)
	mode = os.FileMode(bits & 0o777)
	if bits&0o1000 != 0 {
		mode |= os.ModeSticky
	}
	return value[:max(colon, 0)], mode, err == nil
}

// option sets one option of the step; false means that it has no such option.
func (s *step) option(option, value string) bool {
	switch option {
	case "--mode":
		name, mode, ok := cutMode(value)
		if name == "" {
			s.mode = mode
		} else if s.from == "" {
			return false
		} else {
			s.modes[name] = mode
		}
		return ok
	case "--group":
		group, err := strconv.ParseUint(value, 10, 31)
		s.group = int(group)
		return err == nil
	case "--decode":
		if s.from == "" {
			return false
		}
		s.coded[value] = true
		return value != ""
	}
	return false
}

func fill(steps []step) error {
	for _, s := range steps {
		var err error
		if s.from == "" {
			err = openDir(s)
		} else {
			err = copyFiles(s)
		}
		if err == nil && s.group >= 0 {
			err = giveTo(s)
		}
		if err != nil {
			return fmt.Errorf("volume at %s: %w", s.to, err)
		}
	}
	return nil
}

// openDir makes a directory that everybody may write to, as the kubelet makes
// an emptyDir. One that holds something already stays as it is.
func openDir(s step) error {
	if err := os.MkdirAll(s.to, s.mode); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.to)
	if err != nil || len(entries) > 0 {
		return err
	}
	return os.Chmod(s.to, s.mode)
}

// giveTo lets a group use a volume as the kubelet does: all of it is the
// group's, and so is what is made there later. Files of ours are read-only.
func giveTo(s step) error {
	more := os.FileMode(0o660)
	if s.from != "" {
		more = 0o440
	}
	return filepath.WalkDir(s.to, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := os.Lchown(path, -1, s.group); err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | info.Mode()&os.ModeSticky | more
		if entry.IsDir() {
			mode |= os.ModeSetgid | 0o110
		}
		return os.Chmod(path, mode)
	})
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
		return s.copyFile(path, name)
	})
	if err != nil {
		return err
	}
	return removeOthers(s.to, wanted)
}

func (s step) copyFile(from, name string) error {
	to, mode := filepath.Join(s.to, name), s.mode
	if own, ok := s.modes[name]; ok {
		mode = own
	}
	data, err := os.ReadFile(from)
	if err == nil && s.coded[name] {
		data, err = base64.StdEncoding.DecodeString(string(data))
	}
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
