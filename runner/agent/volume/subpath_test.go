package volume

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// parts is a volume that anybody may write to, with things in it.
func parts(t *testing.T) (dir, outside string) {
	t.Helper()
	base := t.TempDir()
	dir, outside = filepath.Join(base, "volume"), filepath.Join(base, "outside")
	for _, err := range []error{
		os.Mkdir(dir, 0o755), os.Chmod(dir, 0o777),
		os.MkdirAll(filepath.Join(outside, "below"), 0o755),
		os.Mkdir(filepath.Join(dir, "sub"), 0o750),
		os.WriteFile(filepath.Join(dir, "sub/file"), nil, 0o644),
		os.Symlink("sub", filepath.Join(dir, "inside")),
		os.Symlink("../outside", filepath.Join(dir, "out")),
		os.Symlink(outside, filepath.Join(dir, "absolute")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, outside
}

// conformance:S79
func TestMakeSubPath(t *testing.T) {
	for sub, want := range map[string]string{
		"sub": "directory", "inside": "directory", "sub/file": "file", "inside/file": "file",
		"new": "made", "new/deep/er": "made", "sub/new": "made", "inside/new": "made",
		"out": "refused", "absolute": "refused", "out/below": "refused", "out/new": "refused", "../outside": "refused",
		"sub/file/new": "refused", "dangling": "refused", "dangling/new": "refused",
	} {
		t.Run(sub, func(t *testing.T) {
			dir, outside := parts(t)
			_, before := os.Stat(filepath.Join(dir, sub))
			isDir, err := MakeSubPath(dir, sub)
			got := "refused"
			switch {
			case err != nil:
			case !isDir:
				got = "file"
			case before != nil:
				got = "made"
			default:
				got = "directory"
			}
			if got != want {
				t.Errorf("%s, want %s: %v", got, want, err)
			}
			if info, err := os.Stat(filepath.Join(dir, sub)); got == "made" && (err != nil || info.Mode().Perm() != 0o777) {
				t.Errorf("what was made: %v, %v; want the volume's own mode", info, err)
			}
			if left, _ := os.ReadDir(outside); len(left) != 1 {
				t.Errorf("something was made outside of the volume: %v", left)
			}
		})
	}
}

// conformance:S79
func TestSameSubPath(t *testing.T) {
	dir, outside := parts(t)
	for _, c := range []struct {
		sub, shown string
		same       bool
	}{
		{"sub", filepath.Join(dir, "sub"), true},
		{"inside", filepath.Join(dir, "sub"), true},
		{"sub", outside, false},
		{"out", outside, false}, // the same, and yet not in the volume
		{"none", outside, false},
		{"sub", filepath.Join(dir, "none"), false},
	} {
		if err := SameSubPath(dir, c.sub, c.shown); (err == nil) != c.same {
			t.Errorf("%s and %s: %v", c.sub, strings.TrimPrefix(c.shown, filepath.Dir(dir)), err)
		}
	}
}
