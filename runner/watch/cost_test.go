package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkWatch reports what it costs to watch a tree: how long until it is
// watched, the memory that takes, the processor's time in a second in which
// nothing happens, and that of following one edit.
func BenchmarkWatch(b *testing.B) {
	for _, files := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("%d files", files), func(b *testing.B) {
			dir := b.TempDir()
			for i := range files {
				sub := filepath.Join(dir, fmt.Sprintf("d%04d", i/100))
				if i%100 == 0 {
					if err := os.Mkdir(sub, 0o700); err != nil {
						b.Fatal(err)
					}
				}
				if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("f%d", i)), []byte("some text"), 0o600); err != nil {
					b.Fatal(err)
				}
			}
			old := time.Now().AddDate(0, 0, -1)
			_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error { return os.Chtimes(path, old, old) })
			before := heap()
			w, err := New(Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			groups := []Group{{Name: "g", Pace: SyncPace(), Inputs: []Input{{Path: dir, Kind: Tree}}}}
			began := time.Now()
			w.Set(groups)
			start, memory := time.Since(began), heap()-before
			began = time.Now()
			w.Set(groups)
			again := time.Since(began)
			busy := cpu()
			time.Sleep(2 * time.Second)
			idle := cpu() - busy
			edits := 0
			busy = cpu()
			for b.Loop() {
				edits++
				if err := save(filepath.Join(dir, "d0003", "f301"), fmt.Sprint(edits)); err != nil {
					b.Fatal(err)
				}
				<-w.Changes("g")
			}
			b.ReportMetric(float64((cpu()-busy).Microseconds())/float64(edits), "cpu-µs/edit")
			b.ReportMetric(float64(start.Milliseconds()), "start-ms")
			b.ReportMetric(float64(memory)/(1<<20), "MiB")
			b.ReportMetric(float64(again.Microseconds()), "set-again-µs")
			b.ReportMetric(float64(idle.Microseconds())/2e6*100, "idle-%")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// cpu is the processor's time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A path may be as long as the kernel takes, and longer beneath: what cannot be
// opened is told, and takes nothing else with it.
func TestWatcher_LongPathsAndStrangeNames(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ok"), 0o700); err != nil {
		t.Fatal(err)
	}
	here, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // 5,000 bytes: beyond PATH_MAX for whoever names it in one piece
		name := strings.Repeat("n", 250)
		if err := here.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := here.OpenRoot(name)
		here.Close()
		if err != nil {
			t.Fatal(err)
		}
		here = next
	}
	here.Close()
	told := make(chan string, 100)
	w, err := New(Options{Notice: func(text string) { told <- text }})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Set([]Group{{Name: "g", Pace: SyncPace(), Inputs: []Input{{Path: dir, Kind: Tree}}}})
	select {
	case text := <-told:
		if !strings.Contains(text, "file name too long") && !strings.Contains(text, "too long to be watched") {
			t.Errorf("told %q", text)
		}
	default:
		t.Error("nobody was told")
	}
	for _, name := range []string{"ok/\xff\xfe.txt", "ok/new\nline", "ok/" + strings.Repeat("é", 120)} {
		path := filepath.Join(dir, name)
		if err := save(path, "x"); err != nil {
			t.Fatal(err)
		}
		for end := time.After(20 * time.Second); ; {
			var c Change
			select {
			case c = <-w.Changes("g"):
			case <-end:
				t.Fatalf("%q was not told", name)
			}
			if strings.Contains(strings.Join(c.Paths, "\x00"), path) {
				break
			}
		}
	}
}

// A group that nobody reads keeps no other one from being told, and a path in
// two groups is told to both.
func TestWatcher_GroupsDoNotWaitForEachOther(t *testing.T) {
	dir := t.TempDir()
	w, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	pace := Pace{Quiet: 20 * time.Millisecond}
	w.Set([]Group{
		{Name: "unread", Pace: pace, Inputs: []Input{{Path: dir, Kind: Tree}}},
		{Name: "read", Pace: pace, Inputs: []Input{{Path: dir, Kind: Tree}}},
	})
	path := filepath.Join(dir, "f")
	for i := range 5 {
		if err := save(path, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.Changes("read"):
		case <-time.After(20 * time.Second):
			t.Fatal("told nothing while another group is not read")
		}
	}
	if c := <-w.Changes("unread"); c.Group != "unread" || len(c.Paths) != 1 || c.Paths[0] != path {
		t.Errorf("told %v, want all in one", c)
	}
	w.Set([]Group{{Name: "read", Pace: pace, Inputs: []Input{{Path: path}}}})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if c := <-w.Changes("read"); len(c.Paths) != 1 {
		t.Errorf("told %v", c)
	}
}
