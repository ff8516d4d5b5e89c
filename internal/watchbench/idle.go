package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// calm is how long a supervisor may be busy with what it has just started.
const calm = 5 * time.Second

const idleHeader = `| while nothing changes | files | CPU, of a core | resident |
|---|---|---|---|
`

// idle gives the rows of what following a synced tree costs while nothing changes,
// of all tools in the same seconds.
func (b *bench) idle(ctx context.Context, files int) (rows []string, err error) {
	k := kind{name: "idle", edited: "tree/0/0", ask: "/env", files: map[string]string{}, start: time.Duration(files) * 3 * time.Millisecond}
	for i := range files {
		k.files[fmt.Sprintf("tree/%d/%d", i/100, i%100)] = strconv.Itoa(i)
	}
	sites, closeAll, err := b.openAll(ctx, k)
	defer closeAll()
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, calm); err != nil {
		return nil, err
	}
	before, begin := make([]usage, len(sites)), time.Now()
	for i, s := range sites {
		if before[i], err = used(s.up.cmd.Process.Pid); err != nil {
			return nil, err
		}
	}
	if err := wait(ctx, b.idleFor); err != nil {
		return nil, err
	}
	for i, s := range sites {
		after, err := used(s.up.cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		share := (after.cpu - before[i].cpu).Seconds() / time.Since(begin).Seconds()
		rows = append(rows, fmt.Sprintf("| %s | %d | %.2f %% | %.0f MiB |", s.tool.name(), files, 100*share, float64(after.resident)/(1<<20)))
	}
	return rows, nil
}

// usage is what a process and its children have used and have.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
}

// used is the processor's time and the memory of a process and its children:
// proc(5), /proc/PID/stat, in hundredths of a second and in pages.
func used(pid int) (u usage, err error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return u, err
	}
	found := false
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		own := filepath.Base(filepath.Dir(name)) == strconv.Itoa(pid)
		stat, err := parseStat(string(text))
		if err != nil {
			return u, fmt.Errorf("%s: %w", name, err)
		}
		if own || stat.parent == pid {
			u.cpu += stat.cpu
			u.resident += stat.pages * int64(os.Getpagesize())
			found = found || own
		}
	}
	if !found {
		return u, fmt.Errorf("process %d has ended", pid)
	}
	return u, nil
}

type stat struct {
	parent int
	cpu    time.Duration // user and system
	pages  int64
}

func parseStat(text string) (s stat, err error) {
	f := strings.Fields(text[strings.LastIndex(text, ")")+1:]) // the name before may hold anything
	if len(f) < 22 {
		return s, errors.New("not a line of /proc/PID/stat")
	}
	numbers := make([]int64, 4)
	for i, at := range []int{1, 11, 12, 21} { // ppid, utime, stime, rss
		if numbers[i], err = strconv.ParseInt(f[at], 10, 64); err != nil {
			return s, err
		}
	}
	return stat{int(numbers[0]), time.Duration(numbers[1]+numbers[2]) * 10 * time.Millisecond, numbers[3]}, nil
}
