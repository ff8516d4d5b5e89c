package kubernetes

import (
	"maps"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// each makes a list of structs.
func each[T any](items []T, encode func(*T) *yaml.Map) yaml.List {
	out := make(yaml.List, len(items))
	for i := range items {
		out[i] = encode(&items[i])
	}
	return out
}

// scalars makes a list of plain values.
func scalars[T string | int | int64](items []T) yaml.List {
	out := make(yaml.List, len(items))
	for i, item := range items {
		out[i] = item
	}
	return out
}

// named makes a list of what has nothing but a name.
func named(items []app.Named) yaml.List {
	return each(items, func(n *app.Named) *yaml.Map { return yaml.New().Set("name", n.Name) })
}

// port is a number or a name.
func port(p app.PortRef) any {
	if p.Name != "" {
		return p.Name
	}
	return p.Number
}

// countOrPercent is a number, or a percentage as a string.
func countOrPercent(c app.CountOrPercent) any {
	if n, ok := c.Number(); ok {
		return n
	}
	return string(c)
}

func quantities(m map[string]app.Quantity) *yaml.Map {
	out := yaml.New()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out.Set(k, string(m[k]))
	}
	return out
}

func sorted(m map[string]string) *yaml.Map {
	out := yaml.New()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out.Set(k, m[k])
	}
	return out
}

func templateMetadata(m *app.TemplateMetadata) *yaml.Map {
	return yaml.New().Opt("labels", sorted(m.Labels)).Opt("annotations", sorted(m.Annotations))
}
