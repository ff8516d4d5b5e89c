package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// unpack reads a tar.
func unpack(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 0 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s: time %v, owner %d:%d %q; want none", h.Name, h.ModTime, h.Uid, h.Gid, h.Uname)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestArchive(t *testing.T) {
	ref, archive := Archive([]byte("the binary"), "arm64", "agent")
	files := unpack(t, archive)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 {
		t.Fatal(err, manifest)
	}
	m := manifest[0]
	var config struct {
		Architecture, OS string
		Config           struct{ Entrypoint []string }
		RootFS           struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(files[m.Config], &config); err != nil {
		t.Fatal(err)
	}
	if m.RepoTags[0] != ref || !strings.HasPrefix(ref, "cuepod/infra:") || len(ref) != len("cuepod/infra:")+12 {
		t.Errorf("reference %q, tags %q", ref, m.RepoTags)
	}
	if config.Architecture != "arm64" || config.OS != "linux" || strings.Join(config.Config.Entrypoint, " ") != "/cuepod-agent agent" {
		t.Errorf("config %+v", config)
	}
	layer := files[m.Layers[0]]
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(layer)); config.RootFS.DiffIDs[0] != want {
		t.Errorf("diff ID %q, want %q", config.RootFS.DiffIDs[0], want)
	}
	inside := unpack(t, layer)
	if string(inside["cuepod-agent"]) != "the binary" {
		t.Errorf("the layer has %q", inside["cuepod-agent"])
	}
	for _, dir := range []string{"etc/", "run/", "tmp/"} {
		if _, ok := inside[dir]; !ok {
			t.Errorf("the layer has no %s", dir)
		}
	}
}

func TestArchive_EqualInEqualOut(t *testing.T) {
	ref, archive := Archive([]byte("binary"), "amd64")
	again, archive2 := Archive([]byte("binary"), "amd64")
	if ref != again || !bytes.Equal(archive, archive2) {
		t.Error("equal binaries give different images")
	}
	for what, other := range map[string]string{
		"binary":       first(Archive([]byte("binary2"), "amd64")),
		"architecture": first(Archive([]byte("binary"), "arm64")),
		"entrypoint":   first(Archive([]byte("binary"), "amd64", "agent")),
	} {
		if other == ref {
			t.Errorf("another %s gives the same reference", what)
		}
	}
}

func first(ref string, _ []byte) string { return ref }

// build makes a program and returns its path.
func build(t *testing.T, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	src := filepath.Join(dir, "main.go")
	if err := os.WriteFile(src, []byte("package main\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "program"), src)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "program")
}

func TestUsable(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a program can serve as its own agent on Linux only")
	}
	static := build(t, "CGO_ENABLED=0")
	if err := usable(static, runtime.GOARCH); err != nil {
		t.Errorf("a static program: %v", err)
	}
	if err := usable(static, "s390x"); err == nil {
		t.Error("a program of another architecture is usable")
	}
	shell, err := exec.LookPath("ls")
	if err != nil {
		t.Skip("needs a dynamically linked program to look at")
	}
	if err := usable(shell, runtime.GOARCH); err == nil || !strings.Contains(err.Error(), "dynamically") {
		t.Errorf("%s: %v, want: linked dynamically", shell, err)
	}
}

func TestFind_SaysWhatToDo(t *testing.T) {
	if _, _, err := Find("mips"); err == nil || !strings.Contains(err.Error(), "make build") || !strings.Contains(err.Error(), "linux/mips") {
		t.Errorf("got %v", err)
	}
}
