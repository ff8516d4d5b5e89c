package watch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestNew_NoKernelWatcherLeftPollsAndSaysWhy(t *testing.T) {
	var notices []string
	w, err := New(Options{blind: true, Notice: func(s string) { notices = append(notices, s) }})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if len(notices) != 1 || !strings.Contains(notices[0], "fs.inotify.max_user_instances") {
		t.Errorf("notices: %q", notices)
	}
}

// deafEyes have no kernel to ask.
func deafEyes(tell func(string)) *eyes {
	return newEyes(newEars(nil), newInbox(), Options{Poll: time.Second}, &notices{tell: tell, told: map[string]bool{}}, time.Now())
}

//peers:also
func TestEyes_NoWatchesLeftPollsAndSaysWhyOnce(t *testing.T) {
	var notices []string
	e := deafEyes(func(s string) { notices = append(notices, s) })
	r := &root{deaf: map[string]bool{}}
	e.roots[key{path: "/app"}] = r
	e.ears.kernel = &fsnotify.Watcher{}
	for _, dir := range []string{"/app", "/other"} {
		e.heard(dir, r, true, &os.PathError{Op: "inotify_add_watch", Path: dir, Err: syscall.ENOSPC}, "")
	}
	if !e.polling() || len(notices) != 1 || !strings.Contains(notices[0], "fs.inotify.max_user_watches") {
		t.Errorf("polling %v, notices %q", e.polling(), notices)
	}
	if strings.Contains(notices[0], "space") { // a disk is not full (tilt#2079)
		t.Errorf("notice %q", notices[0])
	}
}

func TestEyes_DeafDirectories(t *testing.T) {
	for _, tc := range []struct {
		name   string
		needed bool
		tree   bool
		err    error
		fs     string
		deaf   bool
	}{
		{name: "all well", needed: true},
		{name: "gone", needed: true, err: syscall.ENOENT},
		{name: "input that may not be listed", needed: true, err: syscall.EACCES, deaf: true},
		{name: "branch that may not be listed", needed: true, tree: true, err: syscall.EACCES},
		{name: "ancestor that may not be listed", err: syscall.EACCES},
		{name: "network filesystem", needed: true, fs: "NFS", deaf: true},
		{name: "ancestor on a network filesystem", fs: "9p"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			told := 0
			e := deafEyes(func(string) { told++ })
			r := &root{deaf: map[string]bool{"/d": true}} // as found the last time: it may have got better
			if tc.tree {
				r.tree = &tree{}
			}
			e.heard("/d", r, tc.needed, tc.err, tc.fs)
			if r.deaf["/d"] != tc.deaf || (told > 0) != tc.deaf {
				t.Errorf("deaf %v, want %v; %d notices", r.deaf["/d"], tc.deaf, told)
			}
		})
	}
}

func TestWatcher_CloseEndsEverything(t *testing.T) {
	w, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Set(Inputs([]Input{{Path: t.TempDir()}}))
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, open := <-w.Changes(Definitions); open {
		t.Error("a change after Close")
	}
	w.Set(Inputs([]Input{{Path: t.TempDir()}})) // must not hang
}

func TestGate_RacyWriteIsRead(t *testing.T) {
	now := time.Now()
	old := print{kind: file, size: 1, time: now.UnixNano(), read: now.Add(time.Second).UnixNano()}
	if old.settled() {
		t.Error("a file read within its clock's tick is settled")
	}
	old.read = now.Add(3 * time.Second).UnixNano()
	if !old.settled() {
		t.Error("a file read long after its last change is not settled")
	}
}

func TestGate_UnreadableCountsByItsReason(t *testing.T) {
	reason := errors.New("permission denied")
	content := map[string]print{"a": {kind: unreadable, sum: [32]byte{1}}}
	read := func(path string, _ print) print { return content[path] }
	g := gate{}
	g.learn([]string{"a"}, nil, time.Time{}, read)
	if got := g.update([]string{"a"}, read, func(string, print, print) bool { return false }); got != nil {
		t.Errorf("the same reason (%v) is a change: %q", reason, got)
	}
	content["a"] = print{kind: file}
	if got := g.update([]string{"a"}, read, func(string, print, print) bool { return false }); !slices.Equal(got, []string{"a"}) {
		t.Errorf("readable again: %q", got)
	}
}

func TestRead_LargeFilesAndPipesAreNotRead(t *testing.T) {
	dir := t.TempDir()
	big, pipe := filepath.Join(dir, "big"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, largeFile+1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{big, pipe} {
		if p := printContent(path, print{}); p.kind != large {
			t.Errorf("%s: kind %d", path, p.kind)
		}
	}
}

func TestGitLocked_InALinkedWorkTree(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"repo/worktrees/x", "tree/deep"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	gitdir := filepath.Join(dir, "repo/worktrees/x")
	if err := os.WriteFile(filepath.Join(dir, "tree/.git"), []byte("gitdir: "+gitdir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dirs := []string{filepath.Join(dir, "tree/deep")}
	if gitLocked(dirs) {
		t.Error("locked without a lock")
	}
	if err := os.WriteFile(filepath.Join(gitdir, "index.lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !gitLocked(dirs) {
		t.Error("not locked")
	}
}
