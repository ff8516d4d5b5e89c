package compose

import (
	"fmt"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// externalName stands in for another name of a host elsewhere, which Docker's
// DNS does not have: a relay has the name and passes on what comes to the
// service's ports.
func (r *renderer) externalName(s *app.Service, path string) error {
	pos := fieldPos(s.Lines, "externalName", s.Pos)
	args := []string{"hold"}
	var capabilities []string
	for _, port := range s.Ports {
		target := port.Port
		if port.TargetPort.Number != 0 {
			target = port.TargetPort.Number
		}
		if protocol(port.Protocol) == "sctp" {
			r.findings.Add("compose/sctp", path+".ports."+port.Name, port.Pos, "the port leads nowhere: nothing can forward SCTP", "")
			continue
		}
		args = append(args, fmt.Sprintf("--forward=%s/%d=%s:%d", protocol(port.Protocol), port.Port, s.ExternalName, target))
		if port.Port < privilegedPorts {
			capabilities = []string{"NET_BIND_SERVICE"}
		}
	}
	if len(args) == 1 {
		r.findings.Add("compose/external-name", path+".externalName", pos, "the name does not resolve: Docker's DNS has no second names for hosts elsewhere",
			"give the service ports, which can be passed on, or use "+s.ExternalName+" itself")
		return nil
	}
	name := s.Name + "-relay"
	r.findings.Add("compose/external-relay", path+".externalName", pos, fmt.Sprintf("%s has the name and passes the service's ports on to %s", name, s.ExternalName), "")
	relay := r.holderService(args).
		Set("networks", yaml.New().Set("default", yaml.New().Set("aliases", dnsNames(s.Name, r.app.DNSNamespace())))).
		Set("restart", "unless-stopped").
		Set("read_only", true)
	return r.addService(name, "relay of service "+s.Name, confine(relay, capabilities...))
}
