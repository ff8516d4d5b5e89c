package main

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// kind is a kind of edit.
type kind struct {
	name   string
	title  string
	edited string            // file of the site that the edit changes; "" is the tool's manifest
	ask    string            // what the witness is asked; "" where a second one has to answer
	files  map[string]string // of every site, beside the manifest
	swaps  bool              // the container is replaced
	start  time.Duration     // that the start may take beyond patience
}

// kinds are the rows.
var kinds = []kind{
	{name: "env", title: "an env value", ask: "/env", swaps: true},
	{name: "replicas", title: "replicas, 1 to 2"},
	{name: "config", title: "a ConfigMap's value", ask: "/conf"},
	{name: "sync", title: "a synced file", edited: "synced/value", ask: "/synced", files: map[string]string{"synced/value": "@VALUE@"}},
	{name: "go", title: "a Go service's source", edited: "svc/stamp.go", ask: "/stamp", files: sources(), swaps: true},
	{name: "dockerfile", title: "a Dockerfile's line", edited: "context/Dockerfile", ask: "/env", swaps: true, files: map[string]string{
		"context/Dockerfile": "FROM scratch\nCOPY witness /witness\nENV VALUE=@VALUE@\nENTRYPOINT [\"/witness\"]\n",
	}},
}

//go:embed witness/main.go
var witnessSource string

// sources are the witness as a module of its own, and what makes an image of the
// program that is built of it.
func sources() map[string]string {
	return map[string]string{
		"go.mod":             "module witness\n\ngo 1.24\n",
		"svc/main.go":        witnessSource,
		"svc/stamp.go":       "package main\n\nconst stamp = \"@VALUE@\"\n",
		"context/Dockerfile": "FROM scratch\nCOPY witness /witness\nENTRYPOINT [\"/witness\"]\n",
	}
}

// goBuild compiles the service of a module with the flags that cuepod has by
// itself.
func goBuild(ctx context.Context, module, to string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, "./svc")
	build.Dir = module
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return errors.Join(errors.New("go build: "+string(out)), err)
	}
	return nil
}

func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func copyProgram(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}
