// Command testprog is the conformance suite's program as a process.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/cuepod/cuepod/runner/engine/enginetest/program"
)

func main() {
	signals := make(chan os.Signal, 1)
	stop := make(chan struct{})
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		close(stop)
	}()
	hups, heard := make(chan os.Signal, 1), make(chan string)
	signal.Notify(hups, syscall.SIGHUP)
	go func() {
		for range hups {
			heard <- "SIGHUP"
		}
	}()
	os.Exit(program.Run(program.World{
		Args: os.Args[1:], Env: os.Environ(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Stop: stop, Signals: heard, Killed: make(chan struct{}),
		ReadFile:  os.ReadFile,
		WriteFile: func(path string, data []byte) error { return os.WriteFile(path, data, 0o644) },
	}))
}
