package compose

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// field is the value of a field of the pod that is known before it runs.
func (p *replica) field(path string) (string, bool) {
	if key, ok := subscript(path, "metadata.labels"); ok {
		return p.podLabels()[key], true
	}
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return p.podAnnotations()[key], true
	}
	switch path {
	case "metadata.name":
		return p.name, true
	case "metadata.namespace":
		return p.r.app.DNSNamespace(), true
	case "metadata.labels":
		return lines(p.podLabels()), true
	case "metadata.annotations":
		return lines(p.podAnnotations()), true
	case "spec.serviceAccountName":
		if p.pod.ServiceAccountName == "" {
			return "default", true
		}
		return p.pod.ServiceAccountName, true
	}
	return "", false
}

// lines writes a map as the kubelet does in a file.
func lines(m map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s=%q", key, m[key]))
	}
	return strings.Join(out, "\n")
}

// subscript gives the key of field['key'].
func subscript(path, field string) (string, bool) {
	key, ok := strings.CutPrefix(path, field+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(key, "']")
}

// container is the pod's container of that name, or nil.
func (p *replica) container(name string) *app.Container {
	for _, c := range containers(p.pod) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// resourceField is a resource of the container in units of the divisor, rounded
// up. A limit that is not set is the node's, and not known; a request is the
// limit, or else nothing.
func resourceField(c *app.Container, ref *app.ResourceFieldSelector) (value string, ok bool, err error) {
	kind, name, _ := strings.Cut(ref.Resource, ".")
	amount := c.Resources.Limits[name]
	if own := c.Resources.Requests[name]; kind == "requests" && own != "" {
		amount = own
	}
	if amount == "" {
		return "0", kind == "requests", nil
	}
	divisor := ref.Divisor
	if divisor == "" || divisor == "0" {
		divisor = "1"
	}
	in := app.Quantity.Value
	if name == "cpu" {
		in = app.Quantity.Milli
	}
	whole, err := in(amount)
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", ref.Resource, err)
	}
	unit, err := in(divisor)
	if err != nil || unit <= 0 {
		return "", false, fmt.Errorf("%s cannot be divided by %q", ref.Resource, divisor)
	}
	return strconv.FormatInt((whole+unit-1)/unit, 10), true, nil
}
