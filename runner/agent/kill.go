package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// killRounds is how often processes are looked through: what a process started
// while we looked is found the next time.
const killRounds = 10

// killMarked is the role that kills every process which has a mark in the
// environment that it began with, and says how many there were.
func killMarked(args []string, stdout io.Writer) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("it takes a mark")
	}
	killed := map[int]bool{}
	for range killRounds {
		pids, err := marked("/proc", args[0])
		if err != nil {
			return err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return killed[pid] })
		if len(pids) == 0 {
			break
		}
		for _, pid := range pids {
			killed[pid] = true
			p, err := os.FindProcess(pid)
			if err == nil {
				err = p.Kill()
			}
			if err != nil && !errors.Is(err, os.ErrProcessDone) {
				return fmt.Errorf("process %d: %w", pid, err)
			}
		}
	}
	_, err := fmt.Fprintln(stdout, len(killed))
	return err
}

// marked lists the processes below a /proc that carry a mark. Those that vanish
// meanwhile do not.
func marked(proc, mark string) ([]int, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, err
	}
	want := []byte(api.Marker + "=" + mark)
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile(filepath.Join(proc, e.Name(), "environ"))
		if err == nil && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return bytes.Equal(v, want) }) {
			out = append(out, pid)
		}
	}
	return out, nil
}
