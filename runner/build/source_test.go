package build

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/targets/docker"
)

// tree makes a module with files. A text that begins with "-> " makes a link.
func tree(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func read(t *testing.T, root string, b docker.Build) *Source {
	t.Helper()
	s, err := Read(t.Context(), root, &b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stream(t *testing.T, s *Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Tar(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// listed gives what a stream holds: "name" or "name -> target".
func listed(t *testing.T, data []byte) []string {
	t.Helper()
	var out []string
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(madeAt()) {
			t.Errorf("%s: owner %d:%d, time %v", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		name := h.Name
		if h.Linkname != "" {
			name += " -> " + h.Linkname
		}
		out = append(out, name)
	}
}

// What .dockerignore says is what is sent, and what is watched; the file itself is
// for the builder alone (compose#12236, #12191, docker/compose PR#14217).
//
//peers:3
func TestRead_Ignore(t *testing.T) {
	for _, tc := range []struct {
		name, ignore string
		want         []string
	}{
		{"nothing", "", []string{"Dockerfile", "a.go", "a.log", "dist/", "dist/keep/", "dist/keep/x", "dist/x", "src/", "src/b.go", "src/b.log"}},
		{"a pattern", "*.log", []string{"Dockerfile", "a.go", "dist/", "dist/keep/", "dist/keep/x", "dist/x", "src/", "src/b.go", "src/b.log"}},
		{"anywhere", "**/*.log\ndist\n", []string{"Dockerfile", "a.go", "src/", "src/b.go"}},
		{"but for one", "dist\n!dist/keep\n*.log\nsrc\n.dockerignore", []string{"Dockerfile", "a.go", "dist/", "dist/keep/", "dist/keep/x"}},
		{"a list of what is wanted", "*\n!src\n", []string{"Dockerfile", "src/", "src/b.go", "src/b.log"}},
		{"all but some", "*\n!**/*.go", []string{"Dockerfile", "a.go", "src/", "src/b.go"}},
		{"even the Dockerfile", "Dockerfile\ndist\nsrc\n*.log\n.dockerignore", []string{"Dockerfile", "a.go"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{"web/Dockerfile": "FROM scratch\n", "web/a.go": "", "web/a.log": "", "web/dist/x": "", "web/dist/keep/x": "", "web/src/b.go": "", "web/src/b.log": ""}
			if tc.ignore != "" {
				files["web/.dockerignore"] = tc.ignore
			}
			s := read(t, tree(t, files), docker.Build{Context: "web"})
			if diff := cmp.Diff(tc.want, listed(t, stream(t, s))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			context := s.Inputs[len(s.Inputs)-1]
			for name := range files { // what is left out is not watched
				name = strings.TrimPrefix(name, "web/")
				if sent := slices.Contains(tc.want, name); context.Ignore.Excludes(name) == sent && name != "Dockerfile" && name != ".dockerignore" {
					t.Errorf("%s: sent %v, watched %v", name, sent, !sent)
				}
			}
		})
	}
}

//peers:3
func TestRead_DockerfilesOwnIgnoreFileWins(t *testing.T) {
	s := read(t, tree(t, map[string]string{
		"docker/dev.Dockerfile": "FROM scratch\n", "docker/dev.Dockerfile.dockerignore": "a\n", ".dockerignore": "b\n", "a": "", "b": "",
	}), docker.Build{Context: ".", Dockerfile: "docker/dev.Dockerfile"})
	want := []string{"b", "docker/", "docker/dev.Dockerfile"}
	if diff := cmp.Diff(want, listed(t, stream(t, s))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRead_HashFollowsWhatDecides(t *testing.T) {
	files := map[string]string{"Dockerfile": "FROM scratch\n", "a": "1", "link": "-> a", ".dockerignore": "*.tmp\n"}
	base := docker.Build{Context: ".", Args: map[string]string{"A": "1"}, Name: "x:1"}
	root := tree(t, files)
	first := read(t, root, base)
	again := tree(t, files)
	if err := os.Chtimes(filepath.Join(again, "a"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	same := read(t, again, base)
	if first.Hash != same.Hash || len(first.Hash) != 12 || !bytes.Equal(stream(t, first), stream(t, same)) {
		t.Errorf("hashes %q and %q of equal sources, or their streams differ", first.Hash, same.Hash)
	}
	change := func(name string, f func(root string) error, b docker.Build, same bool) {
		root := tree(t, files)
		if f != nil {
			if err := f(root); err != nil {
				t.Fatal(err)
			}
		}
		if got := read(t, root, b).Hash; (got == first.Hash) != same {
			t.Errorf("%s: hash %q, before %q", name, got, first.Hash)
		}
	}
	write := func(name, text string) func(string) error {
		return func(root string) error { return os.WriteFile(filepath.Join(root, name), []byte(text), 0o644) }
	}
	with := func(f func(*docker.Build)) docker.Build { b := base; f(&b); return b }
	change("content", write("a", "2"), base, false)
	change("a file more", write("b", ""), base, false)
	change("an ignored file", write("b.tmp", ""), base, true)
	change("a word about what is ignored", write(".dockerignore", "# temporary\n*.tmp\n"), base, true)
	change("the mode", func(root string) error { return os.Chmod(filepath.Join(root, "a"), 0o755) }, base, false)
	change("the Dockerfile", write("Dockerfile", "FROM scratch\nUSER 1\n"), base, false)
	change("an argument", nil, with(func(b *docker.Build) { b.Args = map[string]string{"A": "2"} }), false)
	change("the stage", nil, with(func(b *docker.Build) { b.Target = "run" }), false)
	change("its other name", nil, with(func(b *docker.Build) { b.Name = "x:2" }), false)
	change("a link's target", func(root string) error {
		return errors.Join(os.Remove(filepath.Join(root, "link")), os.Symlink("b", filepath.Join(root, "link")))
	}, base, false)
}

// Links stay links, wherever they lead; nothing outside the module is read.
func TestRead_NothingLeavesTheModule(t *testing.T) {
	outside := tree(t, map[string]string{"secret": "canary", "Dockerfile": "FROM canary\n"})
	s := read(t, tree(t, map[string]string{"web/Dockerfile": "FROM scratch\n", "web/out": "-> " + outside + "/secret", "web/up": "-> ../../../etc"}), docker.Build{Context: "web"})
	data := stream(t, s)
	if diff := cmp.Diff([]string{"Dockerfile", "out -> " + outside + "/secret", "up -> ../../../etc"}, listed(t, data)); diff != "" || bytes.Contains(data, []byte("canary")) {
		t.Errorf("(-want +got)\n%s", diff)
	}
	inside := read(t, tree(t, map[string]string{"real/Dockerfile": "FROM scratch\n", "web": "-> real"}), docker.Build{Context: "web"})
	if got := listed(t, stream(t, inside)); len(got) != 1 {
		t.Errorf("a link within the module: %v", got)
	}
	for name, tc := range map[string]struct {
		files map[string]string
		build docker.Build
		word  string
	}{
		"the context leads out":    {map[string]string{"web": "-> " + outside}, docker.Build{Context: "web"}, "leads out of the module"},
		"the Dockerfile leads out": {map[string]string{"web/Dockerfile": "-> " + outside + "/Dockerfile"}, docker.Build{Context: "web"}, "leads out of the module"},
		"the ignore file does":     {map[string]string{"web/Dockerfile": "", "web/.dockerignore": "-> " + outside + "/secret"}, docker.Build{Context: "web"}, "leads out of the module"},
		"a path goes up":           {map[string]string{"web/x": ""}, docker.Build{Context: "../"}, "leads out of the module"},
		"there is no context":      {nil, docker.Build{Context: "web"}, "no such file"},
		"there is no Dockerfile":   {map[string]string{"web/x": ""}, docker.Build{Context: "web"}, "dockerfile Dockerfile: no such file"},
		"a file is the context":    {map[string]string{"web": ""}, docker.Build{Context: "web"}, "not a directory"},
	} {
		s, err := Read(t.Context(), tree(t, tc.files), &tc.build, Options{})
		if err == nil || !strings.Contains(err.Error(), tc.word) {
			t.Errorf("%s: %v", name, err)
		}
		if len(s.Inputs) == 0 {
			t.Errorf("%s: nothing to watch for the fix", name)
		}
	}
}

func TestTar_BreaksOffWhenAFileChanged(t *testing.T) {
	for name, f := range map[string]func(path string) error{
		"other content": func(path string) error { return os.WriteFile(path, []byte("two"), 0o644) },
		"longer":        func(path string) error { return os.WriteFile(path, []byte("one and more"), 0o644) },
		"shorter":       func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"gone":          os.Remove,
	} {
		root := tree(t, map[string]string{"Dockerfile": "FROM scratch\n", "a": "one"})
		s := read(t, root, docker.Build{Context: "."})
		if err := f(filepath.Join(root, "a")); err != nil {
			t.Fatal(err)
		}
		if err := s.Tar(io.Discard); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCache_ReadsOnlyWhatMayHaveChanged(t *testing.T) {
	root := tree(t, map[string]string{"Dockerfile": "FROM scratch\n", "a": "one"})
	path := filepath.Join(root, "a")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	b := docker.Build{Context: "."}
	var cache Cache
	hash := func() string {
		s, err := Read(t.Context(), root, &b, Options{Cache: &cache})
		if err != nil {
			t.Fatal(err)
		}
		return s.Hash
	}
	first := hash()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if hash() == first {
		t.Error("a changed file was not read")
	}
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if hash() != first {
		t.Error("another hash of the same content")
	}
	// Two saves within a tick of the file system's clock.
	if err := os.WriteFile(path, []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	if hash() == first {
		t.Error("a file that was just written was not read again")
	}
}
