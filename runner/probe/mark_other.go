//go:build !linux

package probe

import "syscall"

// Mark does nothing: no rules look at marks here.
func Mark(string, string, syscall.RawConn) error { return nil }
