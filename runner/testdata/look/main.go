// Look is what containers of the engine tests run: it looks at files as a
// program in a container sees them, changes them, and writes down what happens
// to it.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `wait                     until it is asked to stop
stat PATH...             mode, owner, group, size of each, a link itself
cat PATH...              content of each
write PATH TEXT
mkdir PATH
chmod PATH MODE          in octal
link TARGET PATH         a symbolic one
flip PATH A B            make PATH a link to A and to B in turns, without end
remove PATH
mount PATH               type, options of the mount there, and its size
id                       user, group and further groups
proc NAME                the value of a line of /proc/self/status
mark FILE TEXT [SECONDS] add a line with the time to FILE, after so many seconds
obey FILE                do what FILE says; one that is not there is an error
hear FILE                add a line to FILE for each SIGHUP, until it is asked to stop
fail                     exit with an error
act FILE NAME HOW        mark that NAME starts, is asked to stop, and ends; HOW is
                         the seconds that it takes to stop, or "ignore"
serve FILE NAME ADDRESS SECONDS  the same, with a web server from SECONDS on that
                         marks its requests
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command string, args []string) error {
	switch command {
	case "wait":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		return nil
	case "obey":
		text, err := os.ReadFile(args[0])
		if words := strings.Fields(string(text)); err == nil && len(words) > 0 {
			err = run(words[0], words[1:])
		}
		return err
	case "hear":
		return hear(args[0])
	case "stat":
		return each(args, stat)
	case "cat":
		return each(args, func(path string) (string, error) {
			data, err := os.ReadFile(path)
			return string(data), err
		})
	case "write":
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "mkdir":
		return os.MkdirAll(args[0], 0o755)
	case "chmod":
		var mode uint32
		if _, err := fmt.Sscanf(args[1], "%o", &mode); err != nil {
			return err
		}
		return syscall.Chmod(args[0], mode)
	case "link":
		return os.Symlink(args[0], args[1])
	case "flip":
		return flip(args[0], args[1:])
	case "remove":
		return os.RemoveAll(args[0])
	case "mount":
		return each(args, mount)
	case "mark":
		if len(args) > 2 {
			pause(args[2])
		}
		return mark(args[0], args[1])
	case "fail":
		return errors.New("hunter2")
	case "act":
		return act(args[0], args[1], args[2])
	case "serve":
		go serve(args[0], args[1], args[2], args[3])
		return act(args[0], args[1], "0")
	case "id":
		groups, err := os.Getgroups()
		fmt.Println(os.Getuid(), os.Getgid(), groups)
		return err
	case "proc":
		data, err := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(line, args[0]+":"); ok {
				fmt.Println(strings.Join(strings.Fields(value), " "))
			}
		}
		return err
	}
	return fmt.Errorf("unknown command %s\n%s", command, usage)
}

func each(paths []string, say func(string) (string, error)) error {
	for _, path := range paths {
		text, err := say(path)
		if err != nil {
			return err
		}
		fmt.Println(text)
	}
	return nil
}

func stat(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	s := info.Sys().(*syscall.Stat_t)
	size := info.Size()
	if info.IsDir() {
		size = 0
	}
	to := ""
	if info.Mode().Type() == fs.ModeSymlink {
		to, _ = os.Readlink(path)
		return fmt.Sprintf("%v %d:%d -> %s", info.Mode(), s.Uid, s.Gid, to), nil
	}
	return fmt.Sprintf("%v %d:%d %d", info.Mode(), s.Uid, s.Gid, size), nil
}

// flip never lets PATH be missing for long.
func flip(path string, targets []string) error {
	for i := 0; ; i++ {
		next := path + ".next"
		if err := os.Symlink(targets[i%len(targets)], next); err != nil {
			return err
		}
		if info, err := os.Lstat(path); err == nil && info.IsDir() {
			if err := os.Rename(path, path+".was"); err != nil {
				return err
			}
		}
		if err := os.Rename(next, path); err != nil {
			return err
		}
	}
}

func mount(path string) (string, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return "", err
	}
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); f[1] == path {
			access, _, _ := strings.Cut(f[3], ",")
			return fmt.Sprintf("%s %s %d", f[2], access, int64(fs.Blocks)*fs.Bsize), nil
		}
	}
	return "", fmt.Errorf("%s is no mount", path)
}
