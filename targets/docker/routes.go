package docker

import (
	"cmp"
	"fmt"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/route"
)

// routes are the Ingresses and HTTPRoutes as rules for the gateway, in order of
// their names.
func (r *renderer) routes() []route.Rule {
	var out []route.Rule
	for i := range r.app.Ingresses {
		out = append(out, r.ingress(&r.app.Ingresses[i])...)
	}
	for i := range r.app.HTTPRoutes {
		out = append(out, r.httpRoute(&r.app.HTTPRoutes[i])...)
	}
	return out
}

func (r *renderer) ingress(i *app.Ingress) []route.Rule {
	var out []route.Rule
	of := "ingress " + i.Name
	for _, rule := range i.Rules {
		var hosts []string
		if rule.Host != "*" {
			hosts = []string{rule.Host}
		}
		for _, p := range rule.Paths {
			m := route.Match{Kind: route.Prefix, Path: p.Path} // what controllers make of ImplementationSpecific, too
			if p.PathType == "Exact" {
				m.Kind = route.Exact
			}
			out = append(out, route.Rule{Of: of, Hosts: hosts, Matches: []route.Match{m}, Backends: r.ingressBackend(p.Service, p.Port)})
		}
	}
	if b := i.DefaultBackend; b != nil {
		out = append(out, route.Rule{Of: of, Fallback: true, Backends: r.ingressBackend(b.Service, b.Port)})
	}
	return out
}

func (r *renderer) ingressBackend(service string, port app.PortRef) []route.Backend {
	number := port.Number
	if s := r.app.Service(service); s != nil && port.Name != "" {
		for _, p := range s.Ports {
			if p.Name == port.Name {
				number = p.Port
			}
		}
	}
	return []route.Backend{{Service: service, Port: number, Weight: 1}}
}

func (r *renderer) httpRoute(h *app.HTTPRoute) []route.Rule {
	var out []route.Rule
	for i := range h.Rules {
		rule := &h.Rules[i]
		at := fmt.Sprintf("httpRoutes.%s.rules.%d", h.Name, i)
		d := route.Rule{
			Of: "httpRoute " + h.Name, Hosts: h.Hostnames, Deep: true, Timeout: timeout(rule.Timeouts),
			Filter: filters(rule.Filters),
		}
		for n, m := range rule.Matches {
			if match, ok := r.match(&m, fmt.Sprintf("%s.matches.%d", at, n)); ok {
				d.Matches = append(d.Matches, match)
			}
		}
		if len(rule.Matches) > 0 && len(d.Matches) == 0 {
			continue // each was told about
		}
		for n, b := range rule.BackendRefs {
			d.Backends = append(d.Backends, r.backend(&b, fmt.Sprintf("%s.backendRefs.%d", at, n)))
		}
		out = append(out, d)
	}
	return out
}

// match is a match of a route; ok is false for one that the gateway cannot make.
func (r *renderer) match(m *app.HTTPRouteMatch, at string) (route.Match, bool) {
	out := route.Match{Kind: route.Prefix, Path: "/", Method: m.Method}
	ok := true
	plain := func(kind, field string, pos app.Pos) {
		if kind == "RegularExpression" {
			r.findings.Add(codeRoute, at+field, posOr(pos, m.Pos), "the gateway knows no regular expressions: the match is left out", "match what is Exact or a PathPrefix")
			ok = false
		}
	}
	if p := m.Path; p != nil {
		plain(p.Type, ".path.type", p.Pos)
		out.Path = cmp.Or(p.Value, "/")
		if p.Type == "Exact" {
			out.Kind = route.Exact
		}
	}
	for _, h := range m.Headers {
		plain(h.Type, ".headers."+h.Name+".type", h.Pos)
		out.Headers = append(out.Headers, route.Value{Name: h.Name, Value: h.Value})
	}
	for _, q := range m.QueryParams {
		plain(q.Type, ".queryParams."+q.Name+".type", q.Pos)
		out.Query = append(out.Query, route.Value{Name: q.Name, Value: q.Value})
	}
	return out, ok
}

// backend keeps also what is not to be had here: its part of the requests is
// answered with 500, as the Gateway API wants.
func (r *renderer) backend(b *app.HTTPBackendRef, at string) route.Backend {
	out := route.Backend{Weight: 1, Filter: filters(b.Filters)}
	if b.Weight != nil {
		out.Weight = *b.Weight
	}
	foreign := b.Namespace != "" && b.Namespace != r.app.DNSNamespace()
	if b.Group != "" || b.Kind != "" && b.Kind != "Service" || foreign {
		r.findings.Add(codeRoute, at, b.Pos, "it is not a service of the app: requests for it are answered with 500", "")
		return out
	}
	out.Service = b.Name
	if b.Port != nil {
		out.Port = *b.Port
	}
	return out
}

// timeout is the shorter of both, as a request is sent to one backend once.
func timeout(t *app.HTTPRouteTimeouts) int64 {
	if t == nil {
		return 0
	}
	var out int64
	for _, text := range []string{t.Request, t.BackendRequest} {
		d, err := time.ParseDuration(text)
		if ms := d.Milliseconds(); err == nil && ms > 0 && (out == 0 || ms < out) {
			out = ms
		}
	}
	return out
}

func filters(list []app.HTTPRouteFilter) route.Filter {
	var out route.Filter
	for i := range list {
		f := &list[i]
		switch { // the others are findings of the table
		case f.RequestHeaderModifier != nil:
			out.Request = headers(f.RequestHeaderModifier)
		case f.ResponseHeaderModifier != nil:
			out.Response = headers(f.ResponseHeaderModifier)
		case f.RequestRedirect != nil:
			out.Redirect = redirect(f.RequestRedirect)
		case f.URLRewrite != nil:
			out.Host, out.Path = f.URLRewrite.Hostname, pathOf(f.URLRewrite.Path)
		}
	}
	return out
}

func headers(h *app.HTTPHeaderFilter) route.Headers {
	out := route.Headers{Remove: h.Remove}
	for _, v := range h.Set {
		out.Set = append(out.Set, route.Value{Name: v.Name, Value: v.Value})
	}
	for _, v := range h.Add {
		out.Add = append(out.Add, route.Value{Name: v.Name, Value: v.Value})
	}
	return out
}

const found = 302 // the Gateway API's default

func redirect(d *app.HTTPRequestRedirectFilter) *route.Redirect {
	out := &route.Redirect{Scheme: d.Scheme, Host: d.Hostname, Path: pathOf(d.Path), Code: found}
	if d.Port != nil {
		out.Port = *d.Port
	}
	if d.StatusCode != nil {
		out.Code = *d.StatusCode
	}
	return out
}

func pathOf(m *app.HTTPPathModifier) *route.Path {
	switch {
	case m == nil:
		return nil
	case m.Type == "ReplaceFullPath":
		return &route.Path{Whole: true, Value: m.ReplaceFullPath}
	}
	return &route.Path{Value: m.ReplacePrefixMatch}
}
