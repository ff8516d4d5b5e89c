// Package router leads HTTP requests to services by the host they name.
//
// <service>.<app>.localhost is the service's first TCP port. Every request of a
// connection is looked at, not only the first; after an Upgrade the connection
// belongs to its endpoint. Heads and bodies pass as they are, so that whatever
// the endpoint speaks over HTTP/1 works: streams, chunks, trailers, WebSockets.
package router

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Route is one host and what stands behind it.
type Route struct {
	Service   string
	Endpoints []string // host:port, ready ones only
}

// Table is all routes, by lower-case host without a port. It is not changed
// once it is in force.
type Table map[string]Route

// NewTable makes the routes of an app's services; their backends are taken as
// ready. A service without a TCP port has none.
func NewTable(app string, services []api.Service) Table {
	t := Table{}
	for _, s := range services {
		i := slices.IndexFunc(s.Ports, func(p api.ServicePort) bool {
			return p.Protocol == "" || strings.EqualFold(p.Protocol, "TCP")
		})
		if i < 0 {
			continue
		}
		r := Route{Service: s.Name}
		for _, b := range s.Ports[i].Backends {
			if _, err := netip.ParseAddr(b.IP); err == nil {
				r.Endpoints = append(r.Endpoints, net.JoinHostPort(b.IP, strconv.Itoa(b.Port)))
			}
		}
		t[strings.ToLower(s.Name+"."+app+".localhost")] = r
	}
	return t
}

// Lookup finds the route of a Host field, which may carry a port and a final dot.
func (t Table) Lookup(host string) (Route, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	r, ok := t[strings.ToLower(strings.TrimSuffix(host, "."))]
	return r, ok
}

// Hosts lists all hosts, in order.
func (t Table) Hosts() []string {
	var hosts []string
	for host := range t {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return hosts
}
