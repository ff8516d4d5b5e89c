package compiler

import (
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"

	"github.com/cuepod/cuepod/compiler/app"
)

// Locate is where a field is written, given the position of something around it:
// the model does not keep a line for each field. path is the field's, as in
// "pods.web.labels.tier". What is not written out beneath that position, as it
// comes from elsewhere, is as near as it can be told. It reads the file as it is
// now.
func Locate(pos app.Pos, path string) app.Pos {
	file, err := parser.ParseFile(pos.File, nil)
	if err != nil {
		return pos
	}
	best := pos
	ast.Walk(file, func(n ast.Node) bool {
		f, ok := n.(*ast.Field)
		if ok && (isAt(f.Label, pos) || isAt(f.Value, pos)) {
			best = beneath(f, path, pos)
		}
		return best == pos
	}, nil)
	return best
}

func isAt(n ast.Node, pos app.Pos) bool {
	p := n.Pos()
	return p.Line() == pos.Line && p.Column() == pos.Column
}

// beneath is the position of what a path says beneath a field that is one of its
// elements, else otherwise.
func beneath(f *ast.Field, path string, otherwise app.Pos) app.Pos {
	name, ok := topLabel(f)
	for rest := path; ok && rest != ""; {
		if after, is := strings.CutPrefix(rest, name+"."); is {
			if at := innermost(f.Value, after); at != nil {
				p := at.Pos()
				return app.Pos{File: otherwise.File, Line: p.Line(), Column: p.Column()}
			}
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
	return otherwise
}

// innermost is the label of the field that a path leads to, or as far as it leads;
// nil where it leads nowhere. Names may hold dots: the longest one counts.
func innermost(e ast.Expr, path string) ast.Node {
	var found *ast.Field
	longest := ""
	for _, x := range unified(e) {
		for _, d := range structDecls(x) {
			f, ok := d.(*ast.Field)
			if !ok {
				continue
			}
			name, ok := topLabel(f)
			if is := strings.HasPrefix(path+".", name+"."); ok && is && len(name) > len(longest) {
				found, longest = f, name
			}
		}
	}
	if found == nil {
		return nil
	}
	if rest, deeper := strings.CutPrefix(path, longest+"."); deeper {
		if at := innermost(found.Value, rest); at != nil {
			return at
		}
	}
	return found.Label
}
