package runner

import (
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/targets/docker"
)

// Issue makes a certificate for a host, and its key, in PEM.
type Issue func(host string, now time.Time) (cert, key []byte, err error)

// httpsHosts are the hosts that the gateway answers for: services, routes, each
// also in localhost, and this machine's own names for rules without a host.
func httpsHosts(state *docker.State) []string {
	out := []string{"localhost", loopback, loopback6}
	for _, s := range state.Services {
		out = append(out, strings.ToLower(s.Name+"."+state.App+".localhost"))
	}
	for _, r := range state.Routes {
		for _, h := range r.Hosts {
			out = append(out, strings.ToLower(h), strings.ToLower(h)+".localhost")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// certificates are those of the hosts of a state. They are made once for each
// supervisor, and live in memory and in the gateway alone. Without an authority
// there are none: a person is told once.
func (r *supervisor) certificates(state *docker.State, now time.Time) []api.Certificate {
	if r.cfg.Issue == nil || r.loop.noHTTPS {
		return nil
	}
	var out []api.Certificate
	for _, host := range httpsHosts(state) {
		c, ok := r.loop.certificates[host]
		if !ok {
			cert, key, err := r.cfg.Issue(host, now)
			if err != nil {
				r.loop.noHTTPS = true
				r.report(EventNotice, "", "HTTPS is off: %v", err)
				return nil
			}
			c = api.Certificate{Host: host, Cert: cert, Key: key}
			if r.loop.certificates == nil {
				r.loop.certificates = map[string]api.Certificate{}
			}
			r.loop.certificates[host] = c
		}
		out = append(out, c)
	}
	return out
}
