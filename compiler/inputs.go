package compiler

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/inject/embed"

	"github.com/cuepod/cuepod/compiler/app"
)

// reads records that a file is read, or would be if it were there.
func (s *source) reads(path, why string) { s.read[Input{Path: path, Why: why}] = true }

// inputs lists what the result depends on: absolute, sorted, each with the
// first of its reasons. Modules in CUE's cache never change, so they do not
// count.
func (s *source) inputs() []Input {
	set := maps.Clone(s.read)
	set[Input{Path: filepath.Join(s.root, "cue.mod", "module.cue"), Why: "the module"}] = true
	packages := map[string]bool{}
	s.addPackage(set, packages, s.dir)
	for _, inst := range s.instances() {
		s.addPackage(set, packages, inst.Dir)
	}
	all := slices.SortedFunc(maps.Keys(set), func(a, b Input) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(fmt.Sprint(a.Names), fmt.Sprint(b.Names)), cmp.Compare(a.Why, b.Why))
	})
	return slices.CompactFunc(all, func(a, b Input) bool { return a.Path == b.Path && a.Names == b.Names })
}

// addPackage adds a package's directory with its CUE files, and the directories
// above it: files there may belong to the same package. done has the
// directories that were added before.
func (s *source) addPackage(set map[Input]bool, done map[string]bool, dir string) {
	for ; within(s.root, dir) && !done[dir]; dir = filepath.Dir(dir) {
		done[dir] = true
		set[Input{Path: dir, Why: "a CUE file in it may come to count"}] = true
		files, err := cueFiles(dir)
		if err != nil {
			return // the directory vanished; that it is watched is enough
		}
		for _, f := range files {
			set[Input{Path: f, Why: "CUE file"}] = true
		}
	}
}

// instances are the loaded packages of the user's own module.
func (s *source) instances() []*build.Instance {
	if s.inst == nil {
		return nil
	}
	var own []*build.Instance
	for _, inst := range append([]*build.Instance{s.inst}, s.inst.Dependencies()...) {
		if within(s.root, inst.Dir) {
			own = append(own, inst)
		}
	}
	return own
}

// checkEmbeds records the files that the definition embeds and refuses those
// outside the module: @embed itself follows symbolic links anywhere.
func (s *source) checkEmbeds() error {
	var bad []Diagnostic
	for _, inst := range s.instances() {
		for _, file := range inst.Files {
			bad = append(bad, s.checkFileEmbeds(file)...)
		}
	}
	if len(bad) > 0 {
		return newError(bad)
	}
	return nil
}

func (s *source) checkFileEmbeds(file *ast.File) []Diagnostic {
	rel, err := filepath.Rel(s.root, file.Filename)
	if err != nil {
		return nil // an in-memory file, which embeds nothing
	}
	embeds, cueErr := embed.EmbeddedPaths(filepath.ToSlash(rel), file)
	var bad []Diagnostic
	if cueErr != nil {
		bad = s.translate(cueErr)
	}
	for _, e := range embeds {
		why := "embedded at " + s.pos(e.Attribute.Pos).String()
		s.addEmbed(e, why)
		paths, err := e.FindAll(os.DirFS(s.root))
		if err != nil {
			continue // evaluation reports it, with its position
		}
		for _, path := range paths {
			path = filepath.Join(s.root, filepath.FromSlash(path))
			s.reads(path, why)
			if err := s.inModule(path); err != nil {
				bad = append(bad, Diagnostic{Pos: s.pos(e.Attribute.Pos), Message: fmt.Sprintf("@embed of %s: %v", s.show(path), err)})
			}
		}
	}
	return bad
}

// addEmbed records what an embedding would find if it were there: its file, or
// the directories in which its pattern looks.
func (s *source) addEmbed(e *embed.Embed, why string) {
	if file, ok, err := e.Attribute.Lookup(0, "file"); ok && err == nil {
		s.reads(filepath.Join(s.root, filepath.Dir(e.FilePath), filepath.FromSlash(file)), why)
	}
	glob, ok, err := e.Attribute.Lookup(0, "glob")
	if !ok || err != nil {
		return
	}
	names := strings.Split(glob, "/")
	for i, name := range names {
		if !strings.ContainsAny(name, `*?[\`) {
			continue
		}
		dirs, err := fs.Glob(os.DirFS(s.root), path.Join(append([]string{filepath.ToSlash(filepath.Dir(e.FilePath))}, names[:i]...)...))
		if err != nil {
			return // evaluation reports it
		}
		for _, dir := range dirs {
			s.read[Input{Path: filepath.Join(s.root, filepath.FromSlash(dir)), Why: "where what is " + why + " is looked for", Names: true}] = true
		}
	}
}

// inModule reports whether a file is below the module's root with every
// symbolic link followed, and records the link's target. A missing file is for
// the evaluation to report.
func (s *source) inModule(path string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil
	}
	root, err := filepath.EvalSymlinks(s.root)
	if err != nil {
		return err
	}
	if !within(root, target) {
		return fmt.Errorf("the file is a link to %s, outside the module", target)
	}
	if rel, err := filepath.Rel(root, target); err == nil {
		s.reads(filepath.Join(s.root, rel), "where a link leads")
	}
	return nil
}

// addSecretFiles records the files that secrets take their values from.
func (s *source) addSecretFiles(a *app.App) {
	for _, secret := range a.Secrets {
		for _, key := range secret.Keys {
			if key.File == "" {
				continue
			}
			path := key.File
			if !filepath.IsAbs(path) {
				path = filepath.Join(s.root, filepath.FromSlash(path))
			}
			s.reads(path, "file of secret "+secret.Name+", key "+key.Name)
		}
	}
}
