package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/watch"
)

// listing is what Go says that a program is compiled from.
type listing struct {
	Name  string   // of the program
	Files []string // absolute, sorted: beside Go's own and what go.sum fixes
	env   goEnv

	// shape is, by path, what the listing follows from: while that is the same,
	// Go would say the same. A path that ends in "/*" is the names in a directory.
	shape map[string][sha256.Size]byte
}

// goEnv is what decides about a compilation beside its files.
type goEnv struct {
	GOVERSION, GOFLAGS, GOEXPERIMENT, GOAMD64, GOARM, GOARM64 string
	GOMOD, GOWORK, GOROOT, GOMODCACHE                         string
}

// goPackage is the part of go list's answer that is read.
type goPackage struct {
	Dir, ImportPath, Name string
	Standard              bool
	Module                *struct {
		Path, Dir string
		Main      bool
	}
	GoFiles, IgnoredGoFiles, InvalidGoFiles, SFiles, HFiles, SysoFiles, EmbedFiles []string
	Error                                                                          *struct{ Err string }
}

const goFields = "Dir,ImportPath,Name,Standard,Module,GoFiles,IgnoredGoFiles,InvalidGoFiles,SFiles,HFiles,SysoFiles,EmbedFiles,Error"

// list asks Go, unless the cache knows what it would say.
func (p *program) list(ctx context.Context, cache *Cache) (*listing, error) {
	key := fmt.Sprintf("%q", []any{p.dir, p.environ, p.build.Tags})
	if old := cache.listing(key); old != nil && p.holds(old, cache) {
		return old, nil
	}
	l := &listing{shape: map[string][sha256.Size]byte{}}
	if err := p.listEnv(ctx, l); err != nil {
		return nil, err
	}
	args := []string{"list", "-e", "-deps", "-json=" + goFields}
	out, err := p.run(ctx, append(args, p.tags(".")...)...)
	if err != nil {
		return nil, err
	}
	if err := l.read(out, p); err != nil {
		return nil, err
	}
	for path := range l.shape {
		l.shape[path] = cache.shape(path)
	}
	cache.keep(key, l)
	return l, nil
}

// listEnv reads Go's environment, in which a go.mod has to be.
func (p *program) listEnv(ctx context.Context, l *listing) error {
	out, err := p.run(ctx, "env", "-json", "GOVERSION", "GOFLAGS", "GOEXPERIMENT", "GOAMD64", "GOARM", "GOARM64", "GOMOD", "GOWORK", "GOROOT", "GOMODCACHE")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, &l.env); err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	if l.env.GOMOD == "" || l.env.GOMOD == os.DevNull {
		return errors.New("there is no go.mod in its directory or above; `go mod init` makes one")
	}
	l.follow(l.env.GOMOD)
	l.follow(strings.TrimSuffix(l.env.GOMOD, ".mod") + ".sum")
	if l.env.GOWORK != "" && l.env.GOWORK != "off" {
		l.follow(l.env.GOWORK)
		l.follow(l.env.GOWORK + ".sum")
	}
	return nil
}

// follow notes a path that the listing follows from.
func (l *listing) follow(path string) { l.shape[path] = [sha256.Size]byte{} }

// read takes go list's answer: a stream of packages, dependencies first.
func (l *listing) read(out []byte, p *program) error {
	var main goPackage
	var missing []string
	modules := map[string]string{} // directories of those that are worked on, by path
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg goPackage
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("go list: %w", err)
		}
		main = pkg
		switch {
		case pkg.Standard:
		case pkg.Dir == "":
			missing = append(missing, pkg.ImportPath)
		case !within(pkg.Dir, l.env.GOMODCACHE) && !within(pkg.Dir, l.env.GOROOT):
			l.add(&pkg)
			if m := pkg.Module; m != nil && m.Main {
				modules[m.Path] = m.Dir
				l.follow(filepath.Join(m.Dir, "go.mod"))
			}
		}
	}
	for _, path := range missing { // whoever writes the package is noticed
		for module, dir := range modules {
			if rest, ok := strings.CutPrefix(path, module+"/"); ok {
				l.follow(filepath.Join(dir, filepath.FromSlash(rest)) + names)
			}
		}
	}
	slices.Sort(l.Files)
	l.Files = slices.Compact(l.Files)
	l.Name = programName(main.ImportPath)
	switch broken := len(main.InvalidGoFiles) > 0; {
	case main.Error != nil && len(main.GoFiles) == 0 && !broken:
		return errors.New(firstLine(main.Error.Err))
	case main.Name != "main" && !broken:
		return fmt.Errorf("it is the package %s, which is no program; name a directory with package main", main.Name)
	}
	return nil
}

// names ends a path that stands for the names in a directory.
const names = "/*"

// add notes what a package is made of. Files that the platform leaves out count
// for the listing, as a comment in them decides that.
func (l *listing) add(pkg *goPackage) {
	abs := func(list []string) (out []string) {
		for _, name := range list {
			out = append(out, filepath.Join(pkg.Dir, filepath.FromSlash(name)))
		}
		return out
	}
	l.follow(pkg.Dir + names)
	for _, path := range abs(pkg.EmbedFiles) {
		for dir := filepath.Dir(path); dir != pkg.Dir && within(dir, pkg.Dir); dir = filepath.Dir(dir) {
			l.follow(dir + names)
		}
	}
	for _, path := range abs(pkg.IgnoredGoFiles) {
		l.follow(path)
	}
	files := abs(slices.Concat(pkg.GoFiles, pkg.InvalidGoFiles, pkg.SFiles, pkg.HFiles, pkg.SysoFiles, pkg.EmbedFiles))
	for _, path := range files {
		l.follow(path)
	}
	l.Files = append(l.Files, files...)
}

// holds reports whether Go would still say what it said.
func (p *program) holds(l *listing, cache *Cache) bool {
	for path, was := range l.shape {
		if cache.shape(path) != was {
			return false
		}
	}
	return true
}

// inputs are what to watch.
func (l *listing) inputs() []watch.Input {
	var out []watch.Input
	for _, path := range slices.Sorted(maps.Keys(l.shape)) {
		in := watch.Input{Path: path, Why: "file of the Go program"}
		if dir, ok := strings.CutSuffix(path, names); ok {
			in = watch.Input{Path: dir, Kind: watch.Names, Why: "files to come of the Go program"}
		} else if fixed(path) {
			in.Why = "Go module"
		}
		out = append(out, in)
	}
	return out
}

// fixed reports whether a file says what Go modules a program is made of.
func fixed(path string) bool {
	return slices.Contains([]string{".mod", ".sum", ".work"}, filepath.Ext(path))
}

// shape is the digest of what of a path decides about a listing: names of a
// directory, the head of a Go file, the whole of a file of the module's, and of
// any other file that it is there.
func (c *Cache) shape(path string) (out [sha256.Size]byte) {
	if dir, ok := strings.CutSuffix(path, names); ok {
		return shapeOfNames(dir)
	}
	info, err := os.Stat(path)
	if err != nil {
		return out
	}
	switch {
	case filepath.Ext(path) == ".go":
		return c.head(path, info)
	case fixed(path):
		_, out, _ = c.sumFile(path, info)
		return out
	}
	return sha256.Sum256([]byte("there"))
}

func shapeOfNames(dir string) [sha256.Size]byte {
	list, err := os.ReadDir(dir)
	if err != nil {
		return [sha256.Size]byte{}
	}
	h := sha256.New()
	for _, e := range list {
		fmt.Fprintf(h, "%q %v\n", e.Name(), e.Type())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// head is the digest of what of a Go file go list reads: up to its last import,
// and the directives that embed files. It is remembered with the file's own.
func (c *Cache) head(path string, info fs.FileInfo) [sha256.Size]byte {
	_, sum, err := c.sumFile(path, info)
	if err != nil {
		return sum
	}
	if c != nil {
		c.mu.Lock()
		old, ok := c.heads[path]
		c.mu.Unlock()
		if ok && old.sum == sum {
			return old.head
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return [sha256.Size]byte{}
	}
	head := sha256.Sum256(headOf(text))
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.heads == nil {
			c.heads = map[string]headSum{}
		}
		c.heads[path] = headSum{sum, head}
	}
	return head
}

// headSum is the digest of a file's head, and of the file that it is of.
type headSum struct{ sum, head [sha256.Size]byte }

// headOf is the part of a Go file that decides about a listing; all of it where
// that cannot be told.
func headOf(text []byte) []byte {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "", text, parser.ImportsOnly|parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return text
	}
	end := f.Name.End()
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			end = g.End()
		}
	}
	at := set.Position(end).Offset
	head := bytes.Clone(text[:at])
	for line := range bytes.Lines(text[at:]) {
		if bytes.HasPrefix(line, []byte("//go:embed")) {
			head = append(append(head, '\n'), line...)
		}
	}
	return head
}

// within reports whether a path is dir, or in it.
func within(path, dir string) bool {
	return dir != "" && (path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator)))
}

// programName is what go install calls a program: the last element of its
// import path that is no version.
func programName(importPath string) string {
	parts := strings.Split(importPath, "/")
	last := parts[len(parts)-1]
	if n := len(parts); n > 1 && len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		last = parts[n-2]
	}
	return last
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
