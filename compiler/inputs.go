package compiler

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/inject/embed"

	"github.com/cuepod/cuepod/compiler/app"
)

// inputs lists what the result depends on: absolute, sorted. Modules in CUE's
// cache never change, so they do not count.
func (s *source) inputs() []string {
	set := maps.Clone(s.read)
	set[filepath.Join(s.root, "cue.mod", "module.cue")] = true
	packages := map[string]bool{}
	s.addPackage(set, packages, s.dir)
	for _, inst := range s.instances() {
		s.addPackage(set, packages, inst.Dir)
	}
	return slices.Sorted(maps.Keys(set))
}

// addPackage adds a package's directory with its CUE files, and the directories
// above it: files there may belong to the same package. done has the
// directories that were added before.
func (s *source) addPackage(set, done map[string]bool, dir string) {
	for ; within(s.root, dir) && !done[dir]; dir = filepath.Dir(dir) {
		done[dir], set[dir] = true, true
		files, err := cueFiles(dir)
		if err != nil {
			return // the directory vanished; that it is watched is enough
		}
		for _, f := range files {
			set[f] = true
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
		paths, err := e.FindAll(os.DirFS(s.root))
		if err != nil {
			continue // evaluation reports it, with its position
		}
		for _, path := range paths {
			path = filepath.Join(s.root, filepath.FromSlash(path))
			s.read[path] = true
			s.read[filepath.Dir(path)] = true
			if err := s.inModule(path); err != nil {
				bad = append(bad, Diagnostic{Pos: s.pos(e.Attribute.Pos), Message: fmt.Sprintf("@embed of %s: %v", s.show(path), err)})
			}
		}
	}
	return bad
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
		s.read[filepath.Join(s.root, rel)] = true
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
			s.read[path] = true
			s.read[filepath.Dir(path)] = true
		}
	}
}
