package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// resident is how much memory a process and its children hold, in bytes, with
// what several share counted in parts.
func resident(pid string) (int64, error) {
	total, err := rollup(pid, "Pss")
	if err != nil {
		return 0, err
	}
	tasks, err := filepath.Glob(filepath.Join("/proc", pid, "task", "*", "children"))
	if err != nil {
		return 0, err
	}
	for _, task := range tasks {
		children, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended since
		}
		for _, child := range strings.Fields(string(children)) {
			n, err := resident(child)
			if err != nil {
				return 0, err
			}
			total += n
		}
	}
	return total, nil
}

// private is how much memory a process has for itself, in bytes.
func private(pid string) (int64, error) {
	var total int64
	for _, field := range []string{"Private_Clean", "Private_Dirty"} {
		n, err := rollup(pid, field)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// rollup reads one figure of proc(5)'s smaps_rollup.
func rollup(pid, field string) (int64, error) {
	path := filepath.Join("/proc", pid, "smaps_rollup")
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, field)
}
