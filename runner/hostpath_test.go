package runner

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/cuepod/cuepod/targets/docker"
)

// conformance:S82
func TestCheckHostPath(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	socket, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for _, err := range []error{
		os.Mkdir(at("dir"), 0o755),
		os.WriteFile(at("file"), nil, 0o644),
		os.Symlink("dir", at("inside")),
		os.Symlink(outside, at("out")),
		os.Symlink("/dev/null", at("null")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		path, kind string
		create     bool
		ok         bool
	}{
		{at("dir"), "", false, true},
		{at("dir"), "Directory", false, true},
		{at("file"), "Directory", false, false},
		{at("none"), "Directory", false, false},
		{at("none"), "", false, false},
		{at("none"), "DirectoryOrCreate", true, true},
		{at("none/deep"), "DirectoryOrCreate", true, true},
		{at("file"), "DirectoryOrCreate", true, false},
		{at("file"), "File", false, true},
		{at("dir"), "File", false, false},
		{at("none"), "File", false, false},
		{at("made"), "FileOrCreate", false, true},
		{at("dir"), "FileOrCreate", false, false},
		{at("socket"), "Socket", false, true},
		{at("file"), "Socket", false, false},
		{"/dev/null", "CharDevice", false, true},
		{"/dev/null", "BlockDevice", false, false},
		{at("file"), "CharDevice", false, false},
		{at("inside"), "Directory", false, true},
		{at("out"), "Directory", false, false}, // a link out of the module
		{at("out/below"), "DirectoryOrCreate", true, false},
		{at("null"), "CharDevice", false, false},
	} {
		m := docker.Mount{HostPath: c.path, HostType: c.kind, Create: c.create, Within: root}
		if c.path == "/dev/null" {
			m.Within = "/dev"
		}
		if err := checkHostPath(m); (err == nil) != c.ok {
			t.Errorf("%s of type %q: %v", c.path, c.kind, err)
		}
	}
	if info, err := os.Stat(at("made")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("FileOrCreate: %v, %v", info, err)
	}
}
