package compiler

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"

	"github.com/cuepod/cuepod/compiler/app"
	schema "github.com/cuepod/cuepod/cue"
)

// Cache remembers what a definition was compiled to, so that the next compile
// evaluates only what changed: the files of the package that say nothing but
// entries of the app (see leaf) and that changed, together with all other files,
// the base. That gives what a compile of everything gives, because a definition
// counts only when an entry's value depends on nothing but its own files and the
// base (see qualify). All else is compiled as a whole, each time: definitions
// from standard input and with Options.Expr, packages with files in directories
// above, and whatever has a mistake. What a whole compile says always counts.
//
// The zero value is empty. A Cache is plain data and serves one definition and
// one goroutine at a time. It shares memory with the results of Compile: whoever
// has one must not change it.
type Cache struct {
	sum    digest // of all that entries depend on but their own files
	pkg    string
	dirs   []string        // directories whose files sum has; absolute, sorted
	base   map[string]bool // names of files of the package
	leaves map[string]leaf // by name of the file
	taken  map[string]bool // names of entries that only the base may define
	known  map[string]bool // paths of packages that sum has
	model  *app.App        // as decoded; nil means that the cache is empty
	reason string          // why the last whole compile was not remembered; "" when it was
	parts  int             // how many compiles evaluated only a part
	// qualify stands in for the method of qualifier, where a test wants a wrong
	// one; else nil.
	qualify func(*qualifier) string
}

type digest [sha256.Size]byte

// compile is Compile with a cache.
func (c *Cache) compile(ctx context.Context, opts Options) (*Result, error) {
	if opts.Input != nil || opts.Expr != "" || opts.Decoded != nil {
		return compileWhole(ctx, opts)
	}
	src, err := openSource(opts.Dir, opts.CacheDir, true)
	if err != nil {
		return nil, err
	}
	src.found = opts.Found
	snap, err := takeSnapshot(src.dir)
	if err != nil {
		return compileWhole(ctx, opts)
	}
	if p := c.part(src, opts, snap); p != nil {
		result, err := p.compile(ctx, src, opts)
		if err == nil {
			c.remember(p)
			return result, nil
		}
		if src, err = openSource(opts.Dir, opts.CacheDir, true); err != nil {
			return nil, err
		}
		src.found = opts.Found
	}
	return c.whole(ctx, src, opts, snap)
}

// whole compiles everything, and learns from a definition without mistakes.
func (c *Cache) whole(ctx context.Context, src *source, opts Options, snap snapshot) (*Result, error) {
	for name, text := range snap {
		src.overlay[filepath.Join(src.dir, name)] = load.FromBytes(text.data)
	}
	var learned *Cache
	src.loaded = func() { learned = c.learn(src, opts, snap) }
	var before digest
	src.model = func(a *app.App) *app.App {
		learned.model, before = a, learned.sum
		return ownFiles(a)
	}
	result, err := src.run(ctx, opts)
	var look *unfitError
	switch {
	case errors.As(err, &look):
		return compileWith(ctx, opts, false)
	case err != nil:
		return nil, err
	}
	after, sumErr := learned.sumOf(src, opts, snap)
	switch {
	case learned.reason != "":
	case sumErr != nil || before != after:
		learned.reason = "the files change"
	case learned.model.Compose != nil:
		learned.reason = "a compose section tells the places of what is beside it"
	}
	if learned.reason != "" {
		learned = &Cache{reason: learned.reason}
	}
	learned.parts, learned.qualify = c.parts, c.qualify
	*c = *learned
	return result, nil
}

// snapshot is the files of a package's directory by name.
type snapshot map[string]text

type text struct {
	data []byte
	sum  digest
}

func takeSnapshot(dir string) (snapshot, error) {
	files, err := cueFiles(dir)
	if err != nil {
		return nil, err
	}
	snap := make(snapshot, len(files))
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		snap[filepath.Base(path)] = text{data, sha256.Sum256(data)}
	}
	return snap, nil
}

// sumOf is the hash of all that entries depend on but their own files: what was
// asked for, the schema, the module, the base and the other packages.
func (c *Cache) sumOf(s *source, opts Options, snap snapshot) (digest, error) {
	opts.Found, opts.Decoded, opts.Cache = nil, nil, nil
	asked, err := json.Marshal(opts)
	if err != nil {
		return digest{}, err
	}
	h := sha256.New()
	add := func(name string, data []byte) { fmt.Fprintf(h, "%q %d\n%s", name, len(data), data) }
	add("options", asked)
	add("places", fmt.Appendf(nil, "%q %q %q", s.cwd, s.dir, s.root))
	add("schema", []byte(s.reg.version))
	files := []string{filepath.Join(s.root, "cue.mod", "module.cue")}
	for _, f := range opts.ValueFiles {
		path, err := filepath.Abs(f)
		if err != nil {
			return digest{}, err
		}
		files = append(files, path)
	}
	for _, dir := range c.dirs {
		list, err := cueFiles(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return digest{}, err
		}
		files = append(files, list...)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return digest{}, err
		}
		add(path, data)
	}
	for _, name := range slices.Sorted(maps.Keys(c.base)) {
		sum := snap[name].sum
		add(name, sum[:])
	}
	return digest(h.Sum(nil)), nil
}

// learn looks at a loaded package for what a cache of it has to know.
func (old *Cache) learn(s *source, opts Options, snap snapshot) *Cache {
	c := &Cache{qualify: old.qualify, pkg: s.pkg, known: map[string]bool{}, leaves: map[string]leaf{}, base: map[string]bool{}}
	names := map[string]bool{}
	for _, f := range s.inst.Files {
		name := filepath.Base(f.Filename)
		if name == unifyFile {
			continue
		}
		if _, ok := snap[name]; !ok || filepath.Dir(f.Filename) != s.dir {
			c.reason = "the package has files elsewhere"
			return c
		}
		names[name] = true
	}
	if len(names) != len(snap) {
		c.reason = "files in the directory do not belong to the package"
		return c
	}
	set, done := map[Input]bool{}, map[string]bool{s.dir: true}
	for dir := filepath.Dir(s.dir); within(s.root, dir) && s.dir != s.root; dir = filepath.Dir(dir) {
		set[Input{Path: dir}] = true
	}
	for _, dep := range s.inst.Dependencies() {
		c.known[dep.ImportPath] = true
		if dep.ImportPath == schema.Core || isStandard(dep.ImportPath) {
			continue
		}
		set[Input{Path: dep.Dir}] = true
		s.addPackage(set, done, dep.Dir)
	}
	for in := range set {
		if info, err := os.Stat(in.Path); err == nil && info.IsDir() {
			c.dirs = append(c.dirs, in.Path)
		}
	}
	slices.Sort(c.dirs)
	c.dirs = slices.Compact(c.dirs)
	if c.reason = c.sort(s, snap); c.reason != "" {
		return c
	}
	var err error
	if c.sum, err = c.sumOf(s, opts, snap); err != nil {
		c.reason = err.Error()
	}
	return c
}

// sort tells leaves from the base and gives the reason why it cannot.
func (c *Cache) sort(s *source, snap snapshot) (reason string) {
	q := newQualifier(s.inst)
	qualify := (*qualifier).qualify
	if c.qualify != nil {
		qualify = c.qualify
	}
	for _, f := range s.inst.Files {
		name := filepath.Base(f.Filename)
		if name == unifyFile {
			continue
		}
		l, ok := leafOf(f, c.known)
		if !ok {
			c.base[name] = true
			q.add(f)
			continue
		}
		l.sum, l.first = snap[name].sum, s.pos(f.Pos())
		l.app.File, l.first.File = s.show(f.Filename), s.show(f.Filename)
		c.leaves[name] = l
	}
	for {
		if reason := qualify(q); reason != "" {
			return reason
		}
		settled := true
		for _, f := range s.inst.Files {
			name := filepath.Base(f.Filename)
			if l, ok := c.leaves[name]; ok && l.named(q.taken) {
				delete(c.leaves, name)
				c.base[name] = true
				q.add(f)
				settled = false
			}
		}
		if settled {
			c.taken = q.taken
			return ""
		}
	}
}

// part is a compile of what changed.
type part struct {
	cache  *Cache
	load   snapshot        // the files to evaluate
	first  app.Pos         // of the package, when no file of load is its first
	leaves map[string]leaf // all there are now
	kept   map[entry]bool  // entries of the cache that count
	model  *app.App        // the whole of it
}

// part decides what to evaluate; nil means everything.
func (c *Cache) part(s *source, opts Options, snap snapshot) *part {
	if c.model == nil {
		return nil
	}
	if sum, err := c.sumOf(s, opts, snap); err != nil || sum != c.sum {
		return nil
	}
	p := &part{cache: c, load: snapshot{}, leaves: map[string]leaf{}, kept: map[entry]bool{}}
	dirty := map[entry]bool{}
	for name, now := range snap {
		switch old, ok := c.leaves[name]; {
		case c.base[name]:
			p.load[name] = now
		case ok && old.sum == now.sum:
			p.leaves[name] = old
		default:
			l, ok := c.parse(s, name, now)
			if !ok {
				return nil
			}
			p.load[name], p.leaves[name] = now, l
			l.mark(dirty)
		}
	}
	for name, old := range c.leaves {
		if p.leaves[name].sum != old.sum {
			old.mark(dirty)
		}
	}
	for again := true; again; { // what shares an entry with what changed is evaluated with it
		again = false
		for name, l := range p.leaves {
			if _, ok := p.load[name]; !ok && l.defines(dirty) {
				p.load[name], again = snap[name], true
				l.mark(dirty)
			}
		}
	}
	for name, l := range p.leaves {
		if _, ok := p.load[name]; !ok {
			l.mark(p.kept)
		}
	}
	all := slices.Sorted(maps.Keys(snap))
	if _, ok := p.load[all[0]]; !ok {
		p.first = p.leaves[all[0]].first
	}
	return p
}

// parse reads a changed file; ok is false when it does not belong to the leaves.
func (c *Cache) parse(s *source, name string, now text) (l leaf, ok bool) {
	path := filepath.Join(s.dir, name)
	f, err := parser.ParseFile(path, now.data, parser.ParseComments)
	if err != nil || f.PackageName() != c.pkg {
		return leaf{}, false
	}
	l, ok = leafOf(f, c.known)
	if !ok || l.named(c.taken) {
		return leaf{}, false
	}
	l.sum, l.first = now.sum, s.pos(f.Pos())
	l.app.File, l.first.File = s.show(path), s.show(path)
	return l, true
}

// compile evaluates the part and makes the whole of it. Any error means that
// everything has to be compiled.
func (p *part) compile(ctx context.Context, s *source, opts Options) (*Result, error) {
	s.pkg, s.first = p.cache.pkg, p.first
	if err := s.addFiles(); err != nil {
		return nil, err
	}
	names := []string{unifyFile}
	for name, text := range p.load {
		s.overlay[filepath.Join(s.dir, name)] = load.FromBytes(text.data)
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s.args = append(s.args, "./"+name)
	}
	var misfit error
	s.model = func(a *app.App) *app.App {
		if misfit = p.complete(a); misfit != nil {
			return a
		}
		return ownFiles(p.model)
	}
	result, err := s.compilePackage(ctx, opts)
	if err == nil {
		err = misfit
	}
	if err != nil {
		return nil, err
	}
	result.Root, result.Inputs = s.root, s.inputs()
	return result, nil
}

// remember takes over what a part found.
func (c *Cache) remember(p *part) {
	c.model, c.leaves = p.model, p.leaves
	c.parts++
}
