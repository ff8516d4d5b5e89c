// Package router leads HTTP requests to services by the host they name.
//
// <service>.<app>.localhost is the service's first TCP port; what Ingresses and
// HTTPRoutes say comes from package route. Every request of a connection is
// looked at, not only the first.
//
// A client speaks HTTP/1 or, from its first byte on, HTTP/2; so does an endpoint,
// and what they speak may differ. Between two that speak HTTP/1, heads and bodies
// pass as they are, so that whatever the endpoint speaks over it works: streams,
// chunks, trailers, and after an Upgrade anything at all. Otherwise heads, bodies
// and trailers are translated (call.go, reply.go).
package router

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/targets/route"
)

// Route is a port of a service and what stands behind it.
type Route struct {
	Service   string
	Port      int
	Endpoints []string // host:port, ready ones only
	HTTP2     bool     // they speak HTTP/2
}

// port names a port of a service.
type port struct {
	service string
	number  int
}

// Table is all routes. It is not changed once it is in force.
type Table struct {
	hosts map[string]Route // of the services themselves, by lower-case host without a port
	ports map[port]Route
	rules *route.Table
}

// NewTable makes the table of an app: its services, whose backends are taken as
// ready, and its rules. A service without a TCP port has no host.
func NewTable(app string, services []api.Service, rules []route.Rule) Table {
	t := Table{hosts: map[string]Route{}, ports: map[port]Route{}, rules: route.NewTable(rules)}
	for _, s := range services {
		host := strings.ToLower(s.Name + "." + app + ".localhost")
		for _, p := range s.Ports {
			if p.Protocol != "" && !strings.EqualFold(p.Protocol, "TCP") {
				continue
			}
			r := Route{Service: s.Name, Port: p.Port, Endpoints: endpoints(s, p), HTTP2: p.HTTP2}
			t.ports[port{s.Name, p.Port}] = r
			if _, first := t.hosts[host]; !first {
				t.hosts[host] = r
			}
		}
	}
	return t
}

// endpoints are where a service's requests go. While the gateway holds all of
// them, that is the virtual address, at which connections wait.
func endpoints(s api.Service, p api.ServicePort) []string {
	var out []string
	held := s.VIP != ""
	for _, b := range p.Backends {
		if _, err := netip.ParseAddr(b.IP); err == nil {
			out = append(out, net.JoinHostPort(b.IP, strconv.Itoa(b.Port)))
			held = held && b.Held > 0
		}
	}
	if held && len(out) > 0 {
		return []string{net.JoinHostPort(s.VIP, strconv.Itoa(p.Port))}
	}
	return out
}

// Hosts lists all hosts that can be asked for, in order: those of the services,
// then those of the rules.
func (t Table) Hosts() []string {
	var hosts []string
	for host := range t.hosts {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	if t.rules != nil {
		hosts = append(hosts, t.rules.Hosts()...)
	}
	return hosts
}

// question is a request that is looked for.
type question struct {
	scheme string // http or https
	host   string // as it was asked for, which may have a port
	method string
	target string // path and query
	header func(name string) []string
	chance uint64 // any number: which backend has its turn
}

// verdict is what becomes of a request: it is answered, or passed on.
type verdict struct {
	Route
	answer  *page
	filters []route.Filter // the rule's, then the backend's
	match   route.Match
	timeout int64 // milliseconds; 0 is none
}

// page is an answer of the router's own.
type page struct {
	code     int
	reason   string
	text     string
	location string // of a redirect
}

// decide finds what becomes of a request.
func (t Table) decide(q question) verdict {
	host, portNumber := splitHost(q.host)
	rule, match, ok := t.find(host, q)
	if !ok {
		return verdict{answer: &page{code: 404, reason: "Not Found", text: t.notFound(q, host)}}
	}
	if rule == nil {
		return t.hosts[host].served(verdict{Route: t.hosts[host]})
	}
	v := verdict{match: match, filters: []route.Filter{rule.Filter}, timeout: rule.Timeout}
	if d := rule.Filter.Redirect; d != nil {
		v.answer = redirectTo(d, d.Location(match, q.scheme, host, portNumber, q.target))
		return v
	}
	b := rule.Pick(q.chance)
	if b == nil {
		v.answer = &page{code: 500, reason: "Internal Server Error", text: fmt.Sprintf("No backend of %s takes requests.\n", rule.Of)}
		return v
	}
	v.filters = append(v.filters, b.Filter)
	if d := b.Filter.Redirect; d != nil {
		v.answer = redirectTo(d, d.Location(match, q.scheme, host, portNumber, q.target))
		return v
	}
	if v.Route, ok = t.ports[port{b.Service, b.Port}]; !ok {
		name := cmp.Or(b.Service, "a backend that is no service of the app")
		v.answer = &page{code: 500, reason: "Internal Server Error", text: fmt.Sprintf("%s leads to %s, port %d, which the gateway does not know.\n", rule.Of, name, b.Port)}
		return v
	}
	return v.Route.served(v)
}

// served refuses when nobody is ready.
func (r Route) served(v verdict) verdict {
	if len(r.Endpoints) == 0 {
		v.answer = &page{code: 503, reason: "Service Unavailable", text: fmt.Sprintf("Service %s has no ready pod. Look at them with: cuepod ps\n", r.Service)}
	}
	return v
}

// find returns the rule for a request, nil for one to a service's own host. A
// rule for exactly that host comes before the service. Every host of a rule
// also has a name in localhost, which browsers find without being told.
func (t Table) find(host string, q question) (*route.Rule, route.Match, bool) {
	_, service := t.hosts[host]
	if t.rules == nil {
		return nil, route.Match{}, service
	}
	if service && !t.rules.Knows(host) {
		return nil, route.Match{}, true
	}
	ask := route.Request{Host: host, Method: q.method, Target: q.target, Header: q.header}
	if short, ok := strings.CutSuffix(host, ".localhost"); ok && !t.rules.Knows(host) && t.rules.Knows(short) {
		ask.Host = short
	}
	return t.rules.Find(ask)
}

func redirectTo(d *route.Redirect, location string) *page {
	reasons := map[int]string{301: "Moved Permanently", 302: "Found", 303: "See Other", 307: "Temporary Redirect", 308: "Permanent Redirect"}
	return &page{code: d.Code, reason: reasons[d.Code], location: location}
}

// splitHost takes a Host field apart: a lower-case host without a final dot, and
// the port, 0 for none.
func splitHost(field string) (string, int) {
	host, digits, err := net.SplitHostPort(field)
	if err != nil {
		host = strings.Trim(field, "[]")
	}
	number, _ := strconv.Atoi(digits)
	return strings.ToLower(strings.TrimSuffix(host, ".")), number
}

// notFound tells what can be asked for, at the port that was asked.
func (t Table) notFound(q question, host string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "No service answers to %q", q.host)
	if t.rules != nil && t.rules.Knows(host) {
		path, _, _ := strings.Cut(q.target, "?")
		fmt.Fprintf(&b, " at %s", path)
	}
	b.WriteString(". There are:\n\n")
	_, number := splitHost(q.host)
	for _, h := range t.Hosts() {
		if number != 0 {
			h = net.JoinHostPort(h, strconv.Itoa(number))
		}
		fmt.Fprintf(&b, "    %s://%s\n", q.scheme, h)
	}
	if len(t.Hosts()) == 0 {
		b.WriteString("    none yet\n")
	}
	return b.String()
}
