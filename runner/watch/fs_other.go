//go:build !linux

package watch

import "io/fs"

// remoteFilesystem is not asked elsewhere: the kernels' interfaces differ, and
// the remote mounts that matter are those of Linux guests.
func remoteFilesystem(string) string { return "" }

func nodeOf(fs.FileInfo) uint64 { return 0 }

func metaOf(fs.FileInfo) int64 { return 0 }

// node tells directories apart, where it is known.
type node struct{}

func fullNode(fs.FileInfo) node { return node{} }
