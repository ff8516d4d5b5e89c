//go:build !linux

package main

import "golang.org/x/sys/unix"

// dup2 makes to another name of the open file from.
func dup2(from, to int) error { return unix.Dup2(from, to) }
