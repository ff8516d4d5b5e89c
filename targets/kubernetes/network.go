package kubernetes

import (
	"fmt"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// everyHost is how the definition writes a rule without a host.
const everyHost = "*"

func (r *renderer) ingress(i *app.Ingress) object {
	spec := yaml.New().Opt("ingressClassName", i.IngressClassName)
	if i.DefaultBackend != nil {
		spec.Set("defaultBackend", backend(i.DefaultBackend.Service, i.DefaultBackend.Port))
	}
	spec.Opt("tls", each(i.Tls, ingressTLS)).Opt("rules", each(i.Rules, ingressRule))
	r.unify(spec, i.Kubernetes, nil, "ingresses."+i.Name, i.Pos)
	m := meta{name: i.Name, labels: i.Labels, annotations: i.Annotations}
	return object{"Ingress", i.Name, r.head("networking.k8s.io/v1", "Ingress", m).Set("spec", spec)}
}

func ingressRule(rule *app.IngressRule) *yaml.Map {
	out := yaml.New()
	if rule.Host != everyHost {
		out.Set("host", rule.Host)
	}
	return out.Set("http", yaml.New().Set("paths", each(rule.Paths, ingressPath)))
}

func ingressPath(p *app.IngressPath) *yaml.Map {
	return yaml.New().Set("path", p.Path).Set("pathType", p.PathType).Set("backend", backend(p.Service, p.Port))
}

func backend(service string, p app.PortRef) *yaml.Map {
	key := "number"
	if p.Name != "" {
		key = "name"
	}
	return yaml.New().Set("service", yaml.New().Set("name", service).Set("port", yaml.New().Set(key, port(p))))
}

func ingressTLS(t *app.IngressTLS) *yaml.Map {
	return yaml.New().Opt("hosts", scalars(t.Hosts)).Opt("secretName", t.SecretName)
}

func (r *renderer) httpRoute(h *app.HTTPRoute) object {
	m := meta{name: h.Name, labels: h.Labels, annotations: h.Annotations}
	return object{"HTTPRoute", h.Name, r.head("gateway.networking.k8s.io/v1", "HTTPRoute", m).Set("spec", r.encodeHTTPRoute(h))}
}

// networkPolicy is for one pod, or for those of its selector: all of the
// namespace when that is empty.
func (r *renderer) networkPolicy(n *app.NetworkPolicy) (object, error) {
	selector := yaml.New()
	switch {
	case n.Pod != "" && r.app.Pod(n.Pod) == nil:
		return object{}, fmt.Errorf("there is no pod %q", n.Pod)
	case n.Pod != "":
		selector = r.matchLabels(n.Pod)
	case n.PodSelector != nil:
		selector = r.encodeLabelSelector(n.PodSelector)
	}
	m := meta{name: n.Name, component: n.Pod, labels: n.Labels, annotations: n.Annotations}
	spec := yaml.New().Set("podSelector", selector).Join(r.encodeNetworkPolicy(n))
	return object{"NetworkPolicy", n.Name, r.head("networking.k8s.io/v1", "NetworkPolicy", m).Set("spec", spec)}, nil
}
