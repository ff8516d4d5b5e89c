//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cat prints a file, each line behind the file's name.
func cat(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	show(path, text)
	return nil
}

// hex prints a file's bytes.
func hex(path string) error {
	text, err := os.ReadFile(path)
	fmt.Printf("%s: %x\n", path, text)
	return err
}

func show(path string, text []byte) {
	for line := range strings.Lines(string(text)) {
		fmt.Printf("%s: %s\n", path, strings.TrimRight(line, "\n"))
	}
	if len(text) == 0 {
		fmt.Printf("%s is empty\n", path)
	}
}

// stat prints mode, owner and size of what a path leads to.
func stat(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	sys := info.Sys().(*syscall.Stat_t) // on Linux it always is
	fmt.Printf("%s mode=%s uid=%d gid=%d size=%d\n", path, info.Mode(), sys.Uid, sys.Gid, info.Size())
	return nil
}

// list prints the names in a directory, and where links lead.
func list(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err == nil {
			to = " -> " + to
		}
		fmt.Printf("%s has %s%s\n", dir, e.Name(), to)
	}
	fmt.Printf("%s has %d\n", dir, len(entries))
	return nil
}

const tmpfs = 0x01021994

// filesystem tells whether a directory is in memory.
func filesystem(dir string) error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return err
	}
	fmt.Printf("%s tmpfs=%t size=%d\n", dir, s.Type == tmpfs, s.Blocks*uint64(s.Bsize))
	return nil
}

// create makes a file of a mode, and says what became of it: "make 0644 PATH TEXT".
func create(text string) error {
	parts := strings.SplitN(text, " ", 3)
	mode, err := strconv.ParseUint(parts[0], 8, 32)
	if err != nil {
		return err
	}
	defer syscall.Umask(syscall.Umask(0))
	if err := os.WriteFile(parts[1], []byte(parts[2]+"\n"), os.FileMode(mode)); err != nil {
		return err
	}
	if err := stat(parts[1]); err != nil {
		return err
	}
	return cat(parts[1])
}

// write makes a file: "write PATH TEXT".
func write(text string) error {
	path, content, _ := strings.Cut(text, " ")
	return os.WriteFile(path, []byte(content), 0o644)
}

func appendLine(text string) error {
	path, content, _ := strings.Cut(text, " ")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(content + "\n")
	return err
}

// link makes a symbolic link: "link TARGET PATH".
func link(text string) error {
	to, path, _ := strings.Cut(text, " ")
	return os.Symlink(to, path)
}

func exists(path string) error {
	_, err := os.Stat(path)
	return err
}

func missing(path string) error {
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		return fmt.Errorf("it is there: %v", err)
	}
	return nil
}

// await waits until a path exists.
func await(path string) error { return poll(func() error { return exists(path) }) }

// until fails as long as it was called fewer times than said: "until 3 FILE"
// succeeds the third time. The file counts.
func until(text string) error {
	want, path, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(want)
	if err != nil {
		return err
	}
	if got, err := count(path); err != nil || got < n {
		return fmt.Errorf("it is the %d. time (%v)", got, err)
	}
	return nil
}

// attempt prints how often it was called with a file.
func attempt(path string) error {
	n, err := count(path)
	fmt.Printf("attempt %d\n", n)
	return err
}

func count(path string) (int, error) {
	if err := appendLine(path + " x"); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(path)
	return strings.Count(string(text), "\n"), err
}

// follow prints a file whenever its content is another, beside the other steps.
func follow(path string) error {
	go func() {
		last := "\x00"
		for {
			text, err := os.ReadFile(path)
			now := string(text)
			if err != nil {
				now = "\x00gone"
			}
			if now != last {
				last = now
				if err != nil {
					fmt.Printf("%s is gone\n", path)
				} else {
					show(path, text)
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return nil
}
