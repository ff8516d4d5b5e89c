package compiler

import (
	"path/filepath"

	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"
)

// inputFile is the name of a definition that comes from standard input.
const inputFile = "stdin.cue"

// inputPackage makes the input the package's file and sets the package's name.
func (s *source) inputPackage() error {
	path := filepath.Join(s.dir, inputFile)
	f, err := parser.ParseFile(path, s.input, parser.PackageClauseOnly)
	if err != nil {
		return newError(s.translateFile(path, err))
	}
	s.overlay[path] = load.FromBytes(s.input)
	s.pkg, err = s.onlyPackage(map[string]string{f.PackageName(): path})
	return err
}

// packageArgs are the package's files as the cue command takes them: those of
// the directory, or those that are named, or the input and the file that is made
// up beside it.
func (s *source) packageArgs() []string {
	switch {
	case s.args != nil:
		return s.args
	case s.input == nil:
		return []string{"."}
	}
	return []string{"./" + inputFile, "./" + unifyFile}
}
