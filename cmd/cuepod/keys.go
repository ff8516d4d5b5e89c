package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// detachKey leaves an app to a supervisor in the background, or leaves attach.
const detachKey = 'd'

// Keys where up shows what happens.
const (
	rebuildKey = 'r' // compile and compare again
	restartKey = 's' // start what runs anew
	pauseKey   = 'p' // changes wait until it is pressed again
	clearKey   = 'l' // the screen
	quitKey    = 'q' // as Ctrl-C
)

// keyboard gives single key presses of whoever watches, without Enter and
// unseen. Signals such as Ctrl-C stay signals.
type keyboard struct {
	pressed chan byte
	fd      int
	resumed chan os.Signal
	before  *term.State
}

// openKeyboard gives nil where nobody can press a key: standard input is no
// terminal, or it is another program's for now, as behind "&" in a shell.
func (c *cli) openKeyboard() *keyboard {
	in, ok := c.in.(*os.File)
	if !ok || !isTerminal(in) || !isTerminal(c.err) || !inForeground(int(in.Fd())) {
		return nil
	}
	// Reading or setting the terminal from the background, after Ctrl-Z and bg,
	// would stop us; ignored, it is an error.
	signal.Ignore(unix.SIGTTIN, unix.SIGTTOU)
	k := &keyboard{pressed: make(chan byte), fd: int(in.Fd()), resumed: make(chan os.Signal, 1)}
	var err error
	if k.before, err = term.GetState(k.fd); err != nil || singleKeys(k.fd) != nil {
		return nil
	}
	signal.Notify(k.resumed, unix.SIGCONT)
	go k.read(in)
	return k
}

// keys is nil, from which nothing ever comes, without a keyboard.
func (k *keyboard) keys() <-chan byte {
	if k == nil {
		return nil
	}
	return k.pressed
}

// read goes on for as long as the process does: a read of a terminal cannot be
// called off.
func (k *keyboard) read(in *os.File) {
	buf := make([]byte, 1)
	for {
		n, err := in.Read(buf)
		if n == 1 {
			k.pressed <- buf[0]
			continue
		}
		if err == nil {
			continue
		}
		// The terminal is another's, or gone: SIGCONT tells that it is back.
		if _, ok := <-k.resumed; !ok {
			return
		}
		if inForeground(k.fd) {
			_ = singleKeys(k.fd) // without it there are keys after Enter
		}
	}
}

// close gives the terminal back as it was.
func (k *keyboard) close() {
	if k == nil {
		return
	}
	signal.Stop(k.resumed)
	close(k.resumed)
	if inForeground(k.fd) {
		_ = term.Restore(k.fd, k.before) // a terminal that went away needs nothing
	}
}

// inForeground reports whether a terminal is this process's for now.
func inForeground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// singleKeys has a terminal give each key at once and not show it.
func singleKeys(fd int) error {
	t, err := unix.IoctlGetTermios(fd, ioctlGetTermios)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ICANON | unix.ECHO
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, ioctlSetTermios, t)
}
