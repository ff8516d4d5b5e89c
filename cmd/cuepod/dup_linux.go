package main

import "golang.org/x/sys/unix"

// dup2 makes to another name of the open file from. Linux has dup2(2) on some
// architectures only, and dup3(2) on all.
func dup2(from, to int) error { return unix.Dup3(from, to, 0) }
