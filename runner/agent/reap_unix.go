//go:build unix

package agent

import (
	"os"
	"os/signal"
	"syscall"
)

// reap collects orphans for as long as the process is the first of its
// namespace: with a shared process namespace, the pod's containers leave theirs
// to it. The agent starts no processes of its own that anything else waits for.
func reap() (stop func()) {
	if os.Getpid() != 1 {
		return func() {}
	}
	signals := make(chan os.Signal, 1) // one is enough: each look collects all
	signal.Notify(signals, syscall.SIGCHLD)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			for {
				pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
				if pid <= 0 || err != nil {
					break
				}
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
