package check

import (
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
)

// grants refuses what another module lets pods do, unless the app grants it.
func (c *checker) grants(raised []app.Raised, pos app.Pos) {
	for _, r := range raised {
		if c.granted(r) {
			continue
		}
		if !pos.IsValid() {
			pos = r.Pos
		}
		c.report(pos, "%s: module %s sets it to %s, at %s, and the app does not grant that", r.Path, r.Module, r.Value, r.Pos)
		c.hint("if you trust the module with it, add to the app grants: %q: allow: [%q]", r.Module, r.Right)
	}
}

func (c *checker) granted(r app.Raised) bool {
	return slices.ContainsFunc(c.app.Grants, func(g app.Grant) bool { return g.Module == r.Module && slices.Contains(g.Allow, r.Right) })
}
