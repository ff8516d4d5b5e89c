package mirror

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// stamp tells whether a file is still what it was: another change of it is
// another time of change, which no program can set.
type stamp struct {
	Inode   uint64 `json:"inode,omitempty"`
	Size    int64  `json:"size,omitempty"`
	Changed int64  `json:"changed,omitempty"` // ctime, in nanoseconds
}

func stampOf(info fs.FileInfo) stamp {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{}
	}
	return stamp{s.Ino, s.Size, s.Ctim.Nano()}
}

func ownerOf(info fs.FileInfo) (user, group int) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return int(s.Uid), int(s.Gid)
}

// rename moves a file between two open directories: no path is looked up that
// somebody could turn elsewhere meanwhile.
func rename(from *os.File, old string, to *os.File, name string) error {
	return unix.Renameat(int(from.Fd()), old, int(to.Fd()), name)
}

// lockFile waits for its turn with a copy.
func lockFile(dir *os.Root, name string) (*os.File, error) {
	f, err := dir.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
