package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/fake"
)

// terminal is a pseudo-terminal: what a person sees and types.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File

	mu  sync.Mutex
	out bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	term := &terminal{t: t, master: master, slave: slave}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			term.mu.Lock()
			term.out.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return term
}

// run starts a program in a session of its own on the terminal.
func (term *terminal) run(cmd *exec.Cmd) {
	term.t.Helper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.slave, term.slave, term.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		term.t.Fatal(err)
	}
	term.t.Cleanup(func() { _ = cmd.Process.Kill() })
}

func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) said() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.out.String()
}

// shows waits until the words are on the screen.
func (term *terminal) shows(words ...string) {
	term.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		said := term.said()
		missing := ""
		for _, w := range words {
			if !strings.Contains(said, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			term.t.Fatalf("the screen does not show %q:\n%s", missing, said)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The program behind the terminal is this test again.
func TestKeyboard_SingleKeysAndTheTerminalAsItWas(t *testing.T) {
	if os.Getenv("CUEPOD_KEYS") != "" {
		c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr}
		k := c.openKeyboard()
		fmt.Println("open", k != nil)
		fmt.Printf("key %c\n", <-k.keys())
		k.close()
		return
	}
	term := newTerminal(t)
	before, err := unix.IoctlGetTermios(int(term.slave.Fd()), ioctlGetTermios)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKeyboard_SingleKeys")
	cmd.Env = append(os.Environ(), "CUEPOD_KEYS=1")
	term.run(cmd)
	term.shows("open true")
	term.press("d")
	term.shows("key d")
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, term.said())
	}
	after, err := unix.IoctlGetTermios(int(term.slave.Fd()), ioctlGetTermios)
	if err != nil || *after != *before {
		t.Errorf("the terminal is left as %+v (%v), was %+v", after, err, before)
	}
}

// top has a screen of its own, draws on it again and again, and gives back the one
// before at Ctrl-C. The program behind the terminal is this test again.
func TestTop_AScreenOfItsOwnUntilCtrlC(t *testing.T) {
	if dir := os.Getenv("CUEPOD_TOP"); dir != "" {
		c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr}
		c.engine = func(func(string) (string, bool)) (engine.Engine, error) { return fake.New(), nil }
		c.list = func(context.Context, engine.Engine) ([]runner.App, error) {
			return []runner.App{{Name: "shop", Root: dir}}, nil
		}
		if code := c.run(t.Context(), []string{"top", "--color", "never", dir}); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		return
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	term := newTerminal(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestTop_AScreenOfItsOwn")
	cmd.Env = append(os.Environ(), "CUEPOD_TOP="+dir)
	term.run(cmd)
	const enter, home, leave = "\x1b[?1049h\x1b[?25l", "\x1b[H\x1b[J", "\x1b[?25h\x1b[?1049l"
	term.shows(enter+home+"shop  over 1.", home+"shop  over 2.")
	if strings.Contains(term.said(), leave) {
		t.Error("it leaves its screen before Ctrl-C")
	}
	term.press("\x03")
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, term.said())
	}
	term.shows(leave)
}

func TestKeyboard_NoneWithoutATerminal(t *testing.T) {
	c, _, _ := newCLI(t)
	if k := c.openKeyboard(); k != nil {
		t.Error("a keyboard out of nowhere")
	}
	var none *keyboard
	none.close()
	if none.keys() != nil {
		t.Error("keys of no keyboard")
	}
}
