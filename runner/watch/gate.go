package watch

import (
	"slices"
	"time"
)

// gate remembers each path as it was last reported.
type gate map[string]print

// reader prints a path; prev is what is known of it and saves reading it again.
type reader func(path string, prev print) print

// learn takes paths of which others were known so far. It returns those that
// count as changed: known ones whose content differs, and new ones younger than
// since, of which whoever asked for them may have read an older state.
func (g *gate) learn(paths []string, known gate, since time.Time, read reader) (changed []string) {
	next := make(gate, len(paths))
	for _, path := range paths {
		prev, seen := known[path]
		now := read(path, prev)
		next[path] = now
		if seen && !now.sameContent(prev) || !seen && now.isNews(since) {
			changed = append(changed, path)
		}
	}
	*g = next
	return changed
}

// update is learn for inputs that stayed the same: a path that is new came, and
// one that is missing went. unsure says which paths count as changed even where
// their content is what it was.
func (g *gate) update(paths []string, read reader, unsure func(path string, before, now print) bool) (changed []string) {
	before := *g
	changed = g.learn(paths, before, time.Time{}, read)
	for path, now := range *g {
		if unsure(path, before[path], now) {
			changed = append(changed, path)
		}
	}
	for path := range before {
		if _, still := (*g)[path]; !still {
			changed = append(changed, path)
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed)
}

// stirred reports whether update would return anything. What it learns about
// paths that hold what they held saves reading them the next time.
func (g gate) stirred(paths []string, read reader, unsure map[string]bool) bool {
	if len(paths) != len(g) {
		return true
	}
	for _, path := range paths {
		prev, known := g[path]
		now := read(path, prev)
		if !known || !now.sameContent(prev) || unsure[path] && !now.sameInstance(prev) {
			return true
		}
		g[path] = now
	}
	return false
}
