package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// MakeSubPath makes sure that there is something at a path in a volume: where
// nothing is, directories, with the volume's own mode. It reports whether it is
// a directory. A link is followed as long as it stays in the volume; one that
// leads out is an error, also when it comes up while we look
// (CVE-2017-1002101).
func MakeSubPath(dir, sub string) (isDir bool, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	info, err := root.Stat(sub)
	if errors.Is(err, fs.ErrNotExist) {
		return true, makeDirs(root, sub)
	}
	if err != nil {
		return false, err
	}
	return info.IsDir(), nil
}

func makeDirs(root *os.Root, sub string) error {
	volume, err := root.Stat(".")
	if err != nil {
		return err
	}
	mode := volume.Mode() & (fs.ModePerm | fs.ModeSetgid)
	dir := ""
	for element := range strings.SplitSeq(path.Clean(sub), "/") {
		dir = path.Join(dir, element)
		switch info, err := root.Stat(dir); {
		case err == nil && info.IsDir():
			continue
		case err == nil:
			return fmt.Errorf("%s is a file", dir)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := root.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := root.Chmod(dir, mode); err != nil { // whatever the umask was
			return err
		}
	}
	return nil
}

// SameSubPath fails unless shown is the very directory that is at a path in a
// volume: what the engine found there may be something else, if somebody put a
// link in its way.
func SameSubPath(dir, sub, shown string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	want, err := root.Stat(sub)
	if err != nil {
		return err
	}
	got, err := os.Stat(shown)
	if err != nil {
		return err
	}
	if !os.SameFile(want, got) {
		return fmt.Errorf("%s leads elsewhere", sub)
	}
	return nil
}
