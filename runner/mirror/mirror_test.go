package mirror_test

import (
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	agent "github.com/cuepod/cuepod/runner/agent/mirror"
	"github.com/cuepod/cuepod/runner/ignore"
	"github.com/cuepod/cuepod/runner/mirror"
)

// pair is a directory and its copy, with an agent between them.
type pair struct {
	t      *testing.T
	module string // src is the directory
	dir    string // of the copy and its state
	line   *mirror.Line
	out    *ignore.Matcher
	cache  mirror.Cache
}

func newPair(t *testing.T, ignored ...string) *pair {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the agent runs on Linux")
	}
	p := &pair{t: t, module: t.TempDir(), dir: filepath.Join(t.TempDir(), "web.0.1")}
	var err error
	if p.out, err = ignore.New(ignored); err != nil {
		t.Fatal(err)
	}
	p.connect()
	return p
}

func (p *pair) connect() {
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := agent.Serve("", theirs, theirs)
		theirs.Close()
		ended <- err
	}()
	p.line = mirror.NewLine(ours)
	line := p.line
	p.t.Cleanup(func() { line.Close(); <-ended })
}

// sync brings the copy up to date.
func (p *pair) sync() mirror.Result {
	p.t.Helper()
	r, err := p.try(api.MirrorClose{})
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *pair) try(end api.MirrorClose) (mirror.Result, error) {
	p.t.Helper()
	m, err := mirror.Scan(p.module, "src", p.out, &p.cache)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.line.Carry(mirror.Round{Open: api.MirrorOpen{Dir: p.dir}, Root: p.module, From: "src", Manifest: m, Close: end})
}

func (p *pair) src(name string) string  { return filepath.Join(p.module, "src", name) }
func (p *pair) data(name string) string { return filepath.Join(p.dir, "data", name) }

func write(t *testing.T, name, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// list shows a tree, a line for each file, directory and link.
func list(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			rel += "/"
		case d.Type() == fs.ModeSymlink:
			to, _ := os.Readlink(name)
			rel += " -> " + to
		default:
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			rel += " " + info.Mode().String() + " " + string(text)
		}
		out = append(out, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func (p *pair) wants(want string) {
	p.t.Helper()
	if got := list(p.t, p.data("")); got != want {
		p.t.Fatalf("the copy has:\n%s\nwant:\n%s", got, want)
	}
}

func TestCopy_FollowsFilesModesLinksAndDirectories(t *testing.T) {
	p := newPair(t)
	write(t, p.src("app.py"), "1", 0o644)
	write(t, p.src("bin/run"), "x", 0o755)
	if err := os.Symlink("../app.py", p.src("bin/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(p.src("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	if err := os.Chtimes(p.src("app.py"), at, at); err != nil {
		t.Fatal(err)
	}
	if r := p.sync(); r.Put != 3 || r.Removed != 0 || len(r.Errors) > 0 {
		t.Errorf("first: %+v", r)
	}
	p.wants("app.py -rw-r--r-- 1\nbin/\nbin/link -> ../app.py\nbin/run -rwxr-xr-x x\nempty/")
	if info, err := os.Stat(p.data("app.py")); err != nil || !info.ModTime().Equal(at) {
		t.Errorf("its time is %v, %v", info.ModTime(), err)
	}
	if r := p.sync(); r.Put+r.Removed != 0 {
		t.Errorf("nothing changed: %+v", r)
	}

	write(t, p.src("app.py"), "22", 0o640)
	if err := os.Rename(p.src("bin"), p.src("sbin")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(p.src("empty")); err != nil {
		t.Fatal(err)
	}
	write(t, p.src("empty"), "a file now", 0o644)
	if r := p.sync(); r.Put != 4 || len(r.Errors) > 0 {
		t.Errorf("changed: %+v", r)
	}
	p.wants("app.py -rw-r----- 22\nempty -rw-r--r-- a file now\nsbin/\nsbin/link -> ../app.py\nsbin/run -rwxr-xr-x x")

	if err := os.RemoveAll(p.src("")); err != nil {
		t.Fatal(err)
	}
	p.sync()
	p.wants("")
}

// What the image or a program put there stays, and what is deleted is deleted
// though the agent and the supervisor are others by then.
func TestCopy_RemovesOnlyWhatItBrought(t *testing.T) {
	p := newPair(t)
	write(t, p.data("app.py"), "of the image", 0o644)
	write(t, p.data("lib/own.py"), "of the image", 0o644)
	if err := os.Chmod(p.data("lib"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, p.src("app.py"), "1", 0o644)
	write(t, p.src("lib/mine.py"), "1", 0o644)
	write(t, p.src("new/mine.py"), "1", 0o644)
	p.sync()
	if info, err := os.Stat(p.data("lib")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the image's directory has the rights %v, %v", info.Mode(), err)
	}
	if r := p.sync(); r.Put+r.Removed != 0 {
		t.Errorf("nothing changed: %+v", r)
	}
	write(t, p.data("new/made.pyc"), "by the program", 0o644)
	if err := os.RemoveAll(p.src("")); err != nil {
		t.Fatal(err)
	}
	p.connect()
	p.cache = mirror.Cache{}
	if r := p.sync(); r.Removed != 3 || len(r.Errors) > 0 {
		t.Errorf("%+v", r)
	}
	p.wants("lib/\nlib/own.py -rw-r--r-- of the image\nnew/\nnew/made.pyc -rw-r--r-- by the program")
}

func TestCopy_BringsBackWhatTheProgramChanged(t *testing.T) {
	p := newPair(t)
	write(t, p.src("a"), "1", 0o644)
	write(t, p.src("b"), "1", 0o644)
	write(t, p.src("d/c"), "1", 0o644)
	p.sync()
	write(t, p.data("a"), "2", 0o644)
	if err := os.Remove(p.data("b")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(p.data("d")); err != nil {
		t.Fatal(err)
	}
	p.sync()
	p.wants("a -rw-r--r-- 1\nb -rw-r--r-- 1\nd/\nd/c -rw-r--r-- 1")
}

// A program puts links where the agent is going to write, remove and look: out of
// the copy, and to what is in it. CVE-2025-9566 is of that kind.
func TestCopy_NoLinkLeadsTheAgentAway(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "secret", 0o600)
	before := list(t, outside)
	for _, to := range []string{outside, "own", "../..", "../tmp"} {
		t.Run(filepath.Base(to), func(t *testing.T) {
			p := newPair(t)
			write(t, p.src("dir/secret"), "mine", 0o644)
			write(t, p.src("file"), "mine", 0o644)
			write(t, p.data("own/secret"), "of the program", 0o644)
			p.sync()
			if err := os.RemoveAll(p.data("dir")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(to, p.data("dir")); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(p.data("file")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(outside, "secret"), p.data("file")); err != nil {
				t.Fatal(err)
			}
			write(t, p.src("dir/secret"), "mine again", 0o644)
			p.sync()
			p.wants("dir/\ndir/secret -rw-r--r-- mine again\nfile -rw-r--r-- mine\nown/\nown/secret -rw-r--r-- of the program")

			if err := os.RemoveAll(p.data("dir")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(to, p.data("dir")); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(p.src("dir")); err != nil {
				t.Fatal(err)
			}
			p.sync()
			if got := list(t, outside); got != before {
				t.Fatalf("outside there is now:\n%s", got)
			}
			if text, err := os.ReadFile(p.data("own/secret")); err != nil || string(text) != "of the program" {
				t.Errorf("the program's own file: %q, %v", text, err)
			}
		})
	}
}

func TestCopy_ADirectoryWithFilesOfTheProgramIsNotReplaced(t *testing.T) {
	p := newPair(t)
	write(t, p.data("cache/x"), "of the program", 0o644)
	write(t, p.src("cache"), "a file", 0o644)
	write(t, p.src("other"), "1", 0o644)
	r := p.sync()
	if len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "cache: a directory is in its place") {
		t.Errorf("%+v", r)
	}
	p.wants("cache/\ncache/x -rw-r--r-- of the program\nother -rw-r--r-- 1")
}

// One matcher decides what is copied, at first and later.
//
//peers:3
func TestCopy_IgnorePatterns(t *testing.T) {
	p := newPair(t, "*", "!app", "!lib/keep.py", "app/**/*.tmp", "!app/x/keep.tmp")
	for _, name := range []string{"Dockerfile", "app/main.py", "app/a.tmp", "app/x/b.tmp", "app/x/keep.tmp", "lib/keep.py", "lib/other.py", "app/.git/HEAD", "app/main.py~"} {
		write(t, p.src(name), "1", 0o644)
	}
	want := "app/\napp/main.py -rw-r--r-- 1\napp/x/\napp/x/keep.tmp -rw-r--r-- 1\nlib/\nlib/keep.py -rw-r--r-- 1"
	p.sync()
	p.wants(want)
	for _, name := range []string{"Dockerfile", "app/a.tmp", "lib/other.py"} {
		write(t, p.src(name), "2", 0o644)
	}
	if r := p.sync(); r.Put+r.Removed != 0 {
		t.Errorf("ignored files changed: %+v", r)
	}
	p.wants(want)
}

func TestCopy_LargeFilesAreNotHeldInMemory(t *testing.T) {
	p := newPair(t)
	const size = 64 << 20
	write(t, p.src("big"), "", 0o644)
	if err := os.Truncate(p.src("big"), size); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.sync()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("%d bytes were allocated for a file of %d", got, size)
	}
	if info, err := os.Stat(p.data("big")); err != nil || info.Size() != size {
		t.Errorf("%v, %v", info, err)
	}
}

// The container sees a file whole or not at all, and no temporary ones.
func TestCopy_FilesAppearWhole(t *testing.T) {
	p := newPair(t)
	write(t, p.src("a"), strings.Repeat("1", 1<<16), 0o644)
	p.sync()
	stop, seen := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(seen)
		for {
			select {
			case <-stop:
				return
			default:
			}
			text, err := os.ReadFile(p.data("a"))
			if err != nil || len(text) != 1<<16 || strings.Trim(string(text), string(text[:1])) != "" {
				seen <- "half a file, or none"
				return
			}
			if entries, err := os.ReadDir(p.data("")); err != nil || len(entries) != 1 {
				seen <- "more than the file"
				return
			}
		}
	}()
	for i := range 20 {
		write(t, p.src("a"), strings.Repeat(string(rune('a'+i)), 1<<16), 0o644)
		p.sync()
	}
	close(stop)
	if what, bad := <-seen; bad {
		t.Error("somebody saw ", what)
	}
}

func TestCopy_RemembersWhatItActedOnAndForgetsEarlierImages(t *testing.T) {
	p := newPair(t)
	write(t, p.src("a"), "1", 0o644)
	if r, err := p.try(api.MirrorClose{Acted: "x"}); err != nil || r.Acted != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	p.connect()
	if r := p.sync(); r.Acted != "x" {
		t.Errorf("%+v", r)
	}
	old := p.dir
	p.dir = filepath.Join(filepath.Dir(p.dir), "web.0.2")
	other := filepath.Join(filepath.Dir(p.dir), "db.0.1")
	write(t, filepath.Join(other, "data/x"), "1", 0o644)
	if r, err := p.try(api.MirrorClose{Keep: "web.0."}); err != nil || r.Acted != "" || len(r.Errors) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the copy of the earlier image: %v", err)
	}
	if _, err := os.Stat(filepath.Join(other, "data/x")); err != nil {
		t.Error(err)
	}
}

func TestScan_RefusesAFileAndWhatLeadsOut(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "app.py"), "1", 0o644)
	if err := os.Symlink(t.TempDir(), filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{"app.py": "copy the one that it is in", "out": "leads out of the module"} {
		if _, err := mirror.Scan(root, from, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", from, err)
		}
	}
	if m, err := mirror.Scan(root, "missing", nil, nil); err != nil || len(m.Entries) != 0 {
		t.Errorf("missing: %v, %v", m, err)
	}
}

func TestServe_RefusesPathsThatLeadOut(t *testing.T) {
	for _, name := range []string{"../x", "/x", "a/../../x", ".", "a//b"} {
		dir := filepath.Join(t.TempDir(), "c")
		in := `{"open":{"dir":"` + dir + `"}}` + "\n" + `{"put":{"path":"` + name + `","size":1,"mode":420}}` + "\nx" + `{"close":{}}` + "\n"
		var out strings.Builder
		if err := agent.Serve("", strings.NewReader(in), &out); err != nil && err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(out.String(), "not a clean relative path") {
			t.Errorf("%s: %s", name, out.String())
		}
	}
}
