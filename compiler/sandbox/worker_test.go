package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/sandbox"
)

func newWorker(t *testing.T, limits sandbox.Limits, env ...string) *sandbox.Worker {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := sandbox.NewWorker(limits, self, append(os.Environ(), env...))
	t.Cleanup(w.Close)
	return w
}

// children are the processes that this one has started and that are alive.
func children(t *testing.T) []int {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(data)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestWorker_KeepsItsChildAndFollowsTheFiles changes a definition between
// compiles, breaks it and mends it: one process answers all, and each answer is
// that of a process of its own.
func TestWorker_KeepsItsChildAndFollowsTheFiles(t *testing.T) {
	dir, cache := write(t, ""), newCache(t)
	opts := compiler.Options{Dir: dir, CacheDir: cache}
	w := newWorker(t, sandbox.Defaults())
	var first []int
	for i, image := range []string{`"nginx:1"`, `"nginx:2"`, `7`, `"nginx:3"`} {
		text := fmt.Sprintf("package a\n\napp: pods: db: containers: main: image: %s\n", image)
		if err := os.WriteFile(filepath.Join(dir, "db.cue"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		found := 0
		opts.Found = func(compiler.Found) { found++ }
		got, gotErr := w.Compile(t.Context(), opts)
		if found == 0 {
			t.Error("nothing was told while it compiled")
		}
		pids := children(t)
		if i == 0 {
			first = pids
		}
		if len(pids) != 1 || pids[0] != first[0] {
			t.Errorf("processes %v, at first %v", pids, first)
		}
		want, wantErr := compile(t, t.Context(), opts, sandbox.Defaults())
		if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
			t.Errorf("image %s: %v, want %v (-want +got):\n%s", image, gotErr, wantErr, diff)
		}
	}
	w.Close()
	if pids := children(t); len(pids) != 0 {
		t.Errorf("processes %v are left", pids)
	}
}

// TestWorker_BeginsAnew kills the child at a limit, with the context and while
// it is idle: the next compile is as good as the first.
func TestWorker_BeginsAnew(t *testing.T) {
	cache := newCache(t)
	good := compiler.Options{Dir: write(t, ""), CacheDir: cache}
	bad := compiler.Options{Dir: write(t, nested(9)), CacheDir: cache}
	w := newWorker(t, sandbox.Limits{Time: 2 * time.Second})
	compiles := func(when string) {
		t.Helper()
		if _, err := w.Compile(t.Context(), good); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	compiles("at first")
	_, err := w.Compile(t.Context(), bad)
	checkBreach(t, err, filepath.Join(bad.Dir, "app.cue")+":1:1: the definition takes longer than 2s to evaluate", "")
	compiles("after a limit")
	ctx, cancel := context.WithCancel(t.Context())
	bad.Found = func(compiler.Found) { cancel() }
	if _, err := w.Compile(ctx, bad); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	compiles("after the end of a context")
	for _, pid := range children(t) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	compiles("after the child was killed")
}

func TestWorker_TellsACrash(t *testing.T) {
	w := newWorker(t, sandbox.Defaults(), misbehave+"=panic")
	for range 2 {
		if _, err := w.Compile(t.Context(), compiler.Options{Dir: write(t, "")}); err == nil || !strings.Contains(err.Error(), "panic: a slip") {
			t.Errorf("got %v", err)
		}
	}
}
