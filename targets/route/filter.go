package route

import (
	"strconv"
	"strings"
)

// Target is a request's new target, after m matched.
func (p *Path) Target(m Match, target string) string {
	if p == nil {
		return target
	}
	path, query, has := strings.Cut(target, "?")
	switch prefix := trimmed(m.Path); {
	case p.Whole:
		path = p.Value
	default:
		rest := strings.TrimPrefix(path, prefix)
		path = trimmed(p.Value) + rest
		if path == "" {
			path = "/"
		}
	}
	if has {
		path += "?" + query
	}
	return path
}

// Location is where a redirect leads. host and port are those that the client
// asked, port 0 for none; the scheme is http or https.
func (d *Redirect) Location(m Match, scheme, host string, port int, target string) string {
	if d.Host != "" {
		host = d.Host
	}
	switch {
	case d.Port != 0:
		port = d.Port
	case d.Scheme != "": // the well-known port of the scheme
		port = 0
	}
	if d.Scheme != "" {
		scheme = d.Scheme
	}
	if scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		port = 0
	}
	if port != 0 {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		host += ":" + strconv.Itoa(port)
	}
	return scheme + "://" + host + d.Path.Target(m, target)
}
