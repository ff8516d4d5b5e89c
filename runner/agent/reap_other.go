//go:build !unix

package agent

// reap does nothing: the agent runs in Linux containers only.
func reap() (stop func()) { return func() {} }
