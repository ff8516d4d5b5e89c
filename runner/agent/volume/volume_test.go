package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func file(path, data string) api.File { return api.File{Path: path, Mode: 0o644, Data: []byte(data)} }

func write1(t *testing.T, dir string, now time.Time, files ...api.File) {
	t.Helper()
	if err := Write(api.FileVolume{Dir: dir, Files: files}, now); err != nil {
		t.Fatal(err)
	}
}

// tree lists what is in a volume: mode, name, and content or target.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.Type() == fs.ModeSymlink:
			to, _ := os.Readlink(path)
			fmt.Fprintf(&b, "%s -> %s\n", name, to)
		case e.IsDir():
			fmt.Fprintf(&b, "%v %s/\n", info.Mode().Perm(), name)
		default:
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&b, "%v %s %q\n", info.Mode().Perm(), name, data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite_Layout(t *testing.T) {
	dir := t.TempDir()
	write1(t, dir, noon, file("b", "two"), api.File{Path: "a", Mode: 0o400, Data: []byte("one")}, file("sub/deep/c", "three"))
	want := `-rwxr-xr-x ..2026_01_02_12_00_00.000000000/
-r-------- ..2026_01_02_12_00_00.000000000/a "one"
-rw-r--r-- ..2026_01_02_12_00_00.000000000/b "two"
-rwxr-xr-x ..2026_01_02_12_00_00.000000000/sub/
-rwxr-xr-x ..2026_01_02_12_00_00.000000000/sub/deep/
-rw-r--r-- ..2026_01_02_12_00_00.000000000/sub/deep/c "three"
..data -> ..2026_01_02_12_00_00.000000000
a -> ..data/a
b -> ..data/b
sub -> ..data/sub
`
	if got := tree(t, dir); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "sub/deep/c")); string(data) != "three" {
		t.Errorf("sub/deep/c reads %q, %v", data, err)
	}
}

// conformance:S72
func TestWrite_SwapsAndRemoves(t *testing.T) {
	dir := t.TempDir()
	write1(t, dir, noon, file("a", "one"), file("b", "two"))
	held, err := os.Open(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	write1(t, dir, noon.Add(time.Second), file("a", "new"), file("c", "three"))
	want := `-rwxr-xr-x ..2026_01_02_12_00_01.000000000/
-rw-r--r-- ..2026_01_02_12_00_01.000000000/a "new"
-rw-r--r-- ..2026_01_02_12_00_01.000000000/c "three"
..data -> ..2026_01_02_12_00_01.000000000
a -> ..data/a
c -> ..data/c
`
	if got := tree(t, dir); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	old := make([]byte, 10)
	if n, err := held.Read(old); string(old[:n]) != "one" {
		t.Errorf("a file held open reads %q, %v; want the old content", old[:n], err)
	}
}

func TestWrite_EqualFilesChangeNothing(t *testing.T) {
	dir := t.TempDir()
	write1(t, dir, noon, file("a", "one"), file("x/b", "two"))
	before := tree(t, dir)
	write1(t, dir, noon.Add(time.Hour), file("x/b", "two"), file("a", "one"))
	if got := tree(t, dir); got != before {
		t.Errorf("got\n%swant\n%s", got, before)
	}
	// Each difference is seen: content, mode, a file more, a file less.
	for i, files := range [][]api.File{
		{file("a", "ONE"), file("x/b", "two")},
		{{Path: "a", Mode: 0o600, Data: []byte("ONE")}, file("x/b", "two")},
		{file("a", "ONE"), file("x/b", "two"), file("x/c", "")},
		{file("a", "ONE")},
		{},
	} {
		before := tree(t, dir)
		write1(t, dir, noon.Add(time.Duration(i+2)*time.Hour), files...)
		if tree(t, dir) == before {
			t.Errorf("change %d was not written", i)
		}
	}
}

func TestWrite_TidiesWhatAKilledAgentLeft(t *testing.T) {
	dir := t.TempDir()
	write1(t, dir, noon, file("a", "one"))
	want := tree(t, dir)
	for _, junk := range []string{"..2025_01_01_00_00_00.000000000"} {
		if err := os.MkdirAll(filepath.Join(dir, junk, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink("..2025_01_01_00_00_00.000000000", filepath.Join(dir, newLink))
	os.Symlink("..data/gone", filepath.Join(dir, "gone"))
	os.Remove(filepath.Join(dir, "a"))
	write1(t, dir, noon.Add(time.Second), file("a", "one"))
	if got := tree(t, dir); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWrite_RefusesPathsThatLeadElsewhere(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"", "/etc/passwd", "../x", "..x", "a/../../x", "a//b", "./a", "a/", ".", "a\x00b", strings.Repeat("x", 256), strings.Repeat("x/", 2100) + "x"} {
		if err := Write(api.FileVolume{Dir: dir, Files: []api.File{file(path, "x")}}, noon); err == nil {
			t.Errorf("%.40q was written", path)
		}
	}
	if err := Write(api.FileVolume{Dir: dir, Files: []api.File{file("a", "x"), file("a", "y")}}, noon); err == nil {
		t.Error("a file given twice was written")
	}
	if err := Write(api.FileVolume{Dir: dir, Files: []api.File{file("a/b", "x"), file("a", "y")}}, noon); err == nil {
		t.Error("a file that is a directory, too, was written")
	}
	if got := tree(t, dir); got != "" {
		t.Errorf("refused files left\n%s", got)
	}
}

// A container that may write to the volume must not be able to lead the agent
// out of it (CVE-2021-25741 and its kind).
func TestWrite_FollowsNoLinkOutOfTheVolume(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"..2026_01_02_12_00_00.000000000", newLink, dataLink, "a"} {
		if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "a"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(api.FileVolume{Dir: dir, Files: []api.File{file("a", "one")}}, noon); err != nil {
		t.Fatal(err)
	}
	if got, want := tree(t, outside), "-rw------- a \"mine\"\n"; got != want {
		t.Errorf("outside of the volume is now\n%swant\n%s", got, want)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "a")); string(data) != "one" {
		t.Errorf("a reads %q, %v", data, err)
	}
}

func TestWrite_NamesTheVolume(t *testing.T) {
	err := Write(api.FileVolume{Dir: "/nonexistent/volume", Files: nil}, noon)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "volume /nonexistent/volume") {
		t.Errorf("got %v", err)
	}
}

func FuzzWrite(f *testing.F) {
	f.Add("a", "a/b", "x")
	f.Add("..data", "b", "x")
	f.Fuzz(func(t *testing.T, one, two, data string) {
		base := t.TempDir()
		dir := filepath.Join(base, "volume")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if Write(api.FileVolume{Dir: dir, Files: []api.File{file(one, data), file(two, "")}}, noon) != nil {
			return
		}
		if got, err := os.ReadFile(filepath.Join(dir, one)); err != nil || string(got) != data {
			t.Errorf("%q reads %q, %v", one, got, err)
		}
		if entries, _ := os.ReadDir(base); len(entries) != 1 {
			t.Errorf("%v beside the volume", entries)
		}
	})
}
