package compiler

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
)

// entry is a named thing of the app, such as pods.web.
type entry struct{ section, name string }

// complete makes the whole model of the part that was evaluated and the entries
// that were kept, in the order in which CUE has them.
func (p *part) complete(now *app.App) error {
	old, a := p.cache.model, *now
	if a.Compose != nil {
		return fmt.Errorf("a compose section tells the places of what is beside it")
	}
	a.Pos = p.appPos(a.Pos)
	m := merger{kept: p.kept}
	a.Pods = merge(&m, "pods", old.Pods, now.Pods, func(x *app.Pod) string { return x.Name })
	a.Services = merge(&m, "services", old.Services, now.Services, func(x *app.Service) string { return x.Name })
	a.Ingresses = merge(&m, "ingresses", old.Ingresses, now.Ingresses, func(x *app.Ingress) string { return x.Name })
	a.HTTPRoutes = merge(&m, "httpRoutes", old.HTTPRoutes, now.HTTPRoutes, func(x *app.HTTPRoute) string { return x.Name })
	a.NetworkPolicies = merge(&m, "networkPolicies", old.NetworkPolicies, now.NetworkPolicies, func(x *app.NetworkPolicy) string { return x.Name })
	a.ServiceAccounts = merge(&m, "serviceAccounts", old.ServiceAccounts, now.ServiceAccounts, func(x *app.ServiceAccount) string { return x.Name })
	a.ConfigMaps = merge(&m, "configMaps", old.ConfigMaps, now.ConfigMaps, func(x *app.ConfigMap) string { return x.Name })
	a.Secrets = merge(&m, "secrets", old.Secrets, now.Secrets, func(x *app.Secret) string { return x.Name })
	a.Claims = merge(&m, "persistentVolumeClaims", old.Claims, now.Claims, func(x *app.Claim) string { return x.Name })
	a.Objects = merge(&m, "objects", old.Objects, now.Objects, func(x *app.Object) string { return x.Name })
	if m.found != len(p.kept) {
		return fmt.Errorf("%d entries were kept, and the cache has %d of them", len(p.kept), m.found)
	}
	p.model = &a
	return m.err
}

// appPos is where the whole package first writes app. The part's files say pos.
func (p *part) appPos(pos app.Pos) app.Pos {
	names := slices.Sorted(maps.Keys(p.leaves))
	for _, name := range names {
		if _, ok := p.load[name]; ok {
			continue
		}
		if l := p.leaves[name]; l.app.File < pos.File {
			return l.app
		}
		break
	}
	return pos
}

// merger merges sections.
type merger struct {
	kept  map[entry]bool
	found int // how many of them
	err   error
}

// merge puts the kept entries of old among those of now, always the smaller of
// the two names that are next. CUE orders the fields of a struct in that way
// where they do not meet in one file: it takes the smallest name of those that
// nothing has to come before, and files do not order each other's fields.
// Sections that the decoder sorts come out sorted.
func merge[T any](m *merger, section string, old, now []T, name func(*T) string) []T {
	var kept, out []T
	for i := range old {
		if m.kept[entry{section, name(&old[i])}] {
			kept = append(kept, old[i])
		}
	}
	m.found += len(kept)
	for i := range now {
		if m.kept[entry{section, name(&now[i])}] {
			m.err = fmt.Errorf("the base defines %s.%s too", section, name(&now[i]))
		}
	}
	for len(kept) > 0 && len(now) > 0 {
		if name(&kept[0]) < name(&now[0]) {
			out, kept = append(out, kept[0]), kept[1:]
		} else {
			out, now = append(out, now[0]), now[1:]
		}
	}
	return append(append(out, kept...), now...)
}

// ownFiles is the model with ConfigMaps of its own, into which files may be read.
func ownFiles(a *app.App) *app.App {
	own := *a
	own.ConfigMaps = slices.Clone(a.ConfigMaps)
	for i := range own.ConfigMaps {
		if c := &own.ConfigMaps[i]; len(c.Files) > 0 {
			c.Data, c.BinaryData = maps.Clone(c.Data), maps.Clone(c.BinaryData)
		}
	}
	return &own
}
