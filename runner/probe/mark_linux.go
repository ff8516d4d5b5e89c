package probe

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Mark marks what a probe sends. It takes a right that the agent has where
// there are rules that look at the mark; elsewhere it does not matter.
func Mark(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, api.ProbeMark) })
}
