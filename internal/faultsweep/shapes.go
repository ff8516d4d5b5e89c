package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/targets/docker"
)

//go:embed shapes/*.cue
var shapes embed.FS

// shapeNames are the apps that are swept, the smallest first.
func shapeNames() []string { return []string{"pod", "lifecycle", "services", "kinds"} }

// app is a shape in a directory of its own, which changes between two variants.
type app struct {
	shape string
	dir   string
	id    runner.Identity
	text  string // with variant a
}

// newApp writes a shape's definition. Its port on the host is a free one.
func (b *bench) newApp(ctx context.Context, shape string) (*app, error) {
	text, err := fs.ReadFile(shapes, "shapes/"+shape+".cue")
	if err != nil {
		return nil, fmt.Errorf("shape %s: there is none; there are %s", shape, strings.Join(shapeNames(), ", "))
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, shape+"-")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	a := &app{shape: shape, dir: dir, id: runner.Identity{App: "sweep-" + shape, Root: dir}}
	// Below 32768, where systems do not take ports for connections by themselves.
	a.text = strings.ReplaceAll(string(text), "PORT", strconv.Itoa(30000+port%2700))
	return a, a.be("a")
}

// be saves a variant of the definition, as an editor does.
func (a *app) be(variant string) error {
	text := strings.Replace(a.text, `_variant: "a"`, fmt.Sprintf("_variant: %q", variant), 1)
	draft := filepath.Join(a.dir, ".app.cue.new")
	if err := os.WriteFile(draft, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, filepath.Join(a.dir, "app.cue"))
}

// What differs from run to run in names: the generation of a record, the serial
// of a run of a job and of its pod.
var serials = regexp.MustCompile(`_record\.[0-9]+$|(_job\.[a-z-]+)\.[0-9a-z]+|(_migrate)-[0-9]+`)

// names are what is there, without what differs from run to run.
func (w world) names() map[string]int {
	out := map[string]int{}
	for name, c := range w.containers {
		if docker.IsPreviousName(name) {
			continue // what down had stopped when it was killed, up restarts, and keeps for its logs
		}
		out[c.role+" "+serials.ReplaceAllString(name, "$1$2")]++
	}
	for _, name := range w.others {
		out[name]++
	}
	return out
}
