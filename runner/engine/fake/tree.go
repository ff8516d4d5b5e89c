package fake

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
)

// tree is a file system: slash-separated paths, "" being its root, which
// always exists and is not in the map.
type tree map[string]node

type node struct {
	header tar.Header // Name is empty
	data   []byte
}

func (t tree) isDir(name string) bool {
	n, ok := t[name]
	return name == "" || ok && n.header.Typeflag == tar.TypeDir
}

// put adds a node and the directories above it.
func (t tree) put(name string, n node) {
	for dir := parent(name); dir != "" && !t.isDir(dir); dir = parent(dir) {
		t[dir] = node{header: tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}}
	}
	t[name] = n
}

func parent(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

// place is where a path of a container lives.
type place struct {
	files    tree
	name     string // within files
	readOnly bool
}

// locate finds the mount that holds a path, or the container's own files.
func (e *Engine) locate(b *box, p string) place {
	p = path.Clean("/" + p)
	found := place{b.files, strings.TrimPrefix(p, "/"), b.spec.ReadOnlyRootFS}
	longest := -1
	for _, m := range b.spec.Mounts {
		at := path.Clean("/" + m.Path)
		if p != at && !strings.HasPrefix(p, at+"/") || len(at) <= longest {
			continue
		}
		longest = len(at)
		found = e.within(m, strings.TrimPrefix(p, at))
	}
	return found
}

// within is where a path of a mount lives: for a volume that shows a part of
// another one, there.
func (e *Engine) within(m engine.Mount, p string) place {
	name := path.Join(m.SubPath, p)
	v := e.source(m)
	for v.spec.Shows != nil {
		name = path.Join(v.spec.Shows.SubPath, name)
		if v = e.source(engine.Mount{Volume: v.spec.Shows.Volume, HostPath: v.spec.Shows.HostPath}); v == nil {
			return place{tree{}, name, true} // it is gone
		}
	}
	return place{v.files, strings.TrimPrefix(name, "/"), m.ReadOnly || m.Image != ""}
}

// source is what a mount of a container shows.
func (e *Engine) source(m engine.Mount) *vol {
	if m.HostPath != "" {
		return e.hostDirs[m.HostPath]
	}
	if m.Image != "" {
		v := &vol{files: tree{}}
		for name, text := range e.local[m.Image].Files {
			v.files.put(strings.TrimPrefix(name, "/"), node{tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}, []byte(text)})
		}
		return v
	}
	return e.volumes[m.Volume]
}

// isDir tells whether a path of a container is a directory; mount points and
// what leads to them are.
func (e *Engine) isDir(b *box, p string) bool {
	p = path.Clean("/" + p)
	for _, m := range b.spec.Mounts {
		if at := path.Clean("/" + m.Path); at == p || strings.HasPrefix(at, p+"/") {
			return true
		}
	}
	at := e.locate(b, p)
	return at.files.isDir(at.name)
}

func (e *Engine) readFile(b *box, p string) ([]byte, error) {
	at := e.locate(b, p)
	n, ok := at.files[at.name]
	if !ok {
		return nil, fmt.Errorf("%s: no such file", p)
	}
	return bytes.Clone(n.data), nil
}

func (e *Engine) writeFile(b *box, p string, data []byte) error {
	return e.put(b, p, node{tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, ModTime: time.Now()}, bytes.Clone(data)})
}

func (e *Engine) put(b *box, p string, n node) error {
	at := e.locate(b, p)
	if at.readOnly {
		return fmt.Errorf("%s is read-only", p)
	}
	if at.name != "" {
		at.files.put(at.name, n)
	}
	return nil
}

// CopyTo implements engine.Engine.
func (e *Engine) CopyTo(ctx context.Context, id, dir string, stream io.Reader) error {
	entries, readErr := readTar(stream) // outside the lock: the reader may be slow
	return e.call(ctx, "CopyTo", "copy into container", id, func() error {
		b, err := e.need(id)
		if err != nil {
			return err
		}
		if !e.isDir(b, dir) {
			return failf(engine.NotFound, "Could not find the file %s in container %s", dir, id)
		}
		if readErr != nil {
			return readErr
		}
		for _, n := range entries {
			name := n.header.Name
			n.header.Name = ""
			if err := e.put(b, path.Join(dir, name), n); err != nil {
				return err
			}
		}
		for _, m := range b.spec.Mounts {
			e.forget(m.Volume) // a volume in memory lives only while somebody runs
		}
		return nil
	})
}

func readTar(r io.Reader) ([]node, error) {
	var nodes []node
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nodes, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node{*h, data})
	}
}

// CopyFrom implements engine.Engine.
func (e *Engine) CopyFrom(ctx context.Context, id, p string) (out io.ReadCloser, err error) {
	err = e.call(ctx, "CopyFrom", "copy from container", id, func() error {
		b, err := e.need(id)
		if err != nil {
			return err
		}
		at := e.locate(b, p)
		if _, ok := at.files[at.name]; !ok && !e.isDir(b, p) {
			return failf(engine.NotFound, "Could not find the file %s in container %s", p, id)
		}
		data, err := at.writeTar(path.Base(path.Clean("/" + p)))
		out = io.NopCloser(bytes.NewReader(data))
		return err
	})
	return out, err
}

// writeTar packs a file, or a directory with everything in it, under a name.
// Mounts below it are not followed.
func (at place) writeTar(as string) ([]byte, error) {
	if as == "/" {
		as = "."
	}
	root, ok := at.files[at.name]
	if !ok {
		root.header = tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}
	}
	found := tree{as: root}
	prefix := at.name + "/"
	if at.name == "" {
		prefix = ""
	}
	for name, n := range at.files {
		if rest, ok := strings.CutPrefix(name, prefix); ok && root.header.Typeflag == tar.TypeDir {
			found[path.Join(as, rest)] = n
		}
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		n := found[name]
		n.header.Name, n.header.Size = name, int64(len(n.data))
		if n.header.Typeflag == tar.TypeDir {
			n.header.Name += "/"
		}
		if err := tw.WriteHeader(&n.header); err != nil {
			return nil, err
		}
		if _, err := tw.Write(n.data); err != nil {
			return nil, err
		}
	}
	err := tw.Close()
	return buf.Bytes(), err
}
