package diff

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// mergeKeys are the fields that tell the items of a list apart, the best first.
// What they name is Kubernetes' own merge key or, where that allows two items
// with one key, what people call the item by.
func mergeKeys(list string) []string {
	switch list {
	case "volumeMounts":
		return []string{"mountPath"}
	case "volumeDevices":
		return []string{"devicePath"}
	case "hostAliases":
		return []string{"ip"}
	case "ports":
		return []string{"name", "containerPort", "port"}
	case "topologySpreadConstraints":
		return []string{"topologyKey"}
	default:
		return []string{"name"}
	}
}

// pairing gives the items of two states of a list their identities: by the
// first merge key that tells the items of both apart, else by index, with key "".
func pairing(name string, old, now []any) (key string, oldIDs, newIDs []string) {
	for _, key := range mergeKeys(name) {
		oldIDs, ok1 := keyed(old, key)
		newIDs, ok2 := keyed(now, key)
		if ok1 && ok2 {
			return key, oldIDs, newIDs
		}
	}
	return "", indexes(old), indexes(now)
}

// without is an item without the field that its path tells already, unless it
// has no other.
func without(key string, item any) any {
	fields, ok := item.(map[string]any)
	if !ok || len(fields) < 2 || key == "" {
		return item
	}
	fields = maps.Clone(fields)
	delete(fields, key)
	return fields
}

// keyed gives the value of a field in each item; not ok where it is missing or
// two items share it.
func keyed(list []any, key string) (ids []string, ok bool) {
	for _, item := range list {
		var id string
		switch v := item.(map[string]any)[key].(type) {
		case string:
			id = v
		case json.Number:
			id = v.String()
		default:
			return nil, false
		}
		if slices.Contains(ids, id) {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

func indexes(list []any) []string {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = strconv.Itoa(i)
	}
	return ids
}

// structured reports whether every item of a list is a struct. Any other list,
// such as a command, is one value.
func structured(list []any) bool {
	return !slices.ContainsFunc(list, func(item any) bool {
		_, ok := item.(map[string]any)
		return !ok
	})
}
