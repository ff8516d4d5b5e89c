package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// background is a command that follows files.
type background struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	out bytes.Buffer // all that it has said
}

func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func inBackground(dir, name string, args ...string) (*background, error) {
	b := &background{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = dir, b, b
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = b.cmd.Wait() // its words say more
		close(b.ended)
	}()
	return b, nil
}

// says waits until it has said the words.
func (b *background) says(ctx context.Context, words string) error {
	for !strings.Contains(b.said(), words) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not say %q: %w%s", words, ctx.Err(), b.tail())
		case <-b.ended:
			return fmt.Errorf("it has ended%s", b.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (b *background) said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

// tail is the end of what it said, for an error.
func (b *background) tail() string {
	if b == nil {
		return ""
	}
	text := b.said()
	return "\nit said:\n" + text[max(0, len(text)-2000):]
}

// end asks it to, and kills it when it does not.
func (b *background) end(ctx context.Context) {
	if b == nil {
		return
	}
	_ = b.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-b.ended:
		return
	case <-time.After(20 * time.Second):
	case <-ctx.Done():
	}
	_ = b.cmd.Process.Kill()
	<-b.ended
}
