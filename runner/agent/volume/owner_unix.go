//go:build unix

package volume

import (
	"io/fs"
	"syscall"
)

// idsOf gives the owner of a file.
func idsOf(info fs.FileInfo) (uid, gid int64, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int64(s.Uid), int64(s.Gid), true
}
