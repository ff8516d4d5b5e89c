package compiler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/inject/embed"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/mod/modfile"

	"github.com/cuepod/cuepod/compiler/app"
	schema "github.com/cuepod/cuepod/cue"
)

// source is a definition on disk and what loading it found. It serves one
// compile.
type source struct {
	places
	pkg  string // the package's name
	expr string // is the app, in place of the field app; or ""
	// input is the only file of the package, in memory; nil means the files of
	// the directory.
	input []byte
	reg   *registry
	cache string // where reg keeps modules; "" for CUE's own
	// outline says that structs of the schema are open: see openSource.
	outline   bool
	wide      bool // the wide outline is in use: see closesSchema
	explained bool // the mistakes that were found are all, with the outline too
	// overlay holds the files that exist only in memory: the one that unifies
	// `app` with the schema, and the module file when it lacks our dependency.
	overlay map[string]load.Source
	ctx     *cue.Context    // of the last build
	inst    *build.Instance // the last one loaded, complete or not
	read    map[Input]bool  // further files and directories that were read
	found   func(Found)     // see Options
	// What a compile with a cache adds; all may be nil.
	loaded func()                  // is called when the package is loaded
	model  func(*app.App) *app.App // gives the model to go on with
	args   []string                // the files to load, in place of the directory
	first  app.Pos                 // where the package begins, if not in a file that is loaded
}

// unifyFile is the name of the in-memory file that unifies `app` with the
// schema, for definitions that forgot to.
const unifyFile = "cuepod-unify-app.cue"

// languageVersion is CUE's language version for modules that we make up.
const languageVersion = "v0.17.0"

// openSource finds the directory and the module around it.
//
// With outline the definition is evaluated with the schema's outline, and the
// decoder alone says what fits.
func openSource(dir, cacheDir string, outline bool) (*source, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("definition: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("definition: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("definition: %s is a file: name the directory of the CUE package", dir)
	}
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "" // positions are absolute then
	}
	reg, err := newRegistry(cacheDir, outline, false)
	if err != nil {
		return nil, err
	}
	return &source{
		places:  places{cwd: cwd, dir: dir, root: moduleRoot(dir)},
		reg:     reg,
		cache:   cacheDir,
		outline: outline,
		overlay: map[string]load.Source{},
		read:    map[Input]bool{},
	}, nil
}

// prepare finds the package and makes up the files that it lacks.
func (s *source) prepare() error {
	if err := s.findPackage(); err != nil {
		return err
	}
	return s.addFiles()
}

// addFiles makes up the files that the package lacks.
func (s *source) addFiles() error {
	if err := s.addModuleFile(); err != nil {
		return err
	}
	text, err := s.unifyText()
	if err != nil {
		return err
	}
	s.overlay[filepath.Join(s.dir, unifyFile)] = load.FromString(text)
	return nil
}

// moduleRoot is the nearest directory from dir upwards that holds a cue.mod,
// or dir itself.
func moduleRoot(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if info, err := os.Stat(filepath.Join(d, "cue.mod")); err == nil && info.IsDir() {
			return d
		}
		if d == filepath.Dir(d) {
			return dir
		}
	}
}

// findPackage sets the name of the only package in the directory.
func (s *source) findPackage() error {
	if s.input != nil {
		return s.inputPackage()
	}
	files, err := cueFiles(s.dir)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return newError([]Diagnostic{{
			Message: fmt.Sprintf("there are no CUE files in %s", s.dir),
			Hint:    "cuepod init writes a definition to start from",
		}})
	}
	first := map[string]string{} // file by the package it is the first of
	var bad []Diagnostic
	for _, path := range files {
		f, err := parser.ParseFile(path, nil, parser.PackageClauseOnly)
		if err != nil {
			bad = append(bad, s.translateFile(path, err)...)
			continue
		}
		if name := f.PackageName(); first[name] == "" {
			first[name] = path
		}
	}
	if len(first) == 0 {
		return newError(bad)
	}
	s.pkg, err = s.onlyPackage(first)
	return err
}

// onlyPackage chooses the package of a directory from the first file of each.
func (s *source) onlyPackage(first map[string]string) (string, error) {
	names := slices.Sorted(maps.Keys(first))
	if len(names) > 1 && names[0] == "" {
		names = names[1:] // files without a package stay out, as with the cue command
	}
	d := Diagnostic{Pos: app.Pos{File: s.show(first[names[len(names)-1]]), Line: 1, Column: 1}}
	switch {
	case len(names) > 1:
		d.Message = fmt.Sprintf("the directory holds two packages: %s here, and %s in %s", names[len(names)-1], names[0], filepath.Base(first[names[0]]))
		d.Hint = "keep one package in a directory"
	case names[0] == "":
		d.Message = "the file has no package clause"
		d.Hint = "begin every file with package NAME"
	default:
		return names[0], nil
	}
	return "", newError([]Diagnostic{d})
}

// cueFiles lists the files in dir that can be part of a definition.
func cueFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("definition: %w", err)
	}
	var files []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, ".cue") && !e.IsDir() && !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, ".") &&
			!strings.HasSuffix(name, "_tool.cue") && !strings.HasSuffix(name, "_test.cue") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, nil
}

// addModuleFile puts a module file with our dependency in memory when the one
// on disk is absent or lacks it.
func (s *source) addModuleFile() error {
	data, err := s.moduleFile()
	if err == nil && data != nil {
		s.overlay[filepath.Join(s.root, "cue.mod", "module.cue")] = load.FromBytes(data)
	}
	return err
}

// moduleFile is the module file to use in place of the one on disk, or nil.
func (s *source) moduleFile() ([]byte, error) {
	path := filepath.Join(s.root, "cue.mod", "module.cue")
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		data = []byte("module: \"app.example\"\nlanguage: version: \"" + languageVersion + "\"\n")
	case err != nil:
		return nil, fmt.Errorf("module file: %w", err)
	default:
		f, err := modfile.ParseNonStrict(data, path)
		if err != nil {
			return nil, newError(s.translateFile(path, err))
		}
		if _, ok := f.Deps[schema.Module]; ok {
			return nil, s.checkDep(f.Module, f)
		}
	}
	return append(data, "\ndeps: \""+schema.Module+"\": v: \""+s.reg.version+"\"\n"...), nil
}

// checkDep reports a module file that asks for a newer schema than ours. who
// is its module.
func (s *source) checkDep(who string, f *modfile.File) error {
	dep, ok := f.Deps[schema.Module]
	if !ok {
		return nil
	}
	err := s.reg.serves(dep.Version)
	if err == nil {
		return nil
	}
	return newError([]Diagnostic{{
		Pos:     app.Pos{File: s.show(filepath.Join(s.root, "cue.mod", "module.cue")), Line: 1, Column: 1},
		Message: who + " " + err.Error(),
		Hint:    "install a newer cuepod, or use an older version of the module",
	}})
}

// load parses the package and everything it imports. tags are as the cue
// command's -t.
func (s *source) load(ctx context.Context, tags ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.inst = load.Instances(s.packageArgs(), &load.Config{
		Dir:        s.dir,
		ModuleRoot: s.root,
		Package:    s.pkg,
		Overlay:    s.overlay,
		Registry:   s.reg,
		Tags:       tags,
		TagVars:    load.DefaultTagVars(),
	})[0]
	if s.inst.Err != nil {
		return newError(s.translate(s.inst.Err))
	}
	if s.outline && !s.wide && s.closesSchema() {
		if err := s.widen(); err != nil {
			return err
		}
		return s.load(ctx, tags...)
	}
	for _, dep := range s.inst.Dependencies() {
		if dep.ModuleFile == nil {
			continue // a package of CUE's own library
		}
		// Without cue mod tidy, CUE does not look at what modules ask for.
		if err := s.checkDep(dep.ModuleVersion.String(), dep.ModuleFile); err != nil {
			return err
		}
	}
	if err := s.checkEmbeds(); err != nil {
		return err
	}
	if s.loaded != nil {
		s.loaded()
	}
	if s.found != nil {
		s.found(Found{Pos: s.packagePos(), Inputs: s.inputs()})
	}
	return nil
}

// build evaluates what load found, in a context of its own: contexts keep what
// they have evaluated for ever.
func (s *source) build() (cue.Value, error) {
	s.ctx = cuecontext.New(cuecontext.WithInjection(embed.New()))
	v := s.ctx.BuildInstance(s.inst)
	if err := v.Err(); err != nil && !s.app(v).Exists() {
		return v, newError(s.inExpression(s.translate(err)))
	}
	return v, nil
}

// core is the schema's package in the last build.
func (s *source) core() cue.Value {
	for _, dep := range s.inst.Dependencies() {
		if dep.ImportPath == schema.Core {
			return s.ctx.BuildInstance(dep)
		}
	}
	panic("compiler: the in-memory file imports " + schema.Core + ", yet it is no dependency")
}

// importsParts reports whether the package imports others than the schema and
// CUE's own.
func (s *source) importsParts() bool {
	return slices.ContainsFunc(s.inst.Dependencies(), func(dep *build.Instance) bool {
		return dep.ModuleFile != nil && dep.ImportPath != schema.Core || within(s.root, dep.Dir)
	})
}

// wholeSchema is the schema's package, evaluated apart from any definition.
func wholeSchema() cue.Value {
	inst := build.NewContext().NewInstance(schema.Core, nil)
	names, err := fs.Glob(schema.Files(), "core/*.cue")
	for _, name := range names {
		data, readErr := fs.ReadFile(schema.Files(), name)
		file, parseErr := parser.ParseFile("/mod/extract/"+schema.Module+"/"+name, data, parser.ParseComments)
		if err = errors.Join(err, readErr, parseErr); err == nil {
			err = inst.AddSyntax(file)
		}
	}
	if err != nil {
		panic("compiler: the embedded schema cannot be read: " + err.Error())
	}
	return cuecontext.New().BuildInstance(inst)
}

// packagePos is where to point when there is nothing better: the package
// clause of the first file.
func (s *source) packagePos() app.Pos {
	if s.first.IsValid() {
		return s.first
	}
	for _, f := range s.inst.Files {
		if pos := s.pos(f.Pos()); pos.IsValid() {
			return pos
		}
	}
	return app.Pos{}
}
