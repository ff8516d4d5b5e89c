package kubernetes

import (
	"fmt"

	"github.com/cuepod/cuepod/compiler/app"
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
