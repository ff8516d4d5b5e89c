package watch

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// remoteFilesystem names the filesystem of dir when others may write to it
// unseen by this kernel, else "".
func remoteFilesystem(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return ""
	}
	switch uint32(st.Type) { // the field is signed on some architectures
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "SMB"
	case unix.V9FS_MAGIC:
		return "9p"
	case unix.FUSE_SUPER_MAGIC: // also virtiofs
		return "FUSE"
	}
	return ""
}

func nodeOf(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// metaOf is when an inode last changed, its names included.
func metaOf(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ctim.Nano()
	}
	return 0
}

// node tells directories apart, whatever they are called.
type node struct{ dev, ino uint64 }

func fullNode(info fs.FileInfo) node {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return node{uint64(st.Dev), st.Ino}
	}
	return node{}
}
