package kubernetes

import (
	"fmt"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

func (r *renderer) service(s *app.Service) (object, error) {
	if r.app.Pod(s.Pod) == nil {
		return object{}, fmt.Errorf("there is no pod %q", s.Pod)
	}
	spec := yaml.New()
	if s.Type != "ClusterIP" {
		spec.Opt("type", s.Type)
	}
	if s.Headless {
		spec.Set("clusterIP", "None")
	}
	spec.Set("selector", r.selector(s.Pod))
	if s.SessionAffinity != "None" {
		spec.Opt("sessionAffinity", s.SessionAffinity)
	}
	ports := yaml.List{}
	for _, p := range s.Ports {
		ports = append(ports, servicePort(p))
	}
	spec.Opt("ports", ports)
	r.unify(spec, s.Kubernetes, nil, "services."+s.Name, s.Pos)
	return object{"Service", s.Name, r.head("v1", "Service", s.Name, s.Pod, s.Labels, s.Annotations).Set("spec", spec)}, nil
}

func servicePort(p app.ServicePort) *yaml.Map {
	target := p.TargetPort
	if target.IsZero() {
		target.Number = p.Port
	}
	return yaml.New().
		Opt("name", p.Name).
		Opt("protocol", unless(p.Protocol, "TCP")).
		Set("port", p.Port).
		Set("targetPort", port(target)).
		Opt("nodePort", p.NodePort)
}

// port is a number or a name.
func port(p app.PortRef) any {
	if p.Name != "" {
		return p.Name
	}
	return p.Number
}

// unless gives "" for the value that the API fills in itself, which Opt then
// leaves out.
func unless(value, byDefault string) string {
	if value == byDefault {
		return ""
	}
	return value
}
