package compiler

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"

	"github.com/cuepod/cuepod/compiler/app"
	schema "github.com/cuepod/cuepod/cue"
)

// places turns CUE's positions into ours, and knows which files are the
// user's.
type places struct {
	cwd  string // absolute; "" when unknown
	dir  string // absolute, of the package
	root string // absolute, of its module

	// What is known of each file, as there are thousands of positions in a few.
	ranks map[string]rank
	names map[string]string // as shown
}

// rank orders positions by how much they are the user's own: the package
// first, then its module, then other modules. The schema and the files that we
// make up are no place to send anybody to.
type rank int

const (
	rankPackage rank = iota
	rankModule
	rankOther
	rankFlag // --set, which has no file
	rankNone
)

func (p *places) rank(pos token.Pos) rank {
	file := pos.Filename()
	if !pos.IsValid() || file == "" {
		return rankNone
	}
	r, ok := p.ranks[file]
	if !ok {
		if p.ranks == nil {
			p.ranks = map[string]rank{}
		}
		r = p.rankFile(file)
		p.ranks[file] = r
	}
	return r
}

func (p *places) rankFile(file string) rank {
	switch {
	case filepath.Base(file) == unifyFile || isSchemaFile(file):
		return rankNone
	case strings.HasPrefix(file, flagFile):
		return rankFlag
	case filepath.Dir(file) == p.dir:
		return rankPackage
	case within(p.root, file):
		return rankModule
	}
	return rankOther
}

// isSchemaFile reports whether a file belongs to package core of the embedded
// module, as extracted to the module cache. The module's components are what an
// app is made of, like those of any other module.
func isSchemaFile(file string) bool {
	_, rest, ok := strings.Cut(filepath.ToSlash(file), "/mod/extract/cuepod.dev@")
	_, rest, _ = strings.Cut(rest, "/")
	return ok && strings.HasPrefix(rest, path.Base(schema.Core)+"/")
}

// within reports whether file lies in dir.
func within(dir, file string) bool {
	rel, err := filepath.Rel(dir, file)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// where names a position: file:line:col, or the flag.
func (p *places) where(pos token.Pos) string {
	if p.rank(pos) == rankFlag {
		return pos.Filename()
	}
	return p.pos(pos).String()
}

// pos converts a position; those of the schema and of flags become the zero
// Pos.
func (p *places) pos(pos token.Pos) app.Pos {
	if p.rank(pos) >= rankFlag {
		return app.Pos{}
	}
	return app.Pos{File: p.show(pos.Filename()), Line: pos.Line(), Column: pos.Column()}
}

// show is a file's name as a person would type it.
func (p *places) show(file string) string {
	name, ok := p.names[file]
	if !ok {
		if p.names == nil {
			p.names = map[string]string{}
		}
		name = p.showFile(file)
		p.names[file] = name
	}
	return name
}

func (p *places) showFile(file string) string {
	if p.cwd != "" && filepath.IsAbs(file) && within(p.cwd, file) {
		if rel, err := filepath.Rel(p.cwd, file); err == nil {
			return rel
		}
	}
	return file
}

// of is where the user wrote v: of all places that contribute to it, the first
// of the best rank, else fallback.
func (p *places) of(v cue.Value, fallback app.Pos) app.Pos {
	if written := p.written(v); len(written) > 0 {
		return p.pos(written[0].Pos())
	}
	return fallback
}

// written are the parts that v is unified from which the user wrote, the best
// rank first, and in the order of the files within a rank.
func (p *places) written(v cue.Value) []cue.Value {
	var parts []cue.Value
	for _, part := range conjuncts(v) {
		if p.rank(part.Pos()) != rankNone {
			parts = append(parts, part)
		}
	}
	slices.SortStableFunc(parts, func(a, b cue.Value) int {
		return cmp.Or(
			cmp.Compare(p.rank(a.Pos()), p.rank(b.Pos())),
			comparePos(a.Pos(), b.Pos()),
		)
	})
	return parts
}

// conjuncts are the values that v is the unification of. Each has the position
// of its label, where v itself has that of any of them.
func conjuncts(v cue.Value) []cue.Value {
	op, args := v.Expr()
	if op != cue.AndOp {
		return []cue.Value{v}
	}
	return args
}

func comparePos(a, b token.Pos) int {
	return cmp.Or(cmp.Compare(a.Filename(), b.Filename()), cmp.Compare(a.Offset(), b.Offset()))
}
