package build_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cuepod/cuepod/runner/build"
	"github.com/cuepod/cuepod/targets/docker"
)

// What is copied into the container as it changes does not build the image anew.
func TestRead_WhatIsSyncedDoesNotDecideAboutTheImage(t *testing.T) {
	root := t.TempDir()
	save := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := &docker.Build{Context: "web", Synced: []docker.Sync{{From: "web/src", To: "/src"}}, Ignored: []string{"generated"}}
	hash := func(b *docker.Build) string {
		t.Helper()
		s, err := build.Read(t.Context(), root, b, build.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Hash
	}
	save("web/Dockerfile", "FROM scratch\nCOPY . /\n")
	save("web/src/a", "1")
	save("web/srcs", "1")
	save("web/src/generated/x", "1")
	first, plain := hash(b), hash(&docker.Build{Context: "web"})
	for name, same := range map[string]bool{"web/src/a": true, "web/src/new/b": true, "web/srcs": false, "web/src/generated/x": false, "web/Dockerfile": false} {
		save(name, "FROM scratch\nCOPY . /\n# 2\n")
		now := hash(b)
		if (now == first) != same {
			t.Errorf("%s: the image is the same: %v, want %v", name, now == first, same)
		}
		first = now
	}
	if hash(&docker.Build{Context: "web"}) == plain {
		t.Error("a build that is not followed is of all that there is")
	}
	all := &docker.Build{Context: ".", Dockerfile: "web/Dockerfile", Synced: []docker.Sync{{From: ".", To: "/src"}}}
	before := hash(all)
	save("other", "2")
	if hash(all) != before {
		t.Error("all of the module is synced, and a change of it builds anew")
	}
	save("web/Dockerfile", "FROM scratch\n")
	if hash(all) == before {
		t.Error("the Dockerfile decides")
	}
}
