package agent

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// The hosts file is kubelet's (managedHostsFileContent), with one more name:
// that of the engine's machine.
const (
	hostsHeader            = "# Kubernetes-managed hosts file.\n"
	hostsHeaderHostNetwork = "# Kubernetes-managed hosts file (host network).\n"
	hostsLocal             = "127.0.0.1\tlocalhost\n" +
		"::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::0\tip6-localnet\n" +
		"fe00::0\tip6-mcastprefix\n" +
		"fe00::1\tip6-allnodes\n" +
		"fe00::2\tip6-allrouters\n"
	machineNames = "host.containers.internal\thost.docker.internal" // podman's and Docker's
)

// hostsFile gives a pod's hosts file. engine is what the engine made, which is
// the machine's own where the pod has its network.
func hostsFile(n api.Names, engine []byte) []byte {
	var b bytes.Buffer
	if n.HostNetwork {
		b.WriteString(hostsHeaderHostNetwork)
		b.Write(engine)
	} else {
		b.WriteString(hostsHeader)
		b.WriteString(hostsLocal)
		if n.Domain != "" {
			fmt.Fprintf(&b, "%s\t%s.%s\t%s\n", n.IP, n.Hostname, n.Domain, n.Hostname)
		} else {
			fmt.Fprintf(&b, "%s\t%s\n", n.IP, n.Hostname)
		}
	}
	if len(n.Aliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
		for _, a := range n.Aliases {
			fmt.Fprintf(&b, "%s\t%s\n", a.IP, strings.Join(a.Hostnames, "\t"))
		}
	}
	if n.Machine != "" && !n.HostNetwork { // the engine has written it there
		fmt.Fprintf(&b, "\n# The machine of the engine.\n%s\t%s\n", n.Machine, machineNames)
	}
	return b.Bytes()
}
