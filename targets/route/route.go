// Package route is what Ingresses and HTTPRoutes say, as plain values, and the
// decision which of them a request is for.
//
// A Rule goes over the wire as it is; a Table answers for requests. Precedence
// is Kubernetes': the most specific host first, then an exact path before a
// longer prefix before a shorter one, then a method, the number of headers and
// of query parameters, and at last the order of the rules.
package route

// Kinds of paths.
const (
	Prefix = "Prefix" // whole elements: "/a" is for /a and /a/b, not for /ab
	Exact  = "Exact"
)

// Rule is what happens to the requests for some hosts that match.
type Rule struct {
	Of    string   `json:"of"`              // "ingress shop": for people
	Hosts []string `json:"hosts,omitempty"` // "shop.example", "*.shop.example"; none is every host
	// Deep says that "*" stands for several labels of a host, as the Gateway API
	// has it; in an Ingress it stands for one.
	Deep bool `json:"deep,omitempty"`
	// Fallback is for requests that no other rule takes: an Ingress' default backend.
	Fallback bool      `json:"fallback,omitempty"`
	Matches  []Match   `json:"matches,omitempty"` // one is enough; none is every request
	Filter   Filter    `json:"filter,omitzero"`
	Backends []Backend `json:"backends,omitempty"`
	Timeout  int64     `json:"timeout,omitempty"` // of the whole request, in milliseconds; 0 is none
}

// Match is what a request has to be. All that is set counts.
type Match struct {
	Kind    string  `json:"kind,omitempty"` // Prefix or Exact; "" is Prefix
	Path    string  `json:"path,omitempty"`
	Method  string  `json:"method,omitempty"`
	Headers []Value `json:"headers,omitempty"`
	Query   []Value `json:"query,omitempty"`
}

// Value is a header or a query parameter.
type Value struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Backend is a port of a service, and its part of the requests.
type Backend struct {
	Service string `json:"service"`
	Port    int    `json:"port"`
	Weight  int    `json:"weight"`
	Filter  Filter `json:"filter,omitzero"`
}

// Filter is what happens to a request and its response on the way.
type Filter struct {
	Request  Headers   `json:"request,omitzero"`
	Response Headers   `json:"response,omitzero"`
	Host     string    `json:"host,omitempty"` // in place of the one asked for
	Path     *Path     `json:"path,omitempty"`
	Redirect *Redirect `json:"redirect,omitempty"`
}

// Headers are changes of headers: Set replaces, Add adds, Remove takes away.
type Headers struct {
	Set    []Value  `json:"set,omitempty"`
	Add    []Value  `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// Path replaces a path: the whole of it, or the prefix that matched.
type Path struct {
	Whole bool   `json:"whole,omitempty"`
	Value string `json:"value"`
}

// Redirect answers a request with another place. What is empty is as it was.
type Redirect struct {
	Scheme string `json:"scheme,omitempty"`
	Host   string `json:"host,omitempty"`
	Port   int    `json:"port,omitempty"`
	Path   *Path  `json:"path,omitempty"`
	Code   int    `json:"code"`
}

// Request is what a decision needs of a request.
type Request struct {
	Host   string // without a port
	Method string
	Target string                     // path and query, as they were sent
	Header func(name string) []string // all values of a header
}
