package agent

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// resolver is the content of a resolv.conf.
type resolver struct {
	servers, searches, options []string
}

// parseResolvConf reads one as kubelet does: name servers and options add up,
// the last search list counts.
func parseResolvConf(data []byte) resolver {
	var r resolver
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			r.servers = append(r.servers, words[1])
		case "options":
			r.options = append(r.options, words[1:]...)
		case "search":
			r.searches = nil
			for _, domain := range words[1:] {
				if domain != "." {
					r.searches = append(r.searches, strings.TrimSuffix(domain, "."))
				}
			}
		}
	}
	return r
}

// upstreams are the name servers that are not at self, as host:port.
func (r resolver) upstreams(self string) (out []string) {
	for _, server := range r.servers {
		if server != self {
			out = append(out, net.JoinHostPort(server, "53"))
		}
	}
	return out
}

// Limits of what resolvers read, as in Kubernetes.
const (
	maxServers     = 3
	maxSearches    = 32
	maxSearchChars = 2048
	maxSearchName  = 253
)

// podResolver is what kubelet's GetPodDNS makes of a pod's policy and
// configuration. engine is what the engine made: the machine's own name
// servers, or its own server in front of them.
func podResolver(dns api.DNS, namespace, self string, engine resolver) resolver {
	r := engine
	switch dns.Policy {
	case api.DNSNone:
		r = resolver{}
	case api.DNSDefault:
		// A remark of the engine's about its own server, and not the machine's.
		r.options = slices.DeleteFunc(slices.Clone(r.options), func(o string) bool { return o == "ndots:0" })
	default:
		r.servers = []string{self}
		if dns.Cluster != "" {
			r.servers = []string{dns.Cluster}
		}
		r.searches = append([]string{namespace + ".svc." + api.Zone, "svc." + api.Zone, api.Zone}, r.searches...)
		r.options = []string{"ndots:5"}
	}
	r.servers = unique(append(slices.Clone(r.servers), dns.Servers...))
	r.searches = unique(append(slices.Clone(r.searches), dns.Searches...))
	r.options = mergeOptions(r.options, dns.Options)
	r.servers = r.servers[:min(len(r.servers), maxServers)]
	r.searches = fitSearches(r.searches)
	return r
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// mergeOptions replaces options by those of the same name; the order, which
// Kubernetes leaves to chance, is that of the names.
func mergeOptions(options []string, more []api.DNSOption) []string {
	values := map[string]string{}
	for _, o := range options {
		name, value, _ := strings.Cut(o, ":")
		values[name] = value
	}
	for _, o := range more {
		values[o.Name] = o.Value
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if values[name] != "" {
			name += ":" + values[name]
		}
		out = append(out, name)
	}
	return out
}

// fitSearches leaves out from the end what is over the limits, and names on
// which some resolvers break.
func fitSearches(list []string) []string {
	list = slices.Clone(list[:min(len(list), maxSearches)])
	list = slices.DeleteFunc(list, func(s string) bool { return len(s) > maxSearchName })
	for len(strings.Join(list, " ")) > maxSearchChars {
		list = list[:len(list)-1]
	}
	return list
}

func (r resolver) bytes() []byte {
	var b []byte
	if len(r.searches) > 0 {
		b = fmt.Appendf(b, "search %s\n", strings.Join(r.searches, " "))
	}
	for _, server := range r.servers {
		b = fmt.Appendf(b, "nameserver %s\n", server)
	}
	if len(r.options) > 0 {
		b = fmt.Appendf(b, "options %s\n", strings.Join(r.options, " "))
	}
	return b
}
