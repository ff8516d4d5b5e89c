package agent

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// upstreamServer returns the first name server of a resolv.conf that is not
// ourselves, as host:port; "" when there is none.
func upstreamServer(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("find the name server: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) >= 2 && words[0] == "nameserver" && words[1] != "127.0.0.1" {
			return net.JoinHostPort(words[1], "53"), nil
		}
	}
	return "", nil
}

// rewriteResolvConf makes the pod's resolvers ask us, with Kubernetes' search
// path before the domains that were searched already (kubelet's ClusterFirst).
// The file is written in place: it is mounted into every container of the pod,
// and a new file under its name would be seen by nobody.
func rewriteResolvConf(path, namespace string, server netip.Addr) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, resolvConf(string(old), namespace, server), 0o644)
}

func resolvConf(old, namespace string, server netip.Addr) []byte {
	search := []string{namespace + ".svc." + api.Zone, "svc." + api.Zone, api.Zone}
	for line := range strings.Lines(old) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "search" && words[0] != "domain" {
			continue
		}
		for _, domain := range words[1:] {
			ours := strings.HasSuffix("."+domain, "."+api.Zone)
			if !ours && domain != "." && !slices.Contains(search, domain) {
				search = append(search, domain)
			}
		}
	}
	return fmt.Appendf(nil, "search %s\nnameserver %s\noptions ndots:5\n", strings.Join(search, " "), server)
}
