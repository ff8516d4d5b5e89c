package volume

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// What a group gets of the things in a volume, as the kubelet gives it
// (pkg/volume/volume_linux.go): to read what is shown to containers, to write
// to what is theirs, and whatever is made in a directory.
const (
	readMask  = 0o440
	writeMask = 0o660
	enterMask = 0o110
)

// groupDir are the bits that a directory of a group gets besides; none without
// a group.
func groupDir(group *int64) fs.FileMode {
	if group == nil {
		return 0
	}
	return fs.ModeSetgid | readMask | enterMask
}

// owner is whom a file is given to; nil leaves it as it is.
type owner struct{ user, group *int64 }

func (o owner) ids() (uid, gid int) {
	uid, gid = -1, -1
	if o.user != nil {
		uid = int(*o.user)
	}
	if o.group != nil {
		gid = int(*o.group)
	}
	return uid, gid
}

// has reports whether a file is the owner's already.
func (o owner) has(info fs.FileInfo) bool {
	uid, gid, ok := idsOf(info)
	return !ok || (o.user == nil || uid == *o.user) && (o.group == nil || gid == *o.group)
}

// give sets owner and mode. Where it gives a file to another user the mode comes
// first: that of somebody else's file takes CAP_FOWNER to set. Else the owner
// does: a change of it takes bits away.
func give(root *os.Root, name string, o owner, mode fs.FileMode) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	uid, gid := o.ids()
	if o.has(info) {
		return root.Chmod(name, mode)
	}
	if o.user != nil {
		if err := root.Chmod(name, mode); err != nil {
			return err
		}
		return root.Lchown(name, uid, gid)
	}
	if err := root.Lchown(name, uid, gid); err != nil {
		return err
	}
	return root.Chmod(name, mode)
}

// SetRights gives a volume that containers fill the rights that it begins with.
// With a group, all that is in it already becomes the group's, which may then
// write to it; files that another user made take CAP_CHOWN, CAP_FOWNER and
// CAP_DAC_READ_SEARCH. Links are given away themselves and never followed.
func SetRights(d api.Dir) error {
	if err := setRights(d); err != nil {
		return fmt.Errorf("volume %s: %w", d.Path, err)
	}
	return nil
}

func setRights(d api.Dir) error {
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	if d.Mode != nil {
		if err := root.Chmod(".", unixMode(*d.Mode)); err != nil {
			return err
		}
	}
	if d.Group == nil || d.OnRootMismatch && belongs(root, *d.Group) {
		return nil
	}
	return giveAll(root, *d.Group)
}

// unixMode is a mode of chmod in Go's words.
func unixMode(mode uint32) fs.FileMode {
	const sticky = 0o1000
	m := fs.FileMode(mode).Perm()
	if mode&sticky != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// belongs reports whether the volume itself is the group's with all its rights.
func belongs(root *os.Root, group int64) bool {
	info, err := root.Lstat(".")
	const wants = fs.ModeSetgid | writeMask | enterMask
	return err == nil && owner{group: &group}.has(info) && info.Mode()&wants == wants
}

// giveAll gives everything to the group, the volume itself last: one that was
// interrupted does not look done.
func giveAll(root *os.Root, group int64) error {
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		return giveOne(root, name, group)
	})
	if err != nil {
		return err
	}
	return giveOne(root, ".", group)
}

func giveOne(root *os.Root, name string, group int64) error {
	info, err := root.Lstat(name)
	if err != nil {
		if os.IsNotExist(err) {
			return nil // somebody works in it
		}
		return err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		if (owner{group: &group}).has(info) {
			return nil
		}
		return root.Lchown(name, -1, int(group))
	}
	mode := info.Mode().Perm() | info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) | writeMask
	if info.IsDir() {
		mode |= fs.ModeSetgid | enterMask
	}
	return give(root, name, owner{group: &group}, mode)
}
