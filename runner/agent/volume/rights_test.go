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

// owned lists what is in a directory, itself first: mode, owner, group, name.
func owned(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		uid, gid, _ := idsOf(info)
		fmt.Fprintf(&b, "%v %d:%d %s\n", info.Mode(), uid, gid, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
}

func ref[T any](v T) *T { return &v }

// conformance:S77 S69
func TestSetRights_Mode(t *testing.T) {
	for mode, want := range map[uint32]string{0o777: "drwxrwxrwx", 0o1777: "dtrwxrwxrwx", 0o750: "drwxr-x---", 0: "d---------"} {
		dir := t.TempDir()
		if err := SetRights(api.Dir{Path: dir, Mode: &mode}); err != nil {
			t.Fatal(err)
		}
		if info, _ := os.Stat(dir); info.Mode().String() != want {
			t.Errorf("%o: mode %v, want %s", mode, info.Mode(), want)
		}
	}
}

// claim is a volume with what earlier containers left in it, whose link leads
// out of it.
func claim(t *testing.T) (dir, outside string) {
	t.Helper()
	needsRoot(t)
	dir, outside = t.TempDir(), filepath.Join(t.TempDir(), "outside")
	for _, err := range []error{
		os.Chmod(dir, 0o755),
		os.Mkdir(filepath.Join(dir, "sub"), 0o700),
		os.WriteFile(filepath.Join(dir, "sub/file"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "tool"), nil, 0o755),
		os.WriteFile(outside, nil, 0o600),
		os.Symlink(outside, filepath.Join(dir, "link")),
		os.Lchown(filepath.Join(dir, "sub"), 1000, 1000),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, outside
}

// conformance:S84
func TestSetRights_GivesAllToTheGroup(t *testing.T) {
	dir, outside := claim(t)
	if err := SetRights(api.Dir{Path: dir, Group: ref(int64(2000))}); err != nil {
		t.Fatal(err)
	}
	want := `dgrwxrwxr-x 0:2000 .
Lrwxrwxrwx 0:2000 link
dgrwxrwx--- 1000:2000 sub
-rw-rw---- 0:2000 sub/file
-rwxrwxr-x 0:2000 tool
`
	if got := owned(t, dir); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := owned(t, outside); got != "-rw------- 0:0 .\n" {
		t.Errorf("outside of the volume: %s", got)
	}
}

// conformance:S84
func TestSetRights_OnRootMismatch(t *testing.T) {
	dir, _ := claim(t)
	group := api.Dir{Path: dir, Group: ref(int64(2000)), OnRootMismatch: true}
	if err := SetRights(group); err != nil {
		t.Fatal(err)
	}
	if got := owned(t, filepath.Join(dir, "tool")); !strings.Contains(got, "0:2000") {
		t.Errorf("the first time: %s", got)
	}
	if err := os.Lchown(filepath.Join(dir, "tool"), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := SetRights(group); err != nil {
		t.Fatal(err)
	}
	if got := owned(t, filepath.Join(dir, "tool")); !strings.Contains(got, "0:0") {
		t.Errorf("the volume is the group's, and its content was given again: %s", got)
	}
	group.OnRootMismatch = false
	if err := SetRights(group); err != nil {
		t.Fatal(err)
	}
	if got := owned(t, filepath.Join(dir, "tool")); !strings.Contains(got, "0:2000") {
		t.Errorf("always: %s", got)
	}
}

// conformance:S84 S70
func TestWrite_OwnersAndGroup(t *testing.T) {
	needsRoot(t)
	dir := t.TempDir()
	v := api.FileVolume{Dir: dir, Group: ref(int64(2000)), Files: []api.File{
		{Path: "a", Mode: 0o400, User: ref(int64(1000)), Data: []byte("one")},
		{Path: "sub/b", Mode: 0o644, Data: []byte("two")},
	}}
	for range 2 { // the second time changes nothing
		if err := Write(v, noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	want := `dgrwxrwxrwx 0:2000 .
dgrwxr-xr-x 0:2000 ..2026_01_02_12_01_00.000000000
-r--r----- 1000:2000 ..2026_01_02_12_01_00.000000000/a
dgrwxr-xr-x 0:2000 ..2026_01_02_12_01_00.000000000/sub
-rw-r--r-- 0:2000 ..2026_01_02_12_01_00.000000000/sub/b
`
	got, _, _ := strings.Cut(owned(t, dir), "Lrwx")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	// Each difference is seen.
	for i, change := range []func(*api.FileVolume){
		func(v *api.FileVolume) { v.Files[0].User = nil },
		func(v *api.FileVolume) { v.Group = ref(int64(3000)) },
	} {
		change(&v)
		before := owned(t, dir)
		if err := Write(v, noon.Add(time.Duration(i+2)*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if owned(t, dir) == before {
			t.Errorf("change %d was not written", i)
		}
	}
}

func TestSetRights_NamesTheVolume(t *testing.T) {
	err := SetRights(api.Dir{Path: "/nonexistent/volume"})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "volume /nonexistent/volume") {
		t.Errorf("got %v", err)
	}
}
