package kubernetes

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// service makes a Service. One without pod and selector has no pods behind it:
// it is another name, or somebody else gives it its endpoints.
func (r *renderer) service(s *app.Service) (object, error) {
	spec := r.encodeService(s)
	if s.Headless {
		spec.Set("clusterIP", "None")
	}
	switch {
	case s.Pod != "" && r.app.Pod(s.Pod) == nil:
		return object{}, fmt.Errorf("there is no pod %q", s.Pod)
	case s.Pod != "":
		spec.Set("selector", r.selector(s.Pod))
	default:
		spec.Opt("selector", sorted(s.Selector))
	}
	spec.Opt("ports", each(s.Ports, r.encodeServicePort))
	r.unify(spec, s.Kubernetes, nil, "services."+s.Name, s.Pos)
	m := meta{name: s.Name, component: s.Pod, labels: s.Labels, annotations: s.Annotations}
	return object{"Service", s.Name, r.head("v1", "Service", m).Set("spec", spec)}, nil
}

// endpointSlices are the addresses that answer for a service without pods: one
// slice for all that have the same ports and the same kind of address.
func (r *renderer) endpointSlices(s *app.Service) []object {
	type slice struct {
		family string
		ports  map[string]int
		list   yaml.List
	}
	var found []*slice
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		ports := map[string]int{}
		for n := range s.Ports {
			if port := app.EndpointPort(e, &s.Ports[n]); port != 0 {
				ports[s.Ports[n].Name] = port
			}
		}
		family := "IPv4"
		if ip, err := netip.ParseAddr(e.Address); err == nil && ip.Is6() {
			family = "IPv6"
		}
		at := slices.IndexFunc(found, func(have *slice) bool { return have.family == family && maps.Equal(have.ports, ports) })
		if at < 0 {
			at, found = len(found), append(found, &slice{family: family, ports: ports})
		}
		found[at].list = append(found[at].list, yaml.New().Set("addresses", yaml.List{e.Address}).Set("conditions", yaml.New().Set("ready", true)))
	}
	var out []object
	for n, have := range found {
		name := fmt.Sprintf("%s-%d", s.Name, n+1)
		labels := joined(s.Labels, map[string]string{labelServiceName: s.Name, labelSliceManager: "cuepod"})
		slice := r.head("discovery.k8s.io/v1", "EndpointSlice", meta{name: name, labels: labels, annotations: s.Annotations}).
			Set("addressType", have.family).Set("endpoints", have.list)
		var ports yaml.List
		for _, p := range s.Ports {
			if number := have.ports[p.Name]; number != 0 {
				ports = append(ports, yaml.New().Set("name", p.Name).Set("port", number).Set("protocol", p.Protocol).Opt("appProtocol", p.AppProtocol))
			}
		}
		out = append(out, object{"EndpointSlice", name, slice.Opt("ports", ports)})
	}
	return out
}

// What an EndpointSlice says of itself; the manager tells Kubernetes' own
// controller to leave it alone.
const (
	labelServiceName  = "kubernetes.io/service-name"
	labelSliceManager = "endpointslice.kubernetes.io/managed-by"
)
