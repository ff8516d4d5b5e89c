//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const clockBootTime = 7 // CLOCK_BOOTTIME, see clock_gettime(2)

// now is the time since the kernel started, which is the same in all
// containers of a machine and goes on in order.
func now() int64 {
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBootTime, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic(errno) // every Linux that runs containers has this clock
	}
	return ts.Nano()
}

// identity prints who the process is.
func identity() error {
	groups, err := syscall.Getgroups()
	if err != nil {
		return err
	}
	slices.Sort(groups)
	fmt.Printf("uid=%d gid=%d groups=%v\n", os.Getuid(), os.Getgid(), groups)
	return nil
}

// rights prints what the kernel says of the process' rights, and whether the
// root filesystem can be written to.
func rights() error {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "CapEff", "CapBnd", "NoNewPrivs", "Seccomp":
			fmt.Printf("%s=%s\n", name, strings.TrimSpace(value))
		}
	}
	err = os.WriteFile("/written", nil, 0o600)
	fmt.Printf("root writable=%t\n", err == nil)
	adj, err := os.ReadFile("/proc/self/oom_score_adj")
	fmt.Printf("oom_score_adj=%s\n", strings.TrimSpace(string(adj)))
	return err
}

// processes prints the command lines of all processes that it sees.
func processes() error {
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, path := range dirs {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid := filepath.Base(filepath.Dir(path))
		fmt.Printf("process %s %s\n", pid, strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " "))
	}
	return nil
}

func host() error {
	name, err := os.Hostname()
	fmt.Printf("hostname=%s\n", name)
	return err
}

// allocate takes mebibytes of memory and touches them.
func allocate(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	var all [][]byte
	for range n {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
	}
	fmt.Println("allocated", len(all))
	return nil
}

// child does a step in a process of its own and tells how that ended.
func child(step string) error {
	out, err := exec.Command("/proc/self/exe", step).CombinedOutput()
	fmt.Printf("%s", out)
	var status *exec.ExitError
	if errors.As(err, &status) {
		fmt.Println("child:", status)
		return nil
	}
	return err
}

// poll tries until it succeeds.
func poll(f func() error) error {
	for f() != nil {
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}
