package check

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
)

// The rules of routes are those of the Gateway API's own definition,
// gateway.networking.k8s.io, version 1.

const (
	maxParents   = 32
	maxRouteList = 16 // host names, rules, headers, backends, filters
	maxMatches   = 64
	maxAllMatch  = 128
	maxRoutePath = 1024
	maxHeader    = 4096
	maxRouteName = 1_000_000 // the greatest weight
)

var (
	routePath     = regexp.MustCompile(`^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$`)
	headerName    = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+\\-.^_`|~]+$")
	routeDuration = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)
	kindName      = regexp.MustCompile(`^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`)
	corsOrigin    = regexp.MustCompile(`(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)`)
)

func (c *checker) httpRoute(r *app.HTTPRoute) {
	at := c.place("httpRoutes."+r.Name, r.Pos)
	c.meta(at.path+".", r.Pos, r.Labels, r.Annotations)
	if len(r.ParentRefs) == 0 {
		at.refuse("it belongs to no gateway").hint("add parentRefs: [{name: NAME}], the name of a Gateway in the cluster")
	}
	at.field("parentRefs").atMost(len(r.ParentRefs), maxParents)
	for i, ref := range r.ParentRefs {
		c.parentRef(r, i, ref, at.field("parentRefs").item(i).at(ref.Pos))
	}
	at.field("hostnames").atMost(len(r.Hostnames), maxRouteList)
	for i, host := range r.Hostnames {
		at.field("hostnames").item(i).host(host)
	}
	at.field("rules").atMost(len(r.Rules), maxRouteList)
	matches := 0
	for i := range r.Rules {
		rule := &r.Rules[i]
		where := at.field("rules").item(i).at(rule.Pos)
		for _, other := range r.Rules[:i] {
			if rule.Name != "" && other.Name == rule.Name {
				where.field("name").refuse("another rule has this name").hint("choose another name")
			}
		}
		c.routeRule(rule, where)
		matches += len(rule.Matches)
	}
	if matches > maxAllMatch {
		at.field("rules").refuse("they have %d matches together; a route can have %d", matches, maxAllMatch)
	}
}

// atMost wants a list to have no more than some items.
func (p place) atMost(n, most int) {
	if n > most {
		p.refuse("there are %d; there can be %d", n, most)
	}
}

// object wants the parts of a reference to an object to be names.
func (p place) object(group, kind, name, namespace string) {
	p.field("group").dnsName(group)
	if kind != "" && (len(kind) > maxLabel || !kindName.MatchString(kind)) {
		p.field("kind").refuse("%q is not the name of a kind", kind)
	}
	if len(name) > maxName {
		p.field("name").refuse("it has more than %d characters", maxName)
	}
	p.field("namespace").dnsLabel(namespace)
}

func (c *checker) parentRef(r *app.HTTPRoute, i int, ref app.ParentReference, at place) {
	at.object(groupOf(ref), ref.Kind, ref.Name, ref.Namespace)
	at.field("sectionName").dnsName(ref.SectionName)
	within(at.field("port"), ref.Port, 1, maxPort)
	for _, other := range r.ParentRefs[:i] {
		same := groupOf(other) == groupOf(ref) && other.Kind == ref.Kind && other.Name == ref.Name && other.Namespace == ref.Namespace
		if same && (other.SectionName == ref.SectionName || other.SectionName == "" || ref.SectionName == "") {
			at.refuse("%s is already a parent of this route", ref.Name).hint("give each a sectionName of its own, or leave one out")
		}
	}
}

// groupOf is the group of a parent: without one, that of Gateways. "" is that
// of services.
func groupOf(ref app.ParentReference) string {
	if ref.Group == nil {
		return "gateway.networking.k8s.io"
	}
	return *ref.Group
}

const maxPort = 65535

func (c *checker) routeRule(r *app.HTTPRouteRule, at place) {
	at.field("name").dnsName(r.Name)
	at.field("matches").atMost(len(r.Matches), maxMatches)
	for i, m := range r.Matches {
		c.routeMatch(m, at.field("matches").item(i).at(m.Pos))
	}
	c.routeFilters(r, r.Filters, at)
	redirects := slices.ContainsFunc(r.Filters, func(f app.HTTPRouteFilter) bool { return f.RequestRedirect != nil })
	if redirects && len(r.BackendRefs) > 0 {
		at.field("backendRefs").refuse("the rule redirects every request").hint("leave backendRefs or the filter out")
	}
	at.field("backendRefs").atMost(len(r.BackendRefs), maxRouteList)
	for i, ref := range r.BackendRefs {
		at := at.field("backendRefs").item(i).at(ref.Pos)
		c.routeBackend(ref.Group, ref.Kind, ref.Name, ref.Namespace, ref.Port, at)
		within(at.field("weight"), ref.Weight, 0, maxRouteName)
		c.routeFilters(r, ref.Filters, at)
	}
	if r.Timeouts != nil {
		c.routeTimeouts(r.Timeouts, at.field("timeouts").at(r.Timeouts.Pos))
	}
}

// routeBackend wants a service of the app, or something of another kind or
// namespace, which nobody here knows.
func (c *checker) routeBackend(group, kind, name, namespace string, port *int, at place) {
	at.object(group, kind, name, namespace)
	within(at.field("port"), port, 1, maxPort)
	if group != "" || kind != "" && kind != "Service" {
		return
	}
	if port == nil {
		at.refuse("a service needs a port").hint("add port: NUMBER")
		return
	}
	if namespace == "" || namespace == c.app.Namespace {
		c.routeService(name, *port, at)
	}
}

func (c *checker) routeService(name string, port int, at place) {
	s := c.app.Service(name)
	if s == nil {
		at.field("name").missing("service", name, "the app", c.serviceNames())
		return
	}
	if !slices.ContainsFunc(s.Ports, func(p app.ServicePort) bool { return p.Port == port }) {
		at.field("port").missing("port", app.PortRef{Number: port}.String(), "service "+s.Name, portsOf(s))
	}
}

func (c *checker) routeTimeouts(t *app.HTTPRouteTimeouts, at place) {
	at.field("request").duration(t.Request)
	at.field("backendRequest").duration(t.BackendRequest)
	request, err := time.ParseDuration(t.Request)
	backend, err2 := time.ParseDuration(t.BackendRequest)
	if err == nil && err2 == nil && request != 0 && backend > request {
		at.field("backendRequest").refuse("%s is longer than the whole request may take, %s", t.BackendRequest, t.Request).hint("let it be at most request")
	}
}

// duration wants a time, if there is one, as the Gateway API writes it.
func (p place) duration(text string) {
	if text != "" && !routeDuration.MatchString(text) {
		p.refuse("%q is not a duration", text).hint("write it as \"10s\", \"500ms\" or \"1h30m\"")
	}
}

func (c *checker) routeMatch(m app.HTTPRouteMatch, at place) {
	if p := m.Path; p != nil && p.Type != "RegularExpression" {
		path := at.field("path").at(p.Pos).field("value")
		if p.Value != "" {
			path.routePath(p.Value)
		}
	}
	at.field("headers").atMost(len(m.Headers), maxRouteList)
	for _, h := range m.Headers {
		at := at.field("headers").key(h.Name).at(h.Pos)
		at.header(h.Name, h.Value)
	}
	at.field("queryParams").atMost(len(m.QueryParams), maxRouteList)
	for _, q := range m.QueryParams {
		at.field("queryParams").key(q.Name).at(q.Pos).header(q.Name, q.Value)
	}
}

// routePath wants a path of a URL, in the characters that it can have.
func (p place) routePath(path string) {
	switch {
	case !strings.HasPrefix(path, "/"):
		p.refuse("%q is not an absolute path", path).hint("begin it with \"/\"")
	case len(path) > maxRoutePath:
		p.refuse("it has %d characters; it can have %d", len(path), maxRoutePath)
	case !routePath.MatchString(path):
		p.refuse("%q has characters that no path has", path).hint("write them as %% and two hexadecimal digits")
	default:
		p.cleanPath(path)
	}
}

// header wants the name of a header, and a value of the length it can have.
func (p place) header(name, value string) {
	if !headerName.MatchString(name) || len(name) > 256 {
		p.refuse("the name %q is not valid", name)
	}
	if len(value) > maxHeader {
		p.field("value").refuse("it has %d characters; it can have %d", len(value), maxHeader)
	}
}

// routeFilters checks what happens to requests on their way, in a rule or to
// one backend.
func (c *checker) routeFilters(r *app.HTTPRouteRule, list []app.HTTPRouteFilter, at place) {
	at = at.field("filters")
	at.atMost(len(list), maxRouteList)
	seen := map[string]bool{}
	for i := range list {
		f := &list[i]
		where := at.item(i).at(f.Pos)
		c.routeFilter(r, f, where)
		once := f.Type != "RequestMirror" && f.Type != "ExtensionRef"
		if once && seen[f.Type] {
			where.refuse("there is already a filter of the type %s", f.Type).hint("say both in one filter")
		}
		seen[f.Type] = true
	}
	if seen["RequestRedirect"] && seen["URLRewrite"] {
		at.refuse("a request cannot be redirected and rewritten").hint("leave one of the filters out")
	}
}

func (c *checker) routeFilter(r *app.HTTPRouteRule, f *app.HTTPRouteFilter, at place) {
	sources := []choice{
		{"requestHeaderModifier", f.RequestHeaderModifier != nil}, {"responseHeaderModifier", f.ResponseHeaderModifier != nil},
		{"requestMirror", f.RequestMirror != nil}, {"requestRedirect", f.RequestRedirect != nil}, {"urlRewrite", f.URLRewrite != nil},
		{"cors", f.CORS != nil}, {"extensionRef", f.ExtensionRef != nil}}
	types := map[string]string{
		"requestHeaderModifier": "RequestHeaderModifier", "responseHeaderModifier": "ResponseHeaderModifier", "requestMirror": "RequestMirror",
		"requestRedirect": "RequestRedirect", "urlRewrite": "URLRewrite", "cors": "CORS", "extensionRef": "ExtensionRef"}
	known := names(sources, func(ch choice) string { return types[ch.name] })
	if !at.field("type").oneOf(f.Type, known...) || !at.one("filter", sources...) {
		return
	}
	for _, source := range sources {
		if source.set && types[source.name] != f.Type {
			at.field("type").refuse("it is %q, and the filter is %s", f.Type, source.name).hint("set type: %q", types[source.name])
		}
	}
	c.headerFilter(f.RequestHeaderModifier, at.field("requestHeaderModifier"))
	c.headerFilter(f.ResponseHeaderModifier, at.field("responseHeaderModifier"))
	if m := f.RequestMirror; m != nil {
		c.mirror(m, at.field("requestMirror").at(m.Pos))
	}
	if d := f.RequestRedirect; d != nil {
		c.redirect(r, d, at.field("requestRedirect").at(d.Pos))
	}
	if w := f.URLRewrite; w != nil {
		at := at.field("urlRewrite").at(w.Pos)
		at.field("hostname").dnsName(w.Hostname)
		c.pathModifier(r, w.Path, at.field("path"))
	}
	if f.CORS != nil {
		c.cors(f.CORS, at.field("cors").at(f.CORS.Pos))
	}
	if e := f.ExtensionRef; e != nil {
		at.field("extensionRef").at(e.Pos).object(e.Group, e.Kind, e.Name, "")
	}
}

func (c *checker) headerFilter(h *app.HTTPHeaderFilter, at place) {
	if h == nil {
		return
	}
	at = at.at(h.Pos)
	for name, list := range map[string][]app.GatewayHTTPHeader{"set": h.Set, "add": h.Add} {
		at.field(name).atMost(len(list), maxRouteList)
		for _, header := range list {
			at.field(name).key(header.Name).at(header.Pos).header(header.Name, header.Value)
		}
	}
	at.field("remove").atMost(len(h.Remove), maxRouteList)
}

func (c *checker) mirror(m *app.HTTPRequestMirrorFilter, at place) {
	if b := m.BackendRef; b != nil {
		c.routeBackend(b.Group, b.Kind, b.Name, b.Namespace, b.Port, at.field("backendRef").at(b.Pos))
	}
	within(at.field("percent"), m.Percent, 0, 100)
	if m.Percent != nil && m.Fraction != nil {
		at.refuse("it has both percent and fraction").hint("leave one of them out")
	}
	if f := m.Fraction; f != nil {
		whole := 100
		if f.Denominator != nil {
			whole = *f.Denominator
		}
		if whole < 1 || f.Numerator > whole {
			at.field("fraction").at(f.Pos).refuse("%d of %d is not a part", f.Numerator, whole)
		}
	}
}

func (c *checker) redirect(r *app.HTTPRouteRule, d *app.HTTPRequestRedirectFilter, at place) {
	at.field("scheme").oneOf(d.Scheme, "http", "https")
	at.field("hostname").dnsName(d.Hostname)
	within(at.field("port"), d.Port, 1, maxPort)
	if d.StatusCode != nil && !slices.Contains([]int{301, 302, 303, 307, 308}, *d.StatusCode) {
		at.field("statusCode").refuse("%d is not a redirect", *d.StatusCode).hint("it must be 301, 302, 303, 307 or 308")
	}
	c.pathModifier(r, d.Path, at.field("path"))
}

// pathModifier checks a new path. One in place of a prefix needs to know the
// prefix.
func (c *checker) pathModifier(r *app.HTTPRouteRule, m *app.HTTPPathModifier, at place) {
	if m == nil {
		return
	}
	at = at.at(m.Pos)
	if m.Type == "ReplaceFullPath" && m.ReplacePrefixMatch != "" || m.Type == "ReplacePrefixMatch" && m.ReplaceFullPath != "" {
		at.refuse("it is of the type %s and has a field of the other", m.Type).hint("leave the other out")
	}
	if m.Type == "ReplaceFullPath" && m.ReplaceFullPath == "" {
		at.refuse("it names no path").hint("add replaceFullPath: PATH")
	}
	if m.Type != "ReplacePrefixMatch" {
		return
	}
	if m.ReplacePrefixMatch == "" {
		at.refuse("it names no path").hint("add replacePrefixMatch: PATH")
	}
	if len(r.Matches) == 0 || len(r.Matches) == 1 && r.Matches[0].Path == nil {
		return // which is the prefix "/"
	}
	if len(r.Matches) != 1 || r.Matches[0].Path.Type != "PathPrefix" && r.Matches[0].Path.Type != "" {
		at.refuse("replacePrefixMatch needs a rule with one match, of a PathPrefix").hint("give the rule matches: [{path: {type: \"PathPrefix\", value: PATH}}]")
	}
}

func (c *checker) cors(f *app.HTTPCORSFilter, at place) {
	for name, list := range map[string][]string{"allowOrigins": f.AllowOrigins, "allowMethods": f.AllowMethods, "allowHeaders": f.AllowHeaders} {
		if len(list) > 1 && slices.Contains(list, "*") {
			at.field(name).refuse("\"*\" is all of them, and stands alone").hint("leave the others out")
		}
	}
	for i, origin := range f.AllowOrigins {
		if !corsOrigin.MatchString(origin) {
			at.field("allowOrigins").item(i).refuse("%q is not an origin", origin).hint("write it as \"https://shop.example\"")
		}
	}
}
