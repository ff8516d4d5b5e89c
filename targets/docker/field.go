package docker

import (
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// field gives the value of a field of the pod, and where it comes from when
// only the running pod knows.
func (r *renderer) field(path string, p *app.Pod, d *Pod) (string, Source) {
	switch path {
	case "metadata.name":
		return d.Name, Verbatim
	case "metadata.uid":
		return "", FromUID
	case "metadata.namespace":
		return r.app.DNSNamespace(), Verbatim
	case "metadata.labels":
		return lines(r.allLabels(p, d)), Verbatim
	case "metadata.annotations":
		return lines(r.annotations(p)), Verbatim
	case "spec.nodeName":
		return "localhost", Verbatim // the one node there is
	case "spec.serviceAccountName":
		if p.ServiceAccountName == "" {
			return "default", Verbatim
		}
		return p.ServiceAccountName, Verbatim
	case "status.podIP", "status.podIPs":
		return "", FromPodIP
	case "status.hostIP", "status.hostIPs":
		return "", FromHostIP
	}
	if key, ok := strings.CutPrefix(path, "metadata.labels['"); ok {
		return r.allLabels(p, d)[strings.TrimSuffix(key, "']")], Verbatim
	}
	key, _ := strings.CutPrefix(path, "metadata.annotations['")
	return r.annotations(p)[strings.TrimSuffix(key, "']")], Verbatim
}

// allLabels are a pod's labels with those that every object of an app has.
func (r *renderer) allLabels(p *app.Pod, d *Pod) map[string]string {
	labels := r.app.PodLabels(p)
	for key, value := range d.Labels {
		if _, ok := labels[key]; !ok {
			labels[key] = value
		}
	}
	return labels
}

func (r *renderer) annotations(p *app.Pod) map[string]string {
	all := maps.Clone(r.app.Annotations)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, p.Annotations)
	return all
}

// lines writes a map as the kubelet does in a downwardAPI volume: sorted,
// key="value" with escapes.
func lines(m map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, key+"="+strconv.Quote(m[key]))
	}
	return strings.Join(out, "\n")
}

// resource gives what a container requests, or its limit, in units of the
// divisor, rounded up. A limit that nobody set is what the machine has, which
// only the engine knows. It is false where the engine does not either.
func resource(ref *app.ResourceFieldSelector, c *app.Container) (value string, machine *ResourceRef, ok bool) {
	kind, name, _ := strings.Cut(ref.Resource, ".")
	amount := c.Resources.Limits[name]
	if kind == "requests" {
		if request := c.Resources.Requests[name]; request != "" {
			amount = request
		}
		if amount == "" {
			return "0", nil, true
		}
	}
	whole, _ := exact(amount) // the compiler has checked every quantity
	switch unset := amount == "" || whole.Sign() == 0; {
	case unset && kind == "limits" && (name == "cpu" || name == "memory"):
		return "", &ResourceRef{Name: name, Divisor: ref.Divisor}, true
	case unset && kind == "limits" && name == "ephemeral-storage":
		return "", nil, false
	}
	return inUnits(whole, ref.Divisor), nil, true
}

// inUnits divides an amount and rounds it up.
func inUnits(amount *big.Rat, unit app.Quantity) string {
	if divisor, ok := exact(unit); ok && divisor.Sign() > 0 {
		amount = new(big.Rat).Quo(amount, divisor)
	}
	whole, rest := new(big.Int).QuoRem(amount.Num(), amount.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	return whole.String()
}

// Of is the amount that a machine has.
func (r ResourceRef) Of(m Machine) string {
	amount := big.NewRat(m.Memory, 1)
	if r.Name == "cpu" {
		amount = big.NewRat(int64(m.CPUs), 1)
	}
	return inUnits(amount, r.Divisor)
}

// exact is a quantity to the thousandth, or to the whole where that has no room.
func exact(q app.Quantity) (*big.Rat, bool) {
	if milli, err := q.Milli(); err == nil {
		return big.NewRat(milli, 1000), true
	}
	whole, err := q.Value()
	return big.NewRat(whole, 1), err == nil
}
