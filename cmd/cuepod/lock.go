package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner"
)

// appDir is where this machine keeps what belongs to an app's supervisor: its
// lock and its log. All of it may be deleted; what runs is known to the engine
// alone. The endpoint is part of the name, as one app may run on two engines.
//
// It is in $XDG_STATE_HOME and never in $XDG_RUNTIME_DIR: that is set in some
// of a user's sessions and not in others, and all have to meet at one lock.
func (c *cli) appDir(id runner.Identity, endpoint string) string {
	state := c.env["XDG_STATE_HOME"]
	if !filepath.IsAbs(state) { // unset, or invalid by the XDG base directory specification
		state = filepath.Join(c.env["HOME"], ".local", "state")
	}
	if !filepath.IsAbs(state) {
		state = filepath.Join(os.TempDir(), "cuepod-"+strconv.Itoa(os.Getuid()))
	}
	sum := sha256.Sum256([]byte(id.ID() + "\x00" + endpoint))
	return filepath.Join(state, "cuepod", id.App+"-"+hex.EncodeToString(sum[:4]))
}

// lock makes its holder the only supervisor of an app. It is a lock of fcntl(2):
// the kernel lets go of it with the process, however that ends, and knows the
// holder's process ID.
type lock struct{ file *os.File }

// heldError means that another process supervises the app.
type heldError struct {
	app string
	pid int
}

func (e *heldError) Error() string {
	return fmt.Sprintf("%s is already supervised by pid %d; follow it with 'cuepod attach', or take it down with 'cuepod down'", e.app, e.pid)
}

// takeLock becomes the supervisor of the app whose appDir is dir.
func takeLock(dir, app string) (*lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, noPlace(err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, noPlace(err)
	}
	err = unix.FcntlFlock(file.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	if err == nil && stillThere(file) {
		return &lock{file}, nil
	}
	defer file.Close()
	if err == nil { // somebody removed it in between: others would meet at a new one
		return takeLock(dir, app)
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		pid, err := holderOf(file)
		if err != nil {
			return nil, err
		}
		return nil, &heldError{app, pid}
	}
	return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
}

// noPlace says what a supervisor cannot do without, and where else it may be.
func noPlace(err error) error {
	return fmt.Errorf("no place for the supervisor's lock and log: %w; make it writable, or name another place with XDG_STATE_HOME", err)
}

// stillThere reports whether a file is what its name leads to.
func stillThere(file *os.File) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(file.Name())
	return err == nil && os.SameFile(mine, named)
}

// forget removes the appDir of an app that is down, unless somebody supervises
// it again by now.
func forget(dir, app string) error {
	l, err := takeLock(dir, app)
	var held *heldError
	if errors.As(err, &held) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.release()
	return os.RemoveAll(dir)
}

// release lets others supervise.
func (l *lock) release() { l.file.Close() }

// supervisorOf gives the process that supervises the app whose appDir is dir,
// or 0.
func supervisorOf(dir string) (pid int, err error) {
	file, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return holderOf(file)
}

func holderOf(file *os.File) (pid int, err error) {
	query := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &query); err != nil {
		return 0, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	if query.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(query.Pid), nil
}

// releaseRequest asks a supervisor to stop supervising and to leave everything
// running: down then removes it undisturbed.
const releaseRequest = unix.SIGUSR1

// stopSupervisor makes the supervisor of an app let go, and waits for it. With
// force, one that does not within two seconds is killed: pods do not need it.
func stopSupervisor(ctx context.Context, dir string, force bool) error {
	pid, err := supervisorOf(dir)
	if err != nil || pid <= 0 {
		return err
	}
	if err := unix.Kill(pid, releaseRequest); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("supervisor pid %d: %w", pid, err)
	}
	patience := time.After(time.Minute) // a pull or a container's grace period may be under way
	if force {
		patience = time.After(2 * time.Second)
	}
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if now, err := supervisorOf(dir); err != nil || now != pid {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-patience:
			if !force {
				return fmt.Errorf("supervisor pid %d does not let go; end it, or use --now", pid)
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("supervisor pid %d: %w", pid, err)
			}
		}
	}
}
